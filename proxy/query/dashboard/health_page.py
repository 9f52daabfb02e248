"""Health: the promises in figures, the house around them, and what is wrong in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from aiohttp import web

from proxy.query.answers import NotFound
from proxy.query.dashboard import figures, sheet
from proxy.query.dashboard.room import Room
from proxy.query.document import moment
from proxy.query.premises import Premises
from proxy.task import JSON, Ending, Filter, Status, Summary

LAG_SECONDS = 5.0
"""A journal that is this far ahead of the store is worth a word."""

FULL_BYTES = 512 * 1024 * 1024
"""A disk with less room than this is about to be full."""

RECENT = 200
"""Tasks, the newest ones, that tell how upstreams do."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something to look at: how bad (`bad`, `warn`), what it is, what to do."""

    tone: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """How one of them did, by the newest tasks."""

    name: str
    address: str | None  # None: it is in the record, and no longer in the configuration
    calls: int = 0
    failed: int = 0  # of those: it was not there, was cut off, came too late, or answered with an error
    first_byte: float | None = None  # seconds, half of them within
    last: int | None = None  # when the newest one began


FAILED = frozenset({Ending.UPSTREAM_ERROR, Ending.UPSTREAM_BROKE, Ending.UNREACHABLE, Ending.TIMED_OUT})


def upstreams(known: Iterable[tuple[str, str]], tasks: Sequence[Summary]) -> tuple[Upstream, ...]:
    """Those that are configured or were called, the most called first."""
    addresses = dict(known)
    called = dict.fromkeys([*addresses, *(task.upstream for task in tasks if task.upstream is not None)])
    found = []
    for name in called:
        theirs = [task for task in tasks if task.upstream == name]
        firsts = [task.seconds_to_first_byte for task in theirs if task.seconds_to_first_byte is not None]
        found.append(
            Upstream(
                name,
                addresses.get(name),
                len(theirs),
                sum(task.ending in FAILED for task in theirs),
                median(firsts) if firsts else None,
                max((task.created_at for task in theirs), default=None),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.calls))


def concerns(state: Status, premises: Premises | None = None) -> tuple[Concern, ...]:
    """What is not as it should be; empty when all is well."""
    found = list(_of_disk(premises)) if premises is not None else []
    if not state.relays:
        found.append(Concern("bad", "No relay is alive: calls cannot be carried.", "See the log of tasktap serve."))
    found += [Concern("bad", reason) for reason in state.reasons]
    if state.store_error and state.store_error not in state.reasons:
        found.append(Concern("bad", f"The store cannot be used: {state.store_error}", "The journal keeps what comes meanwhile."))
    if state.lost:
        found.append(Concern("bad", f"{state.lost:,} calls were carried but could not be kept.", "The disk was full, or hung."))
    if state.journal_stalled:
        found.append(Concern("bad", "The journal is stalled: the disk does not take what is written."))
    if state.journal_damaged:
        text = f"{figures.size(state.journal_damaged)} of the journal were damaged; what could be read of it is stored."
        found.append(Concern("bad", text, "Look at the disk."))
    if state.set_aside:
        found.append(
            Concern("warn", f"{state.set_aside:,} calls are set aside: the store refused them.", "They are files in DATA/aside.")
        )
    if state.bodies_dropped:
        found.append(
            Concern(
                "warn", f"{state.bodies_dropped:,} bodies were not kept: the journal had no room.", "Raise journal.max_bytes."
            )
        )
    if state.lapses:
        found.append(
            Concern(
                "warn",
                f"{state.lapses:,} answers went out before the journal had them.",
                "The disk is slow; see journal.patience_ms.",
            )
        )
    if state.lag_seconds > LAG_SECONDS:
        found.append(Concern("warn", f"The store is {figures.seconds(state.lag_seconds)} behind the journal."))
    return tuple(found)


def _of_disk(premises: Premises) -> Iterable[Concern]:
    if premises.disk_free is None:
        return
    left = f"{figures.size(premises.disk_free)} are free on the disk of {premises.data_dir}"
    if premises.disk_free < FULL_BYTES:
        yield Concern(
            "bad", f"The disk is nearly full: {left}.", "Make room: without it calls go on, and their records are lost."
        )
    elif premises.disk_free < premises.disk_wanted:
        yield Concern(
            "warn", f"{left}: the journal could fill it while the store is away.", "Lower journal.max_bytes, or make room."
        )


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The page."""
    state = await room.state()
    premises = await asyncio.to_thread(room.house.look) if room.house is not None else None
    newest = await room.store.find(Filter(), limit=RECENT)
    return await room.show(
        request,
        "health.html",
        here="health",
        state=state,
        concerns=concerns(state, premises),
        premises=premises,
        upstreams=upstreams(premises.upstreams if premises is not None else (), newest.items),
        of=len(newest.items),
        said=room.house.said if room.house is not None else None,
    )


async def file(room: Room, request: web.Request) -> web.StreamResponse:
    """How upstreams did, as a file."""
    premises = await asyncio.to_thread(room.house.look) if room.house is not None else None
    newest = await room.store.find(Filter(), limit=RECENT)

    async def rows() -> AsyncIterator[JSON]:
        for one in upstreams(premises.upstreams if premises is not None else (), newest.items):
            yield {**asdict(one), "last": one.last and moment(one.last)}

    return await sheet.send(request, request.path.rpartition("/")[2], rows(), {})


async def consult(room: Room, _request: web.Request) -> web.StreamResponse:
    """Ask the doctor; the page shows what it says. Raises NotFound where none can be asked."""
    if room.house is None:
        raise NotFound("This desk runs without a house: there is nothing to look over.")
    await room.house.consult()
    return web.Response(status=303, headers={"Location": "/status#doctor"})
