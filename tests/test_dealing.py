"""The order of tests: long rooms at the beginning of shares, and nothing lost."""

from __future__ import annotations

import pytest

from tests.dealing import LONGEST, dealt

ITEMS = (
    [("wire", n) for n in range(40)]
    + [(room, n) for room in sorted(LONGEST) for n in range(7)]
    + [("store", n) for n in range(41)]
)


def room(item: tuple[str, int]) -> str:
    return item[0]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 60, 200])
def test_all_are_dealt_once_and_those_of_a_room_stay_in_order(workers: int) -> None:
    found = dealt(ITEMS, room, workers)
    assert sorted(found) == sorted(ITEMS)
    for name in {"wire", "store", *LONGEST}:
        assert [item for item in found if item[0] == name] == [item for item in ITEMS if item[0] == name]


def test_each_of_three_workers_begins_with_a_long_room() -> None:
    found = dealt(ITEMS, room, 3)
    share = len(ITEMS) // 3
    assert [found[at * share][0] for at in range(3)] == list(LONGEST)


def test_one_worker_has_the_long_rooms_first() -> None:
    assert [item[0] for item in dealt(ITEMS, room, 1)[:21:7]] == list(LONGEST)
