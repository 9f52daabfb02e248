"""What goes by in one stream, kept until it ends, and put into the outbox once: whole, broken, or left by the app."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from proxy.client.entry import BROKE, COMPLETED, LEFT, Entry, Frozen, Piece, frozen
from proxy.client.labels import Here
from proxy.client.snapshot import freeze

MOST_ITEMS = 100_000
MOST_BYTES = 8 * 1024 * 1024
"""What is kept of one stream; the rest is passed on, and noted."""

AS_THEY_ARE = (str, bytes, type(None), bool, int, float)
OBJECT_BYTES = 1000
"""What an SDK's object of a stream is taken to weigh in memory."""

Put = Callable[[Frozen], None]

_open: dict[int, Recording] = {}
"""The streams that have not ended."""


class Recording:
    """One stream's record. Ends once; an end after a `stop` only adds what came since."""

    def __init__(
        self,
        entry: Entry,
        put: Put,
        *,
        stop: Callable[[Any], Any] | None = None,
        to_text: Callable[[Any], Any] | None = None,
        here: Here | None = None,
        hint: str = "",
    ) -> None:
        self.here = here  # the labels that hold while the stream's own code runs
        self._hint = hint  # what to tell of a stream that nobody began to read
        self.inside = False  # the stream's own code runs: what it does to itself is no item for the app
        self._entry = entry if entry.sealed else entry.seal()
        self._put = put
        self._stop = stop
        self._to_text = to_text
        self._items: list[Any] = []
        self._texts: list[str] | None = [] if to_text is not None else None
        self._size = 0
        self._left_out = 0
        self._problems: list[str] = []
        self._error: dict[str, str] | None = None
        self._stopped = False
        self._ended = False
        self._told = -1  # items at the time of the last `put`
        self._began = time.perf_counter_ns()
        self._first: float | None = None
        _open[id(self)] = self

    def item(self, item: Any) -> bool:
        """Note an item that the app gets; is it the last, by the app's own rule? Never raises."""
        if self._ended:
            return False
        if self._first is None:
            self._first = (time.perf_counter_ns() - self._began) / 1e9
        try:
            self._keep(item)
        except Exception as wrong:  # whatever an item does when it is looked at
            self._note(f"an item of the stream could not be kept: {wrong!r}")
        stopped = False
        if self._stop is not None:
            try:
                stopped = bool(self._stop(item))
            except Exception as wrong:  # the app's own function
                self._note(f"stop raised {type(wrong).__name__}: {wrong}")
        if stopped and not self._stopped:
            self._stopped = True
            self._tell(COMPLETED)
        return stopped

    def _keep(self, item: Any) -> None:
        if self._texts is not None and self._to_text is not None:
            try:
                text = self._to_text(item)
                self._texts.append("" if text is None else str(text))
            except Exception as wrong:  # the app's own function
                self._note(f"output_to_str_function raised {type(wrong).__name__}: {wrong}")
        if len(self._items) >= MOST_ITEMS or self._size >= MOST_BYTES:
            self._left_out += 1
            return
        if type(item) in AS_THEY_ARE:
            kept, size = item, len(item) + 50 if isinstance(item, (str, bytes)) else 0
        elif hasattr(item, "model_dump"):
            kept, size = item, OBJECT_BYTES
        else:
            kept = Piece(freeze((item,)))
            size = len(kept)
        self._items.append(kept)
        self._size += size

    def _note(self, problem: str) -> None:
        if problem not in self._problems and len(self._problems) < 10:
            self._problems.append(problem)

    def end(self, ending: str, problem: str | None = None) -> None:
        """The stream has ended so. Only the first time counts."""
        if self._ended:
            return
        self._ended = True
        _open.pop(id(self), None)
        if self._stopped:
            if ending == LEFT:  # the app had all that it wanted
                ending, problem = COMPLETED, None
            if self._told == len(self._items) and ending == COMPLETED:
                return
        if problem is not None:
            self._note(problem)
        self._tell(ending)

    def broke(self, why: BaseException) -> None:
        """The stream raised."""
        if isinstance(why, GeneratorExit):
            self.left()
        else:
            self._error = {"type": type(why).__name__, "message": str(why)}
            self.end(BROKE, f"the stream broke after {len(self._items)} items: {type(why).__name__}: {why}")

    def left(self) -> None:
        """The app lets the stream go before its end."""
        self.end(LEFT, f"the stream was left after {len(self._items)} items{'' if self._items else self._hint}")

    def forget(self) -> None:
        """Record nothing of it."""
        self._ended = True

    def _tell(self, ending: str) -> None:
        self._told = len(self._items)
        if self._left_out:
            self._note(f"{self._left_out} items of the stream were not kept")
        began = self._entry.created_at
        entry = self._entry._replace(
            ended_at=began + time.perf_counter_ns() - self._began if isinstance(began, int) else self._entry.ended_at,
            output_text="".join(self._texts) if self._texts else None,
            ending=ending,
            more={"error": self._error} if self._error else None,
            problems=[*(self._entry.problems or ()), *self._problems],
            streamed=True,
            seconds_to_first_token=self._first,
        )
        self._put(frozen(entry, tuple(self._items), self._size))


def end_all() -> None:
    """The app ends: so do its streams."""
    for recording in list(_open.values()):
        recording.end(LEFT, "the app ended before the stream did")


def forget_all() -> None:
    """In a forked child: its parent records them."""
    for recording in list(_open.values()):
        recording.forget()
    _open.clear()
