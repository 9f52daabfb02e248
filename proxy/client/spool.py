"""Where tasks wait on disk while the desk is away, if that is asked for: files of JSON lines, oldest first, bounded.

Each process writes files of its own, locked while it lives; what a dead process left is taken up by the next one that looks.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from proxy.client.snapshot import encode

try:
    import fcntl
except ImportError:  # Windows has no flock: there a process sees only its own files
    fcntl = None  # type: ignore[assignment]

TASK, FEEDBACK = "task", "feedback"

Line = tuple[str, str, bytes]
"""TASK or FEEDBACK, the task's id, and the JSON that is sent."""

FILE_BYTES = 4 * 1024 * 1024
"""Size at which a new file is begun."""


class Spool:
    """One process' part of a directory of waiting tasks. Not for two threads at once."""

    def __init__(self, place: Path, most_bytes: int) -> None:
        self.place = place
        self.most_bytes = most_bytes
        self._file_bytes = min(FILE_BYTES, most_bytes // 4)
        self.dropped = 0
        self._fd: int | None = None
        self._path: Path | None = None

    def write(self, lines: Sequence[Line]) -> None:
        """Append `lines`, each whole; only their owner can read them. Raises OSError."""
        if self._fd is None or self._path is None:
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = self.place / f"tasktap-{time.time_ns():020d}-{os.getpid()}.jsonl"
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
            _lock(self._fd)
        data = b"".join(encode({"kind": kind, "id": id})[:-1] + b', "body": ' + body + b"}\n" for kind, id, body in lines)
        while data:
            data = data[os.write(self._fd, data) :]
        if os.fstat(self._fd).st_size >= self._file_bytes:
            self.close()
        self._make_room()

    def _make_room(self) -> None:
        """Delete the oldest files while there is too much; their lines are counted as dropped."""
        sizes = {path: _size(path) for path in self.files()}
        for path in list(sizes):
            if sum(sizes.values()) <= self.most_bytes or path == self._path:
                return
            with _held(path) as data:
                if data is not None:
                    self.dropped += data.count(b"\n")
                    path.unlink(missing_ok=True)
                    del sizes[path]

    def files(self) -> list[Path]:
        """All there are, the oldest first."""
        return sorted(self.place.glob("tasktap-*.jsonl"))

    @contextmanager
    def oldest(self) -> Iterator[tuple[Path, list[Line], int] | None]:
        """The oldest file that nobody else holds, its lines, and how many are bad; `forget` it once they are sent."""
        for path in self.files():
            if path == self._path:
                self.close()
            with _held(path) as data:
                if data is not None:
                    lines = [line for line in map(_read, data.splitlines()) if line is not None]
                    yield path, lines, data.count(b"\n") - len(lines)
                    return
        yield None

    def forget(self, path: Path) -> None:
        """Its lines are sent."""
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the file that is being written go; the next write begins another."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._path = None


def _read(text: bytes) -> Line | None:
    """One line; `None` for one that was torn when its process died."""
    try:
        table = json.loads(text)
        return str(table["kind"]), str(table["id"]), encode(table["body"])
    except (ValueError, KeyError, TypeError):
        return None


def _lock(fd: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _held(path: Path) -> Iterator[bytes | None]:
    """A file's bytes, while nobody else can have it; `None` where somebody else does, or where it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        if not _lock(fd) or not path.exists():
            yield None
            return
        with open(fd, "rb", closefd=False) as file:
            yield file.read()
    finally:
        os.close(fd)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
