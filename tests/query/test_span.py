"""The span that a page is about: a long one until now goes to the end of this hour, and so is one question for an hour."""

from __future__ import annotations

import pytest

from proxy.query.dashboard import span, view
from proxy.query.dashboard.span import DAY, HOUR
from proxy.query.parameters import FILTERS

NOW = 1_780_000_000_000_000 // DAY * DAY + 9 * HOUR + 1234
END = NOW // HOUR * HOUR + HOUR


@pytest.mark.parametrize(
    ("asked", "since", "until"),
    [
        ({"period": "1h"}, NOW - HOUR, NOW),
        ({"period": "24h"}, END - DAY, END),
        ({"period": "7d"}, END - 7 * DAY, END),
        ({"from": "2026-05-01", "to": "2999-01-01"}, 1_777_593_600_000_000, END),
        ({"from": "2026-05-01"}, 1_777_593_600_000_000, END),
        ({"from": "2026-05-01", "to": "2026-05-02T10:30"}, 1_777_593_600_000_000, 1_777_717_800_000_000),
        ({"from": "2026-05-28T08:30"}, NOW // DAY * DAY + 8 * HOUR + HOUR // 2, NOW),
    ],
    ids=str,
)
def test_a_span_of_a_day_or_more_until_now_goes_to_the_end_of_the_hour(asked, since, until):
    found = span.of(view.read("/insights", asked.items(), FILTERS, NOW, ("period",)), NOW)
    assert (found.since, found.until) == (since, until)
    assert "2999" not in found.name
