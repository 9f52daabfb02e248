"""A process that rests is known at the first look, one that spins at the last."""

from __future__ import annotations

from tests.idle import LOOKS, busy


class Machine:
    """Time goes on when somebody waits, and so does the work of a process that has that share of a core."""

    def __init__(self, *shares: float) -> None:
        self.shares = [*shares]
        self.now = self.worked = 0.0
        self.looks = 0

    def pause(self, seconds: float) -> None:
        self.looks += 1
        self.now += seconds
        self.worked += seconds * (self.shares.pop(0) if len(self.shares) > 1 else self.shares[0])

    def busy(self) -> bool:
        return busy(self.pause, lambda: self.now, lambda: self.worked)


def test_who_rests_is_asked_once() -> None:
    machine = Machine(0.01)
    assert not machine.busy()
    assert machine.looks == 1


def test_who_spins_beside_others_is_busy() -> None:
    machine = Machine(0.3)
    assert machine.busy()
    assert machine.looks == LOOKS


def test_who_ends_its_work_is_not_busy() -> None:
    assert not Machine(1.0, 1.0, 0.5, 0.0).busy()
