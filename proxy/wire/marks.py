"""The short marks that stand for what is no text: files by name, type and size, bytes by type and size."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import Any

from proxy.task import JSON
from proxy.wire.dialect import Said, text_of


def file_mark(word: str, file: Any) -> str:
    """A file of a form (see form.py), or one that is named by an id or an address, as `[word NAME, TYPE, N bytes]`."""
    if not isinstance(file, dict):
        return f"[{word}]"
    size = file.get("bytes")
    told = [text_of(file, "filename") or text_of(file, "file_id"), text_of(file, "content_type")]
    told.append(f"{size} bytes" if type(size) is int else None)
    return _mark(word, [part for part in told if part])


def answer_mark(said: Said, word: str) -> str | None:
    """A response body that is no text, as `[word TYPE, N bytes]`; None where there is none."""
    size = sum(map(len, said.pieces))
    if not size:
        return None
    told = [said.content_type] if said.content_type else []
    return _mark(word, [*told, f"{size} bytes", *([] if said.whole else ["not whole"])])


def _mark(word: str, told: list[str]) -> str:
    return f"[{word} {', '.join(told)}]" if told else f"[{word}]"


def base64_size(text: str) -> int:
    """How many bytes some base64 is, told by its length."""
    body = text.rstrip("=")
    return len(body) * 3 // 4


def described(text: str) -> JSON:
    """What is kept of some base64 (a data: URL, too): how many bytes it is, and their SHA-256 if it is not broken."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        data = b64decode(encoded, validate=True)
    except ValueError:
        return {"bytes": base64_size(encoded)}
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
