"""Parts below what they are parts of."""

from dataclasses import replace

import pytest

from proxy.query.nesting import depths, nested
from tests.query.examples import BARE


def tasks(spelt: str):
    """`a b<a c<b`: tasks in their order, some a part of another one."""
    found = []
    for number, word in enumerate(spelt.split()):
        id, _, parent = word.partition("<")
        found.append(replace(BARE, id=id, created_at=number, parent_task_id=parent or None))
    return found


@pytest.mark.parametrize(
    ("spelt", "shown"),
    [
        ("a b c", "a0 b0 c0"),
        ("a b<a c<b d", "a0 b1 c2 d0"),
        ("a b c<a d<b e<a", "a0 c1 e1 b0 d1"),  # the parts of two that run at the same time
        ("c<b b<a a", "a0 b1 c2"),  # the whole may be logged last
        ("b<elsewhere c<b", "b1 c2"),
        ("a<a b", "a1 b0"),
        ("a<c b<a c<b d", "d0 a3 b1 c2"),
        ("", ""),
    ],
)
def test_parts_are_below_their_whole_and_as_deep_as_they_are(spelt, shown):
    found = nested(tasks(spelt))
    assert " ".join(f"{task.id}{depth}" for depth, task in found) == shown


def test_every_task_is_there_once_however_they_hang_together():
    found = nested(tasks("a<b b<a c<c d<c e"))
    assert sorted(each.task.id for each in found) == list("abcde")


def test_a_page_knows_the_depths_of_those_before_it():
    known: dict[str, int] = {}
    assert depths(tasks("a b<a"), known) == [0, 1]
    assert depths(tasks("c<b d<c e<a"), known) == [2, 3, 1]
