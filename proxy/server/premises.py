"""The house around a desk: its disk, its upstreams, its versions; and `tasktap doctor`, asked in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sqlite3
import ssl
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from proxy.query.premises import Consultation, Premises
from proxy.server import data_dir
from proxy.task import JSON

DOCTOR_SECONDS: Final = 90.0  # a large store takes a while to be looked through
SPARE_BYTES: Final = 512 * 1024 * 1024
_LIBRARIES: Final = ("aiohttp", "uvloop", "jinja2", "genai-prices")


class Surroundings:
    """See above. `settings` are those that the desk was told."""

    def __init__(self, path: Path, settings: dict[str, Any], version: str) -> None:
        self._path = path
        self._settings = settings
        self._version = version
        self._said: Consultation | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def said(self) -> Consultation | None:
        return self._said

    def look(self) -> Premises:
        free, size = _disk(self._path)
        return Premises(
            data_dir=str(self._path.absolute()),
            disk_free=free,
            disk_size=size,
            disk_wanted=self._settings["journal"]["max_bytes"] + SPARE_BYTES,
            files=_files(self._path),
            upstreams=tuple((name, each["url"]) for name, each in self._settings["upstreams"].items()),
            versions=_versions(self._version),
        )

    async def consult(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._consult())
        await asyncio.shield(self._asking)

    async def _consult(self) -> None:
        at, begun = time.time_ns() // 1000, time.monotonic()
        findings, problem = await _doctor(self._command(), self._environment())
        self._said = Consultation(at, time.monotonic() - begun, findings, problem)

    def _command(self) -> list[str]:
        config, *_ = self._settings.get("given") or (None,)
        named = ["--config", config] if config else []
        return [sys.executable, "-m", "proxy", "doctor", "--json", *named, "--data-dir", str(self._path.absolute())]

    def _environment(self) -> dict[str, str]:
        """Ours, with the addresses that the command line gave this run."""
        _, _, calls, desk = self._settings.get("given") or (None,) * 4
        more = {"TASKTAP_LISTEN__CALLS": calls, "TASKTAP_LISTEN__DESK": desk}
        return dict(os.environ) | {name: value for name, value in more.items() if value}


async def _doctor(command: list[str], environment: dict[str, str]) -> tuple[tuple[JSON, ...], str | None]:
    """Its findings, or why there are none."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        async with asyncio.timeout(DOCTOR_SECONDS):
            out, complaint = await process.communicate()
    except TimeoutError:
        return (), f"It was not done after {DOCTOR_SECONDS:.0f} s. Run `tasktap doctor` in a terminal."
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return tuple(json.loads(out)["findings"]), None
    except (ValueError, KeyError, TypeError):
        said = complaint.decode("utf-8", "replace").strip().splitlines()
        return (), said[-1][:500] if said else f"It ended with {process.returncode} and said nothing."


def _disk(path: Path) -> tuple[int | None, int | None]:
    try:
        found = os.statvfs(path)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _files(path: Path) -> tuple[tuple[str, int], ...]:
    """What the record takes, by what it is."""
    database = [*path.glob("*.db"), *path.glob("*.db-shm")]
    return tuple(
        (name, sum(_size(each) for each in files))
        for name, files in (
            ("Store", database),
            ("Store's log", list(path.glob("*.db-wal"))),
            ("Journal", _within(path / data_dir.JOURNAL)),
            ("Intake", _within(path / data_dir.INTAKE)),
            ("Set aside", _within(path / data_dir.ASIDE)),
        )
    )


def _within(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512  # what it takes, not what it spans: the journal is preallocated
    except OSError:  # gone meanwhile
        return 0


@cache
def _versions(version: str) -> tuple[tuple[str, str], ...]:
    from importlib import metadata

    relay = find_spec("proxy.record.carry")
    compiled = relay is not None and not (relay.origin or "").endswith(".py")
    named = []
    for name in _LIBRARIES:
        try:
            named.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return (
        ("tasktap", f"{'not installed, from source' if version == '0' else version}{', compiled relay' if compiled else ''}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("SQLite", sqlite3.sqlite_version),
        ("OpenSSL", ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").split(" ")[0]),
        *named,
        ("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    )
