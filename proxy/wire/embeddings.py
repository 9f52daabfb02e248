"""Embeddings (`/v1/embeddings`): the texts, and how many vectors of how many dimensions came back.

Vectors are not in `raw_output`: in the place of each stands how many dimensions it has. The kept bytes of the response have them.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire import gemini_embed
from proxy.wire.answered import reading_of, value_of
from proxy.wire.completions import prompt_text
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.marks import base64_size

FLOAT_BYTES = 4
"""What each dimension takes in OpenAI's base64: a little-endian float32."""


def read(said: Said) -> Reading:
    """Read one call for embeddings."""
    if gemini_embed.ASKED.search(said.target) is not None:
        return gemini_embed.read(said)
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    answer = value_of(said)
    raw = answer.whole
    vectors = [entry["embedding"] for entry in _entries(raw) if "embedding" in entry]
    floats = text_of(asked, "output_dtype") in (None, "float")  # Voyage gives int8 and single bits in base64, too
    sizes = [_dimensions(vector, floats) for vector in vectors]
    kept = _without_vectors(raw, floats) if raw else answer.raw
    return reading_of(said, answer, input=prompt_text(asked.get("input")), output=_told(sizes), raw=kept)


def _entries(raw: JSON) -> list[JSON]:
    data = raw.get("data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _dimensions(vector: Any, floats: bool) -> int | None:
    """How many dimensions a vector has; None where that cannot be told (one vector for each token, other codings)."""
    if isinstance(vector, str) and floats:
        dimensions, rest = divmod(base64_size(vector), FLOAT_BYTES)
        return dimensions if rest == 0 else None
    if isinstance(vector, list) and not (vector and isinstance(vector[0], list)):
        return len(vector)
    return None


def _without_vectors(raw: JSON, floats: bool) -> JSON:
    if not _entries(raw):
        return raw
    return raw | {"data": [_described(entry, floats) for entry in raw["data"]]}


def _described(entry: Any, floats: bool) -> Any:
    if not isinstance(entry, dict) or "embedding" not in entry:
        return entry
    vector = entry["embedding"]
    coding = "base64" if isinstance(vector, str) else "float"
    return entry | {"embedding": {"dimensions": _dimensions(vector, floats), "encoding_format": coding}}


def _told(sizes: list[int | None]) -> str | None:
    if not sizes:
        return None
    count = f"{len(sizes)} vector{'s' if len(sizes) > 1 else ''}"
    return count if sizes[0] is None or set(sizes) != {sizes[0]} else f"{count} of {sizes[0]}"
