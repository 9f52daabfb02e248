"""What an app passes, copied at once: later changes to it are not in the record, and no JSON is written on the app's thread.

Plain containers and scalars (what JSON knows, and bytes, sets and tuples) are copied by `marshal`, in C: a chat of twenty
messages in three microseconds. Anything else is made plain first: an SDK's model by its own `model_dump`, a dataclass by its
fields, a date by its ISO text, an object of no known kind by its `str`. The bytes never leave this process: what is sent or
spooled is JSON.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import marshal
import math
import types
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from enum import Enum
from typing import Any

DEEPEST = 100
"""Levels of containers that are kept; what lies deeper is kept as text."""

LONGEST = 1_000_000
"""Characters that are kept of the text of an object of no known kind."""

SCALARS = (type(None), bool, int, float, str, bytes)


def freeze(values: tuple[Any, ...]) -> bytes:
    """A copy of `values` that nobody can change. Raises nothing but MemoryError."""
    try:
        return marshal.dumps(values)
    except ValueError:  # something in it is not plain, or lies deeper than marshal goes
        return marshal.dumps(tuple(value if type(value) in SCALARS else _settled(value) for value in values))


def _settled(value: Any) -> Any:
    """`value`, or as much of it made plain as has to be."""
    if type(value) not in (dict, list, tuple):
        with suppress(Exception):  # whatever an object does when it is looked at; `plain` gives what can be had
            value = _dumped(value) or value
    try:
        marshal.dumps(value)
    except ValueError:
        return plain(value)
    return value


def thaw(frozen: bytes) -> tuple[Any, ...]:
    """What `freeze` was given, made plain."""
    values: tuple[Any, ...] = marshal.loads(frozen)  # noqa: S302  # only ever what this process froze
    return values


def plain(value: Any) -> Any:
    """`value` as dicts, lists and scalars; anything else as the nearest of them."""
    return _plain(value, (), 0)


def _plain(value: Any, above: tuple[int, ...], depth: int) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return value
    if depth > DEEPEST or id(value) in above:
        return "..." if id(value) in above else text_of(value)
    above, depth = (*above, id(value)), depth + 1
    try:
        if isinstance(value, Enum):
            return _plain(value.value, above, depth)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, (int, float)):
            return float(value) if isinstance(value, float) else int(value)
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, Mapping):
            return {_key(key): _plain(item, above, depth) for key, item in list(value.items())}
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return _plain(value._asdict(), above, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_plain(item, above, depth) for item in list(value)]
        if isinstance(value, (date, datetime, time)):
            return value.isoformat()
        if isinstance(value, BaseException):
            return {"type": kind.__name__, "message": str(value)}
        if not isinstance(value, type):
            dumped = _dumped(value)
            if dumped is not None:
                return _plain(dumped, above, depth)
    except Exception:  # whatever an object does when it is looked at: the app never hears of it
        return text_of(value)
    return text_of(value)


def _dumped(value: Any) -> dict[str, Any] | None:
    """An object that knows its fields, as a dict of them; `None` for one that does not."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for name, keywords in (
        ("to_dict", {"mode": "json", "warnings": False}),  # OpenAI's and Anthropic's: fields that were not sent stay absent
        ("model_dump", {"mode": "json", "warnings": False}),
        ("model_dump", {}),
        ("dict", {}),  # pydantic 1
    ):
        if (name == "to_dict" and not hasattr(value, "model_dump")) or not callable(getattr(value, name, None)):
            continue
        try:
            dumped = getattr(value, name)(**keywords)
        except Exception:  # noqa: S112  # the next way may do
            continue
        if isinstance(dumped, dict):
            return dumped
    return None


def _key(key: Any) -> Any:
    return key if isinstance(key, (str, int, float, bool, type(None))) else text_of(key)


def text_of(value: Any) -> str:
    """An object as text, whatever it thinks of that."""
    if isinstance(value, (types.FunctionType, types.MethodType, type)):
        return f"<{value.__module__}.{value.__qualname__}>"
    if isinstance(value, (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)):
        return f"<{type(value).__name__}>"  # its repr is an address, which says nothing later
    try:
        return str(value)[:LONGEST]
    except Exception:  # a __str__ that raises is the app's business
        return f"<{type(value).__name__}>"


def readable(value: Any) -> Any:
    """Plain values as JSON has them: bytes are the JSON or the text they hold, else base64; sets are lists."""
    if isinstance(value, bytes):
        return _of_bytes(value)
    if isinstance(value, dict):
        return {_word(key): readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [readable(item) for item in value]
    if isinstance(value, (complex, type(...))):
        return str(value)
    return value


def _word(key: Any) -> str:
    if isinstance(key, (bool, type(None))):
        return json.dumps(key)
    return key if isinstance(key, str) else str(key)


def _of_bytes(value: bytes) -> Any:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
    if value[:1] in (b"{", b"["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def encode(document: dict[str, Any]) -> bytes:
    """JSON text in UTF-8: `NaN` and infinities are null, half a surrogate pair is U+FFFD. Raises ValueError, RecursionError."""
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):
        return json.dumps(_sound(document), ensure_ascii=False, allow_nan=False).encode()


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not value.isascii() else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_sound(_word(key)): _sound(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_sound(item) for item in value]
    return value
