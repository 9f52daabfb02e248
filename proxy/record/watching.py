"""What running calls do, as it happens, for who looks on: read from the journal, which the relays write anyway.

It only reads, holds no lock and keeps no segment from being deleted, so that neither relays nor the recorder know of it; and
nothing of it runs while nobody looks.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.record import assembly, reading
from proxy.record.frames import HEADER_SIZE, Kind, Record, record_at, wanted
from proxy.record.second_look import without_secrets
from proxy.record.segments import CHUNK, epochs
from proxy.task import JSON, Ending

POLL_SECONDS: Final = 0.2
"""The journal is at most 250 ms behind a stream; looking more often shows nothing sooner."""

LOOK_BACK: Final = 2  # segments of each relay that are read to find the calls which run already
MOST_SHOWN: Final = 60  # calls told of at a time
MOST_READ: Final = 512 * 1024  # bytes of an answer up to which its text is put together again and again
TEXT: Final = 6_000  # characters of it that are told, the last ones
KEPT_SECONDS: Final = 20.0  # for which a call that has ended is still told to who comes to look


@dataclass(slots=True)
class _Seen:
    """One call."""

    id: str
    records: list[Record] = field(default_factory=list)
    size: int = 0  # of the answer, bytes
    pieces: int = 0
    ended: float | None = None  # when we saw its end
    changed: bool = True
    told: JSON = field(default_factory=dict)


@dataclass(slots=True)
class _File:
    fd: int
    offset: int = 0


class Watch:
    """Reads along while somebody looks."""

    def __init__(self, directory: Path, pepper: bytes = b"") -> None:
        self._directory = directory
        self._pepper = pepper
        self._files: dict[tuple[str, int], _File] = {}
        self._calls: dict[tuple[str, int], _Seen] = {}
        self._viewers = 0
        self._round = 0
        self._turn = asyncio.Condition()
        self._job: asyncio.Task[None] | None = None

    async def follow(self) -> AsyncGenerator[list[JSON], None]:
        """First what runs now, then what changes, until it is closed."""
        self._viewers += 1
        if self._job is None or self._job.done():
            self._job = asyncio.get_running_loop().create_task(self._work())
        told: dict[str, JSON] = {}
        try:
            while True:
                shown = self._round
                current = [seen.told for seen in list(self._calls.values())[-MOST_SHOWN:] if seen.told]
                yield [call for call in current if told.get(call["id"]) is not call]
                told = {call["id"]: call for call in current}
                async with self._turn:
                    while self._round == shown:
                        await self._turn.wait()
        finally:
            self._viewers -= 1

    async def now(self) -> list[JSON]:
        """What runs now, looked at once."""
        following = self.follow()
        try:
            async for calls in following:
                if self._round:
                    return calls
        finally:
            await following.aclose()
        return []

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="watch") as thread:
            try:
                while self._viewers:
                    try:
                        changed = await loop.run_in_executor(thread, self._look)
                    except OSError:  # a disk that fails is the relays' and the recorder's to tell of
                        changed = False
                    async with self._turn:
                        if changed or not self._round:
                            self._round += 1
                            self._turn.notify_all()
                    await asyncio.sleep(POLL_SECONDS)
            finally:
                self._let_go()

    def _let_go(self) -> None:
        for file in self._files.values():
            os.close(file.fd)
        self._files.clear()
        self._calls.clear()
        self._round = 0

    # -- in the thread

    def _look(self) -> bool:
        """Read what has come; whether anything has."""
        try:
            found = epochs(self._directory)
        except OSError:
            found = {}
        for epoch, indexes in found.items():
            new = [index for index in indexes if (epoch, index) not in self._files]
            is_known = any(known == epoch for known, _ in self._files)
            for index in new if is_known else new[-LOOK_BACK:]:
                self._open(epoch, index)
        for key in sorted(self._files):
            if not self._read(*key) and key[1] not in found.get(key[0], []):
                os.close(self._files.pop(key).fd)
        self._forget()
        changed = [seen for seen in self._calls.values() if seen.changed]
        for (epoch, _), seen in list(self._calls.items()):
            if seen.changed:
                seen.changed = False
                seen.told = self._tell(epoch, seen)
        return bool(changed)

    def _open(self, epoch: str, index: int) -> None:
        try:
            path = self._directory / f"{epoch}-{index:08d}.journal"
            self._files[epoch, index] = _File(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError:
            return  # deleted a moment ago: what was in it is stored

    def _read(self, epoch: str, index: int) -> bool:
        """Take all whole records that have come; whether there were any."""
        file, size, any_came = self._files[epoch, index], CHUNK, False
        while True:
            data = os.pread(file.fd, size, file.offset)
            at = 0
            while (record := record_at(data, at, file.offset)) is not None:
                self._take(epoch, record)
                at += HEADER_SIZE + len(record.payload)
            file.offset += at
            any_came = any_came or at > 0
            need = wanted(data, 0)
            if at:
                size = CHUNK
            elif need > len(data) == size:
                size = need
            else:
                return any_came

    def _take(self, epoch: str, record: Record) -> None:
        key = epoch, record.number
        if record.kind is Kind.BEGIN:
            self._calls[key] = _Seen(f"{epoch}.{record.number}")
        if (seen := self._calls.get(key)) is None:
            return  # it began before the segments that were looked at
        seen.changed = True
        if record.kind in (Kind.DATA, Kind.PIECES, Kind.WHOLE):
            seen.size += len(record.payload)
            seen.pieces += 1 if record.kind is not Kind.PIECES else int.from_bytes(record.payload[:4], "little")
        if record.kind in (Kind.END, Kind.WHOLE):
            seen.ended = time.monotonic()
        if seen.size <= MOST_READ or record.kind in (Kind.END, Kind.HEAD):
            seen.records.append(record)

    def _forget(self) -> None:
        """Calls that ended a while ago, and of the others the oldest where there are too many to hold."""
        now = time.monotonic()
        done = [key for key, seen in self._calls.items() if seen.ended is not None and now - seen.ended > KEPT_SECONDS]
        over = len(self._calls) - len(done) - 4 * MOST_SHOWN
        ended = [key for key, seen in self._calls.items() if seen.ended is not None and key not in done]
        for key in (*done, *ended[: max(0, over)]):
            del self._calls[key]

    def _tell(self, epoch: str, seen: _Seen) -> JSON:
        try:
            call = assembly.call(epoch, seen.records)
            task = without_secrets(reading.read(call), self._pepper)
        except Exception:  # who looks on must not stumble over a call that the recorder will set aside
            return {"id": seen.id, "state": "unreadable"}
        is_cut = seen.size > MOST_READ
        state = "ended" if seen.ended is not None else "answering" if call.response else "waiting"
        text = task.output or ""
        return {
            "id": seen.id,
            "task_id": task.id,
            "state": state,
            "ending": (Ending.COMPLETED if is_cut and call.marked else task.ending) if state == "ended" else None,
            "created_at": task.created_at,
            "kind": task.kind,
            "upstream": task.upstream,
            "path": task.path,
            "model": task.model or task.model_requested,
            "session_id": task.session_id,
            "user_id": task.user_id,
            "http_status": task.http_status,
            "input": (task.input or "")[:1_000],
            "text": text[-TEXT:],
            "characters": len(text),
            "bytes": seen.size,
            "pieces": seen.pieces,
            "seconds": task.seconds_total if state == "ended" else None,
            "seconds_to_first_token": task.seconds_to_first_token,
        }
