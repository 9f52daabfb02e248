"""Pure: what makes a user one of a segment, as rules over sums of users, so that any store can tell who is in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from proxy.task import User

Figure = int | float


@dataclass(frozen=True, slots=True)
class Rule:
    """That the sum of `of`, names of sums of a user, is at least `least`; and at least `share` of the sum `whole`, where that is
    named; and that one of `with_some` is over nothing, where any are named.
    """

    name: str
    of: tuple[str, ...]
    least: Figure
    share: float = 0.0
    whole: str | None = None
    with_some: tuple[str, ...] = ()

    def shown(self, user: User) -> Figure | None:
        """The sum, of a user of whom the rule holds."""
        found = sum(value_of(user, name) for name in self.of)
        if found < self.least or (self.whole is not None and found < self.share * value_of(user, self.whole)):
            return None
        return found if not self.with_some or any(value_of(user, name) > 0 for name in self.with_some) else None


@dataclass(frozen=True, slots=True)
class Segment:
    """Users of whom so many of the rules hold, and what `must`."""

    name: str
    rules: tuple[Rule, ...]
    needed: int = 1
    must: tuple[Rule, ...] = ()

    def shown(self, user: User) -> dict[str, Figure]:
        """What shows that a user is in it; nothing where the user is not."""
        found = {rule.name: value for rule in self.rules if (value := rule.shown(user)) is not None}
        return found if len(found) >= self.needed and all(rule.shown(user) is not None for rule in self.must) else {}


class Tops(NamedTuple):
    """What one must have at least to be among the top users; `None` where there are no users, or none has any cost."""

    active_days: int | None = None
    tasks: int | None = None
    cost: float | None = None


class Members(NamedTuple):
    """How many users are in a segment, and those of them with the most tasks."""

    size: int
    users: tuple[User, ...]


def value_of(user: User, name: str) -> Figure:
    """A sum of a user by its name; a cost that is not known is none."""
    found: Figure | None = getattr(user.signs if hasattr(user.signs, name) else user, name)
    return found or 0


def tops(figures: Sequence[tuple[int, int, Figure]], share: float) -> Tops:
    """Where the top `share` begins, of (active days, tasks, cost) of each user; at least one user is in it."""
    if not figures:
        return Tops()
    last = max(1, math.ceil(share * len(figures))) - 1
    days, tasks, costs = (sorted(column, reverse=True)[last] for column in zip(*figures, strict=True))
    return Tops(int(days), int(tasks), costs if costs > 0 else None)
