"""What reading a part of an upgraded connection again takes, beside its bytes: when each of them came, on both sides. Pure.

A task's times count from the moment its response was asked for; what came before that is of the part too, and so are what the
caller said and when. It is kept in `Task.carried`, in whole microseconds since the part began.
"""

from __future__ import annotations

from itertools import pairwise

from proxy.task import JSON, Call, Piece, Task

NAME = "spoken"


def spoken(call: Call, began: float) -> JSON:
    """What is to be kept of `call`, whose response was asked for `began` seconds after the part began."""
    found: JSON = {
        "began": _micros(began),
        "ended": call.ended_at - call.created_at,
        "first": None if call.seconds_to_first_byte is None else _micros(call.seconds_to_first_byte),
        "sent": [[_micros(piece.at), len(piece.data)] for piece in call.sent],
        "heard": len(call.response),
        "early": [_micros(piece.at) for piece in call.response if piece.at < began],  # the others' times are in the task
    }
    return found if call.part_of is None else {**found, "of": call.part_of}


def parts_of(task: Task) -> JSON | None:
    """The fields of the `Call` that such a task was; `None` where not enough is known."""
    told = task.carried.get(NAME)
    if told is None:
        return None
    sizes = [size for _, size in told["sent"]]
    heard = [size for _, size in task.pieces]
    if (sum(sizes), sum(heard), len(heard)) != (len(task.request_body), len(task.response_body), told["heard"]):
        return None  # something was taken out of them since
    early: list[int] = told["early"]
    times = [*early, *(told["began"] + _micros(at) for at, _ in task.pieces[len(early) :])]
    created_at = task.created_at - told["began"]
    return {
        "created_at": created_at,
        "ended_at": created_at + told["ended"],
        "seconds_to_first_byte": None if told["first"] is None else told["first"] / 1e6,
        "sent": _pieces([at for at, _ in told["sent"]], sizes, task.request_body),
        "response": _pieces(times, heard, task.response_body),
        "part_of": told.get("of"),
    }


def _pieces(times: list[int], sizes: list[int], data: bytes) -> tuple[Piece, ...]:
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    return tuple(Piece(at / 1e6, data[start:end]) for at, (start, end) in zip(times, pairwise(ends), strict=True))


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
