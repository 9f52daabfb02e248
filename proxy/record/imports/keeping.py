"""An imported task as the store keeps it, where no desk runs to take it in. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from proxy.client import extract
from proxy.record.imports.fields import BadRow
from proxy.record.labels import fault
from proxy.record.redact import redacted_whole
from proxy.task import JSON, Ending, Feedback, Flag, Source, Task, Usage
from proxy.wire.lenient import mend
from proxy.wire.usage import usage_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORIGIN = "importi"
"""The epoch of what is imported: an id is imported once, however often."""

LABELS = ("session_id", "user_id", "project_id", "parent_task_id", "name", "model", "model_requested", "response_id")
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
LATEST_SECONDS = 100_000_000_000  # larger numbers are milliseconds


def task_of(item: JSON, now: int) -> Task:
    """The task that `item_of` gave, without values of credentials. `now`: microseconds. Raises BadRow."""
    item = _without_secrets(mend(item))
    for name in LABELS:
        wrong = fault(item[name]) if isinstance(item.get(name), str) else None
        if wrong is not None:
            raise BadRow(f"{name}: {wrong}")
    kind = item.get("kind", "custom")
    if KIND.fullmatch(kind) is None:
        raise BadRow(f"kind: {kind[:100]!r} is none")
    created_at = _moment(item, "created_at")
    ended_at = _moment(item, "ended_at")
    began = created_at if created_at is not None else ended_at if ended_at is not None else now
    raw_input, raw_output = item.get("raw_input"), item.get("raw_output")
    return Task(
        id=item["task_id"],
        own_id="import-" + hashlib.sha256(f"own {item['task_id']}".encode()).hexdigest()[:32],
        origin=f"{ORIGIN}.{item['task_id']}",
        created_at=began,
        ended_at=max(began, ended_at or began),
        kind=kind,
        input=item["input"] if "input" in item else extract.input_text(raw_input),
        output=item["output"] if "output" in item else extract.output_text(raw_output),
        system_prompt=item.get("system_prompt") or extract.system_prompt(raw_input),
        raw_input=raw_input,
        raw_output=raw_output,
        metadata=item.get("metadata", {}),
        usage=_usage(item.get("usage")) or (usage_of(raw_output.get("usage")) if isinstance(raw_output, dict) else None),
        cost=item.get("cost"),
        stream=item.get("stream"),
        seconds_to_first_token=item.get("seconds_to_first_token"),
        seconds_total=(ended_at - created_at) / 1e6 if created_at is not None and ended_at is not None else None,
        ending=_one_of(Ending, "ending", item.get("ending", Ending.COMPLETED)),
        problems=tuple(item.get("problems", ())),
        **_labels(item, raw_input, raw_output),
        **_flag(item, began),
    )


def _labels(item: JSON, raw_input: Any, raw_output: Any) -> JSON:
    found = {name: item[name] for name in LABELS if name in item}
    found.setdefault("model", extract.model(raw_input, raw_output))
    for name in ("session", "user"):
        if f"{name}_id" in found:
            found[f"{name}_source"] = Source.CLIENT
    return found


def _flag(item: JSON, at: int) -> JSON:
    if item.get("flag") is None:
        return {}
    flag = _one_of(Flag, "flag", item["flag"])
    return {"flag": flag, "feedback": (Feedback(id=f"logged-{flag}", created_at=at, flag=flag, user_id=item.get("user_id")),)}


def _one_of(kind: Any, name: str, value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise BadRow(f"{name}: {str(value)[:100]!r} is none of {', '.join(kind)}") from None


def _usage(figures: Any) -> Usage | None:
    if not isinstance(figures, dict):
        return None
    named = Usage.__slots__
    own = {name: value for name, value in figures.items() if name in named and (isinstance(value, int) or name == "source")}
    return Usage(**own) if any(isinstance(value, int) for value in own.values()) else usage_of(figures)


def _moment(item: JSON, name: str) -> int | None:
    """ISO 8601 (UTC where no zone is named), or seconds or milliseconds since the epoch, as microseconds. Raises BadRow."""
    value = item.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            micros = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
        else:
            micros = round(value * (1e3 if abs(value) > LATEST_SECONDS else 1e6))
    except (ValueError, TypeError, OverflowError):
        micros = 1 << 62
    if abs(micros) >= 1 << 52:
        raise BadRow(f"{name}: {str(value)[:100]!r} is no time between 1827 and 2112")
    return micros


def _without_secrets(item: JSON) -> JSON:
    try:
        text, changed = redacted_whole(orjson.dumps(item))
    except TypeError:
        raise BadRow("it holds what JSON cannot") from None
    if not changed:
        return item
    found: JSON = orjson.loads(text)
    return found
