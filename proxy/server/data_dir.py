"""The data directory: who may use it, what is in it, and what it says of the processes that do."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any, Final

JOURNAL: Final = "journal"
ASIDE: Final = "aside"
INTAKE: Final = "intake"


class InUse(Exception):
    """Another tasktap runs on this data directory."""


def prepare(path: Path) -> None:
    """Make the directory and what belongs in it; only its owner can read any of it. Raises OSError."""
    os.umask(0o077)
    for directory in (path, path / JOURNAL, path / ASIDE, path / INTAKE):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077 and directory.stat().st_uid == os.geteuid():
            directory.chmod(0o700)
    pepper = path / "pepper"
    if not pepper.exists() or not pepper.stat().st_size:  # the power went while it was made
        write(pepper, secrets.token_bytes(32), durably=True)


def lock(path: Path, name: str, seconds: float = 0.0) -> int:
    """Take the lock `name`, waiting for it up to `seconds`; held while the descriptor is open. Raises InUse."""
    fd = os.open(path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise InUse(f"{path / name} is locked by another process") from None
            time.sleep(0.02)
        else:
            return fd


def write(path: Path, data: bytes, *, durably: bool = False) -> None:
    """Write a file whole or not at all, mode 0600; `durably`, a power cut afterwards does not take it."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        if durably:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)
    if durably:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def running(path: Path) -> dict[str, Any] | None:
    """What `run.json` says; `None` where there is none."""
    try:
        found = json.loads((path / "run.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
