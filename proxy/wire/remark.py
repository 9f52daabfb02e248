"""One message of a conversation, in the one shape that all dialects have in common, so that two of them can be compared.

Compared as people mean it: content in parts is the text that they make, arguments are JSON and not its spelling, white space
at the ends does not count, and in answers no white space does (frontends trim lines, a prefill is joined to what follows it).
What an answer thought before it spoke is left out: some apps send it again and some do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from proxy.task import JSON

SIDES = USER, TOOL, ANSWER, PROMPT = "user", "tool", "answer", "prompt"
"""Who speaks: the app for its user, the app for a tool, the model; or a piece of a prompt, in which no one is told apart."""

THOUGHT = re.compile(r"\A\s*<(think|thinking|thought)>.*?</\1>", re.DOTALL)
"""What open models say before their answer; chat templates leave it out of the history."""

REMINDER = "<system-reminder>"
"""How blocks begin that Claude Code puts into a user's message, and moves from one call to the next."""

_SPACES = bytes(code for code in range(128) if chr(code).isspace())

LONG = 4096  # characters of what is no text; more of it is told by its length and its ends


class Remark(NamedTuple):
    """What was said at once. `calls` are tools to run, each (id, name, arguments)."""

    side: str
    text: str
    calls: tuple[tuple[str, str, str], ...] = ()


def spoken(text: str, calls: Iterable[tuple[str, str, str]] = ()) -> Remark:
    """An answer."""
    if text.lstrip()[:3] == "<th":
        text = THOUGHT.sub("", text, count=1)
    if text.isascii():  # in bytes: a fifth of the time
        said = text.encode("ascii").translate(None, _SPACES).decode("ascii")
        return tuple.__new__(Remark, (ANSWER, said, tuple(calls)))
    return Remark(ANSWER, "".join(text.split()), tuple(calls))


def joined(remarks: Iterable[Remark]) -> Remark:
    """Answers that follow one another, as the one that they are."""
    said = tuple(remarks)
    if len(said) == 1:
        return said[0]
    return Remark(ANSWER, "".join([remark.text for remark in said]), tuple([call for remark in said for call in remark.calls]))


def call_of(id: Any, name: Any, arguments: Any) -> tuple[str, str, str]:
    """A tool call; arguments that are the same JSON are the same text."""
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments) if arguments.strip() else {}
        except ValueError:  # a custom tool takes any text
            return id if isinstance(id, str) else "", str(name), arguments.strip()
    return id if isinstance(id, str) else "", str(name), written({} if arguments is None else arguments)


def content_of(content: Any) -> str:
    """A message's content as one text: a string, or parts, of which those that are no text stand for themselves."""
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, list):
        return "".join([part if isinstance(part, str) else _part(part) for part in content]).strip()
    return "" if content is None else written(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return written(part)
    for key in ("text", "refusal"):
        if isinstance(part.get(key), str):
            return "" if part[key].startswith(REMINDER) else str(part[key])
    return medium(part)


def medium(part: JSON) -> str:
    """What stands for an image, a file, a sound: its kind and enough of it to know it by."""
    shown = {key: value for key, value in part.items() if key not in ("cache_control", "detail", "id")}
    text = written(shown)
    return text if len(text) <= LONG else f"{len(text)} {text[: LONG // 2]} {text[-LONG // 2 :]}"


def written(value: Any) -> str:
    """JSON in its one spelling."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):  # halves of surrogate pairs, integers past 64 bits
        return repr(value)
