"""The SQLite file: how it is opened, by whom it can be read, which schema it has, and what its errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from urllib.parse import quote

from proxy.store import StoreMissing, StoreUnavailable, histogram, rows, told
from proxy.store.sqlite_writing import Writing

APPLICATION_ID = 0x74736B74
"""What marks a SQLite file as ours ("tskt")."""

BUSY_SECONDS = 1.0
"""How long a save waits for another process that has locked the file. The caller keeps its tasks and tries again."""

OWN_NAME = "tasktap.db"
"""What the file is called unless somebody named another one, which may hold anything."""

_MAGIC = b"SQLite format 3\0"
_SCHEMA = Path(__file__).parent / "schema" / "sqlite"

VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
)
"""Which steps have been taken. None has while the file is being made."""

_ADVICE = {
    "SQLITE_BUSY": "another process has locked it. End that process, or wait until it is done",
    "SQLITE_LOCKED": "another process has locked it. End that process, or wait until it is done",
    "SQLITE_FULL": "the disk is full. Make room on it",
    "SQLITE_READONLY": "it cannot be written. Give its owner write permission on the file and its folder",
    "SQLITE_IOERR": "the disk fails. Look at the system's log, and at the room left on the disk",
    "SQLITE_CANTOPEN": "it cannot be opened. Look at the permissions of the file and its folder",
    "SQLITE_CORRUPT": "it is damaged. Move it away with its -wal and -shm files, and try `.recover` of the sqlite3 shell on it",
    "SQLITE_NOTADB": "it is no SQLite database, or is damaged. Move it away with its -wal and -shm files",
}


def migrations() -> list[tuple[int, Path]]:
    """The steps from an empty file to today's schema: (number, SQL file), in order."""
    return sorted((int(path.name.split("_")[0]), path) for path in _SCHEMA.glob("*.sql"))


def identity(path: Path) -> tuple[int, int] | None:
    """What tells this file from another one put in its place; `None` where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class FirstBytes:
    """What every SQLite database begins with, looked at after each commit: SQLite itself does not see it go.

    The file is opened once and kept open: to close it would end the locks that this process's connections have on it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._file: tuple[int, int] | None = None
        self._seen = False

    def look(self, file: tuple[int, int] | None) -> None:
        """The file with this identity has been opened. Raises OSError."""
        if file != self._file or self._fd < 0:
            self.close()
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._file = file
        self._seen = self._is_there()

    def is_overwritten(self) -> bool:
        """Whether they were there, and are not any more."""
        return self._seen and not self._is_there()

    def _is_there(self) -> bool:
        return os.pread(self._fd, len(_MAGIC), 0) == _MAGIC

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def put_aside(path: Path) -> Path | None:
    """Give a file that is no database, and its -wal and -shm, another name; the new one, or `None` where it may not be ours.

    Nothing can be read from it, and as long as it is there nothing can be kept.
    """
    if path.name != OWN_NAME:
        return None
    end = f".damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if each.exists():
            each.rename(each.with_name(each.name + end))
    return path.with_name(path.name + end)


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """`error` in words that say what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, advice in _ADVICE.items():
        if name.startswith(prefix):
            return StoreUnavailable(f"{path}: {advice}. ({error})")
    return StoreUnavailable(f"{path}: {error}")


def open_writer(path: Path) -> Writing:
    """The one connection that writes and checkpoints, with today's schema. Raises StoreUnavailable, OSError, sqlite3.Error."""
    _claim(path)
    db = Writing(str(path), BUSY_SECONDS)
    try:
        db.execute("PRAGMA page_size = 8192")  # this one and the next count only until the first page is written
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _own(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # NORMAL loses the last commits with the power
        db.execute("PRAGMA secure_delete = ON")  # what is forgotten is not to be found in the file
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cache_size = -32768")
        db.execute("PRAGMA wal_autocheckpoint = 4000")  # pages; fewer would write hot pages of the indexes again and again
        db.execute("PRAGMA journal_size_limit = 67108864")
        db.create_function("lanes_added", 2, histogram.added, deterministic=True)
        db.create_function("lanes_taken", 2, histogram.taken, deterministic=True)
        told.teach(db)
        db.create_function("told_of", 3, told.from_columns)  # this one and the next are for the seventh step
        db.create_function("answer_of", 1, rows.answer_of)
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def reader_uri(path: Path) -> str:
    """What opens the file for reading only."""
    return f"file:{quote(str(path.absolute()))}?mode=ro"


READER_PRAGMAS = "PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY"
"""Set on each connection that reads. Two that checkpoint at once meet the WAL-reset bug of SQLite before 3.51.3."""


def must_exist(path: Path) -> None:
    """Raises StoreMissing where there is no file, or none that has ever been written."""
    try:
        empty = os.stat(path).st_size == 0
    except FileNotFoundError:
        empty = True
    if empty:
        raise _missing(path)


def _missing(path: Path) -> StoreMissing:
    return StoreMissing(f"{path}: there is no database yet. `tasktap serve` makes it at its first start.")


def must_be_readable(path: Path, application_id: int, version: int | None) -> None:
    """Raises StoreUnavailable for a file that is not ours, or whose schema is not the one that we read.

    Raises StoreMissing where there is no schema so far: it is being made just now.
    """
    _must_be_ours(path, application_id)
    if version is None:
        raise _missing(path)
    if version != (newest := migrations()[-1][0]):
        advice = (
            "Start `tasktap serve` once: it brings it up to date"
            if version < newest
            else "Install that version of tasktap, or a later one"
        )
        raise StoreUnavailable(f"{path}: its schema is {version}, this version of tasktap reads {newest}. {advice}.")


def _must_be_ours(path: Path, application_id: int) -> None:
    if application_id != APPLICATION_ID:
        raise StoreUnavailable(f"{path}: this is an SQLite database of something else. Set store.url to another file.")


def _claim(path: Path) -> None:
    """Make the file ours alone; SQLite gives its -wal and -shm files the same mode. Raises OSError, for a symbolic link too."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # One that exists is not opened: to close it again would end the locks that readers of this process have on it.
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "this is no file of its own (a link, a folder). Set store.url to a file") from None
        if stat.S_IMODE(mode) & 0o077:
            path.chmod(0o600)
    for side in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if side.exists():
            side.chmod(0o600)


def _own(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _must_be_ours(path, db.execute("PRAGMA application_id").fetchone()[0])


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Take the steps that are missing: all in one transaction where the file is new, so that whoever reads it meanwhile finds
    nothing or all of it, and else each in one, as each may move many rows. Raises StoreUnavailable for a schema from the future.
    """
    db.execute(VERSIONS)
    have = db.execute("SELECT max(version) FROM schema_version").fetchone()[0] or 0
    steps = migrations()
    if have > steps[-1][0]:
        must_be_readable(path, APPLICATION_ID, have)
    missing = [_step(number, step) for number, step in steps if number > have]
    for script in missing if have else ["".join(missing)]:
        # executescript() commits what is open before it starts: so the transaction is in the script
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script} COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _step(number: int, step: Path) -> str:
    """What takes one step, and notes that it is taken."""
    return f"{step.read_text()};\nINSERT INTO schema_version VALUES ({number}, '{step.stem}', {time.time_ns() // 1000});\n"
