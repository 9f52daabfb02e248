"""How far a long work on a file has come: a bar on a terminal, and a mark on disk from which an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

WIDTH = 30
TELL_SECONDS = 0.1


class Progress:
    """A bar on standard error; nothing where nobody looks."""

    def __init__(self, size: int, silent: bool) -> None:
        self._size = max(1, size)
        self._silent = silent
        self._began = time.monotonic()
        self._told = 0.0

    def at(self, place: int, rows: int, rejected: int) -> None:
        """So many bytes and rows are done."""
        now = time.monotonic()
        if self._silent or now - self._told < TELL_SECONDS:
            return
        self._told = now
        part = min(1.0, place / self._size)
        rate = rows / max(0.001, now - self._began)
        left = (1 - part) * (now - self._began) / part if part else 0.0
        bar = "█" * round(part * WIDTH) + "░" * (WIDTH - round(part * WIDTH))
        bad = f", {rejected:,} not taken" if rejected else ""
        sys.stderr.write(f"\r{bar} {part:4.0%}  {rows:,} rows, {rate:,.0f} a second{bad}, {left:.0f} s left \x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        """Take the bar away."""
        if not self._silent:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@dataclass(slots=True)
class Mark:
    """Where a run over a file is; the file is known by its place and by how it begins."""

    path: Path
    rows: int

    @classmethod
    def of(cls, data_dir: Path, file: Path) -> Mark:
        """The mark of an interrupted run over `file`, or a new one. Raises OSError."""
        with file.open("rb") as opened:
            start = hashlib.sha256(opened.read(1 << 16))
        start.update(str(file.resolve()).encode("utf-8", "surrogateescape"))
        path = data_dir / "imports" / f"{start.hexdigest()[:32]}.json"
        try:
            return cls(path, int(json.loads(path.read_bytes())["rows"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path, 0)

    def at(self, rows: int) -> None:
        """All rows up to this one are done."""
        self.rows = rows
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps({"rows": rows}))
        new.replace(self.path)

    def forget(self) -> None:
        """The run is over."""
        self.path.unlink(missing_ok=True)
