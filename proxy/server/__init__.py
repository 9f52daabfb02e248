"""Puts the house together: starts its processes, watches over them, stops them in order.

supervisor   holds the data directory, the listening sockets and the counters; starts the others again when they die
child        one of its processes, through all its starts
change       new relays for old ones, while calls run
relay_main   one relay worker's process: carries calls, writes its journal
desk_main    the desk's process: recorder, JSON API
told         what a child process is told by the supervisor, over a pipe
data_dir     the data directory: lock, modes, run.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config import Settings


def serve(settings: Settings, load: Callable[[], Settings]) -> int:
    """Run the proxy until SIGTERM or Ctrl-C. Exit status: 0 stopped in order, 1 could not start, 3 already running.

    `load` reads the settings again, on SIGHUP; it raises ConfigError.
    """
    from proxy.server.supervisor import Supervisor

    return Supervisor(settings, load).run()
