"""OpenTelemetry spans -> tasks: the steps of an app's task, nested under it. Pure.

phospho's client names the task in `phospho.task_id`; spans of one trace without it belong to that which propagates its own
(rule S18). Names are those of phospho (`gen_ai.input`) and of OpenTelemetry's GenAI conventions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from proxy.record.labels import fault
from proxy.record.words import usage_words, without_secrets
from proxy.store.entries import Amended, Entry, Logged
from proxy.task import JSON, Ending
from proxy.wire.otlp import Span

METADATA = "phospho.metadata."
_INPUTS = (
    "gen_ai.input",
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "input.value",
    "traceloop.entity.input",
)
_OUTPUTS = (
    *("gen_ai.output", "gen_ai.output.messages", "gen_ai.completion", "gen_ai.completion.0.content", "output.value"),
    "traceloop.entity.output",
)


def entries_of(spans: Sequence[Span], project_id: str, *, at: int) -> list[Entry]:
    """What the spans say: a step is a task of its own, what propagates is about the task that it names."""
    found: list[Entry] = []
    for place, span in enumerate(spans):
        of = _propagating(spans, place)
        task_id = span.attributes.get("phospho.task_id") or (of and of.attributes.get("phospho.task_id"))
        session_id = span.attributes.get("phospho.session_id") or (of and of.attributes.get("phospho.session_id"))
        metadata = {**_metadata(of), **_metadata(span)}
        if span.attributes.get("phospho.propagate") is True:
            if isinstance(task_id, str) and metadata:
                found.append(Amended(id=task_id, at=at, words=without_secrets({"metadata": metadata})))
            continue
        found.append(_step(span, project_id, task_id, session_id, metadata, at))
    return found


def _propagating(spans: Sequence[Span], place: int) -> Span | None:
    """The span whose task this one belongs to: of its trace, or else the next one behind it."""
    if spans[place].attributes.get("phospho.task_id"):
        return None
    marked = [span for span in spans if span.attributes.get("phospho.propagate") is True]
    same = [span for span in marked if span.trace_id == spans[place].trace_id]
    behind = [span for span in spans[place + 1 :] if span.attributes.get("phospho.propagate") is True]
    return next(iter((*same, *behind)), None)


def _step(span: Span, project_id: str, task_id: Any, session_id: Any, metadata: JSON, at: int) -> Entry:
    attributes = span.attributes
    words: JSON = {"project_id": project_id, "kind": "step", "input": _first(attributes, _INPUTS) or ""}
    output = _first(attributes, _OUTPUTS)
    if output is not None:
        words["output"] = output
    name = attributes.get("gen_ai.name") or attributes.get("gen_ai.operation.name") or span.name
    for label, value in (
        ("name", name),
        ("session_id", session_id or attributes.get("gen_ai.conversation.id") or attributes.get("session.id")),
        ("user_id", metadata.pop("user_id", None) or attributes.get("user.id") or attributes.get("enduser.id")),
        ("parent_task_id", task_id or (span.parent_span_id and f"{span.trace_id}-{span.parent_span_id}")),
        ("model", attributes.get("gen_ai.response.model")),
        ("model_requested", attributes.get("gen_ai.request.model")),
        ("response_id", attributes.get("gen_ai.response.id")),
    ):
        if isinstance(value, str) and fault(value) is None:
            words[label] = value
    if span.start:
        words["created_at"] = span.start // 1000
        words["ended_at"] = max(span.start, span.end) // 1000
    usage = usage_words(
        {name.removeprefix("gen_ai.usage."): value for name, value in attributes.items() if "gen_ai.usage." in name}
    )
    if usage is not None:
        words["usage"] = usage
    if span.failed:
        words["ending"] = Ending.UPSTREAM_ERROR.value
        words["problems"] = [f"the span says that it failed: {span.message or 'it does not say how'}"]
    rest = {key: value for key, value in attributes.items() if not key.startswith("phospho.")}
    words["metadata"] = {**metadata, **({"attributes": rest} if rest else {}), "span": {"name": span.name, "scope": span.scope}}
    id = f"{span.trace_id}-{span.span_id}" if span.span_id else f"step-{at}"
    return Logged(id=id, origin="", at=at, words=without_secrets(words))


def _metadata(span: Span | None) -> JSON:
    if span is None:
        return {}
    return {name[len(METADATA) :]: value for name, value in span.attributes.items() if name.startswith(METADATA)}


def _first(attributes: JSON, names: Sequence[str]) -> str | None:
    for name in names:
        if (value := attributes.get(name)) is not None:
            return value if isinstance(value, str) else orjson.dumps(value).decode()
    return None
