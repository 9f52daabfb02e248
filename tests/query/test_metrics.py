"""Prometheus' own parser reads what /metrics says."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from proxy.query import metrics
from proxy.task import Ending, Status

STATUS = Status(
    carried=9,
    journalled=8,
    stored=5,
    waiting=3,
    lost=1,
    relays=1,
    open_streams=2,
    endings=tuple((ending, at) for at, ending in enumerate(Ending)),
    limits=(("capture.max_body", 4), ("listen.max_calls", 0)),
    held=((0.001, 3), (0.01, 2)),
    held_more=1,
    held_seconds=0.25,
    commits=7,
    commit_seconds=1.5,
    store_errors=6,
    reasons=("the store cannot be written",),
)


def read(status: Status) -> dict[str, float]:
    """Every sample, by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(metrics.of_status(status)):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_every_figure_is_there_and_adds_up():
    found = read(STATUS)
    assert found["tasktap_calls_total{state=carried}"] == 9
    assert (
        found["tasktap_calls_total{state=stored}"] + found["tasktap_calls_waiting"] + found["tasktap_calls_total{state=lost}"]
        == 9
    )
    assert found["tasktap_endings_total{ending=timed_out}"] == list(Ending).index(Ending.TIMED_OUT)
    assert found["tasktap_limits_met_total{limit=capture.max_body}"] == 4
    assert found["tasktap_open_streams"] == 2
    assert found["tasktap_store_errors_total"] == 6
    assert found["tasktap_recording_ok"] == 0
    assert read(Status(relays=1))["tasktap_recording_ok"] == 1


def test_the_waits_are_a_histogram():
    found = read(STATUS)
    buckets = [found[f"tasktap_held_seconds_bucket{{le={end}}}"] for end in ("0.001", "0.01", "+Inf")]
    assert buckets == [3, 5, 6]
    assert (found["tasktap_held_seconds_count"], found["tasktap_held_seconds_sum"]) == (6, 0.25)
    assert (found["tasktap_store_commit_seconds_count"], found["tasktap_store_commit_seconds_sum"]) == (7, 1.5)
