"""What an app said of a call, as a value: what `proxy.record.labels` finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.quick import quickly
from proxy.task import JSON, Source


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What an app said of a call. `problems` names each place that was not used, and why."""

    session_id: str | None = None
    session_source: Source | None = None
    session_final: bool = False
    user_id: str | None = None
    user_source: Source | None = None
    project_id: str | None = None
    name: str | None = None
    parent_task_id: str | None = None
    metadata: JSON = field(default_factory=dict)
    problems: tuple[str, ...] = ()
