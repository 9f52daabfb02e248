"""Tells whether something works here though nothing is asked of it: a thread that a test left going round and round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 0.02
LOOKS: Final = 25
SHARE: Final = 0.2  # of a core; what else runs on the machine leaves one that spins no more


_nothing = threading.Event()


def busy(
    pause: Callable[[float], object] = _nothing.wait,
    clock: Callable[[], float] = time.monotonic,
    worked: Callable[[], float] = time.process_time,
) -> bool:
    """Does this process work, look after look, while its main thread waits? The first look at which it rests says no."""
    for _ in range(LOOKS):
        began, before = clock(), worked()
        pause(LOOK_SECONDS)
        if worked() - before < SHARE * (clock() - began):
            return False
    return True


def others() -> list[str]:
    """The threads that there are beside the main one."""
    return [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
