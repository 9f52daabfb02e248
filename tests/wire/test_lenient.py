"""JSON that is read as it comes, and what of it is nested too deeply."""

from __future__ import annotations

import random

import pytest

from proxy.wire.lenient import DEPTH_LIMIT, loads, opens_more


@pytest.mark.parametrize("most", [0, 1, 5, 40])
def test_brackets_are_counted_as_far_as_is_asked(most):
    letters = random.Random(most)
    for length in (0, 1, 2, 3, 10, 100):
        for _ in range(100):
            data = bytes(letters.choices(b"[{]}ab", k=length))
            assert opens_more(data, most) == (data.count(b"[") + data.count(b"{") > most)


def test_what_is_as_deep_as_may_be_is_read_and_one_level_more_is_not():
    deepest = b"[" * DEPTH_LIMIT + b" " * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
    assert loads(deepest)[1] is False
    mixed = b'{"a":[' * (DEPTH_LIMIT // 2) + b"]}" * (DEPTH_LIMIT // 2)
    assert loads(mixed)[1] is False
    for deeper in (b"[" + deepest + b"]", b'{"b":' + mixed + b"}"):
        with pytest.raises(ValueError, match="deeply"):
            loads(deeper)


def test_what_has_many_brackets_side_by_side_is_read():
    assert loads(b"[" + b"[],{}," * 5000 + b"1]")[0][-1] == 1
