"""What phospho's clients send -> what was said of tasks. Pure.

Every event becomes a task: what is odd in it is made into what comes next to it, and noted. Rules M7 to M12 of the client's
contract; the shapes are those of the Python client 0.3.45 and the JavaScript client 1.3.13.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from proxy.record.labels import fault
from proxy.record.phospho_garbled import repaired_of
from proxy.record.words import moment, usage_words, without_secrets
from proxy.store.entries import Logged
from proxy.task import FULL_ID_LENGTH, JSON
from proxy.wire.lenient import mend

IMPLICIT_SESSION: Final = re.compile(r"session_[0-9a-f]{32}")
"""The session that the client makes up for each event without one (M11)."""

_AHEAD_SECONDS: Final = 86_400  # a clock that is a day wrong is not believed

_IN_JAVASCRIPT: Final = {"session_id": "sessionId", "user_id": "userId"}
"""As its documentation for JavaScript spells them; that client sends what it does not know as it is."""

TECHNICAL = frozenset(
    (
        *(
            "client_created_at",
            "created_at",
            "last_update",
            "project_id",
            "session_id",
            "task_id",
            "step_id",
            "input",
            "output",
            "user_id",
        ),
        *(
            "raw_input",
            "raw_input_type_name",
            "raw_output",
            "raw_output_type_name",
            "metadata",
            "flag",
            "version_id",
            "messages",
            "stream",
        ),
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details", "usage"),
        *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "input_tokens_details"),
        *("output_tokens_details", "model", "system_prompt", "org_id", *_IN_JAVASCRIPT.values()),
    )
)
"""What the client adds by itself: none of it is the app's metadata (M8)."""


def logged_of(event: Any, project_id: str, *, at: int, own_id: str) -> tuple[Logged, str | None]:
    """The task that one event logs, and the flag that came with it.

    `own_id` is used where the event has no id that can be used. Never raises.
    """
    problems: list[str] = []
    if not isinstance(event, dict):
        problems.append("the log event is no object")
        event = {"raw_input": event, "input": event}
    event = mend(event)
    metadata = _metadata(event)
    nested: JSON = event["metadata"] if isinstance(event.get("metadata"), dict) else {}
    words: JSON = {"project_id": project_id}
    weak: tuple[str, ...] = ()
    id = _label(event.get("task_id"), "task_id", problems, FULL_ID_LENGTH) or own_id
    for name in ("session_id", "user_id"):
        places = (nested.get(name), event.get(name), event.get(_IN_JAVASCRIPT[name]))
        label = _label(next((each for each in places if each is not None), None), name, problems)
        if label is not None:
            words[name] = label
    if "session_id" in words and IMPLICIT_SESSION.fullmatch(words["session_id"]):
        weak = ("session_id",)
    words |= _times(event, at, problems)
    words |= _texts(event, nested)
    for name, value in (("raw_input", event.get("raw_input")), ("raw_output", event.get("raw_output"))):
        if value is not None and value != words.get(name.removeprefix("raw_")):
            words[name] = value
    repaired = repaired_of(words, event)
    metadata |= repaired.pop("metadata", {})
    words |= repaired
    usage = usage_words(event.get("usage")) or usage_words(event) or usage_words(nested)
    if usage is not None:
        words.setdefault("usage", usage)
    flag = event.get("flag")
    if flag is not None and flag not in ("success", "failure"):
        metadata["flag"] = flag
        problems.append("flag is neither success nor failure; it is kept as metadata")
        flag = None
    version = event.get("version_id")
    if version is not None and "version_id" not in metadata:
        metadata["version_id"] = version if isinstance(version, str) else _json(version)
    if "system_prompt" in words:
        metadata.setdefault("system_prompt", words["system_prompt"])
    if metadata:
        words["metadata"] = metadata
    if problems:
        words["problems"] = problems
    return Logged(id=id, origin="", at=at, words=without_secrets(words), weak=weak, growing=True), flag


def _metadata(event: JSON) -> JSON:
    """Nested over top-level; what is no object is wrapped."""
    given = event.get("metadata")
    top = {name: value for name, value in event.items() if name not in TECHNICAL and value is not None}
    if top.get("environment") == "default environment":
        del top["environment"]
    if isinstance(given, dict):
        return {**top, **{name: value for name, value in given.items() if name not in ("user_id", "session_id", "system_prompt")}}
    return top if given is None else {**top, "metadata": given}


def _label(value: Any, name: str, problems: list[str], longest: int = 512) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else _json(value)
    wrong = fault(text) or (f"is longer than {longest} characters" if len(text) > longest else None)
    if wrong is not None:
        problems.append(f"{name} {wrong}; it was not used")
        return None
    return text


def _times(event: JSON, at: int, problems: list[str]) -> JSON:
    """When it began, and ended: `last_update` is when the last piece of a stream came."""
    found: JSON = {}
    for name, keys in (("created_at", ("created_at", "client_created_at")), ("ended_at", ("last_update",))):
        for key in keys:
            if event.get(key) is None or name in found:
                continue
            try:
                time = moment(event[key])
            except (ValueError, TypeError, OverflowError):
                problems.append(f"{key} is no time; it was not used")
                continue
            if 0 <= time <= at + _AHEAD_SECONDS * 1_000_000:
                found[name] = time
            else:
                problems.append(f"{key} is more than a day ahead, or before 1970; it was not used")
    found.setdefault("created_at", at)
    return found


def _texts(event: JSON, nested: JSON) -> JSON:
    """Input, output and what comes with them. A null input is empty text: a task has one."""
    words: JSON = {"input": _text(event.get("input")) or ""}
    if event.get("output") is not None:
        words["output"] = _text(event["output"])
    for name in ("system_prompt", "model"):
        value = nested.get(name) if name == "system_prompt" and nested.get(name) is not None else event.get(name)
        if isinstance(value, str) and value:
            words[name] = value
    return words


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
