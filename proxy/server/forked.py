"""A process that is forked off: begun with all that its parent has loaded, and with nothing of what the parent holds open.

What both load is loaded once, and its pages are shared. The parent must not have threads yet: their locks would stay locked.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from typing import Final, NoReturn

from proxy.server import logs

_HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LONGEST_LOOK: Final = 0.02  # seconds between two looks whether it has ended


class Forked:
    """As much of `subprocess.Popen` as a supervisor needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, as `Popen.returncode` says it; `None`: it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.0005
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("a process that was forked", timeout or 0.0)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(work: Callable[[], None], keep: Collection[int]) -> Forked:
    """A process that does `work` and ends; of descriptors it has standard output and error, and those in `keep`."""
    gc.freeze()  # what is here already is never looked through again, which would copy its pages
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)  # a signal meant for it must not be taken as its parent would
    pid = os.fork()
    if pid == 0:
        _live(work, keep, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Forked(pid)


def _live(work: Callable[[], None], keep: Collection[int], mask: Collection[int]) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _let_go(keep)
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
        if isinstance(left.code, str):
            sys.stderr.write(f"{left.code}\n")
    except BaseException as error:  # as the interpreter would
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        logs.last()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # what the parent would do at its end is not to be done here


def _let_go(keep: Collection[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in keep:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(fd)
