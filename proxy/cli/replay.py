"""The `replay` command: a kept stream again, in its own time."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.options import Config, DataDir, Json, Problem, note, opened, print_json, run, settings_of

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.task import Task


def replay(
    id: Annotated[str, typer.Argument(metavar="ID", help="The task's id, as `tasktap tasks` and X-Task-Id give it.")],
    *,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times as fast as it was; 0: at once.")] = 1.0,
    raw: Annotated[bool, typer.Option("--raw", help="The very bytes that came, not what they say.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show an answer again as it came, piece by piece, in its own time.

    With --json all pieces at once: when each came, how many bytes it had, what it said.
    """
    if not 0 <= speed < float("inf"):
        raise Problem("--speed: must be a number from 0 up.", 2)
    try:
        run(_replay(settings_of(config, data_dir), id, 0.0 if json else speed, raw=raw, json=json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _replay(settings: Settings, id: str, speed: float, *, raw: bool, json: bool) -> None:
    from proxy.cli.text import lines
    from proxy.query.answers import NotFound

    async with opened(settings) as store:
        found = await store.get(id)
    if found is None:
        raise NotFound(f'There is no task "{id}".')
    pieces, said = pieces_of(found), said_of(found)
    if json:
        shown = zip(found.pieces, said, strict=True)
        print_json({"id": found.id, "pieces": [{"at": at, "bytes": size, "text": text} for (at, size), text in shown]})
        return
    if not pieces:
        note("nothing of an answer is kept of this task.")
        return
    streamed = any(said)
    begun = asyncio.get_running_loop().time()
    for number, (at, _) in enumerate(found.pieces):
        if speed:
            await asyncio.sleep(max(0.0, begun + at / speed - asyncio.get_running_loop().time()))
        if raw:
            sys.stdout.buffer.write(pieces[number])
            sys.stdout.buffer.flush()
        else:
            text = said[number] if streamed else (found.output or "") if number == len(pieces) - 1 else ""
            sys.stdout.write(lines(text))
            sys.stdout.flush()
    if not raw:
        sys.stdout.write("\n")


def pieces_of(task: Task) -> tuple[bytes, ...]:
    """The kept body in the pieces in which it came."""
    ends = [0]
    for _, size in task.pieces:
        ends.append(ends[-1] + size)
    return tuple(task.response_body[start:end] for start, end in pairwise(ends))


def said_of(task: Task) -> tuple[str, ...]:
    """What each piece says."""
    from proxy.wire.coding import OUTPUT_LIMIT, Decoder, UnknownCodingError
    from proxy.wire.saying import saying

    pieces = pieces_of(task)
    if task.response_coding is not None:
        try:
            decoder = Decoder(task.response_coding, OUTPUT_LIMIT)
        except UnknownCodingError:
            return tuple("" for _ in pieces)
        pieces = tuple(decoder.feed(piece) for piece in pieces)
    content_type = next((value for name, value in task.response_headers if name.lower() == "content-type"), "")
    return tuple(saying(pieces, content_type.partition(";")[0].strip().lower(), task.kind))
