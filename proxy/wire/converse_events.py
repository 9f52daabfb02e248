"""The events of Converse's stream, merged into what the non-streamed API would have answered.

A block starts where it is a tool's, grows by its deltas and stops; blocks stand in the order of their indexes. What never came is
not there.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import event_error
from proxy.wire.growth import HIGHEST_INDEX
from proxy.wire.lenient import loads, mend

NAMED = 5
"""So many of the events that are not known are named."""


class Block:
    """A content block that grows; its strings are kept in their parts, so that nothing is joined twice."""

    __slots__ = ("_citations", "_input", "_rest", "_texts", "_thought", "_tool", "stopped", "unreadable")

    def __init__(self) -> None:
        self.stopped = False
        self.unreadable = False  # it stopped, and its input is no JSON
        self._texts: list[str] = []
        self._input: list[str] = []
        self._thought: dict[str, list[str]] = {}
        self._citations: list[Any] = []
        self._tool: JSON | None = None
        self._rest: JSON = {}

    def begin(self, start: JSON) -> bool:
        """Take in how it starts; whether that says anything."""
        for name, value in start.items():
            if name == "toolUse" and isinstance(value, dict):
                self._tool = {**(self._tool or {}), **value}
            else:
                self._rest[name] = value
        return bool(start)

    def grow(self, delta: JSON) -> bool:
        """Take a delta in; whether it says anything."""
        speaks = False
        for name, value in delta.items():
            if name == "text" and isinstance(value, str):
                self._texts.append(value)
            elif name == "toolUse" and isinstance(value, dict):
                self._tool = self._tool or {}
                if isinstance(value.get("input"), str):
                    self._input.append(value["input"])
            elif name == "reasoningContent" and isinstance(value, dict):
                for key, part in value.items():
                    if isinstance(part, str):
                        self._thought.setdefault(key, []).append(part)
            elif name == "citation":
                self._citations.append(value)
            elif isinstance(value, list) and isinstance(self._rest.get(name), list):
                self._rest[name] = [*self._rest[name], *value]
            else:
                self._rest[name] = value
            speaks = speaks or bool(value)
        return speaks

    def result(self) -> JSON:
        """The block as it is now. Input that cannot be read is kept as the string that came."""
        found: JSON = dict(self._rest)
        if self._tool is not None:
            found["toolUse"] = {**self._tool, **self._read_input()}
        if self._thought:
            found["reasoningContent"] = self._thoughts()
        text = "".join(self._texts)
        if self._citations:
            found["citationsContent"] = {"content": [{"text": text}], "citations": self._citations}
        elif self._texts:
            found["text"] = text
        return found

    def _thoughts(self) -> JSON:
        parts = {name: "".join(said) for name, said in self._thought.items()}
        told = {name: parts[name] for name in ("text", "signature") if name in parts}
        others = {name: value for name, value in parts.items() if name not in told}
        return {**({"reasoningText": told} if told else {}), **others}

    def _read_input(self) -> JSON:
        text = "".join(self._input)
        if not text:
            return {}
        try:
            value, mending = loads(mend(text).encode())
        except ValueError:
            self.unreadable = self.stopped
            return {"input": text}
        return {"input": mend(value) if mending else value}


class Events:
    """One stream's events: add each, then ask for the result, once. It may share values with the events."""

    def __init__(self) -> None:
        self.error: str | None = None  # what an event said of a failure
        self.marked = False  # messageStop came
        self._whole: JSON = {}
        self._role: Any = None
        self._blocks: dict[int, Block] = {}
        self._last = 0  # the block that goes on where no index is said
        self._unreadable = 0
        self._unknown: dict[str, None] = {}

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in; whether it holds a token."""
        if name == b"contentBlockDelta":
            delta = chunk.get("delta")
            return isinstance(delta, dict) and self._block(chunk).grow(delta)
        error = event_error(name, chunk)
        if error is not None:
            self.error = error
            self._whole["error"] = chunk.get("error")
        elif name == b"contentBlockStart":
            start = chunk.get("start")
            return isinstance(start, dict) and self._block(chunk).begin(start)
        elif name == b"contentBlockStop":
            self._block(chunk).stopped = True
        elif name == b"messageStart":
            self._role = chunk.get("role")
        elif name in (b"messageStop", b"metadata"):
            self.marked = self.marked or name == b"messageStop"
            self._whole |= {key: value for key, value in chunk.items() if key != "p"}  # which is padding
        else:
            self._unknown[mend(name.decode("utf-8", "replace")[:40])] = None
        return False

    def result(self) -> JSON | None:
        """The answer, as far as it came; None where nothing of it did."""
        if self._blocks or self._role is not None:
            content = [block.result() for _, block in sorted(self._blocks.items())]
            self._unreadable = sum(block.unreadable for block in self._blocks.values())
            role = {} if self._role is None else {"role": self._role}
            self._whole = {"output": {"message": {**role, "content": [each for each in content if each]}}, **self._whole}
        return self._whole or None

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read. To be asked after the result."""
        found = []
        if self._unreadable:
            found.append(f"tool calls whose input is not JSON: {self._unreadable}")
        if self._unknown:
            names = list(self._unknown)[:NAMED]
            found.append(f"events of types that are not known: {', '.join(names)}{', ...' * (len(self._unknown) > NAMED)}")
        return tuple(found)

    def _block(self, event: JSON) -> Block:
        index = event.get("contentBlockIndex")
        if type(index) is int and 0 <= index <= HIGHEST_INDEX:
            self._last = index
        return self._blocks.setdefault(self._last, Block())
