"""Events: labels of a task, by a rule, an app or a person."""

import pytest

from proxy.store.events import COUNTED_MOST, EVENTS_MOST, events_of, is_event, names, together


def test_a_name_is_an_event_of_whoever_gave_it():
    assert events_of(["refund", " upsell "], "app") == [
        {"name": "refund", "source": "app"},
        {"name": "upsell", "source": "app"},
    ]


def test_an_event_may_say_that_a_rule_found_it_and_phosphos_name_for_the_name_is_known():
    assert events_of([{"name": "refund", "source": "rule"}, {"event_name": "churn", "source": "nobody"}], "person") == [
        {"name": "refund", "source": "rule"},
        {"name": "churn", "source": "person"},
    ]


@pytest.mark.parametrize(
    "wrong", ["refund", {"name": "refund"}, [1], [None], [""], [" "], ["x" * 65], [{}], ["a\nb"], ["\ud800"]]
)
def test_what_is_no_list_of_names_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        events_of(wrong, "app")


def test_more_events_than_a_task_may_have_are_refused():
    with pytest.raises(ValueError, match=str(EVENTS_MOST)):
        events_of([f"e{n}" for n in range(EVENTS_MOST + 1)], "app")


def test_a_name_that_is_there_stays_as_it_was_given_first():
    kept = ({"name": "refund", "source": "person"},)
    assert together(kept, events_of(["refund", "churn"], "app")) == (*kept, {"name": "churn", "source": "app"})


def test_a_task_is_counted_once_by_each_of_its_first_names():
    assert names([{"name": "a"}, {"name": "a"}, {"x": 1}, {"name": 3}, {"name": "\ud800"}, {"name": "b"}]) == ["a", "b"]
    assert len(names([{"name": f"e{n}"} for n in range(COUNTED_MOST + 5)])) == COUNTED_MOST
    assert is_event("a")
    assert not is_event({"name": None})
