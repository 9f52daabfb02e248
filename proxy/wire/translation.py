"""A connection that translates (`/v1/realtime/translations`): no responses, but speech that goes on, and its transcripts."""

from __future__ import annotations

from proxy.task import JSON
from proxy.wire.dialect import text_of
from proxy.wire.marks import base64_size

HEARD = "session.input_transcript.delta"
WRITTEN = "session.output_transcript.delta"
SPOKEN = "session.output_audio.delta"


class Translation:
    """What it heard and said so far: feed it the upstream's events. Sound is counted."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._written: list[str] = []
        self._size = 0

    def add(self, kind: str, event: JSON) -> bool:
        """Take one event in, if it is of a translation. Whether it says something."""
        delta = text_of(event, "delta") or ""
        if kind == HEARD:
            self._heard.append(delta)
        elif kind == WRITTEN:
            self._written.append(delta)
        elif kind == SPOKEN:
            self._size += base64_size(delta)
        return bool(delta) and kind in (WRITTEN, SPOKEN)

    @property
    def input(self) -> str | None:
        """What was said, as it was written down, where that was asked for."""
        return "".join(self._heard) or None

    @property
    def output(self) -> str | None:
        """The translation."""
        return "".join(self._written) or (f"[audio {self._size} bytes]" if self._size else None)

    def result(self) -> JSON | None:
        """It, as JSON; None where nothing was translated."""
        text = {"transcript": "".join(self._written)} if self._written else {}
        sound = {"audio": {"bytes": self._size}} if self._size else {}
        return text | sound or None
