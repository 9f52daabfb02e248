"""Tapes: what providers really send, each beside what the task must say of it.

`KIND/NAME.sse` (or `.json`, `.ndjson`) is a response body; `KIND/NAME.task.json` says what it is about, what was asked, how the
call ended on the wire, and the parts of the task that are expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from proxy.task import Call, Ending, Piece, Task

HERE = Path(__file__).parent
FIELDS = {"Content-Type": "text/event-stream; charset=utf-8"}
LINES = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True)
class Tape:
    """One response, and what is to be made of it."""

    kind: str
    name: str
    body: bytes
    doc: dict[str, Any]
    fields: dict[str, str]

    @property
    def expected(self) -> dict[str, Any]:
        return self.doc["task"]

    def call(self, *pieces: bytes, **changes: Any) -> Call:
        """The call in which this came, in `pieces` (whole where none are given)."""
        parts = pieces or (self.body,)
        named = self.doc.get("response_fields", self.fields)
        request = self.doc.get("request")
        given: dict[str, Any] = {
            "kind": self.kind,
            **{name: self.doc[name] for name in ("method", "target") if name in self.doc},
            "target": self.doc.get("target", "/v1/chat/completions"),
            "request_body": b"" if request is None else json.dumps(request).encode(),
            "ending": Ending(self.doc.get("ending", "completed")),
            "http_status": self.doc.get("status", 200),
            "response_fields": tuple((name.encode(), value.encode()) for name, value in named.items()),
            "response": _pieces(parts),
            "response_size": sum(map(len, parts)),
        }
        return make_call(**given | changes)


def again(call: Call, *pieces: bytes) -> Call:
    """A call whose same bytes came in other pieces."""
    return replace(call, response=_pieces(pieces))


def _pieces(parts: tuple[bytes, ...]) -> tuple[Piece, ...]:
    return tuple(Piece(float(at), data) for at, data in enumerate(parts))


def make_call(**given: Any) -> Call:
    """A call with what is given, and harmless values for the rest."""
    rest: dict[str, Any] = {
        "origin": "e.1",
        "id": "task-1",
        "own_id": "task-1",
        "created_at": 1_760_000_000_000_000,
        "ended_at": 1_760_000_001_500_000,
        "ending": Ending.COMPLETED,
        "upstream": "openai",
        "kind": "chat",
        "method": "POST",
        "target": "/v1/chat/completions",
        "request_fields": ((b"Content-Type", b"application/json"),),
    }
    return Call(**rest | given)


def tapes(kind: str = "*") -> list[Tape]:
    """The tapes of a kind; of all kinds where none is named."""
    return [_tape(path) for path in sorted(HERE.glob(f"{kind}/*.task.json"))]


def _tape(path: Path) -> Tape:
    stem = path.name.removesuffix(".task.json")
    (body,) = (other for other in path.parent.glob(f"{stem}.*") if other != path)
    named = LINES if body.suffix == ".ndjson" else FIELDS
    return Tape(path.parent.name, stem, body.read_bytes(), json.loads(path.read_text()), named)


LATER = {
    "pieces": (), "seconds_to_first_token": None, "longest_stall": None, "tokens_per_second": None, "response_size": None,
    "response_body": b"", "response_coding": None, "response_headers": (),
}  # fmt: skip
"""What depends on when the bytes of a task came, and on how they were coded."""

words: Callable[[Task], tuple[Any, ...]] = attrgetter(*(field.name for field in fields(Task) if field.name not in LATER))
"""The values of all the rest, made in a tenth of the time that `said` takes."""


def said(task: Task) -> Task:
    """A task without what depends on when its bytes came, and on how they were coded."""
    return replace(task, **LATER)


def parts(task: Task, names: Any) -> dict[str, Any]:
    """The named fields of a task, as JSON has them."""
    return json.loads(json.dumps({name: value for name, value in asdict(task).items() if name in names}))
