"""Asks a stream for its usage in the caller's place, and takes the chunk that says it out again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import orjson

from proxy.record.fields import Line

ASKED: Final = (
    "its usage was asked for by tasktap (capture.inject_usage): the caller's request did not, and did not get the chunk with it"
)
LEFT_IN: Final = "its usage was asked for by tasktap (capture.inject_usage), and its chunk could not be taken out again"
REFUSED: Final = "the upstream answered %d when tasktap asked for its usage (capture.inject_usage): it was called again without"
MOST_BYTES: Final = 4 * 2**20
"""Of a request's body that is held until it is whole; a longer one goes on as it comes, and nothing is asked."""

KINDS: Final = ("chat", "completion")
REFUSALS: Final = (400, 422)  # what an upstream says that does not know `stream_options`
_SUMS: Final = (b"content-md5", b"digest", b"content-digest", b"repr-digest", b"signature", b"x-amz-content-sha256")
_OPTION: Final = b',"stream_options":{"include_usage":true}}'
_EVENT_END: Final = re.compile(rb"\n\r?\n|\r\r")
_EVENT_MOST: Final = 256 * 1024


def may_ask(kind: str, method: bytes, fields: Iterable[Line]) -> bool:
    """Whether the body of a request with this head can be edited: JSON, uncoded, of a length, and nobody has summed it up."""
    has_length = is_json = False
    for field in fields:
        if field.name in _SUMS or field.name in (b"content-encoding", b"transfer-encoding", b"expect"):
            return False
        has_length = has_length or field.name == b"content-length"
        is_json = is_json or (field.name == b"content-type" and field.value.lower().startswith(b"application/json"))
    return kind in KINDS and method == b"POST" and has_length and is_json


def asking_body(body: bytes) -> bytes | None:
    """The body with the option, as it was otherwise; None where it asks for no stream, or says itself what it wants."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or said.get("stream") is not True or "stream_options" in said:
        return None
    end = len(body.rstrip(b" \t\r\n"))
    return body[: end - 1] + _OPTION + body[end:]


def asking_head(head: bytes, length: int) -> bytes:
    """A request's head, with its blank line, for a body of `length` bytes; the answer is to come without a content coding."""
    lines = []
    for line in head.split(b"\r\n"):
        name = line[:16].lower()
        if name.startswith(b"content-length:"):
            lines.append(line[:15] + b" %d" % length)
        elif name == b"accept-encoding:":
            lines.append(line[:16] + b" identity")
        else:
            lines.append(line)
    return b"\r\n".join(lines)


def is_usage(event: bytes) -> bool:
    """Whether an event is the chunk that says the usage and nothing else."""
    if event.find(b'"usage"') < 0:
        return False
    data = b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


class Sieve:
    """Takes the usage's chunk out of a stream of events that comes in any pieces; every other byte passes in its order.

    Of an event that is not whole yet it cannot be told which one it is: it waits for its end.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may pass, now that this has come."""
        if self._held:
            data = self._held + data
            self._held = b""
        passed: list[bytes] = []
        at = 0
        for found in _EVENT_END.finditer(data):
            end = found.end()
            if not is_usage(data[at:end]):
                passed.append(data[at:end])
            at = end
        rest = data[at:]
        if len(rest) > _EVENT_MOST:
            passed.append(rest)
        else:
            self._held = rest
        return b"".join(passed)

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        rest, self._held = self._held, b""
        return b"" if is_usage(rest) else rest
