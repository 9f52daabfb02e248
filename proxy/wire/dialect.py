"""What a dialect is: one API's way of speaking, and how what was said in it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from proxy.quick import quickly
from proxy.task import Usage
from proxy.wire.members import error_of, text_of


class Turn(NamedTuple):
    """Some of what was said on an upgraded connection: WebSocket frames, not masked and not compressed."""

    sent: bool  # by the caller
    data: bytes
    at: float = 0.0  # seconds since the call began
    piece: int = 0  # of the response; of no meaning where it was sent


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the two sides said to each other in one call, with all codings removed."""

    method: str = "POST"
    target: str = ""  # path and query, as the caller sent them
    request: Any = None  # the request's JSON; None where there is none
    pieces: tuple[bytes, ...] = ()  # the response body, in the pieces it came in
    content_type: str = ""  # of the response: the media type, lower case, without parameters
    status: int | None = None
    whole: bool = True  # the response ended cleanly, and all of it is here
    turns: tuple[Turn, ...] = ()  # what both sides said, in its order, where the connection was upgraded


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was understood of a call. What was not said is `None`."""

    raw_output: Any = None
    verbatim: bool = False  # `raw_output` is what the response body says, read as it is: known where it is so, at most
    input: str | None = None
    output: str | None = None
    system_prompt: str | None = None
    model_requested: str | None = None
    model: str | None = None
    usage: Usage | None = None
    finish_reasons: tuple[str | None, ...] = ()
    response_id: str | None = None
    stream: bool | None = None
    failed: bool = False  # the answer says that it is an error, whatever its status says
    error: str | None = None  # what it says of that
    marked: bool = False  # the end marker of the dialect came
    first: int | None = None  # the piece of a stream that holds the first token
    asked: Any = None  # what was asked, where that was not said in an HTTP request
    span: tuple[float, float] | None = None  # from asking to the end, in seconds since the call began, where it is only a part
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """A row of the table: the kind of a call, and its reader. `read` is pure and may raise: that is noted in the task."""

    kind: str
    read: Callable[[Said], Reading]


__all__ = ["Dialect", "Reading", "Said", "Turn", "error_of", "text_of"]
