"""JSON as folded, coloured HTML: small things open, large ones closed, and never more than a page can bear."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from proxy.query.dashboard.figures import size
from proxy.query.dashboard.prose import visible

MOST_NODES = 600
"""Values that are shown of one document; what is left out is counted."""

LONGEST_TEXT = 2_000
"""Characters shown of one text in it."""

_DEEPEST = 40
_OPEN_DEPTH = 2
_OPEN_LENGTH = 12


class _Budget:
    def __init__(self, nodes: int) -> None:
        self.left = nodes


def tree(value: Any, *, nodes: int = MOST_NODES) -> Markup:
    """`value` as nested, foldable lists."""
    return Markup('<div class="json">{}</div>').format(_value(value, 0, _Budget(nodes)))


def _value(value: Any, depth: int, budget: _Budget) -> Markup:
    if isinstance(value, dict):
        return _container("{", "}", [(str(key), item) for key, item in value.items()], depth, budget)
    if isinstance(value, list | tuple):
        return _container("[", "]", [(None, item) for item in value], depth, budget)
    return _leaf(value)


def _leaf(value: Any) -> Markup:
    if isinstance(value, str):
        if len(value) <= LONGEST_TEXT:
            return Markup('<span class="js">"{}"</span>').format(visible(value))
        rest = size(len(value) - LONGEST_TEXT)
        return Markup('<span class="js">"{}…"</span> <span class="note">{} more</span>').format(
            visible(value[:LONGEST_TEXT]), rest
        )
    if value is None or isinstance(value, bool):
        return Markup('<span class="jk">{}</span>').format("null" if value is None else str(value).lower())
    return Markup('<span class="jn">{}</span>').format(value)


def _container(opening: str, closing: str, items: list[tuple[str | None, Any]], depth: int, budget: _Budget) -> Markup:
    if not items:
        return escape(opening + closing)
    if depth > _DEEPEST or budget.left <= 0:
        return Markup('{}<span class="note">… {} more</span>{}').format(opening, len(items), closing)
    if _is_flat(items):
        budget.left -= len(items)
        inner = Markup(", ").join(_entry(key, value, depth, budget) for key, value in items)
        return Markup("{}{}{}").format(opening, inner, closing)
    rows: list[Markup] = []
    for number, (key, value) in enumerate(items):
        if budget.left <= 0:
            rows.append(Markup('<li class="note">… {} more</li>').format(len(items) - number))
            break
        budget.left -= 1
        rows.append(Markup("<li>{}</li>").format(_entry(key, value, depth + 1, budget)))
    noun = "key" if opening == "{" else "item"
    is_open = depth < _OPEN_DEPTH and len(items) <= _OPEN_LENGTH
    return Markup('<details{}><summary>{}<span class="note">{} {}{}</span>{}</summary><ul>{}</ul></details>').format(
        Markup(" open") if is_open else "",
        opening,
        len(items),
        noun,
        "" if len(items) == 1 else "s",
        closing,
        Markup("").join(rows),
    )


def _entry(key: str | None, value: Any, depth: int, budget: _Budget) -> Markup:
    if key is None:
        return _value(value, depth, budget)
    return Markup('<span class="jp">{}</span>: {}').format(visible(key[:200]), _value(value, depth, budget))


def _is_flat(items: list[tuple[str | None, Any]]) -> bool:
    """Whether it fits on a line."""
    if len(items) > 8 or any(isinstance(value, dict | list | tuple) for _, value in items):
        return False
    return sum(len(key or "") + (len(value) if isinstance(value, str) else 6) for key, value in items) <= 72
