"""What is done with each task once it is read: a second look for secrets, its vectors, an estimate, its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.price.estimate import estimated
from proxy.price.pricer import Pricer, pricer_of
from proxy.record.second_look import without_secrets
from proxy.record.vectors import with_vectors
from proxy.task import Task


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked for of it."""

    pricer: Pricer
    pepper: bytes
    estimate: bool
    vectors: bool

    @classmethod
    def of(cls, said: Mapping[str, Any], data_dir: Path) -> Rules:
        """The rules in what a desk is told (`proxy.server.parts.desk_part`)."""
        pepper = data_dir / "pepper"
        return cls(
            pricer_of(said["prices"], said["upstreams"]),
            pepper.read_bytes() if pepper.exists() else b"",
            said["estimate"],
            said["vectors"],
        )

    def complete(self, task: Task) -> Task:
        """All of it."""
        return self.valued(without_secrets(task, self.pepper))

    def valued(self, task: Task) -> Task:
        """`task` with what it cost; with its vectors, and with an estimate of its tokens first, where those are asked for.

        Nobody else may have it: it is not always made anew.
        """
        if self.vectors:
            task = with_vectors(task)
        return self.pricer.fill(estimated(task) if self.estimate else task)
