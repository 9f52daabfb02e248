"""The events of an Anthropic stream, merged into the message that the non-streamed API would have answered.

A block starts, grows by its deltas, and stops; blocks stand in the order of their indexes. Of a delta, strings are joined to the
block's member of the same name, `partial_json` becomes the `input` when all of it is there, and a `citation` is one more of the
`citations`. Null never replaces a value, and what never came is not there.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import event_error
from proxy.wire.dialect import text_of
from proxy.wire.growth import index_of
from proxy.wire.lenient import loads, mend

GROWN = {
    "text_delta": "text",
    "citations_delta": "text",
    "input_json_delta": "tool_use",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}
"""The type of the block that a delta grows, for a block whose start never came."""

NAMED = 5
"""So many of the events that are not known are named."""


class Block:
    """A content block that grows. While it does, its strings are kept in their parts, so that nothing is joined twice."""

    __slots__ = ("_input", "_texts", "_value", "stopped", "unreadable")

    def __init__(self, value: JSON) -> None:
        self.stopped = False
        self.unreadable = False  # it stopped, and its input is no JSON
        self._value = value
        self._texts: dict[str, list[str]] = {}
        self._input: list[str] = []

    def grow(self, delta: JSON) -> bool:
        """Take a delta in; whether it says anything."""
        speaks = False
        for key, value in delta.items():
            if key == "type":
                continue
            if type(value) is str:
                if key == "partial_json":
                    self._input.append(value)
                elif key in self._texts:
                    self._texts[key].append(value)
                else:
                    have = self._value.get(key)
                    self._texts[key] = [have, value] if isinstance(have, str) else [value]
            elif value is None:
                self._value.setdefault(key, None)
            elif key == "citation":
                have = self._value.get("citations")
                if isinstance(have, list):
                    have.append(value)
                else:
                    self._value["citations"] = [value]
            else:
                self._value[key] = value
            speaks = speaks or bool(value)
        return speaks

    def result(self) -> JSON:
        """The block as it is now. Input that cannot be read is kept as the string that came."""
        for key, parts in self._texts.items():
            self._value[key] = "".join(parts)
        text = "".join(self._input)
        if text:
            try:
                value, mending = loads(mend(text).encode())
                self._value["input"] = mend(value) if mending else value
            except ValueError:
                self._value["input"] = text
                self.unreadable = self.stopped
        return self._value


class Events:
    """One stream's events: add each, then ask for the result, once. It may share values with the events."""

    def __init__(self) -> None:
        self.error: str | None = None  # what an event said of a failure
        self.marked = False  # message_stop came
        self._whole: JSON = {}
        self._blocks: list[tuple[int | None, Block]] = []
        self._last: dict[int | None, Block] = {}  # the block that each index goes on with; None: where a delta has no index
        self._unreadable = 0
        self._unknown: dict[str, None] = {}

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in; whether it holds a token."""
        kind = text_of(chunk, "type") or name.decode("utf-8", "replace")
        if kind == "content_block_delta":
            delta = chunk.get("delta")
            return isinstance(delta, dict) and self._block(chunk, delta).grow(delta)
        error = event_error(name, chunk)
        if error is not None:
            self.error = error
            self._fail(chunk)
        elif kind == "content_block_start":
            block = chunk.get("content_block")
            if isinstance(block, dict):
                self._open(index_of(chunk), block)
                return any(value and key != "type" for key, value in block.items())
        elif kind == "content_block_stop":
            stopped = self._last.get(index_of(chunk))
            if stopped is not None:
                stopped.stopped = True
        elif kind == "message_start":
            message = chunk.get("message")
            return isinstance(message, dict) and self._start(message)
        elif kind in ("message_delta", "message_stop"):
            self.marked = self.marked or kind == "message_stop"
            self._settle({key: value for key, value in chunk.items() if key not in ("type", "delta")})
            delta = chunk.get("delta")
            if isinstance(delta, dict):
                self._settle(delta)
        elif kind != "ping":
            self._unknown[mend(kind[:40])] = None
        return False

    def _fail(self, event: JSON) -> None:
        if "error" not in event:  # the flat shape, put where all others put it
            event = {"error": event}
        for key, value in event.items():
            if key == "error" or key not in self._whole:
                self._whole[key] = value

    def result(self) -> JSON | None:
        """The message, as far as it came; None where nothing of it did."""
        if self._blocks:
            blocks = self._blocks
            if all(index is not None for index, _ in blocks):
                blocks = sorted(blocks, key=lambda row: row[0] or 0)
            self._whole["content"] = [block.result() for _, block in blocks]
            self._unreadable = sum(block.unreadable for _, block in blocks)
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

    def _start(self, message: JSON) -> bool:
        self._settle(message)
        content = message.get("content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        for at, block in enumerate(blocks):
            self._open(at, block)
        return bool(blocks)

    def _open(self, index: int | None, value: JSON) -> Block:
        block = Block(value)
        self._blocks.append((index, block))
        self._last[index] = self._last[None] = block
        return block

    def _block(self, event: JSON, delta: JSON) -> Block:
        index = index_of(event)
        block = self._last.get(index)
        if block is None:
            kind = GROWN.get(text_of(delta, "type") or "")
            block = self._open(index, {"type": kind} if kind else {})
        return block

    def _settle(self, values: JSON) -> None:
        whole = self._whole
        for key, value in values.items():
            if key == "usage" and isinstance(value, dict) and isinstance(whole.get("usage"), dict):
                _count(whole["usage"], value)
            elif value is not None or key not in whole:
                whole[key] = value


def _count(have: JSON, value: Any) -> None:
    """Take later figures, which are cumulative, into those of the start. A zero says nothing where there was a figure.

    Save for the output: those who speak this dialect and are not Anthropic give zeros for what they said at the start, or have
    zeros at the start.
    """
    for key, figure in value.items():
        if isinstance(figure, dict) and isinstance(have.get(key), dict):
            _count(have[key], figure)
        elif figure is None:
            have.setdefault(key, None)
        elif figure or key == "output_tokens" or not have.get(key):
            have[key] = figure
