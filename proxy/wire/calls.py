"""Which tool call a fragment of a stream goes on with: what providers do to `tool_calls`, and what is made of it."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.task import JSON


def goes_on(call: JSON, id: str, fragment: JSON) -> bool:
    """Whether `fragment`, which has the index of `call` or none, is more of it; if not, it opens a call of its own.

    `call` is in parts: its arguments are a list of the strings that came. `id` is the fragment's, "" where it has none.
    """
    more, have = _body(fragment), _body(call)
    name, arguments = more.get("name"), _arguments(more)
    if id and call.get("id") == id:
        return True  # ids and names may be repeated in each fragment
    if id and call.get("id") and (name or not arguments):
        # Gemini and others say index 0 for each parallel call. An id alone opens none where more arguments come with it:
        # old vLLM makes up another id for every fragment.
        return False
    if not name or not have.get("name"):
        return True
    if name != have["name"]:
        return not _arguments(have)
    return not (_opens(arguments) and _is_whole(_arguments(have)))


def _body(call: JSON) -> JSON:
    body = call.get("function") or call.get("custom")
    return body if isinstance(body, dict) else {}


def _arguments(body: JSON) -> Any:
    return body.get("arguments") or body.get("input")


def _opens(arguments: Any) -> bool:
    return isinstance(arguments, dict) or (isinstance(arguments, str) and arguments.lstrip().startswith("{"))


def _is_whole(arguments: Any) -> bool:
    """Whether they came in one part that is a whole JSON value. Of more parts it is not asked, so that it is asked only once."""
    if isinstance(arguments, dict):
        return True
    if not isinstance(arguments, list) or len(arguments) != 1:
        return False
    try:
        orjson.loads(arguments[0])
    except ValueError:
        return False
    return True
