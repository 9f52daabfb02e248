"""The objects of a JSON array, however its bytes were cut."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.array import Decoder

values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\{}[],\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\]}', max_size=3), inner, max_size=3),
    max_leaves=10,
)
objects = st.lists(st.dictionaries(st.text(alphabet='a"\\', max_size=3), values, max_size=3), max_size=4)


@settings(max_examples=300, deadline=None)
@given(objects, st.data())
def test_any_split_gives_the_elements_of_the_array(elements, data):
    body = json.dumps(elements, indent=data.draw(st.sampled_from([None, 1]))).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    decoder = Decoder()
    found = [each for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) for each in decoder.feed(body[a:b])]

    assert [json.loads(each) for each in found] == elements
    assert decoder.closed
    assert not decoder.unterminated


@settings(max_examples=200, deadline=None)
@given(objects.filter(bool), st.data())
def test_an_array_that_is_cut_gives_the_elements_that_are_whole(elements, data):
    body = json.dumps(elements).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    decoder = Decoder()
    found = decoder.feed(body[:at])

    assert [json.loads(each) for each in found] == elements[: len(found)]
    assert not decoder.closed


def test_what_comes_after_the_array_is_nothing():
    decoder = Decoder()

    assert decoder.feed(b'[{"a":1}] {"b":2} ]]') == [b'{"a":1}']
    assert decoder.feed(b'[{"c":3}]') == []


@given(st.binary(max_size=60) | st.text(alphabet='[]{}"\\', max_size=40).map(str.encode))
def test_no_bytes_make_it_raise(data):
    decoder = Decoder()
    for byte in data:
        decoder.feed(bytes([byte]))
