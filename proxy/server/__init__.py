"""Puts the house together: starts its processes, watches over them, stops them in order.

supervisor   holds the data directory, the listening sockets and the counters; starts the others again when they die
plan         what a run needs of its settings, as plain values; read anew for a change
child        one of its processes, through all its starts
forked       a process that begins with what its parent has loaded
change       new relays for old ones, while calls run
relay_main   one relay worker's process: carries calls, writes its journal
desk_main    the desk's process, begun
desk         what it does: recorder, retention, a porter
porter       opens the desk's door when somebody knocks
front        what is behind it then: API, pages, intake
finish       what is done with each task once it is read
allowance    open files and core files: what the system allows each of them
told         what a child process is told by the supervisor, over a pipe
data_dir     the data directory: lock, modes, run.json
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from proxy.config import Settings
    from proxy.server.plan import Given


def serve(settings: Settings, given: Given) -> NoReturn:
    """Become the supervisor, until SIGTERM or Ctrl-C. Exit status: 0 stopped in order, 1 could not start, 3 already running.

    `given` says where the settings are read again on SIGHUP.
    """
    from proxy.server.plan import plan

    fd = os.memfd_create("tasktap-plan", 0)  # in memory, since there are keys in it; inherited
    with open(fd, "wb", closefd=False) as file:
        file.write(plan(settings).pack())
    os.lseek(fd, 0, os.SEEK_SET)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "proxy.server.supervisor", str(fd), json.dumps(given)])  # noqa: S606 - ourselves
