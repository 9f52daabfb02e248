"""What a desk can tell of the house around it: the disk, the upstreams, the versions, and what the doctor said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy.task import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What is there just now. Sizes in bytes; `None` where the system does not say."""

    data_dir: str
    disk_free: int | None = None
    disk_size: int | None = None
    disk_wanted: int = 0  # what should be free: the journal at its largest, and some room to spare
    files: tuple[tuple[str, int], ...] = ()  # what takes room in the data directory
    upstreams: tuple[tuple[str, str], ...] = ()  # name and address
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Consultation:
    """What `tasktap doctor` said: its findings as it prints them in JSON, or why it said nothing."""

    at: int  # microseconds since the epoch
    seconds: float
    findings: tuple[JSON, ...] = ()
    problem: str | None = None


class House(Protocol):
    """Tells of the house."""

    @property
    def said(self) -> Consultation | None:
        """What the doctor said last; `None`: it was not asked since the desk started."""
        ...

    def look(self) -> Premises:
        """Look around; asks the file system, so not on the loop."""
        ...

    async def consult(self) -> None:
        """Ask the doctor; who asks while it looks waits for the same answer."""
        ...
