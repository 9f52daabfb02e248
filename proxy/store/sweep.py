"""Takes what was deleted out of the unused places inside an SQLite file's pages, where `secure_delete` leaves copies.

SQLite zeroes what it deletes, but a row that moves to another page when a page is split stays behind in the gap of the old one
until something is written over it; deleting the row later does not reach that copy. The format is that of
https://www.sqlite.org/fileformat.html: a b-tree page has its cells at the end, pointers to them at the beginning, and a gap and
free blocks that mean nothing in between. Only those are zeroed, so nobody who reads the file meanwhile sees a difference.

For the one writer, with all of its log in the file and no transaction open that changes something: a page that is still in the
log would come back as it was.
"""

from __future__ import annotations

import os
import struct

_BTREES = (2, 5, 10, 13)
_INNER = (2, 5)
_LIVE = (1, 5)  # what a pointer map says of a root, and of any other b-tree page
_ENTRY = 5  # bytes of a pointer map for one page
_HEADER = struct.Struct(">BHHHB")  # kind, first free block, cells, where they begin, fragments
_BLOCK = struct.Struct(">HH")  # the next free block, the size of this one
_LOCK_BYTE = 2**30  # the page that holds this byte is never used


def sweep(fd: int, first: int, count: int) -> int | None:
    """Clean `count` pages from number `first` on (1 is the first of the file); the next number, or None at the end.

    Raises OSError, ValueError for a file whose pages cannot be told apart.
    """
    head = os.pread(fd, 100, 0)
    size = int.from_bytes(head[16:18], "big")
    size = 65536 if size == 1 else size
    if head[:15] != b"SQLite format 3" or head[20] or not int.from_bytes(head[52:56], "big"):
        raise ValueError("no SQLite file with a pointer map")
    pages = os.fstat(fd).st_size // size
    last = min(pages, first + count - 1)
    kinds: dict[int, bytes] = {}
    for number in range(first, last + 1):
        map_page = _map_of(number, size)
        if map_page == number or number == _LOCK_BYTE // size + 1:
            continue
        if number > 1:
            if map_page not in kinds:
                kinds[map_page] = os.pread(fd, size, (map_page - 1) * size)
            if kinds[map_page][(number - map_page - 1) * _ENTRY] not in _LIVE:
                continue
        page = os.pread(fd, size, (number - 1) * size)
        clean = cleaned(page, 100 if number == 1 else 0)
        if clean is not None:
            os.pwrite(fd, clean, (number - 1) * size)
    return last + 1 if last < pages else None


def cleaned(page: bytes, at: int) -> bytes | None:
    """The b-tree page whose header is `at` with zeros where nothing is; None where it has them already, or is no such page."""
    kind, block, cells, begin, _ = _HEADER.unpack_from(page, at)
    if kind not in _BTREES:
        return None
    pointers = at + (12 if kind in _INNER else 8) + 2 * cells
    begin = begin or 65536
    if not pointers <= begin <= len(page):
        return None
    empty = [(pointers, begin)]
    while block:
        if block + 4 > len(page):
            return None
        block_at, (block, length) = block, _BLOCK.unpack_from(page, block)
        if length < 4 or block_at + length > len(page) or (block and block <= block_at):
            return None
        empty.append((block_at + 4, block_at + length))
    full = [(start, end) for start, end in empty if page[start:end].strip(b"\0")]
    if not full:
        return None
    clean = bytearray(page)
    for start, end in full:
        clean[start:end] = bytes(end - start)
    return bytes(clean)


def _map_of(number: int, size: int) -> int:
    """The page of the pointer map that tells of page `number`: 2, and then after every so many."""
    each = size // _ENTRY + 1
    found = (number - 2) // each * each + 2
    return found + 1 if found == _LOCK_BYTE // size + 1 else found
