"""Audio (`/v1/audio/speech`, `transcriptions`, `translations`), streamed and not: what was said as text, sound as marks."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answer import Form
from proxy.wire.answered import Answer, answer_of, event_error, failure_of, is_refused, reading_of, was_streamed
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.marks import answer_mark, base64_size, file_mark

TEXTS = ("text/plain", "text/vtt", "application/x-subrip", "text/srt")
"""Media types of a transcript that is no JSON (`response_format` text, srt and vtt)."""

SOUNDS = ("audio/", "application/octet-stream", "application/ogg")


def read(said: Said) -> Reading:
    """Read one call about sound."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    if said.target.partition("?")[0].rstrip("/").endswith("/speech"):
        return _speech(said, asked)
    return _transcript(said, asked)


def _speech(said: Said, asked: JSON) -> Reading:
    events = Sound()
    output = None
    if said.content_type.startswith(SOUNDS):
        answer = Answer(Form.OTHER, stream=was_streamed(said, Form.OTHER))
        output = answer_mark(said, "audio")
    else:
        answer = answer_of(said, events, "speech.audio.done")
        if events.size:
            output = f"[audio {events.size} bytes]"
    instructions = text_of(asked, "instructions")
    return reading_of(said, answer, input=text_of(asked, "input"), output=output, system_prompt=instructions, usage=events.usage)


def _transcript(said: Said, asked: JSON) -> Reading:
    file = asked.get("file")
    lines = [file_mark("audio", file)] if file else []
    lines += [text for text in (text_of(asked, "prompt"),) if text]
    if said.content_type in TEXTS and not is_refused(said):
        answer = Answer(Form.OTHER, stream=was_streamed(said, Form.OTHER))
        output: str | None = b"".join(said.pieces).decode("utf-8", "replace").rstrip("\n") or None
    else:
        answer = answer_of(said, Transcript(), "transcript.text.done")
        output = text_of(answer.whole, "text")
    return reading_of(said, answer, input="\n".join(lines) or None, output=output)


class Transcript:
    """The sum of a stream that writes down what is said."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self._parts: list[str] = []
        self._segments: list[JSON] = []
        self._last: JSON = {}

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in. Whether it holds a token."""
        kind = chunk.get("type")
        if kind == "transcript.text.delta":
            delta = text_of(chunk, "delta")
            if delta:
                self._parts.append(delta)
            return delta is not None
        if kind == "transcript.text.segment":
            self._segments.append(chunk)
            return True
        if kind == "transcript.text.done":
            self.marked = True
            self._last = {key: value for key, value in chunk.items() if key != "type"}
        elif (message := event_error(name, chunk)) is not None:
            self.error = message
            self._last["error"] = failure_of(chunk)
        return False

    def result(self) -> JSON | None:
        """The last event carries the whole text; without it, the text is what came."""
        whole = self._last
        if "text" not in whole and self._parts:
            whole = {"text": "".join(self._parts)} | whole
        return (whole | {"segments": self._segments} if self._segments else whole) or None


class Sound:
    """The sum of a stream that speaks: how many bytes of sound came, and what was used. Its answer would be no JSON."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self.size = 0
        self.usage: Any = None

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in. Whether it holds sound."""
        kind = chunk.get("type")
        if kind == "speech.audio.done":
            self.marked = True
            self.usage = chunk.get("usage")
        elif kind == "speech.audio.delta":
            sound = text_of(chunk, "audio")
            self.size += base64_size(sound or "")
            return sound is not None
        else:
            self.error = event_error(name, chunk) or self.error
        return False

    def result(self) -> None:
        """Nothing: the non-streamed API answers with the sound itself."""
        return
