"""Task ids: ours are UUIDv7, a caller's own is used once."""

import uuid

from proxy.record.ids import Given, uuid7


def test_an_id_of_ours_is_a_version_7_uuid_that_holds_its_time():
    made = uuid.UUID(uuid7(1_700_000_000_123_456, (1 << 80) - 1))

    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, 1_700_000_000_123)


def test_ids_of_later_milliseconds_sort_later():
    assert uuid7(1_000_000, (1 << 80) - 1) < uuid7(1_001_000, 0)


def test_the_first_call_with_an_id_has_it_and_the_second_one_names_it():
    given = Given()

    assert given.take(b"job-1", "own-1") == ("job-1", None, None)
    assert given.take(b"job-1", "own-2") == ("own-2", "job-1", None)


def test_an_id_that_cannot_be_used_is_noted():
    for value in (b"", b"a b", b"a/b", b"x" * 129, b"\xff"):
        task_id, retry_of, problem = Given().take(value, "own")
        assert (task_id, retry_of) == ("own", None)
        assert problem is not None
    assert Given().take(b"x" * 128, "own")[0] == "x" * 128
