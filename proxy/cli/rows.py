"""The rows of a file, one by one and never held whole: JSON lines, a JSON array, CSV, Parquet; gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from proxy.cli.options import Problem
from proxy.task import JSON

PIECE = 1 << 18
LONGEST_CELL = 1 << 30
"""Characters of one cell of a CSV; Python's own limit is 131,072, and prompts are longer."""


class Row(NamedTuple):
    """One row: its place in the file (from 1), what it says, or why it cannot be read."""

    number: int
    said: JSON
    wrong: str | None = None


@dataclass(slots=True)
class Rows:
    """A file that is being read."""

    kind: str
    size: int
    each: Iterator[Row]
    place: Callable[[], int]  # bytes read so far, of `size`


@contextmanager
def opened(path: Path) -> Iterator[Rows]:
    """The rows of the file at `path`. Its kind is told by its name and its first bytes. Raises Problem, OSError."""
    name = path.name.lower().removesuffix(".gz")
    with path.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        size = path.stat().st_size
        if start == b"PAR1" or name.endswith(".parquet"):
            yield _parquet(raw, size)
            return
        file: Any = gzip.GzipFile(fileobj=raw) if start[:2] == b"\x1f\x8b" else raw
        if name.endswith((".csv", ".tsv")):
            yield Rows("csv", size, _csv(file, "\t" if name.endswith(".tsv") else ","), raw.tell)
            return
        buffered: Any = io.BufferedReader(file, PIECE)
        first = buffered.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if first == b"[":
            yield Rows("json", size, _array(buffered), raw.tell)
        elif first == b"{" or name.endswith((".jsonl", ".ndjson", ".json")):
            yield Rows("jsonl", size, _lines(buffered), raw.tell)
        else:
            yield Rows("csv", size, _csv(buffered, ","), raw.tell)
        buffered.detach()


def _row(number: int, value: Any) -> Row:
    return Row(number, value) if isinstance(value, dict) else Row(number, {}, "is not a JSON object")


def _lines(file: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        text = line.strip().removeprefix(b"\xef\xbb\xbf")
        if not text:
            continue
        try:
            yield _row(number, json.loads(text))
        except (ValueError, RecursionError) as wrong:
            yield Row(number, {}, f"is no JSON: {wrong}")


def _array(file: Any) -> Iterator[Row]:
    """The objects of one JSON array: as much is held as one of them takes."""
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace")
    decode = json.JSONDecoder().raw_decode
    held, number = text.read(PIECE).lstrip()[1:], 0
    try:
        while True:
            held = held.lstrip(" \t\r\n,")
            if held[:1] == "]":
                return
            try:
                value, end = decode(held)
            except (ValueError, RecursionError) as wrong:
                more = text.read(max(PIECE, len(held)))
                if not more:
                    if held:
                        yield Row(number + 1, {}, f"is no JSON: {wrong}")
                    return
                held += more
                continue
            number += 1
            yield _row(number, value)
            held = held[end:]
    finally:
        text.detach()


def _csv(file: Any, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    try:
        reader = csv.DictReader(text, delimiter=delimiter)
        number = 1
        while True:
            number += 1
            try:
                said = next(reader)
            except StopIteration:
                return
            except csv.Error as wrong:
                yield Row(number, {}, f"is no CSV: {wrong}")
                continue
            if None in said:
                yield Row(number, {str(name): value for name, value in said.items()}, "has more cells than there are columns")
            else:
                yield Row(number, said)
    finally:
        text.detach()


def _parquet(raw: BinaryIO, size: int) -> Rows:
    try:
        from pyarrow import parquet
    except ImportError:
        raise Problem("reading Parquet needs pyarrow: pip install 'tasktap[parquet]'.", 2) from None
    try:
        file = parquet.ParquetFile(raw)
    except Exception as wrong:
        raise Problem(f"this is no Parquet file: {wrong}", 2) from None
    total, seen = max(1, file.metadata.num_rows), 0

    def each() -> Iterator[Row]:
        nonlocal seen
        for batch in file.iter_batches(batch_size=500):
            for value in batch.to_pylist():
                seen += 1
                yield _row(seen, value)

    return Rows("parquet", size, each(), lambda: size * seen // total)
