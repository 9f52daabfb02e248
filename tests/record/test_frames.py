"""The journal's format: what was written is read, and nothing else ever is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.record.frames import HEADER_SIZE, Kind, frame, next_record, record_at, records, wanted


def written(*payloads: bytes) -> bytes:
    return b"".join(frame(Kind.DATA, number, number * 10, payload) + payload for number, payload in enumerate(payloads))


def test_records_are_read_back_in_order_up_to_the_zeros_behind_them():
    data = written(b"a", b"", b"ccc") + b"\0" * 100

    assert [(r.kind, r.number, r.time, r.payload) for r in records(data)] == [
        (Kind.DATA, 0, 0, b"a"),
        (Kind.DATA, 1, 10, b""),
        (Kind.DATA, 2, 20, b"ccc"),
    ]


def test_zeros_are_no_record():
    assert record_at(b"\0" * 200, 0) is None
    assert wanted(b"\0" * 200, 0) == 0


@pytest.mark.parametrize("cut", range(len(written(b"first", b"second"))))
def test_a_torn_tail_reads_as_nothing_and_harms_nothing_before_it(cut):
    whole = written(b"first", b"second")
    first = HEADER_SIZE + 5

    assert len(list(records(whole[:cut] + b"\0" * (len(whole) - cut)))) in (
        (0,) if cut < first else (1, 2) if cut == len(whole) else (1,)
    )


@given(st.data())
def test_a_flipped_bit_is_never_believed(data):
    whole = bytearray(written(b"payload one", b"payload two"))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))

    for record in records(bytes(whole)):
        assert record.payload in (b"payload one", b"payload two")
    assert len(list(records(bytes(whole)))) < 2


def test_reading_goes_on_behind_damage():
    damaged = b"\x01garbage" + written(b"after")

    assert next_record(damaged, 0) == 8
    assert next_record(b"\0" * 50, 0) is None


def test_a_record_says_how_many_bytes_it_needs_before_they_are_all_there():
    data = written(b"x" * 1000)

    assert record_at(data[:100], 0) is None
    assert wanted(data[:100], 0) == HEADER_SIZE + 1000
