"""What the system allows a process of ours: all the open files that it may have, and no core file, in which keys would be."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

SPARE_FILES: Final = 128  # for the journal, the listening socket, upstream connections that rest, and callers that are sent away
FILES_OF_A_CALL: Final = 2  # its caller's socket, and its upstream's


def take() -> None:
    """Raise the soft limit of open files to the hard one (1,024 is usual, and holds 500 streams), and forbid core files.

    Processes that are started from here have both.
    """
    with contextlib.suppress(ValueError, OSError):  # a hard limit that the kernel itself does not grant: it stays as it was
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def connections(wanted: int, files: int | None = None) -> int:
    """For how many callers there are files enough, `wanted` at most; each may have a call. `files`: ours, if left out."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files is None else files
    return wanted if most == resource.RLIM_INFINITY else min(wanted, max(1, (most - SPARE_FILES) // FILES_OF_A_CALL))
