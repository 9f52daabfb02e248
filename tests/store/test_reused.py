"""Frames with a prefix are read the same, and are as short, whether their compressor is new or was used before."""

from __future__ import annotations

import gc
import random
import sys
import weakref

import pytest

from proxy.store import reused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LETTERS = random.Random(5)
WORDS = [bytes(LETTERS.choices(range(97, 123), k=7)) for _ in range(3000)]


def text(size: int, seed: int) -> bytes:
    chosen = random.Random(seed).choices(WORDS, k=size // 8 + 1)
    return b" ".join(chosen)[:size]


def read(frame: bytes, prefix: bytes) -> bytes:
    return zstd.decompress(frame, zstd.ZstdDict(prefix, is_raw=True).as_prefix)


@pytest.mark.parametrize("size", [0, 1, 100, 1200, 30_000, 120_000, reused.MOST])
def test_a_used_compressor_makes_what_a_new_one_makes(size: int) -> None:
    again, anew = reused.again(1), reused.anew(1)
    assert again.__qualname__ != anew.__qualname__, "the library of Python's module cannot be called"
    for seed in range(3):
        base = text(max(8, size // 2), seed)
        for data in (
            text(size, seed),
            base[: size // 2] + b"!" + text(size // 2, seed + 9),
            bytes(bytearray(base)),
            b"\0" * size,
        ):
            frame = again(data, base)
            assert read(frame, base) == data
            assert len(frame) <= len(anew(data, base)) + 8


def test_each_frame_has_its_own_prefix_and_no_earlier_one() -> None:
    again, data, same = reused.again(1), text(2000, 1), text(2000, 1)  # zstd sees where the very same bytes lie
    assert len(again(data, same)) < 40
    far = again(data, text(2000, 2))
    assert 1000 < len(far) < len(data)
    assert read(far, text(2000, 2)) == data
    assert len(again(data, same)) < 40


@pytest.mark.parametrize("module", ["json", "sys", "no_such_module"])
def test_where_the_library_cannot_be_called_each_frame_has_a_new_compressor(module: str) -> None:
    data, base = text(3000, 1), text(3000, 2)
    assert reused.again(1, module)(data, base) == reused.anew(1)(data, base)


def test_a_prefix_that_begins_as_a_dictionary_does_is_a_prefix_all_the_same() -> None:
    again, data = reused.again(1), text(2000, 1)
    for prefix in (b"\x37\xa4\x30\xec" + data, zstd.train_dict([text(900, seed) for seed in range(99)], 4000).dict_content):
        frame = again(data, prefix)
        assert read(frame, prefix) == data


def test_a_frame_that_fails_leaves_nothing_to_the_next() -> None:
    made = reused._again(1, reused.MODULE)  # to hand it more than there is room for
    data = random.Random(3).randbytes(4 * reused.MOST)
    assert made(data, data[:9]) is None
    small, same = text(500, 1), text(500, 1)
    frame = made(small, same)
    assert frame is not None
    assert len(frame) < 40
    assert read(frame, same) == small


def test_a_compressor_goes_with_whoever_had_it() -> None:
    made = reused._again(1, reused.MODULE)
    gone = weakref.ref(made)
    [finalizer] = [each for each in weakref.finalize._registry if each.alive and each.peek()[0] is made]  # type: ignore[attr-defined]  # what is called then
    del made
    gc.collect()
    assert gone() is None
    assert not finalizer.alive
