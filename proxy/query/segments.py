"""Pure: power users, abusive ones and struggling ones: what each is, by which thresholds, and what shows it of one user."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.store.segment import Rule, Segment, Tops
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


def segments(top: Tops, by: Thresholds) -> tuple[Segment, ...]:
    """The same as rules. A figure that is nobody's has no top: nobody is among the top users by it."""
    least = [(name, value) for name, value in zip(Tops._fields, top, strict=True) if value is not None]
    return (
        Segment(
            "power", tuple(Rule(name, (name,), value) for name, value in least), 2, (_at_least("active_days", by.power_days),)
        ),
        Segment(
            "abusive",
            (
                _at_least("busiest_minute", by.abusive_burst),
                Rule("refused", ("refusals", "moderated"), by.abusive_refused),
                _at_least("limited", by.abusive_limited),
                Rule("repeated", ("repeated",), by.abusive_repeated, with_some=("refusals", "moderated")),
            ),
        ),
        Segment(
            "struggling",
            (
                _at_least("failure", 2),
                _at_least("frustrated", 2),
                Rule("repeated_or_rephrased", ("repeated", "rephrased"), 2, by.struggling_share, "tasks"),
                Rule("refusals", ("refusals",), 2, by.struggling_share, "tasks"),
                Rule("errors", ("errors",), 2, by.struggling_share, "tasks"),
                Rule("ended_badly", ("ended_badly",), 2, by.struggling_share, "sessions"),
            ),
            by.struggling_reasons,
        ),
    )


def segments_of(user: User, top: Tops, by: Thresholds) -> dict[str, JSON]:
    """The segments that a user is in, each with its evidence: the figures that put the user there."""
    return {each.name: evidence for each in segments(top, by) if (evidence := each.shown(user))}


def _at_least(name: str, least: float) -> Rule:
    return Rule(name, (name,), least)
