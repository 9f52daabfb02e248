"""Values that are made quickly are no others than `dataclass` would have made."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from proxy.quick import changer, filled, known, maker, quickly
from proxy.task import Call, Ending, Piece, Summary, Task, Usage, changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    name: str
    count: int = 3
    those: list[int] = field(default_factory=list)


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    name: str
    count: int = 3
    those: list[int] = field(default_factory=list)


@pytest.mark.parametrize("values", [{"name": "a"}, {"name": "a", "count": 4}, {"name": "b", "those": [1], "count": 0}])
@pytest.mark.parametrize("make", [Quick, maker(Quick)])
def test_it_holds_what_it_was_given_and_the_defaults(values, make):
    plain, quick = Plain(**values), make(**values)

    assert type(quick) is Quick
    assert [getattr(quick, each.name) for each in fields(quick)] == [getattr(plain, each.name) for each in fields(plain)]
    assert repr(quick) == repr(plain).replace("Plain", "Quick")


@pytest.mark.parametrize("make", [Quick, maker(Quick)])
def test_a_default_that_is_made_is_made_for_each(make):
    assert make(name="a").those is not make(name="a").those


@pytest.mark.parametrize("values", [{}, {"name": "a", "nonsense": 1}])
def test_what_is_missing_or_unknown_is_refused(values):
    with pytest.raises(TypeError, match="__init__"):
        Quick(**values)
    with pytest.raises(TypeError, match="made"):
        maker(Quick)(**values)


@pytest.mark.parametrize("make", [Task, maker(Task)])
def test_it_is_frozen_and_can_be_compared_copied_and_pickled(make):
    task = make(id="t", origin="o.1", created_at=1, ended_at=2, kind="chat", ending=Ending.COMPLETED, usage=Usage(input_tokens=3))

    with pytest.raises(FrozenInstanceError):
        task.input = "x"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del task.input
    assert task == copy.copy(task) == pickle.loads(pickle.dumps(task)) == replace(task)
    assert task != replace(task, usage=None)


def test_a_task_that_is_changed_is_the_same_as_one_that_is_replaced():
    task = Task(
        **{each.name: (each.name,) for each in fields(Task)}  # each field with a value of its own
    )
    new = changed(task, input="x", cost=None)

    assert new == replace(task, input="x", cost=None)
    assert type(new) is Task
    assert task.input == ("input",)
    with pytest.raises(AttributeError):
        changed(task, nonsense=1)


def test_a_class_under_another_is_made_quickly_too():
    call = Call(
        origin="o.1", id="t", own_id="u", created_at=1, ended_at=2, ending=Ending.COMPLETED, upstream="x", kind="chat",
        method="POST", target="/", response=(Piece(0.0, b"ab"), Piece(0.1, b"c")),
    )  # fmt: skip
    summary = Summary(id="t", origin="o.1", created_at=1, ended_at=2, kind="chat", ending=Ending.COMPLETED)

    assert call.response_body == b"abc"
    assert type(summary) is Summary
    assert changer(Summary)(summary, name="n") == replace(summary, name="n")


def test_what_is_known_of_a_value_is_read_by_name_and_what_is_filled_is_less():
    value = Quick(name="", count=0, those=[1])
    assert known("name", "count", "those")(value) == {"name": "", "count": 0, "those": [1]}
    assert filled("name", "count", "those")(value) == {"those": [1]}
    assert known("count", "name")(Quick(name=None, count=2)) == {"count": 2}
