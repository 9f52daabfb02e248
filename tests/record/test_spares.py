"""Journal segments that are used again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.record import spares
from proxy.record.spares import retire, sweep, take

SIZE = 2 << 20


def segment(directory: Path, name: str = "a-00000000.journal", size: int = SIZE) -> Path:
    path = directory / name
    path.write_bytes(b"what was said " * (size // 14) + bytes(size % 14))
    return path


def test_a_filled_segment_becomes_a_spare_of_zeros_that_a_relay_takes(tmp_path: Path):
    retire(segment(tmp_path), SIZE - 100)
    [spare] = tmp_path.iterdir()
    assert spare.read_bytes() == bytes(SIZE)
    name = tmp_path / "b-00000000.journal"
    fd = take(tmp_path, SIZE, name)
    assert fd is not None
    os.pwrite(fd, b"new", 0)
    os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == [name.name]
    assert name.read_bytes()[:4] == b"new\0"


def test_a_segment_that_was_small_or_hardly_used_is_deleted(tmp_path: Path):
    retire(segment(tmp_path), SIZE // 3)
    retire(segment(tmp_path, size=1 << 19), 1 << 19)
    retire(tmp_path / "gone-00000000.journal", SIZE)
    assert list(tmp_path.iterdir()) == []


def test_there_are_never_more_spares_than_the_most(tmp_path: Path):
    for n in range(spares._MOST + 3):
        retire(segment(tmp_path, f"a-{n:08d}.journal"), SIZE)
    assert len(list(tmp_path.iterdir())) == spares._MOST


def test_a_spare_of_another_size_or_in_other_hands_is_not_taken(tmp_path: Path):
    retire(segment(tmp_path), SIZE)
    assert take(tmp_path, SIZE * 2, tmp_path / "b") is None
    first = take(tmp_path, SIZE, tmp_path / "b")
    assert first is not None
    os.link(tmp_path / "b", tmp_path / "c.spare")  # as one who has opened it before it was renamed sees it
    assert take(tmp_path, SIZE, tmp_path / "d") is None
    os.close(first)


@pytest.mark.parametrize(("age", "left"), [(spares._SECONDS - 10, 1), (spares._SECONDS + 10, 0)])
def test_a_spare_that_nobody_takes_goes(tmp_path: Path, age: float, left: int):
    retire(segment(tmp_path), SIZE)
    [spare] = tmp_path.iterdir()
    then = spare.stat().st_mtime - age
    os.utime(spare, (then, then))
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == left


def test_a_desk_that_ends_leaves_none(tmp_path: Path):
    retire(segment(tmp_path), SIZE)
    (tmp_path / "b-00000000.journal").write_bytes(b"")
    spares.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b-00000000.journal"]


def test_what_was_being_blanked_when_the_desk_died_goes_at_its_next_start(tmp_path: Path):
    half = segment(tmp_path, "a-00000000.journal.blanking")
    sweep(tmp_path)
    assert half.exists()
    sweep(tmp_path, beginning=True)
    assert not half.exists()
