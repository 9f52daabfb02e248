"""What tasktap says of itself on standard error: a line an event, as text or as JSON, with nothing in it that a caller sent.

What others log (asyncio, a library) may quote what was sent, and so may the text of an exception: of those only who said it, the
kind of the exception and its place in the code are told.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import time
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, TextIO

OURS: Final = "tasktap"
_LEVELS: Final = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_MOST_WAITING: Final = 1000  # lines; what comes while so many wait is not said
_LAST_SECONDS: Final = 0.5  # for what waits when the process ends


def begin(process: str, said: dict[str, str], stream: TextIO | None = None) -> None:
    """Log from here on, as `[log]` says (`format`, `level`); `process` is who speaks. Uncaught exceptions are told so, too."""
    handler: logging.Handler = _Aside(2) if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(_Lines(process, as_json=said["format"] == "json"))
    logging.basicConfig(level=said["level"].upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False  # a closed standard error is no reason to say more on it
    sys.excepthook = lambda kind, error, trace: fault("uncaught", error)
    threading.excepthook = lambda uncaught: fault("uncaught in a thread", uncaught.exc_value)


def info(event: str, **facts: Any) -> None:
    """Something that a person may want to know."""
    _log(logging.INFO, event, facts)


def warning(event: str, **facts: Any) -> None:
    """Something that a person should look at."""
    _log(logging.WARNING, event, facts)


def complain(text: str) -> None:
    """A sentence for whoever has started it; as text it looks as all commands say what is wrong."""
    logging.getLogger(OURS).error(text, extra={"sentence": True})


def fault(event: str, error: BaseException | None) -> None:
    """Something of ours that went wrong: what kind it is, and where."""
    _log(logging.ERROR, event, {} if error is None else {"error": type(error).__name__, "at": _place(error.__traceback__)})


def of_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler: asyncio's own would show the arguments of callbacks, bytes of calls among them."""
    fault("a fault in the event loop", context.get("exception"))


def last() -> None:
    """Wait, a little, until what was said is written: for a process that is about to end at once."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Aside):
            handler.finish()


def _log(level: int, event: str, facts: dict[str, Any]) -> None:
    logging.getLogger(OURS).log(level, event, extra={"facts": facts})


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


class _Aside(logging.Handler):
    """A thread writes: where standard error hangs, a full pipe or a file on a disk that does, nothing hangs with it."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._waiting: SimpleQueue[bytes] = SimpleQueue()
        self._begun = self._ended = 0
        self._writer: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._begun - self._ended >= _MOST_WAITING:
            return
        self._begun += 1
        self._waiting.put(self.format(record).encode(errors="backslashreplace") + b"\n")
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="log", daemon=True)
            self._writer.start()
            atexit.register(self.finish)

    def _write(self) -> None:
        while True:
            line = self._waiting.get()
            with contextlib.suppress(OSError):  # it is closed
                while line:
                    line = line[os.write(self._fd, line) :]  # not through `sys.stderr`: its lock would be held
            self._ended += 1

    def finish(self) -> None:
        """Wait until nothing waits to be written, or for too long."""
        end = time.monotonic() + _LAST_SECONDS
        while self._ended < self._begun and time.monotonic() < end:
            time.sleep(0.002)


class _Lines(logging.Formatter):
    def __init__(self, process: str, *, as_json: bool) -> None:
        super().__init__()
        self._process = process
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = dict(getattr(record, "facts", {}))
        ours = record.name == OURS or record.name.startswith(f"{OURS}.")
        event = record.getMessage() if ours else f"{record.name} says something"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts |= {"error": type(error).__name__, "at": _place(error.__traceback__)}
        now = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
        level = _LEVELS.get(record.levelno, record.levelname.lower())
        if self._as_json:
            line = {"time": now, "level": level, "process": self._process, "pid": os.getpid(), "event": event, **facts}
            return json.dumps(line, default=str)
        if hasattr(record, "sentence"):
            return f"tasktap: {event}"
        more = "".join(f" {name}={_shown(value)}" for name, value in facts.items())
        return f"{now} {level} {self._process}: {event}{more}"


def _shown(value: Any) -> str:
    plain = isinstance(value, str) and value.isprintable() and value and " " not in value
    return str(value) if plain else json.dumps(value, default=str)
