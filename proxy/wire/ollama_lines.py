"""The lines of an Ollama stream, and the one answer that they would have been, had no stream been asked for."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.task import JSON
from proxy.wire.answered import event_error
from proxy.wire.growth import Text, grow, joined
from proxy.wire.lenient import loads
from proxy.wire.ndjson import LINE_LIMIT, Decoder

GROWING = frozenset(("response", "thinking"))
"""Strings of an answer that come in parts. All other members are said whole, the last time best."""

COLLECTED = frozenset(("logprobs", "tool_calls"))
"""Lists that each line adds to. `context` is none of them: it comes once, in the last line."""

SILENT = frozenset(("role", "tool_name", "tool_call_id"))
"""Members of a message that are no token."""

SPEAKING = ("response", "thinking", "tool_calls", "image")
"""Members of a line of `/api/generate` that are tokens."""


class Whole:
    """The sum of a stream: text joined, tool calls and logprobs collected, the rest as it was said last."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self._whole: JSON = {}
        self._message: JSON = {}
        self._calls: list[object] = []

    def add(self, name: bytes, line: JSON) -> bool:
        """Take one line in. Whether it holds a token."""
        self.error = event_error(name, line) or self.error
        self.marked = self.marked or line.get("done") is True
        whole = self._whole
        for key, value in line.items():
            have = whole.get(key)
            if key == "message" and type(value) is dict:
                whole[key] = self._message
                self._hear(value)
            elif key in GROWING and type(value) is str:
                if type(have) is Text:
                    have.append(value)
                else:
                    whole[key] = Text((value,))
            elif key in COLLECTED and type(value) is list:
                if type(have) is list:
                    have.extend(value)
                else:
                    whole[key] = list(value)
            elif key not in whole or value or (value is not None and not have):
                whole[key] = value
        return _speaks(line)

    def _hear(self, message: JSON) -> None:
        calls = message.get("tool_calls")
        if type(calls) is list:  # each of them is whole: none goes on with another, whatever their names
            self._calls.extend(calls)
            self._message["tool_calls"] = self._calls
            message = {key: value for key, value in message.items() if key != "tool_calls"}
        grow(self._message, message)

    def result(self) -> JSON:
        """The answer."""
        return {key: joined(value) for key, value in self._whole.items()}


def _speaks(line: JSON) -> bool:
    message = line.get("message")
    if isinstance(message, dict):
        return any(value and key not in SILENT for key, value in message.items())
    return any(line.get(key) for key in SPEAKING)


class Lines:
    """The JSON objects of a stream of lines, and the piece that each was whole with. To be iterated once."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.mending = False  # something in it has to be mended
        self._pieces = pieces
        self._decoder = Decoder()
        self._unreadable = 0
        self._cut = False

    def __iter__(self) -> Iterator[tuple[int, JSON]]:
        last = len(self._pieces) - 1
        for number, piece in enumerate(self._pieces):
            for line in self._decoder.feed(piece):
                value = self._object(line)
                if value is None:
                    self._unreadable += 1
                else:
                    yield number, value
        for line in self._decoder.finish():
            value = self._object(line)
            if value is None:
                self._cut = True
            else:
                yield last, value  # whole, save for its line end

    def _object(self, line: bytes) -> JSON | None:
        try:
            value, mending = loads(line)
        except ValueError:
            return None
        self.mending = self.mending or mending
        return value if type(value) is dict else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read."""
        found = []
        if self._unreadable:
            found.append(f"lines of the stream that are not JSON objects: {self._unreadable}")
        if self._decoder.dropped:
            found.append(f"lines of the stream over {LINE_LIMIT} bytes, which were not read: {self._decoder.dropped}")
        if self._cut:
            found.append("the stream ends inside a line")
        return tuple(found)
