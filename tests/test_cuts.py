"""A spread of cuts has both ends and every edge; the long form has all there are."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.cuts import AT_ENDS, EVERY, cuts

LINE = b"data: " + b"x" * 200
TEXT = LINE + b"\n\n" + LINE + b"\r\n" + "é".encode() + LINE + b"\\u00e9" + LINE


def test_a_spread_has_both_ends_and_every_side_of_an_edge_and_little_else() -> None:
    found = cuts(TEXT, EVERY)
    assert found[:AT_ENDS] == [*range(AT_ENDS)]
    assert found[-AT_ENDS - 1 :] == [*range(len(TEXT) - AT_ENDS, len(TEXT) + 1)]
    for edge in (b"\n\n", b"\r\n", "é".encode(), b"\\"):
        at = TEXT.index(edge)
        assert {*range(at - 1, at + len(edge) + 2)} <= {*found}, edge
    assert max(later - one for one, later in pairwise(found)) <= EVERY
    assert len(found) < len(TEXT) / 3


@pytest.mark.parametrize("data", [b"", b"x", TEXT])
def test_the_long_form_has_every_place(data: bytes) -> None:
    assert cuts(data, 1) == [*range(len(data) + 1)]


def test_what_is_not_text_is_cut_everywhere() -> None:
    assert cuts(bytes(100), EVERY) == [*range(101)]
