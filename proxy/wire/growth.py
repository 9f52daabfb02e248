"""A `delta`'s values, growing fragment by fragment: strings are joined, lists merged by index, and nothing is joined twice.

While it grows, a string is a `Text` (its parts) and a list is `Rows`; `joined` makes plain values of them, once. So a stream
costs what its length costs, however it is cut.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.calls import goes_on

SINGLE = frozenset(
    (
        "id",
        "type",
        "role",
        "name",
        "index",
        "model",
        "object",
        "finish_reason",
        "format",
        "call_id",
        "status",
        "mime_type",
        "encoding",
        "channel",
    )
)
"""Strings of a delta that come whole, however often."""

PADDING = frozenset(("obfuscation",))
"""Noise that hides the lengths of tokens; the non-streamed answer has none."""

PARTS_THAT_GROW = ("text", "thinking")
"""Types of content parts that come without an index and go on with the part before, if that is of their type (Mistral)."""

SAID_AGAIN = frozenset(("executed_tools",))
"""Lists whose entries are not continued but said again, with more in them (Groq)."""

HIGHEST_INDEX = 1023
"""An index above this is no index: the entry stands where it came."""


class Text(list[str]):
    """A string that grows, in parts."""


class Rows:
    """A list in a delta, merged entry by entry. Of tool calls (`calls`) the `index` is left out at the end."""

    __slots__ = ("calls", "entries", "ids", "last", "said_again")

    def __init__(self, key: str) -> None:
        self.calls = key == "tool_calls"
        self.said_again = key in SAID_AGAIN
        self.entries: list[tuple[int | None, Any]] = []
        self.last: dict[int | None, JSON] = {}  # the entry that each index goes on with; None: where a fragment has no index
        self.ids: dict[tuple[int | None, str], JSON] = {}

    def add(self, fragments: list[Any]) -> None:
        for fragment in fragments:
            if not isinstance(fragment, dict):
                self.entries.append((None, fragment))
                continue
            given = fragment.get("id")
            id = given if isinstance(given, str) else ""
            index = index_of(fragment)
            entry = self._entry(index, id, fragment)
            first_id = entry.get("id")
            if self.said_again:
                entry.update(fragment)
            else:
                grow(entry, fragment)
            if id:
                entry["id"] = first_id or id
                self.ids[index, id] = entry
            self.last[index] = self.last[None] = entry

    def _entry(self, index: int | None, id: str, fragment: JSON) -> JSON:
        entry = self.last.get(index)
        if entry is not None and id and entry.get("id") != id and (index, id) in self.ids:
            return self.ids[index, id]
        if entry is None or not (goes_on(entry, id, fragment) if self.calls else _is_same(entry, index, fragment)):
            entry = {}
            self.entries.append((index, entry))
        return entry

    def result(self) -> list[Any]:
        """The list, in the order of the indexes where every entry has one, else as it came."""
        entries = self.entries
        if all(index is not None for index, _ in entries):
            entries = sorted(entries, key=lambda row: row[0] or 0)
        rows = [joined(entry) for _, entry in entries]
        if self.calls:
            for row in rows:
                if isinstance(row, dict):
                    row.pop("index", None)
        return rows


def _is_same(entry: JSON, index: int | None, fragment: JSON) -> bool:
    if index is None:
        return fragment.get("type") in PARTS_THAT_GROW and fragment["type"] == entry.get("type")
    return not any(entry.get(key) and fragment.get(key) and entry[key] != fragment[key] for key in ("id", "type"))


def index_of(entry: JSON) -> int | None:
    """The `index` of a choice or of an entry of a list; None where there is none that can be one."""
    index = entry.get("index")
    if isinstance(index, str) and len(index) <= 4 and index.isdecimal():
        index = int(index)
    return index if type(index) is int and 0 <= index <= HIGHEST_INDEX else None


def grow(into: JSON, delta: JSON) -> None:
    """Merge `delta` into `into`. Null never replaces a value."""
    for key, value in delta.items():
        have = into.get(key)
        kind = type(value)
        if kind is str:
            if type(have) is Text:
                have.append(value)
            elif key in SINGLE:
                if value or not have:
                    into[key] = value
            elif type(have) is Rows:
                have.add([{"type": "text", "text": value}])  # Mistral: thinking comes as parts, then the answer as a string
            elif key not in PADDING:
                into[key] = Text((value,))
        elif value is None:
            into.setdefault(key, None)
        elif kind is list:
            if type(have) is not Rows:
                rows = into[key] = Rows(key)
                if type(have) is Text and any(have):
                    rows.add([{"type": "text", "text": "".join(have)}])
                have = rows
            have.add(value)
        elif kind is dict:
            if type(have) is not dict:
                have = into[key] = {}
            grow(have, value)
        else:
            into[key] = value


def joined(value: Any) -> Any:
    """What has grown, as plain JSON."""
    kind = type(value)
    if kind is Text:
        return "".join(value)
    if kind is dict:
        return {key: joined(item) for key, item in value.items()}
    if kind is Rows:
        return value.result()
    return value
