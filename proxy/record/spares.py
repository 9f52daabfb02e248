"""Journal segments that are used again: the recorder blanks those whose calls are stored, and a relay fills them once more.

A file that is there already has its blocks and its pages of memory: writing 200 KB into it costs a tenth of what a new one
costs where memory has to be had from a hypervisor first. A spare is zeros and nothing else, on the disk too, before it has its
name: behind the last record of a segment nobody can find an older one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

SPARE: Final = ".spare"
_BLANKING: Final = ".blanking"  # behind the name of a segment that is on its way to become one
_LEAST_BYTES: Final = 2 << 20  # of a segment that is worth it: a relay's first one is not
_MOST: Final = 16  # spares in one directory
_SECONDS: Final = 60.0  # how long they are kept for
_ZEROS: Final = bytes(1 << 20)


def retire(segment: Path, used: int) -> None:
    """Nothing in this segment is needed any more: make it a spare, where it was filled and more are wanted, or delete it."""
    try:
        size = segment.stat().st_size
        if size < _LEAST_BYTES or used < size // 2 or sum(1 for _ in segment.parent.glob(f"*{SPARE}")) >= _MOST:
            segment.unlink(missing_ok=True)
            return
        blanking = segment.rename(segment.with_name(segment.name + _BLANKING))
    except FileNotFoundError:
        return
    except OSError:  # a directory that takes no new name
        segment.unlink(missing_ok=True)
        return
    try:
        _blank(blanking, size)
        blanking.rename(segment.with_name(segment.name + SPARE))
    except OSError:  # the disk is full or failing: then there is no spare
        blanking.unlink(missing_ok=True)


def _blank(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for at in range(0, size, len(_ZEROS)):
            os.pwrite(fd, _ZEROS[: size - at], at)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def take(directory: Path, size: int, name: Path) -> int | None:
    """A spare of this size, locked and under its new name, as a descriptor to write with; None where there is none.

    Raises OSError where the directory cannot be read or written.
    """
    for spare in directory.glob(f"*{SPARE}"):
        try:
            fd = os.open(spare, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # another worker was faster
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by one worker, as long as it lives
            if os.fstat(fd).st_size == size:
                spare.rename(name)
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    return None


def sweep(directory: Path, *, beginning: bool = False) -> None:
    """Delete the spares that nobody has taken for a while; at the recorder's `beginning` also what was never made into one."""
    now = time.time()
    for path in directory.glob(f"*{SPARE}"):
        try:
            if abs(now - path.stat().st_mtime) > _SECONDS:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
    if beginning:
        for path in directory.glob(f"*{_BLANKING}"):
            path.unlink(missing_ok=True)


def clear(directory: Path) -> None:
    """Delete all spares, as far as the disk lets us: nobody is about to take one, or their room is needed."""
    with contextlib.suppress(OSError):
        for path in directory.glob(f"*{SPARE}"):
            path.unlink(missing_ok=True)
