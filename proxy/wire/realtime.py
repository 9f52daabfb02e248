"""The Realtime API: one response on a WebSocket, with what was said and heard before it; and its plain calls, read small.

Sound is told by its size, in text by its transcript where there is one; its bytes are in what is kept of the connection.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from proxy.task import JSON, Usage
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.marks import answer_mark, base64_size, described
from proxy.wire.response_events import Events
from proxy.wire.response_text import given_text, output_of
from proxy.wire.text import INSTRUCTING
from proxy.wire.translation import Translation
from proxy.wire.turns import Event, events_of
from proxy.wire.usage import figure_of, usage_of

APPEND = ("input_audio_buffer.append", "session.input_audio_buffer.append")
"""The second is said to what translates."""

TRANSCRIBED = "conversation.item.input_audio_transcription."
SOUNDS = frozenset(("response.output_audio.delta", "response.audio.delta"))
COUNTS = ("total_tokens", "input_tokens", "output_tokens")


def read(said: Said) -> Reading:
    """Read one response of a connection, or one call over HTTP."""
    return _spoken(said) if said.turns or said.status == 101 else _called(said)


class Heard:
    """What the caller said, and what is known of its sound: the turn before a response."""

    def __init__(self) -> None:
        self.session: JSON = {}
        self.events: list[JSON] = []
        self.transcripts: dict[str, str] = {}
        self.used: list[JSON] = []  # for transcripts
        self.instructions: str | None = None
        self._lines: list[tuple[str | None, str]] = []  # (the item of a sound, text): what a transcript comes in the place of
        self._deltas: dict[str, list[str]] = {}
        self._sound = 0  # bytes that came and were not made an item yet

    def sent(self, kind: str, event: JSON) -> None:
        """An event of the caller."""
        if kind in APPEND:
            size = base64_size(text_of(event, "audio") or "")
            self._sound += size
            if self.events and self.events[-1].get("type") == kind:
                last = self.events[-1]
                last["audio"], last["events"] = {"bytes": last["audio"]["bytes"] + size}, last["events"] + 1
            else:
                self.events.append(event | {"audio": {"bytes": size}, "events": 1})
            return
        if kind == "conversation.item.create" and isinstance(event.get("item"), dict):
            event = event | {"item": _without_sound(event["item"])}
            self._item(event["item"])
        elif kind == "input_audio_buffer.clear":
            self._sound = 0
        elif kind == "response.create" and isinstance(event.get("response"), dict):
            asked = event["response"]
            self.instructions = text_of(asked, "instructions") or self.instructions
            items = asked.get("input")
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict):
                    self._item(_without_sound(item))
        self.events.append(event)

    def heard(self, kind: str, event: JSON) -> None:
        """An event of the upstream that tells of the caller's side."""
        id = text_of(event, "item_id") or ""
        if kind in ("session.created", "session.updated") and isinstance(event.get("session"), dict):
            self.session = event["session"]
        elif kind in ("conversation.item.added", "conversation.item.created") and isinstance(event.get("item"), dict):
            self._named(event["item"])
        elif kind == "input_audio_buffer.committed":
            self._lines.append((id, f"[audio {self._sound} bytes]" if self._sound else "[audio]"))
            self._sound = 0
        elif kind == TRANSCRIBED + "delta":
            self._deltas.setdefault(id, []).append(text_of(event, "delta") or "")
        elif kind == TRANSCRIBED + "completed":
            self.transcripts[id] = text_of(event, "transcript") or ""
            if isinstance(event.get("usage"), dict):
                self.used.append(event["usage"])

    def _item(self, item: JSON) -> None:
        if item.get("role") == "assistant" or item.get("type") == "item_reference":
            return
        if item.get("role") in INSTRUCTING:
            self.instructions = "\n".join(text for text in (self.instructions, given_text(item)) if text)
            return
        text = given_text(item)
        if text:
            self._lines.append((text_of(item, "id") or ("" if _has_sound(item) else None), text))

    def _named(self, item: JSON) -> None:
        """The upstream gives a sound that the caller has put into the conversation its id."""
        id = text_of(item, "id")
        if id is not None and _has_sound(item) and all(id != known for known, _ in self._lines):
            at = next((at for at, (known, _) in enumerate(self._lines) if known == ""), None)
            if at is not None:
                self._lines[at] = id, self._lines[at][1]

    def text(self, answered: bool) -> str | None:
        """What was asked. Of what was `answered`, sound that came since is no part, nor the late transcript of an older turn."""
        known = {id: "".join(parts) for id, parts in self._deltas.items()} | self.transcripts
        lines = [(known.get(id) or text) if id is not None else text for id, text in self._lines]
        ids = {id for id, _ in self._lines}
        lines += [text for id, text in known.items() if text and id not in ids and not answered]
        if self._sound and not (answered and lines):
            lines.append(f"[audio {self._sound} bytes]")
        return "\n".join(lines) or None

    def raw(self) -> JSON:
        """All of it as JSON, the sound as sizes."""
        parts = {"session": self.session, "events": self.events, "transcripts": self.transcripts}
        return {name: part for name, part in parts.items() if part}


def _spoken(said: Said) -> Reading:
    events, problems = events_of(said.turns)
    theirs = _which(events)
    heard, response, translation = Heard(), Events(), Translation()
    asked: float | None = None  # when the response was asked for
    ended: float | None = None
    error: str | None = None
    first: int | None = None
    sizes: dict[tuple[int | None, int | None], int] = {}
    for turn, kind, value in events:
        if turn.sent:
            if kind == "response.create" and first is None and ended is None:
                asked = turn.at
            heard.sent(kind, value)
        elif kind.startswith("response."):
            if _id_of(value) != theirs:
                continue
            asked = turn.at if asked is None else asked
            if kind in SOUNDS:
                place = figure_of(value, "output_index"), figure_of(value, "content_index")
                sizes[place] = sizes.get(place, 0) + base64_size(text_of(value, "delta") or "")
            if (response.add(b"", value) or kind in SOUNDS) and first is None:
                first = turn.piece
            if kind == "response.done":
                ended = turn.at
        elif kind == "error":
            error = error_of(value) or error
        elif translation.add(kind, value):
            first = turn.piece if first is None else first
        else:
            if kind == "input_audio_buffer.committed" and first is None and ended is None:
                asked = turn.at
            heard.heard(kind, value)
    whole = response.result() or translation.result() or {}
    _size(whole, sizes)
    answered = bool(whole)
    failure = _failure(whole)
    if answered and failure is None and error is not None:
        problems += (f"an error event came beside the response: {error}",)
        error = None
    error = failure or error
    transcribed = [text for text in heard.transcripts.values() if text] if not answered else []
    return Reading(
        raw_output=whole or None,
        asked=heard.raw() or None,
        input=None if transcribed else translation.input or heard.text(answered),
        output=output_of(whole.get("output")) or translation.output or "\n".join(transcribed) or None,
        system_prompt=heard.instructions or text_of(heard.session, "instructions"),
        model_requested=_model_in(said.target),
        model=text_of(heard.session, "model"),
        usage=usage_of(whole.get("usage")) if answered else _usage_for(heard.used),
        finish_reasons=_finish_reasons(whole),
        response_id=text_of(whole, "id"),
        stream=True,
        failed=error is not None,
        error=error,
        marked=ended is not None,
        first=first,
        span=(asked, ended) if asked is not None and ended is not None and ended >= asked else None,
        problems=problems,
    )


def _which(events: list[Event]) -> str | None:
    """The id of the response that this is about: the one that was done, else the first one that is told of."""
    told = [event for event in events if not event.turn.sent and event.kind.startswith("response.")]
    done = [event for event in told if event.kind == "response.done"]
    return next((_id_of(event.value) for event in (*done, *told)), None)


def _id_of(event: JSON) -> str | None:
    response = event.get("response")
    return text_of(response, "id") if isinstance(response, dict) else text_of(event, "response_id")


def _has_sound(item: JSON) -> bool:
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "input_audio" for part in parts)


def _without_sound(item: JSON) -> JSON:
    content = item.get("content")
    if not isinstance(content, list):
        return item
    parts = [
        part | {"audio": described(part["audio"])} if isinstance(part, dict) and isinstance(part.get("audio"), str) else part
        for part in content
    ]
    return item | {"content": parts}


def _size(response: JSON, sizes: dict[tuple[int | None, int | None], int]) -> None:
    """Say of each part of sound how many bytes it had."""
    output = response.get("output")
    for at, item in enumerate(output if isinstance(output, list) else ()):
        content = item.get("content") if isinstance(item, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and sizes.get((at, place)):
                part["audio"] = {"bytes": sizes[at, place]}


def _details(response: JSON) -> JSON:
    details = response.get("status_details")
    return details if isinstance(details, dict) else {}


def _failure(response: JSON) -> str | None:
    if response.get("status") != "failed":
        return None
    return error_of(_details(response)) or "the response failed"


def _finish_reasons(response: JSON) -> tuple[str | None, ...]:
    """Why it was cancelled or is incomplete; else its status, once that is final."""
    status = text_of(response, "status")
    if status is None:
        return ()
    return (text_of(_details(response), "reason") or (None if status == "in_progress" else status),)


def _usage_for(used: list[JSON]) -> Usage | None:
    """What the transcripts of a connection that has no responses used, where every one of them was counted in tokens."""
    if not used or not all(type(each.get(name)) is int for each in used for name in COUNTS):
        return None
    return usage_of({name: sum(each[name] for each in used) for name in COUNTS})


def _model_in(target: str) -> str | None:
    """The model, or Azure's deployment, that the address of the connection names."""
    query = parse_qs(target.partition("?")[2])
    return next((query[name][0] for name in ("model", "deployment") if query.get(name)), None)


# -- over HTTP: secrets for browsers, sessions, calls


def _called(said: Said) -> Reading:
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    form = form_of(said.pieces, said.content_type)
    value, problem = json_of(said.pieces) if form is Form.JSON else (None, None)
    raw: JSON = value if isinstance(value, dict) else {}
    session: JSON = next((each["session"] for each in (raw, asked) if isinstance(each.get("session"), dict)), raw)
    error = error_of(raw)
    return Reading(
        raw_output=value,
        output=None if form is Form.JSON else answer_mark(said, "answer"),
        system_prompt=text_of(session, "instructions"),
        model_requested=text_of(asked, "model") or text_of(_object(asked, "session"), "model") or _model_in(said.target),
        model=text_of(session, "model"),
        response_id=text_of(raw, "id"),
        failed=error is not None,
        error=error,
        problems=(problem,) if problem is not None and said.whole else (),
    )


def _object(value: JSON, key: str) -> JSON:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
