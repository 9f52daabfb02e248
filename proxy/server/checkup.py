"""Looks a deployment over, from outside and without changing it: what is well, what is not, and what to do about it."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sqlite3
import ssl
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from proxy.server import allowance

if TYPE_CHECKING:
    from proxy.config import Settings, Upstream

UPSTREAM_SECONDS: Final = 4.0
SKEW_SECONDS: Final = 30.0  # between our clock and an upstream's, before times in the record mislead
LAG_SECONDS: Final = 10.0
SPARE_BYTES: Final = 512 * 1024 * 1024  # of disk, beside what the journal may take
FEW_CALLERS: Final = 1000  # at once
SHORT_KEY: Final = 16  # characters of a key that guessing can find


class Verdict(StrEnum):
    """How a finding is meant."""

    WELL = "well"
    CARE = "care"  # works, and could be better
    ILL = "ill"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and what a person should do (`None`: nothing)."""

    about: str
    verdict: Verdict
    seen: str
    advice: str | None = None


def checkup(settings: Settings, status: dict[str, Any] | str | None, database: Path | None) -> list[Finding]:
    """All findings. `status` is what a running desk says, or why it does not; `None`: none runs. `database` is the SQLite file.

    No key is sent anywhere, and nothing is written.
    """
    return [
        *_directory(settings.data_dir),
        *_disk(settings),
        *_clock(settings.data_dir),
        _open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1], settings.listen.max_connections),
        *_doors(settings),
        *_running(status, settings),
        *_store(database),
        *_upstreams(settings),
    ]


def _directory(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("data directory", Verdict.CARE, f"{path} is not there yet", "`tasktap serve` makes it at its first start.")
        return
    loose = [each for each in (path, *path.rglob("*")) if not each.is_symlink() and stat.S_IMODE(each.stat().st_mode) & 0o077]
    foreign = path.stat().st_uid != os.geteuid()
    if loose:
        some = ", ".join(str(each) for each in loose[:3])
        yield Finding("data directory", Verdict.ILL, f"others can read {some}", f"chmod -R go-rwx {path}")
    elif foreign:
        yield Finding("data directory", Verdict.CARE, f"{path} belongs to somebody else", "Run this as the user that serves.")
    else:
        yield Finding("data directory", Verdict.WELL, f"{path}: only its owner can read it")


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.data_dir if settings.data_dir.exists() else settings.data_dir.absolute().parent
    try:
        found = os.statvfs(place)
    except OSError as error:
        yield Finding("disk", Verdict.ILL, f"{place}: {error.strerror}", "Choose another data_dir.")
        return
    free = found.f_bavail * found.f_frsize
    wanted = settings.journal.max_bytes + SPARE_BYTES
    seen = f"{free >> 20:,} MiB free"
    if free < SPARE_BYTES:
        yield Finding("disk", Verdict.ILL, seen, "Make room: without it calls go on, and their records are lost.")
    elif free < wanted:
        advice = f"Make room for {wanted >> 20:,} MiB or lower journal.max_bytes: it could fill the disk while the store is away."
        yield Finding("disk", Verdict.CARE, seen, advice)
    else:
        yield Finding("disk", Verdict.WELL, seen)
    kind = _file_system(place)
    if kind is not None and kind.startswith(("nfs", "cifs", "smb", "fuse.sshfs", "9p", "ceph", "glusterfs")):
        advice = "Keep data_dir on a local disk: locks, and what survives a crash, cannot be relied on over a network."
        yield Finding("disk", Verdict.CARE, f"{place} is on a network file system ({kind})", advice)
    if found.f_files and found.f_favail < 1000:
        yield Finding("disk", Verdict.ILL, f"{found.f_favail} files can be made", "Make room for more files (inodes).")


def _clock(path: Path) -> Iterator[Finding]:
    """Whether this machine's clock has gone back: a file of ours is then from the future."""
    times: list[float] = []
    for each in (path, *path.glob("*"), *path.glob("journal/*")):
        with contextlib.suppress(OSError):  # a segment that was just forgotten
            times.append(each.stat().st_mtime)
    ahead = max(times, default=0.0) - time.time()
    if ahead > SKEW_SECONDS:
        advice = "Let this machine keep its time (NTP): the record's times are its own, and later tasks would seem older."
        yield Finding("clock", Verdict.CARE, f"{path} was written {ahead:,.0f} s in the future: the clock has gone back", advice)
    elif times:
        yield Finding("clock", Verdict.WELL, "it has not gone back since the last record")


def _open_files(most: int, wanted: int) -> Finding:
    """Whether callers may be as many as the settings let in. `most`: the hard limit of open files, which a relay takes."""
    room = allowance.connections(wanted, most)
    seen = f"enough for {room:,} callers at once"
    if room < min(wanted, FEW_CALLERS):
        advice = "Raise the limit of open files (ulimit -Hn, LimitNOFILE=, --ulimit nofile=): callers beyond it are answered 503."
        return Finding("open files", Verdict.CARE, seen, advice)
    return Finding("open files", Verdict.WELL, seen)


def _file_system(path: Path) -> str | None:
    """The kind of file system that a directory is on, as Linux calls it."""
    try:
        mounts = [line.split(" ")[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return None
    whole = str(path.resolve())
    above = [(where, kind) for where, kind in mounts if whole == where or whole.startswith(where.rstrip("/") + "/")]
    return max(above, key=lambda each: len(each[0]), default=("", None))[1]


def _doors(settings: Settings) -> Iterator[Finding]:
    key = settings.desk.key
    host = settings.listen.desk.rpartition(":")[0].strip("[]")
    local = host in ("127.0.0.1", "::1", "localhost")
    if key is None:
        yield Finding("desk's door", Verdict.WELL, f"{settings.listen.desk}, open to who is on this machine")
    else:
        keys = {"desk.key": key, "desk.read_key": settings.desk.read_key, "desk.feedback_key": settings.desk.feedback_key}
        short = [name for name, each in keys.items() if each is not None and len(each.get_secret_value()) < SHORT_KEY]
        for name in short:
            yield Finding("desk's door", Verdict.ILL, f"{name} is shorter than {SHORT_KEY} characters", "openssl rand -hex 32")
        if not short:
            yield Finding("desk's door", Verdict.WELL, f"{settings.listen.desk}, with a key")
    if not local and key is not None:
        advice = "Put TLS in front of it where the way to it is not yours alone: tasktap's own doors speak plain HTTP."
        yield Finding("desk's door", Verdict.CARE, f"{settings.listen.desk} can be reached from elsewhere", advice)
    calls = settings.listen.calls.rpartition(":")[0].strip("[]")
    if calls not in ("127.0.0.1", "::1", "localhost"):
        keyed = [name for name, upstream in settings.upstreams.items() if upstream.key is not None]
        if keyed:
            advice = "Whoever reaches it calls with your key: keep it on loopback, or let callers bring their own keys."
            yield Finding("calls' door", Verdict.CARE, f"{settings.listen.calls} adds your key for {', '.join(keyed)}", advice)


def _running(status: dict[str, Any] | str | None, settings: Settings) -> Iterator[Finding]:
    if isinstance(status, str):
        yield Finding("running", Verdict.ILL, status, "Calls may go on; look at what the desk wrote on standard error.")
        return
    if status is None:
        yield Finding("running", Verdict.CARE, "nothing runs on this data directory", "tasktap serve")
        return
    calls = status["calls"]
    for reason in status["reasons"]:
        yield Finding("recording", Verdict.ILL, str(reason), "Calls go on; records wait or are lost until this is mended.")
    if not status["reasons"]:
        yield Finding("recording", Verdict.WELL, f"{calls['carried']:,} calls carried, {calls['stored']:,} stored")
    lag = float(status["lag_seconds"])
    if lag > LAG_SECONDS:
        yield Finding("recording", Verdict.CARE, f"the store is {lag:.0f} s behind", "The desk needs more CPU or a faster disk.")
    held, most = int(status["journal"]["bytes"]), settings.journal.max_bytes
    if held > most // 2 and held > 4 * settings.journal.segment_bytes:
        advice = "What waits is not stored: look at the store. Past journal.max_bytes bodies are dropped, then calls."
        yield Finding("recording", Verdict.CARE, f"the journal holds {held >> 20:,} of {most >> 20:,} MiB", advice)
    if why := status["retention"]["error"]:
        yield Finding("retention", Verdict.CARE, str(why), "What is too old stays until this is mended.")
    if calls["lost"]:
        yield Finding("recording", Verdict.ILL, f"{calls['lost']:,} calls left no record", "Look at disk and journal.max_bytes.")
    if calls["set_aside"]:
        yield Finding(
            "recording", Verdict.CARE, f"{calls['set_aside']:,} calls are kept aside", "They are in aside/; please report why."
        )
    for name, count in status.get("limits", {}).items():
        if count:
            yield Finding("limits", Verdict.CARE, f"{name} was met {count:,} times", "Raise it if these calls matter.")


def _store(database: Path | None) -> Iterator[Finding]:
    if database is None or not database.exists():
        return
    for damaged in sorted(database.parent.glob(f"{database.name}.damaged-*")):
        if not damaged.name.startswith((f"{database.name}-wal", f"{database.name}-shm")):
            advice = "Try `.recover` of the sqlite3 shell on it, and remove it: a new file was begun in its place."
            yield Finding("store", Verdict.CARE, f"{damaged} was no database any more", advice)
    began = time.monotonic()
    try:
        with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5) as connection:
            said = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        connection.close()
    except sqlite3.Error as error:
        yield Finding("store", Verdict.ILL, f"{database}: {error}", "Stop tasktap, copy the file away, and start it again.")
        return
    size = f"{database.stat().st_size / 2**20:,.1f} MiB"
    if said == ["ok"]:
        yield Finding("store", Verdict.WELL, f"{size}, sound (looked through in {time.monotonic() - began:.1f} s)")
    else:
        yield Finding("store", Verdict.ILL, f"{database} is damaged: {said[0]}", "Stop tasktap and restore the file from a copy.")


def _upstreams(settings: Settings) -> Iterator[Finding]:
    from proxy.config.settings import BUILT_IN

    asked = {
        name: upstream
        for name, upstream in settings.upstreams.items()
        if name == settings.default_upstream or name not in BUILT_IN or upstream.key is not None
    }
    with ThreadPoolExecutor(max(1, min(8, len(asked)))) as pool:
        yield from pool.map(_upstream, asked, asked.values())


def _upstream(name: str, upstream: Upstream) -> Finding:
    """Whether it can be reached, and whether its clock and ours agree. A proxy on the way is asked for by the relay alone."""
    about = f"upstream {name}"
    parts = urlsplit(upstream.url)
    if upstream.proxy not in (None, "none"):
        return Finding(about, Verdict.CARE, "a proxy stands before it: not tried", "Make one call through tasktap.")
    connection: HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=None if upstream.ca_file is None else str(upstream.ca_file))
            connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=UPSTREAM_SECONDS, context=context)
        else:
            connection = HTTPConnection(parts.hostname or "", parts.port, timeout=UPSTREAM_SECONDS)
        began = time.time()
        connection.request("HEAD", parts.path or "/")
        answer = connection.getresponse()
        took, date = time.time() - began, answer.getheader("Date")
        connection.close()
    except ssl.SSLError as error:
        return Finding(about, Verdict.ILL, f"TLS: {error.reason}", "Set its ca_file to the authorities that it is signed by.")
    except (OSError, HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        if isinstance(error, socket.gaierror):
            why = "no such host"
        return Finding(
            about, Verdict.ILL, f"{upstream.url} cannot be reached: {why}", "Is the address right, and the network there?"
        )
    skew = _skew(date, began)
    if skew is not None and abs(skew) > SKEW_SECONDS:
        seen = f"its clock and ours are {abs(skew):,.0f} s apart"
        return Finding(about, Verdict.CARE, seen, "Let this machine keep its time (NTP): the record's times are its own.")
    return Finding(about, Verdict.WELL, f"{upstream.url} answers in {took * 1e3:.0f} ms")


def _skew(date: str | None, now: float) -> float | None:
    """Seconds that their clock is ahead of ours; `None` where they do not say."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None
