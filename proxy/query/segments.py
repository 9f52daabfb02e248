"""Pure: power users, abusive ones and struggling ones: what each is, by which thresholds, and what shows it of one user."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.task import JSON, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """`[insights]` of the configuration."""

    power_share: float = 0.05
    power_days: int = 3
    abusive_burst: int = 60
    abusive_refused: int = 5
    abusive_limited: int = 10
    abusive_repeated: int = 5
    struggling_reasons: int = 2
    struggling_share: float = 0.2


SEGMENTS = ("power", "abusive", "struggling")


def definitions(by: Thresholds) -> dict[str, str]:
    """What each segment is, in words, with today's thresholds."""
    share = f"{by.struggling_share:.0%}"
    return {
        "power": (
            f"Active on at least {by.power_days} days, and by two of active days, tasks and cost "
            f"among the top {by.power_share:.0%} of users."
        ),
        "abusive": (
            f"At least {by.abusive_burst} tasks begun in one minute; or at least {by.abusive_refused} answers refused or stopped "
            f"by a content filter; or at least {by.abusive_limited} answers 429; or at least {by.abusive_repeated} prompts "
            "repeated, with a refusal among the answers."
        ),
        "struggling": (
            f"At least {by.struggling_reasons} of: two tasks flagged a failure; two phrases of frustration; "
            f"at least two and {share} of the tasks repeated or rephrased; at least two and {share} refused; "
            f"at least two and {share} failed; at least two and {share} of the sessions given up "
            "(their last task failed, was refused or flagged a failure)."
        ),
    }


@dataclass(frozen=True, slots=True)
class Tops:
    """What one must have at least to be among the top users; `None` where there are no users."""

    active_days: float | None = None
    tasks: float | None = None
    cost: float | None = None


def tops(users: Sequence[User], by: Thresholds) -> Tops:
    """Where the top share begins; at least one user is in it."""
    if not users:
        return Tops()
    last = max(1, math.ceil(by.power_share * len(users))) - 1
    costs = sorted((user.cost or 0.0 for user in users), reverse=True)
    return Tops(
        sorted((user.active_days for user in users), reverse=True)[last],
        sorted((user.tasks for user in users), reverse=True)[last],
        costs[last] if costs[last] > 0 else None,
    )


def segments_of(user: User, top: Tops, by: Thresholds) -> dict[str, JSON]:
    """The segments that a user is in, each with its evidence: the figures that put the user there."""
    found = {"power": _power(user, top, by), "abusive": _abusive(user, by), "struggling": _struggling(user, by)}
    return {name: evidence for name, evidence in found.items() if evidence}


def _power(user: User, top: Tops, by: Thresholds) -> JSON:
    evidence: JSON = {}
    if top.active_days is not None and user.active_days >= top.active_days:
        evidence["active_days"] = user.active_days
    if top.tasks is not None and user.tasks >= top.tasks:
        evidence["tasks"] = user.tasks
    if top.cost is not None and user.cost is not None and user.cost >= top.cost:
        evidence["cost"] = user.cost
    return evidence if user.active_days >= by.power_days and len(evidence) >= 2 else {}


def _abusive(user: User, by: Thresholds) -> JSON:
    signs, evidence = user.signs, {}
    if user.busiest_minute >= by.abusive_burst:
        evidence["busiest_minute"] = user.busiest_minute
    if (refused := signs.refusals + signs.moderated) >= by.abusive_refused:
        evidence["refused"] = refused
    if signs.limited >= by.abusive_limited:
        evidence["limited"] = signs.limited
    if signs.repeated >= by.abusive_repeated and signs.refusals + signs.moderated:
        evidence["repeated"] = signs.repeated
    return evidence


def _struggling(user: User, by: Thresholds) -> JSON:
    signs, evidence = user.signs, {}
    if signs.failure >= 2:
        evidence["failure"] = signs.failure
    if signs.frustrated >= 2:
        evidence["frustrated"] = signs.frustrated
    shares = (
        ("repeated_or_rephrased", signs.repeated + signs.rephrased, user.tasks),
        ("refusals", signs.refusals, user.tasks),
        ("errors", user.errors, user.tasks),
        ("ended_badly", user.ended_badly, user.sessions),
    )
    evidence |= {name: count for name, count, of in shares if count >= 2 and count >= by.struggling_share * of}
    return evidence if len(evidence) >= by.struggling_reasons else {}
