"""Images (`/v1/images/generations`, `edits`, `variations`), streamed and not: the prompt as text, pictures as marks.

Pictures in base64 are not in `raw_output`: in the place of each stands its size and digest. They are in the kept bytes.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import answer_of, event_error, failure_of, reading_of
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.marks import described, file_mark

PICTURES = ("image", "image[]", "images", "mask")
"""Members of a request that are pictures."""

LAST = ("image_generation.completed", "image_edit.completed")


def read(said: Said) -> Reading:
    """Read one call for images."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    answer = answer_of(said, Pictures(), "image_generation.completed")
    raw = answer.raw
    if isinstance(raw, dict) and isinstance(raw.get("data"), list):
        raw = raw | {"data": [_without_picture(entry) for entry in raw["data"]]}
    whole: JSON = raw if isinstance(raw, dict) else {}
    return reading_of(said, answer, input=_input(asked), output=_output(whole), raw=raw)


class Pictures:
    """The sum of a stream: the finished pictures, as the non-streamed API lists them; the partial ones are left out."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self._whole: JSON = {}
        self._data: list[JSON] = []

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in. Whether it holds a picture."""
        kind = chunk.get("type")
        if kind in LAST:
            self.marked = True
            self._data.append({key: chunk[key] for key in ("b64_json", "url", "revised_prompt") if key in chunk})
            for key, value in chunk.items():
                if key not in ("type", "b64_json", "url", "revised_prompt", "created_at"):
                    self._whole[key] = value
            if "created_at" in chunk:
                self._whole["created"] = chunk["created_at"]
        elif (message := event_error(name, chunk)) is not None:
            self.error = message
            self._whole["error"] = failure_of(chunk)
        return "b64_json" in chunk

    def result(self) -> JSON | None:
        """The answer; None where no picture was finished."""
        return (self._whole | {"data": self._data} if self._data else self._whole) or None


def _without_picture(entry: Any) -> Any:
    if isinstance(entry, dict) and isinstance(entry.get("b64_json"), str):
        return entry | {"b64_json": described(entry["b64_json"])}
    return entry


def _input(asked: JSON) -> str | None:
    lines = [text for text in (text_of(asked, "prompt"),) if text]
    for member in PICTURES:
        given = asked.get(member)
        pictures = given if isinstance(given, list) else [given] if given else []
        lines += [file_mark("mask" if member == "mask" else "image", picture) for picture in pictures]
    return "\n".join(lines) or None


def _output(raw: JSON) -> str | None:
    lines = []
    data = raw.get("data")
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, dict):
            mark = file_mark("image", entry.get("b64_json"))
            prompt = text_of(entry, "revised_prompt")
            lines.append(f"{mark} {prompt}" if prompt else mark)
    return "\n".join(lines) or None
