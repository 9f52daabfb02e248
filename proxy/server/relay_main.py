"""The process of one relay worker."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import uvloop
from setproctitle import setproctitle

from proxy.record import selftest
from proxy.record.board import Board, Column
from proxy.record.headers import key_line
from proxy.record.house import Rules
from proxy.record.journal import Journal, JournalSettings
from proxy.record.privacy import WORDS, PrivacyRules
from proxy.record.redact_rules import redaction_of
from proxy.record.relay import Relay, RelaySettings
from proxy.record.tap import TapSettings
from proxy.record.untold import DESK
from proxy.record.upstream import Timeouts, UpstreamSettings
from proxy.server import allowance, logs
from proxy.server.told import Told, hear, say_ready, settle

ORPHAN_SECONDS: Final = 0.5  # for calls to end once the supervisor is gone
LEAVING_SECONDS: Final = 3600.0  # for calls to end when others have taken over
FLUSH_SECONDS: Final = 1.0  # for the journal to be written at the end
DESK_SECONDS: Final = 1.5  # of the deadline, left to the desk


def relay_settings(told: Told) -> RelaySettings:
    """What the relay needs, out of what was told."""
    said = told.settings
    return RelaySettings(
        epoch=told.epoch,
        upstreams=(
            *(_upstream(each) for each in said["upstreams"]),
            UpstreamSettings(name=DESK, url=f"{said['desk']}/{DESK}", proxy="none"),
        ),
        default_upstream=said["default_upstream"],
        tap=TapSettings(max_body=said["max_body"], pepper=(Path(told.data_dir) / "pepper").read_bytes()),
        rules=Rules(
            redaction=redaction_of(said["redact"]),
            drain=said["drain"],
            strip_aliases=said["strip_aliases"],
            inject_usage=said["inject_usage"],
            privacy=PrivacyRules(WORDS[said["privacy"].encode()], frozenset(map(str.encode, said["private_projects"]))),
        ),
        header_seconds=said["header_seconds"],
        idle_seconds=said["idle_seconds"],
        max_head=said["max_head"],
        max_target=said["max_target"],
        max_calls=said["max_calls"],
        max_connections=allowance.connections(said["max_connections"]),
    )


def _upstream(said: dict[str, Any]) -> UpstreamSettings:
    key = said["key"]
    return UpstreamSettings(
        name=said["name"],
        url=said["url"],
        key=None if key is None else key_line(key, said["auth"], always=said["always"]),
        timeouts=Timeouts(**said["timeouts"]),
        ca_file=said["ca_file"],
        proxy=said["proxy"],
    )


async def _work(told: Told) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.of_loop)
    row = Board(told.board).row(told.row)
    row[Column.PID] = os.getpid()
    journal = Journal(JournalSettings(directory=Path(told.data_dir) / "journal", **told.settings["journal"]), told.epoch, row)
    relay = Relay(relay_settings(told), journal, row)
    stop = asyncio.Event()
    leaving = False

    def ask(seconds: float) -> None:
        relay.hurry(seconds)
        stop.set()

    def leave() -> None:
        nonlocal leaving
        leaving = True
        ask(LEAVING_SECONDS)

    def orphaned() -> None:
        loop.remove_reader(told.lifeline)
        ask(ORPHAN_SECONDS)

    loop.add_signal_handler(signal.SIGUSR1, leave)
    loop.add_signal_handler(signal.SIGTERM, ask, max(0.0, told.stop_seconds - DESK_SECONDS))
    loop.add_reader(told.lifeline, orphaned)
    server = await loop.create_server(relay.protocol, sock=socket.socket(fileno=told.socket), backlog=4096)
    say_ready(told)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what calls leave behind is freed by reference counts; cycles are few
    await stop.wait()
    server.close()
    if leaving:
        await relay.leave()
    await relay.stop()
    await journal.close(FLUSH_SECONDS)


def run(told: Told) -> None:
    """Until told to stop."""
    settle()
    setproctitle(f"tasktap: relay {told.worker}")
    logs.begin(f"relay {told.worker}", told.settings["log"])
    selftest.check()
    uvloop.run(_work(told))
    os._exit(0)  # the journal's thread may hang with its disk; nothing else is left to do


if __name__ == "__main__":
    run(hear(int(sys.argv[1])))
