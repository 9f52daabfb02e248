"""Health: the promises in figures, and what is wrong in words."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from proxy.query.dashboard import figures
from proxy.query.dashboard.room import Room
from proxy.task import Status

LAG_SECONDS = 5.0
"""A journal that is this far ahead of the store is worth a word."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something to look at: how bad (`bad`, `warn`), what it is, what to do."""

    tone: str
    text: str
    advice: str = ""


def concerns(state: Status) -> tuple[Concern, ...]:
    """What is not as it should be; empty when all is well."""
    found = []
    if not state.relays:
        found.append(Concern("bad", "No relay is alive: calls cannot be carried.", "See the log of tasktap serve."))
    found += [Concern("bad", reason) for reason in state.reasons]
    if state.store_error and state.store_error not in state.reasons:
        found.append(Concern("bad", f"The store cannot be used: {state.store_error}", "The journal keeps what comes meanwhile."))
    if state.lost:
        found.append(Concern("bad", f"{state.lost:,} calls were carried but could not be kept.", "The disk was full, or hung."))
    if state.journal_stalled:
        found.append(Concern("bad", "The journal is stalled: the disk does not take what is written."))
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


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The page."""
    state = await room.state()
    return await room.show(request, "health.html", here="health", state=state, concerns=concerns(state))
