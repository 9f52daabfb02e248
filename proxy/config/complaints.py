"""What is wrong with a configuration, said so that a person can put it right: place, key, reason, nearest valid word."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from proxy.config.values import NAMED, UnknownWordError

Path = tuple[str, ...]
"""A setting's place: `("upstreams", "openai", "url")`."""


class ConfigError(Exception):
    """The configuration cannot be used. The message is whole: one problem a line, each with its place."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one place."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Origins:
    """Where each setting came from, so that a complaint can name it. A later one of the three fields wins over an earlier."""

    file: str | None = None
    text: str = ""
    variables: Mapping[Path, str] = field(default_factory=dict)
    flags: Mapping[Path, str] = field(default_factory=dict)

    def sentences(self, problems: Iterable[Problem]) -> list[str]:
        """The problems, one line each: flags and variables first, then in the order of the file."""
        return [line for _, line in sorted(map(self._sentence, problems), key=lambda numbered: numbered[0])]

    def _sentence(self, problem: Problem) -> tuple[int, str]:
        dotted = ".".join(problem.path)
        for named in (self.flags, self.variables):
            if problem.path in named:
                return 0, f"{named[problem.path]} ({dotted}): {problem.reason}"
        line = line_of(self.text, problem.path) if self.file else None
        if line is None:
            return 0, f"{dotted}: {problem.reason}"
        return line, f"{self.file}, line {line}: {dotted}: {problem.reason}"


def line_of(text: str, path: Path) -> int | None:
    """The line on which the TOML `text` sets `path`, or else the table it is missing from; `None` where neither is there.

    The statement that brings a key is the first one with which the text, read from its top, has that key.
    """
    while path and not _has(text, path):
        path = path[:-1]
    if not path:
        return None
    lines = text.splitlines(keepends=True)
    whole = 0  # lines that make complete statements; those of an unfinished one do not parse
    for count in range(1, len(lines) + 1):
        try:
            found = _holds(tomllib.loads("".join(lines[:count])), path)
        except tomllib.TOMLDecodeError:
            continue
        if found:
            return whole + 1
        whole = count
    return None


def _has(text: str, path: Path) -> bool:
    try:
        return _holds(tomllib.loads(text), path)
    except tomllib.TOMLDecodeError:
        return False


def _holds(tree: Any, path: Path) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def suggestion(given: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or all that is known where nothing is near."""
    words = list(known)
    near = difflib.get_close_matches(given.lower(), words, n=1, cutoff=0.6)
    if near:
        return f'. Did you mean "{near[0]}"?'
    return f". Known: {', '.join(words)}" if words else ""


def unknown_key(path: Path, leaves: Iterable[Path], names: Iterable[str]) -> str:
    """The reason for a key that is none, with the nearest that is: among its sisters first, then anywhere.

    `leaves` are the paths of all settings, with `*` for an upstream's name.
    """
    leaves = list(leaves)
    above = tuple("*" if index == 1 and path[0] in NAMED else part for index, part in enumerate(path[:-1]))
    sisters = list(dict.fromkeys(leaf[len(above)] for leaf in leaves if leaf[: len(above)] == above and len(leaf) > len(above)))
    last = path[-1]
    elsewhere = [".".join(leaf) for leaf in leaves if leaf[-1] == last and "*" not in leaf]
    elsewhere += [f"{leaf[0]}.NAME.{'.'.join(leaf[2:])}" for leaf in leaves if leaf[-1] == last and "*" in leaf]
    if last in names:
        elsewhere.append(f"upstreams.{last}")
    if elsewhere and not difflib.get_close_matches(last.lower(), sisters, n=1, cutoff=0.8):
        return f'unknown key. Did you mean "{elsewhere[0]}"?'
    return "unknown key" + suggestion(last, sisters)


def problems_of(error: ValidationError, leaves: Iterable[Path], names: Iterable[str]) -> list[Problem]:
    """What pydantic found, in our words and without any value that may be a secret."""
    leaves, names = list(leaves), list(names)
    found = []
    for detail in error.errors(include_url=False):
        path = tuple(str(part) for part in detail["loc"] if part != "[key]")
        found.append(Problem(path, _reason(path, detail, leaves, names)))
    return found


def _reason(path: Path, detail: Mapping[str, Any], leaves: list[Path], names: list[str]) -> str:
    kind, context, given = detail["type"], detail.get("ctx") or {}, detail.get("input")
    shown = f"{given!r} " if isinstance(given, int | float) and not isinstance(given, bool) else ""
    match kind:
        case "extra_forbidden":
            return unknown_key(path, leaves, names)
        case "missing":
            return "is missing"
        case "enum":
            choices = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            if isinstance(given, str):
                return f'unknown value "{given[:40]}"' + suggestion(given, choices)
            return f"must be one of {', '.join(choices)}"
        case "value_error":
            cause = context["error"]
            return f"{cause}{suggestion(cause.given, cause.known)}" if isinstance(cause, UnknownWordError) else str(cause)
        case "greater_than_equal":
            return f"{shown}is too small: at least {context['ge']:g}"
        case "greater_than":
            return f"{shown}is too small: must be more than {context['gt']:g}"
        case "less_than_equal":
            return f"{shown}is too large: at most {context['le']:g}"
        case "int_parsing" | "int_type" | "int_from_float":
            return "must be a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            return "must be a number"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "string_type":
            return "must be a text, in quotes"
        case "dict_type" | "model_type":
            return "is a table, not a value"
        case _:
            return str(detail["msg"][:1].lower() + detail["msg"][1:])
