"""What was said on an upgraded connection, as the JSON messages that it was."""

from __future__ import annotations

from typing import NamedTuple

from proxy.task import JSON
from proxy.wire.dialect import Turn, text_of
from proxy.wire.lenient import loads, mend
from proxy.wire.websocket import CLOSE, Decoder


class Event(NamedTuple):
    """One message that was JSON."""

    turn: Turn
    kind: str
    value: JSON


def events_of(turns: tuple[Turn, ...]) -> tuple[list[Event], tuple[str, ...]]:
    """The JSON messages that were said, in their order, and what could not be read. A close is one of the kind `close`."""
    decoders = {True: Decoder(), False: Decoder()}
    events: list[Event] = []
    unreadable = 0
    for turn in turns:
        for message in decoders[turn.sent].feed(turn.data):
            if message.opcode == CLOSE:
                events.append(Event(turn, "close", {}))
                continue
            try:
                value, mending = loads(message.data)
            except ValueError:
                value, mending = None, False
            if isinstance(value, dict):
                value = mend(value) if mending else value
                events.append(Event(turn, text_of(value, "type") or "", value))
            else:
                unreadable += 1
    problems = [f"messages that are not JSON objects: {unreadable}"] if unreadable else []
    problems += [decoder.broken for decoder in decoders.values() if decoder.broken is not None]
    return events, tuple(problems)
