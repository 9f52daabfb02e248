"""The span that a page is about: one until now goes to the end of this hour or minute, and so is one question for as long."""

from __future__ import annotations

import pytest

from proxy.query.dashboard import span, view
from proxy.query.dashboard.plot import Slot
from proxy.query.dashboard.span import DAY, HOUR, MINUTE
from proxy.query.parameters import FILTERS

NOW = 1_780_000_000_000_000 // DAY * DAY + 9 * HOUR + 1234
END = NOW // HOUR * HOUR + HOUR
SOON = NOW // MINUTE * MINUTE + MINUTE


@pytest.mark.parametrize(
    ("asked", "since", "until"),
    [
        ({"period": "1h"}, SOON - HOUR, SOON),
        ({"period": "24h"}, END - DAY, END),
        ({"period": "7d"}, END - 7 * DAY, END),
        ({"from": "2026-05-01", "to": "2999-01-01"}, 1_777_593_600_000_000, END),
        ({"from": "2026-05-01"}, 1_777_593_600_000_000, END),
        ({"from": "2026-05-01", "to": "2026-05-02T10:30"}, 1_777_593_600_000_000, 1_777_717_800_000_000),
        ({"from": "2026-05-28T08:30"}, NOW // DAY * DAY + 8 * HOUR + HOUR // 2, SOON),
    ],
    ids=str,
)
def test_a_span_until_now_goes_to_the_end_of_the_hour_or_the_minute(asked, since, until):
    found = span.of(view.read("/insights", asked.items(), FILTERS, NOW, ("period",)), NOW)
    assert (found.since, found.until) == (since, until)
    assert "2999" not in found.name


@pytest.mark.parametrize(
    ("asked", "step", "summed_by", "points"),
    [
        ({"period": "1h"}, MINUTE, "minute", 60),
        ({"from": "2026-05-01T00:00", "to": "2026-05-01T03:00"}, MINUTE, "minute", 180),
        ({"period": "24h"}, HOUR, "hour", 24),
        ({"period": "7d"}, 6 * HOUR, "hour", 29),
        ({"period": "30d"}, DAY, "day", 31),
        ({"from": "2020-01-01", "to": "2026-01-01"}, 7 * DAY, "day", 314),
    ],
    ids=str,
)
def test_a_span_is_drawn_in_steps_of_which_sums_are_kept(asked, step, summed_by, points):
    found = span.of(view.read("/insights", asked.items(), FILTERS, NOW, ("period",)), NOW)
    assert (found.step, found.summed_by, len(found.points())) == (step, summed_by, points)


def test_minutes_are_labelled_every_ten_and_lead_to_themselves():
    found = span.of(
        view.read("/", {"from": "2026-05-01T00:05", "to": "2026-05-01T01:00"}.items(), FILTERS, NOW, ("period",)), NOW
    )
    slots = found.slots()
    assert [slot.label for slot in slots if slot.label] == ["00:10", "00:20", "00:30", "00:40", "00:50"]
    assert slots[5] == Slot("00:10", "Fri 1 May, 00:10", "2026-05-01T00:10Z", "2026-05-01T00:11Z")
