"""The fields of a message: names without regard to case, and a name as often as it was sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping


class Fields(Mapping[str, str]):
    """Fields as they came. As a mapping, a name has its first value."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[tuple[str, str]]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append((name, value))

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][0][1]

    def __iter__(self) -> Iterator[str]:
        return (held[0][0] for held in self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def getall(self, name: str) -> list[str]:
        """Every value of this name, in the order in which they came."""
        return [value for _, value in self._values.get(name.lower(), ())]


class NewFields(MutableMapping[str, str]):
    """Fields to be sent: to set one takes the place of what had its name; `add` does not."""

    __slots__ = ("_added", "_set")

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._set: dict[str, tuple[str, str]] = {}
        self._added: list[tuple[str, str]] = []
        for name, value in (given or {}).items():
            self[name] = value

    def __getitem__(self, name: str) -> str:
        return self._set[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        self._set[name.lower()] = (name, value)

    def __delitem__(self, name: str) -> None:
        del self._set[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._set.values())

    def __len__(self) -> int:
        return len(self._set)

    def add(self, name: str, value: str) -> None:
        """One more field, whatever is there already."""
        self._added.append((name, value))

    def lines(self) -> Iterator[tuple[str, str]]:
        """All that is to be sent."""
        yield from self._set.values()
        yield from self._added
