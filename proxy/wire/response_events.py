"""The events of a Responses stream, added up to the response that the non-streamed API would have given.

The last event (`response.completed`, `.failed` or `.incomplete`) carries the whole response, and is it. Of a stream that was cut
before, the response is the latest one that an event carried (`response.created`, `.in_progress`), and its output what the events
of its items gave: every `.done` is the whole of its item, part or text, every `.delta` is more of a text. Events that are not
named here (searches that begin, partial images, a vendor's own) carry nothing that the response would hold, and pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from proxy.task import JSON
from proxy.wire.answered import event_error
from proxy.wire.dialect import error_of
from proxy.wire.growth import HIGHEST_INDEX

LAST = frozenset(("response.completed", "response.failed", "response.incomplete", "response.cancelled", "response.done"))
BEGINNING = frozenset(("response.created", "response.queued", "response.in_progress"))


class _Place(NamedTuple):
    """Where the text of an event stands in the response."""

    item: str  # the type of its item
    member: str  # where in its item, or in its part
    rows: str = ""  # the list of parts of the item, if it is in a part
    part: str = ""  # the type of that part


_PLACES = {
    "response.output_text": _Place("message", "text", "content", "output_text"),
    "response.refusal": _Place("message", "refusal", "content", "refusal"),
    "response.reasoning_text": _Place("reasoning", "text", "content", "reasoning_text"),
    "response.reasoning_summary_text": _Place("reasoning", "text", "summary", "summary_text"),
    "response.function_call_arguments": _Place("function_call", "arguments"),
    "response.custom_tool_call_input": _Place("custom_tool_call", "input"),
    "response.mcp_call_arguments": _Place("mcp_call", "arguments"),
    "response.output_audio_transcript": _Place("message", "transcript", "content", "output_audio"),  # these three are Realtime's
    "response.audio_transcript": _Place("message", "transcript", "content", "audio"),
    "response.audio.transcript": _Place("message", "transcript", "content", "output_audio"),
    "response.text": _Place("message", "text", "content", "text"),
    "response.code_interpreter_call_code": _Place("code_interpreter_call", "code"),
}
_SHELL_CALL, _SHELL_OUTPUT = _Place("shell_call", ""), _Place("shell_call_output", "")
DELTAS = {f"{name}.delta": place for name, place in _PLACES.items()}
DONES = {f"{name}.done": place for name, place in _PLACES.items()}
PARTS = {
    "response.content_part": _Place("message", "", "content"),
    "response.reasoning_summary_part": _Place("reasoning", "", "summary"),
}
INDEXES = {"content": "content_index", "summary": "summary_index"}

QUIET_ITEMS = ("message", "reasoning")
"""Items that say nothing when they begin; any other is a call of the model's."""


class Grown:
    """An object that grows: its members as they came, texts in parts, lists of objects that grow."""

    __slots__ = ("at", "rows", "texts", "value")

    def __init__(self, value: JSON, at: int = 0) -> None:
        self.at = at
        self.become(value)

    def become(self, value: JSON) -> None:
        """Be this whole, whatever was before."""
        self.value = value
        self.texts: dict[str, list[str]] = {}
        self.rows: dict[str, dict[int, Grown]] = {}

    def text(self, member: str) -> list[str]:
        """The parts of a text, to be added to."""
        parts = self.texts.get(member)
        if parts is None:
            have = self.value.get(member)
            parts = self.texts[member] = [have] if isinstance(have, str) and have else []
        return parts

    def row(self, name: str, index: int, kind: str) -> Grown:
        """An entry of a list; a new one is of the type `kind`."""
        rows = self.rows.get(name)
        if rows is None:
            have = self.value.get(name)
            entries = have if isinstance(have, list) else []
            rows = self.rows[name] = {at: Grown(entry) for at, entry in enumerate(entries) if isinstance(entry, dict)}
        entry = rows.get(index)
        if entry is None:
            entry = rows[index] = Grown({"type": kind} if kind else {})
        return entry

    def extend(self, member: str, more: Any) -> None:
        """Add to a list that is a member."""
        if isinstance(more, list) and more:
            have = self.value.get(member)
            if isinstance(have, list):
                have.extend(more)
            else:
                self.value[member] = list(more)

    def result(self) -> JSON:
        """It, as plain JSON."""
        grown: JSON = {member: "".join(parts) for member, parts in self.texts.items()}
        for name, rows in self.rows.items():
            grown[name] = [rows[index].result() for index in sorted(rows)]
        return self.value | grown


class Events:
    """One stream's events: add each, then ask for the result, once. It may share values with the events."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self._beginning: JSON = {}
        self._last: JSON | None = None
        self._failure: Any = None  # what an `error` event said
        self._items: list[Grown] = []
        self._by_id: dict[str, Grown] = {}
        self._by_index: dict[int, Grown] = {}

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in. Whether it holds a token."""
        kind = chunk.get("type")
        if type(kind) is not str:
            kind = name.decode("latin-1")
        place = DELTAS.get(kind)
        if place is not None:
            delta = chunk.get("delta")
            if type(delta) is not str or not delta:
                return False
            grown = self._grown(chunk, place)
            grown.text(place.member).append(delta)
            grown.extend("logprobs", chunk.get("logprobs"))
            return True
        if kind in DONES:
            self._done(chunk, DONES[kind])
            return False
        return self._add_other(kind, name, chunk)

    def _add_other(self, kind: str, name: bytes, chunk: JSON) -> bool:
        part, _, stage = kind.rpartition(".")
        if kind in LAST or kind in BEGINNING:
            self._snapshot(kind, chunk)
        elif part == "response.output_item":
            return self._add_item(stage, chunk)
        elif part in PARTS:
            place = PARTS[part]
            if isinstance(chunk.get("part"), dict):
                self._grown(chunk, place).become(chunk["part"])
        elif part == "response.shell_call_command":
            return self._shell_command(stage, chunk)
        elif kind == "response.shell_call_output_content.done":
            self._grown(chunk, _SHELL_OUTPUT).extend("output", chunk.get("output"))
        elif kind == "response.output_text.annotation.added":
            if isinstance(chunk.get("annotation"), dict):
                self._grown(chunk, _PLACES["response.output_text"]).extend("annotations", [chunk["annotation"]])
        elif (message := event_error(name, chunk)) is not None:
            self.error = message
            self._failure = chunk.get("error") or {key: chunk[key] for key in chunk if key not in ("type", "sequence_number")}
        else:
            return stage in ("delta", "partial_image") and bool(chunk.get("delta") or chunk.get("partial_image_b64"))
        return False

    def _shell_command(self, stage: str, chunk: JSON) -> bool:
        """One of the commands of a shell call; whether it holds a token."""
        item, at = self._grown(chunk, _SHELL_CALL), chunk.get("command_index")
        said = chunk.get("delta" if stage == "delta" else "command")
        if type(at) is not int or not 0 <= at <= HIGHEST_INDEX or not isinstance(said, str):
            return False
        if not isinstance(item.value.get("action"), dict):
            item.value["action"] = {}
        action = item.value["action"]
        if not isinstance(action.get("commands"), list):
            action["commands"] = []
        commands = action["commands"]
        commands += [""] * (at + 1 - len(commands))
        before = commands[at] if stage == "delta" and isinstance(commands[at], str) else ""
        commands[at] = before + said
        return stage == "delta" and bool(said)

    def _snapshot(self, kind: str, chunk: JSON) -> None:
        response = chunk.get("response")
        if kind in LAST:
            self.marked = True
            if kind == "response.failed":
                self.error = error_of(response) or self.error or "the response failed"
            if isinstance(response, dict):
                self._last = response
        elif isinstance(response, dict):
            self._beginning = response

    def _add_item(self, stage: str, chunk: JSON) -> bool:
        item = chunk.get("item")
        if not isinstance(item, dict):
            return False
        known = self._known(item.get("id"), chunk.get("output_index"))
        if known is None or (stage == "added" and known.value.get("id") != item.get("id")):
            self._open(item, item.get("id"), chunk.get("output_index"))
        else:
            known.become(item)
        return item.get("type") not in QUIET_ITEMS

    def _done(self, chunk: JSON, place: _Place) -> None:
        whole = chunk.get(place.member)
        if isinstance(whole, str):
            grown = self._grown(chunk, place)
            grown.texts[place.member] = [whole]
            if isinstance(chunk.get("logprobs"), list) and chunk["logprobs"]:
                grown.value["logprobs"] = chunk["logprobs"]

    def _grown(self, chunk: JSON, place: _Place) -> Grown:
        """What an event is about: an item, or a part of one. Where it has not begun, it begins now."""
        id, at = chunk.get("item_id"), chunk.get("output_index")
        item = self._known(id, at)
        if item is None:
            item = self._open({"type": place.item} | ({"id": id} if isinstance(id, str) else {}), id, at)
        if not place.rows:
            return item
        index = chunk.get(INDEXES[place.rows])
        return item.row(place.rows, index if type(index) is int and 0 <= index <= HIGHEST_INDEX else 0, place.part)

    def _known(self, id: Any, index: Any) -> Grown | None:
        """By its id; else by its index, since some (GitHub Copilot) give each event another; else the latest."""
        known = self._by_id.get(id) if isinstance(id, str) else None
        if known is None and type(index) is int:
            return self._by_index.get(index)
        if known is None and not isinstance(id, str) and self._items:
            return self._items[-1]  # the events of audio say neither
        return known

    def _open(self, value: JSON, id: Any, index: Any) -> Grown:
        at = index if type(index) is int else len(self._items)
        item = Grown(value, at)
        self._items.append(item)
        self._by_index[at] = item
        if isinstance(id, str):
            self._by_id[id] = item
        return item

    def result(self) -> JSON | None:
        """The response, and what an `error` event said; None where no event told of one."""
        whole = self._beginning if self._last is None else self._last
        if self._items and (self._last is None or not whole.get("output")):  # some last events leave the output out
            whole["output"] = [item.result() for item in sorted(self._items, key=lambda item: item.at)]
        if self._failure is not None and not whole.get("error"):
            whole["error"] = self._failure
        return whole or None
