"""The records of an SQLite file: each put there against the one that it continues, read back, changed and dropped."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from typing import Final

from proxy.store import told
from proxy.store.difference import Damaged, Packer, Place, depends_on_said, place_of, unpacked
from proxy.store.record import REQUEST_AT, write
from proxy.store.rollup import Key
from proxy.store.rows import Row
from proxy.store.sqlite_many import AT_ONCE, put
from proxy.task import Summary, Task

CHAIN: Final = (
    "WITH RECURSIVE chain (step, key, data, base) AS ("
    "SELECT 0, key, data, base FROM record WHERE key = ? UNION ALL"
    " SELECT step + 1, record.key, record.data, record.base FROM chain JOIN record ON record.key = chain.base"
    ") SELECT data, (SELECT facts FROM task WHERE task.key = chain.key) FROM chain ORDER BY step"
)
"""What `unpacked` needs to read the record of a key: its bytes, and those of all that it is a difference from."""

_PUT = "INSERT INTO record (key, data, base) VALUES (?, ?, ?)"
_LATEST = (
    "SELECT task.key FROM task JOIN record USING (key) WHERE task.session_id = ? AND +task.project_id = ?"
    " ORDER BY task.key DESC LIMIT 2"
)
_HELD_BYTES = 32 * 2**20  # of the latest records, in memory
_BESIDE = 1024  # bytes that one takes beside its record; small ones are most of them
_LONGEST_HELD = 8 * 2**20
_HELD_EACH = 3  # of one session: side questions (a title, a sub-agent) come between the turns of a chat
_SHORT_HEAD = 16 * 2**10
"""Bytes of the head of a run up to which it is held: to find it takes reading all heads before it."""

_LEAST = 16  # bytes that are looked at at once for what two records share
_MUCH_LONGER = (
    64 * 2**10
)  # bytes by which a base may be longer than the record before looking through it costs more than it saves

Thread = tuple[str, str, str]
"""What records that may continue one another share: (project, what it is, its id)."""


class _Held:  # compiled, it is made and read in a fraction of the time of a tuple with names
    """A record, where it stands, and the head of its run, where that is known and short; `size`: bytes in memory, about."""

    __slots__ = ("head", "key", "place", "record", "size")

    def __init__(self, key: int, record: bytes, place: Place, head: _Held | None = None) -> None:
        self.key, self.record, self.place, self.head = key, record, place, head
        beside = 0 if head is None else (len(head.record) + _BESIDE) // _HELD_EACH  # which have it together
        self.size = len(record) + _BESIDE + beside

    def begins_run(self) -> _Held | None:
        """The head of its run, where it is known and short enough to be held beside it."""
        head = self if self.place.run == 0 else self.head
        return head if head is not None and len(head.record) <= _SHORT_HEAD else None

    def is_of(self, keys: set[int]) -> bool:
        """Whether it is one of these records, or its head is."""
        return self.key in keys or (self.head is not None and self.head.key in keys)


class Shelf:
    """Puts records. Of use to the one thread that writes: it remembers the latest record of each session."""

    def __init__(self) -> None:
        self._packer = Packer()
        self._held: OrderedDict[Thread, list[_Held]] = OrderedDict()
        self._bytes = 0
        self._pending: list[Row] = []  # to be put: they are not there yet to be read

    def put(self, db: sqlite3.Connection, new: Sequence[tuple[int, Task]], continued: Container[Key]) -> None:
        """Keep the records of `new`, under these keys; `continued` are the sessions that had tasks before."""
        for key, task in new:
            self._pending.append(self._packed(db, continued, key, task))
            if len(self._pending) == AT_ONCE:
                self._put(db)
        self._put(db)

    def forget(self) -> None:
        """Remember nothing: what was put may have been rolled back."""
        self._held.clear()
        self._bytes = 0
        self._pending.clear()

    def change(self, db: sqlite3.Connection, key: int, task: Task, row: Summary) -> None:
        """Keep the record of `task` in place of the one of `key`, whose row is changed after this to say what `row` says."""
        self._let_go(db, {key})
        data = self._packer.alone(write(task), _said(row))
        db.execute("UPDATE record SET data = ?, base = NULL WHERE key = ?", (data, key))

    def retell(self, db: sqlite3.Connection, key: int, row: Summary) -> None:
        """Keep the record of `key` so that it can be read once its row says what `row` says; it is changed after this."""
        data, base = db.execute("SELECT data, base FROM record WHERE key = ?", (key,)).fetchone()
        if not depends_on_said(data) or (held := self._read(db, key)) is None:
            return
        under = None if base is None else self._read(db, base)
        packed = None if under is None else self._packer.against(held.record, under.record, place_of(data), _said(row))
        if packed is None:
            base, packed = None, self._packer.alone(held.record, _said(row))
        db.execute("UPDATE record SET base = key WHERE key = ?", (key,))  # what others need is changed only with its base
        db.execute("UPDATE record SET data = ?, base = ? WHERE key = ?", (packed, base, key))

    def drop(self, db: sqlite3.Connection, keys: Iterable[int]) -> int:
        """Delete the records of `keys`, those kept against them first made independent; returns the bytes they took."""
        gone = set(keys)
        self._let_go(db, gone)
        size: int = sum(
            length for key in gone for (length,) in db.execute("SELECT length(data) FROM record WHERE key = ?", (key,))
        )
        db.executemany("UPDATE record SET base = NULL WHERE key = ?", [(key,) for key in gone])
        db.executemany("DELETE FROM record WHERE key = ?", [(key,) for key in gone])
        return size

    # -- putting

    def _put(self, db: sqlite3.Connection) -> None:
        if self._pending:
            put(db, _PUT, self._pending)
            self._pending.clear()

    def _packed(self, db: sqlite3.Connection, continued: Container[Key], key: int, task: Task) -> Row:
        record = write(task)
        thread = _thread(task)
        said = _said(task)
        if thread is None:
            return key, self._packer.alone(record, said), None
        if thread not in self._held and (task.project_id, task.session_id) in continued:
            self._remember_latest(db, thread)
        base = self._base(db, thread, record, len(task.request_body))
        data = None if base is None else self._packer.against(record, base.record, base.place, said)
        if data is None:
            base, data = None, self._packer.alone(record, said)
        if base is None:
            self._hold(thread, _Held(key, record, place_of(data)))
            return key, data, None
        self._hold(thread, _Held(key, record, base.place, base.head))
        return key, data, base.key

    def _base(self, db: sqlite3.Connection, thread: Thread, record: bytes, request: int) -> _Held | None:
        """What to keep `record` against, at the place that it then has and with the head of that."""
        held = [each for each in self._held.get(thread, ()) if len(each.record) < 4 * len(record) + _MUCH_LONGER]
        if not held:
            return None
        best = held[-1] if len(held) == 1 else _likest(held, record, request)
        if (place := best.place.after(len(record))) is not None:
            return _Held(best.key, best.record, place, best.begins_run())
        head = best.begins_run() or self._head(db, best)
        place = None if head is None else head.place.below(len(record))
        return None if head is None or place is None else _Held(head.key, head.record, place)

    def _head(self, db: sqlite3.Connection, of: _Held) -> _Held | None:
        self._put(db)
        key = of.key
        for _ in range(of.place.run):
            found = db.execute("SELECT base FROM record WHERE key = ?", (key,)).fetchone()
            if found is None or found[0] is None:
                break
            key = found[0]
        return self._read(db, key)

    def _read(self, db: sqlite3.Connection, key: int) -> _Held | None:
        """The record of `key`; None where it is not there, or damaged: then nothing more is to depend on it."""
        self._put(db)
        chain = db.execute(CHAIN, (key,)).fetchall()
        try:
            return _Held(key, unpacked(chain), place_of(chain[0][0]))
        except Damaged:
            return None

    # -- remembering

    def _remember_latest(self, db: sqlite3.Connection, thread: Thread) -> None:
        self._put(db)
        project_id, _, session_id = thread
        latest: list[tuple[int]] = db.execute(_LATEST, (session_id, project_id)).fetchall()
        for (key,) in reversed(latest):
            if (held := self._read(db, key)) is not None:
                self._hold(thread, held)

    def _hold(self, thread: Thread, held: _Held) -> None:
        if len(held.record) > _LONGEST_HELD:
            return
        of_it = self._held.setdefault(thread, [])
        of_it.append(held)
        self._bytes += held.size
        if len(of_it) > _HELD_EACH:
            self._bytes -= of_it.pop(0).size
        self._held.move_to_end(thread)
        while self._bytes > _HELD_BYTES:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= sum(each.size for each in oldest)

    # -- letting go

    def _let_go(self, db: sqlite3.Connection, keys: set[int]) -> None:
        """Make what is kept against records of `keys`, and is not one itself, independent of them."""
        for thread, of_it in list(self._held.items()):
            if any(each.is_of(keys) for each in of_it):
                self._bytes -= sum(each.size for each in self._held.pop(thread))
        for key in keys:
            for (other,) in db.execute("SELECT key FROM record WHERE base = ?", (key,)).fetchall():
                if other not in keys:
                    self._move(db, other, keys)

    def _move(self, db: sqlite3.Connection, key: int, away_from: set[int]) -> None:
        """Keep the record of `key` against the nearest of those before it that is not in `away_from`, or alone."""
        data, base = db.execute("SELECT data, base FROM record WHERE key = ?", (key,)).fetchone()
        while base in away_from:
            base = db.execute("SELECT base FROM record WHERE key = ?", (base,)).fetchone()[0]
        held, under = self._read(db, key), None if base is None else self._read(db, base)
        if held is None:
            db.execute("UPDATE record SET base = NULL WHERE key = ?", (key,))  # it is damaged, and stays so
            return
        row = db.execute("SELECT facts FROM task WHERE key = ?", (key,)).fetchone()
        said = b"" if row is None else told.said_by(row[0])
        moved = None if under is None else self._packer.against(held.record, under.record, place_of(data), said)
        if moved is None:
            base, moved = None, self._packer.alone(held.record, said)
        db.execute("UPDATE record SET data = ?, base = ? WHERE key = ?", (moved, base, key))


def _thread(task: Task) -> Thread | None:
    if task.session_id is not None:
        return task.project_id, "session", task.session_id
    if task.caller_key is not None:
        return task.project_id, "caller", task.caller_key
    return None


def _said(task: Summary) -> bytes:
    return told.said(task.input, task.output)


def _likest(held: Sequence[_Held], record: bytes, request: int) -> _Held:
    """Which of `held` shares most with `record`; of equals the last one."""
    best, most = held[-1], -1
    for each in reversed(held):
        if (shared := _alike(each.record, record, request)) > most:
            best, most = each, shared
        if most + _LEAST > REQUEST_AT + request:
            break  # nothing can share more
    return best


def _alike(one: bytes, other: bytes, length: int) -> int:
    """About how many bytes of their request bodies the two records share, from the beginning; `length` is that of the other's."""
    at = REQUEST_AT
    for block in (8192, 256, _LEAST):
        while at + block <= REQUEST_AT + length and one[at : at + block] == other[at : at + block]:
            at += block
    return at
