"""What `[redact]` says, checked and taken apart. Each function raises ValueError with the whole reason."""

from __future__ import annotations

import re
from typing import Any, Final

from proxy.config.values import UnknownWordError
from proxy.record.json_path import path_of
from proxy.record.patterns import NAMED

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def patterns(given: tuple[str, ...]) -> tuple[str, ...]:
    """Names of patterns that are built in."""
    for name in given:
        if name not in NAMED:
            raise UnknownWordError("pattern", name, tuple(NAMED))
    return given


def own(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each `NAME=PATTERN`, as RE2 takes it."""
    if given:
        from proxy.record.redact_rules import expression
    for text in given:
        name, mark, pattern = text.partition("=")
        if not mark or not pattern or not NAME.fullmatch(name) or name in NAMED:
            raise ValueError('must be like "ticket=TCK-[0-9]{6}": a name of your own of a-z, 0-9, _ and -, and its pattern')
        try:
            expression(pattern)
        except ImportError as missing:
            raise ValueError(str(missing)) from None
        except ValueError as wrong:
            raise ValueError(f"{name}: {wrong}") from None
    if len({text.partition("=")[0] for text in given}) < len(given):
        raise ValueError("names a pattern twice")
    return given


def paths(given: tuple[str, ...]) -> tuple[str, ...]:
    """JSON paths."""
    for text in given:
        path_of(text)
    return given


def projects(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each `NAME=none`, or `NAME=RULE+RULE`."""
    for text in given:
        name, _, rules = text.rpartition("=")
        if not name or not rules:
            raise ValueError('must be like "shop=email+card", of names of patterns and of paths, or "shop=none"')
    if len({text.rpartition("=")[0] for text in given}) < len(given):
        raise ValueError("names a project twice")
    return given


def unknown_rules(given: tuple[str, ...], own: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Names in `redact.projects` that are neither built in nor one's own, and what is known."""
    known = (*NAMED, *(text.partition("=")[0] for text in own), "none")
    return [(rule, known) for text in given for rule in _rules(text) if rule not in known and not rule.startswith("$")]


def told(patterns: tuple[str, ...], own: tuple[str, ...], paths: tuple[str, ...], projects: tuple[str, ...]) -> dict[str, Any]:
    """All of it as plain values, for whoever takes it out."""
    mine = dict(text.partition("=")[::2] for text in own)
    return {
        "general": {"patterns": list(patterns), "own": [list(each) for each in mine.items()], "paths": list(paths)},
        "projects": {
            text.rpartition("=")[0]: {
                "patterns": [rule for rule in _rules(text) if rule in NAMED],
                "own": [[rule, mine[rule]] for rule in _rules(text) if rule in mine],
                "paths": [rule for rule in _rules(text) if rule.startswith("$")],
            }
            for text in projects
        },
    }


def _rules(text: str) -> list[str]:
    return text.rpartition("=")[2].split("+")
