"""Which redactors a body goes through where rules are set, and the one step that they are for whoever feeds them. Pure."""

from __future__ import annotations

from typing import Protocol

from proxy.record.redact_events import EventRedactor
from proxy.record.redact_paths import PathRedactor
from proxy.record.redact_rules import Rules
from proxy.record.redact_said import FormRedactor, SaidRedactor


class Layer(Protocol):
    """Text in pieces in, text that may be written out."""

    redacted: bool

    @property
    def holding(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Layers:
    """Several redactors, each fed with what the one before gives. In the manner of a `TextRedactor`."""

    __slots__ = ("_last", "_layers", "redacted")

    def __init__(self, layers: list[Layer], last: Layer) -> None:
        self._layers = layers
        self._last = last
        self.redacted = False

    @property
    def holding(self) -> bool:
        return self._last.holding or any(layer.holding for layer in self._layers)

    def feed(self, data: bytes) -> bytes:
        for layer in self._layers:
            data = layer.feed(data)
            if layer.redacted:
                self.redacted = True
        return self._given(data)

    def finish(self) -> bytes:
        data = b""
        for layer in self._layers:
            data = layer.feed(data) + layer.finish()
            if layer.redacted:
                self.redacted = True
        return self._given(data) + self._last.finish()

    def settle(self) -> bytes:
        """What was held back, now that no more text is to come; what comes all the same is taken as ever."""
        events = self._events
        return b"" if events is None else self._given(events.settle())

    def feed_in_time(self, times: list[int], pieces: list[bytes]) -> tuple[list[int], list[bytes]]:
        """The pieces of a stream, and when each came; what may be written of it, and when that came."""
        events = self._events
        if events is None or len(self._layers) > 1:
            data = self.feed(b"".join(pieces))
            return (times[-1:], [data]) if data else ([], [])
        out_times: list[int] = []
        out: list[bytes] = []
        for time, data in events.feed_in_time(times, pieces):
            kept = self._given(data)
            if kept:
                out_times.append(time)
                out.append(kept)
        self.redacted = self.redacted or events.redacted
        return out_times, out

    @property
    def _events(self) -> EventRedactor | None:
        last = self._layers[-1]
        return last if isinstance(last, EventRedactor) else None

    def _given(self, data: bytes) -> bytes:
        kept = self._last.feed(data)
        if self._last.redacted:
            self.redacted = True
        return kept


def layered(rules: Rules, known: tuple[bytes, ...], last: Layer, *, streams: bool, form: bool, parts: bool) -> Layers:
    """The redactors of one body; `known` are the credentials of its call, which `last` takes out."""
    layers: list[Layer] = []
    if rules.paths and not form and not parts:
        layers.append(PathRedactor(rules.paths))
    if form:
        layers.append(FormRedactor(rules))
    elif streams:
        layers.append(EventRedactor(rules, known))
    elif rules.looks:
        layers.append(SaidRedactor(rules))
    return Layers(layers, last)
