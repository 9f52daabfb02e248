"""Puts the house together: starts its processes, watches over them, stops them in order.

supervisor   holds the data directory, the listening sockets and the counters; starts the others again when they die
relay_main   one relay worker's process: carries calls, writes its journal
desk_main    the desk's process: recorder, JSON API
told         what a child process is told by the supervisor, over a pipe
data_dir     the data directory: lock, modes, run.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.config import Settings


def serve(settings: Settings) -> int:
    """Run the proxy until SIGTERM or Ctrl-C. Exit status: 0 stopped in order, 1 could not start, 3 already running."""
    from proxy.server.supervisor import Supervisor

    return Supervisor(settings).run()
