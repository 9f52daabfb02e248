"""What an app says of a task, over the JSON API -> the words of an entry. Pure.

What it says in a way that cannot be taken is told it, field by field; what has no field of its own is metadata.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from proxy.record.labels import fault
from proxy.record.raw_text import read_raw
from proxy.record.redact import redacted_whole
from proxy.store.events import events_of
from proxy.task import FULL_ID_LENGTH, JSON, Ending, Feedback, Flag, Usage
from proxy.wire.lenient import mend
from proxy.wire.usage import usage_of

TASK_ID: Final = re.compile(rf"[A-Za-z0-9_.:\-]{{1,{FULL_ID_LENGTH}}}")
KIND: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
COMMENT_LENGTH: Final = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_SECONDS: Final = 100_000_000_000  # the year 5138; larger numbers are milliseconds, as JavaScript counts
_USAGE = frozenset(field.name for field in fields(Usage))
_NAMES = ("session_id", "user_id", "project_id", "name", "parent_task_id", "model", "model_requested", "response_id")


class BadWord(ValueError):
    """A field that cannot be taken; the text names it and says what can."""


def moment(value: Any) -> int:
    """ISO 8601 (UTC where no zone is named), or seconds or milliseconds since the epoch, as microseconds. Raises ValueError."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        at = datetime.fromisoformat(value)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no time")
    if isinstance(value, int) or (isinstance(value, str) and "." not in value):
        whole = int(value)
        micros = whole * 1000 if abs(whole) > _LATEST_SECONDS else whole * 1_000_000
    else:
        seconds = float(value)
        micros = round(seconds * 1000 if abs(seconds) > _LATEST_SECONDS else seconds * 1e6)
    if abs(micros) >= 1 << 52:
        raise ValueError("not between the years 1827 and 2112")
    return micros


def words_of(item: JSON) -> JSON:
    """The words of a task that is logged; what is null was not said. Raises BadWord."""
    item = mend({name: value for name, value in item.items() if value is not None})
    item.pop("task_id", None)
    item.pop("id", None)
    item.pop("flag", None)  # is feedback, and taken as such
    words: JSON = {}
    for name, read in _READ.items():
        if name in item:
            words[name] = _taken(name, read, item.pop(name))
    for name in ("input", "output"):
        if name in item and not isinstance(item[name], str):
            words.setdefault(f"raw_{name}", item.pop(name))
    words |= {name: item.pop(name) for name in ("input", "output", "raw_input", "raw_output") if name in item}
    words = {**_read_from_raw(words), **words}
    if item:
        words["metadata"] = {**item, **words.get("metadata", {})}
    if "system_prompt" in words:
        words["metadata"] = {"system_prompt": words["system_prompt"], **words.get("metadata", {})}
    return without_secrets(words)


def amendment_of(item: JSON) -> JSON:
    """The words of an amendment; null takes away. Raises BadWord."""
    item = mend(item)
    words: JSON = {}
    for name, value in item.items():
        if name in ("task_id", "id", "flag"):
            continue
        if name not in AMENDABLE:
            raise BadWord(f"{name}: cannot be changed. What can: {', '.join(AMENDABLE)}, flag.")
        if value is None or name in ("raw_input", "raw_output"):
            words[name] = value
        elif name in ("input", "output"):
            words[name] = _taken(name, _text, value)
        elif name == "events":
            words[name] = _taken(name, lambda given: events_of(given, "person"), value)
        else:
            words[name] = _taken(name, _READ[name], value)
    return without_secrets(words)


AMENDABLE: Final = (
    *("input", "output", "system_prompt", "name", "session_id", "user_id", "project_id", "parent_task_id", "session_final"),
    *("metadata", "kind", "model", "cost", "usage", "ended_at", "raw_input", "raw_output", "events"),
)
"""What somebody may say of a task that is there."""


def feedback_of(item: JSON, *, id: str, at: int) -> Feedback:
    """What somebody thinks of a task, `id` and `at` being ours. Raises BadWord."""
    item = mend(item)
    flag, score, comment = item.get("flag"), item.get("score"), item.get("comment")
    if flag is None and score is None and comment is None:
        raise BadWord('flag: is not there. Give flag ("success" or "failure"), score or comment.')
    source, user_id = (None if item.get(name) is None else _taken(name, _label, item[name]) for name in ("source", "user_id"))
    if comment is not None:
        comment = redacted_whole(_taken("comment", _text, comment)[:COMMENT_LENGTH].encode())[0].decode()
    return Feedback(
        id=id,
        created_at=at if item.get("created_at") is None else _taken("created_at", moment, item["created_at"]),
        flag=None if flag is None else _taken("flag", Flag, flag),
        score=None if score is None else _taken("score", _number, score),
        comment=comment,
        source=source,
        user_id=user_id,
    )


def task_id_of(item: JSON) -> str | None:
    """The id that an app gave its task; None where it gave none. Raises BadWord."""
    id = item.get("task_id", item.get("id"))
    if id is None:
        return None
    if isinstance(id, int) and not isinstance(id, bool):
        id = str(id)
    if not isinstance(id, str) or TASK_ID.fullmatch(id) is None:
        raise BadWord(f"task_id: must be 1 to {FULL_ID_LENGTH} of A-Z a-z 0-9 _ . : -")
    return id


def without_secrets(words: JSON) -> JSON:
    """The words without values of credentials, as the copy of a call is kept without them."""
    text, changed = redacted_whole(orjson.dumps(words))
    return orjson.loads(text) if changed else words


def _read_from_raw(words: JSON) -> JSON:
    """What the raw request and response say, for what the app did not say itself."""
    if "raw_input" not in words and "raw_output" not in words:
        return {}
    reading = read_raw(words.get("raw_input"), words.get("raw_output"))
    found: JSON = {}
    if reading is not None:
        for name in ("input", "output", "system_prompt", "model", "model_requested", "response_id"):
            if getattr(reading, name) is not None:
                found[name] = getattr(reading, name)
        if reading.usage is not None:
            found["usage"] = _figures(reading.usage)
        if reading.finish_reasons:
            found["finish_reasons"] = list(reading.finish_reasons)
    for name in ("input", "output"):
        raw = words.get(f"raw_{name}")
        if name not in words and name not in found and raw is not None:
            found[name] = raw if isinstance(raw, str) else orjson.dumps(raw).decode()
    return found


def _figures(usage: Usage) -> JSON:
    return {name: value for name in sorted(_USAGE) if (value := getattr(usage, name)) is not None}


def _taken(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError) as wrong:
        said = _EXPECTED.get(name) or str(wrong)
        raise BadWord(f"{name}: {said}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("is not a string")
    return value


def _label(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    wrong = fault(value) if isinstance(value, str) else "is not a string"
    if wrong is not None:
        raise ValueError(wrong)
    return str(value)


def _kind(value: Any) -> str:
    if not isinstance(value, str) or KIND.fullmatch(value) is None:
        raise ValueError
    return value


def _object(value: Any) -> JSON:
    if not isinstance(value, dict):
        raise TypeError("is not an object")
    return value


def usage_words(value: Any) -> JSON | None:
    """The figures in an object of our names, or of any provider's; None where there are none."""
    if not isinstance(value, dict):
        return None
    theirs = usage_of(value)
    own = {name: value[name] for name in _USAGE if type(value.get(name)) is int and 0 <= value[name] < 2**63}
    found = {**(_figures(theirs) if theirs else {}), **own}
    found.pop("source", None)
    return {**found, "source": "estimated" if value.get("source") == "estimated" else "provider"} if found else None


def _use(value: Any) -> JSON:
    found = usage_words(value)
    if found is None:
        raise ValueError
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("is not a number")
    return float(value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("is neither true nor false")
    return value


def _ending(value: Any) -> str:
    return Ending(value).value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError("is not a list of strings")
    return value


def _reasons(value: Any) -> list[str | None]:
    if not isinstance(value, list) or not all(one is None or isinstance(one, str) for one in value):
        raise TypeError("is not a list of strings")
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_NAMES, _label),
    "system_prompt": _text,
    "kind": _kind,
    "metadata": _object,
    "created_at": moment,
    "ended_at": moment,
    "usage": _use,
    "cost": _number,
    "seconds_to_first_token": _number,
    "session_final": _bool,
    "stream": _bool,
    "ending": _ending,
    "problems": _texts,
    "events": lambda given: events_of(given, "app"),
    "finish_reasons": _reasons,
}
_EXPECTED = {
    "kind": 'must be a word such as "chain": a-z, 0-9, "_", "." and "-", beginning with a letter',
    "created_at": "is no time. Give ISO 8601, e.g. 2026-11-22T15:04:05Z, or seconds since the epoch",
    "ended_at": "is no time. Give ISO 8601, e.g. 2026-11-22T15:04:05Z, or seconds since the epoch",
    "usage": "is no usage. Give input_tokens, output_tokens, ... as numbers, or a provider's own usage object",
    "flag": 'must be "success" or "failure"',
    "ending": f"must be one of {', '.join(Ending)}",
}
