"""What was asked, and the way that its body comes and its answer goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from proxy.query.web.fields import Fields, NewFields


class Way(Protocol):
    """The connection that a request came by."""

    async def receive(self) -> bytes:
        """More of the request's body as it comes; nothing at its end. Raises BadBody where the rest never comes."""
        ...

    def begin(self, status: int, fields: NewFields, length: int | None) -> None:
        """Send the head of an answer whose body has `length` bytes; `None`: nobody knows yet."""
        ...

    async def send(self, data: bytes) -> None:
        """Send bytes of the answer's body, once there is room for them. Raises ConnectionError where nobody takes them."""
        ...


class Query:
    """The parameters of a target, as often as they were given."""

    def __init__(self, text: str) -> None:
        self._pairs = parse_qsl(text, keep_blank_values=True, errors="replace")

    def items(self) -> list[tuple[str, str]]:
        """All of them, in order."""
        return self._pairs

    def get(self, name: str, default: str) -> str:
        """The first of this name."""
        return next((value for given, value in self._pairs if given == name), default)

    def __contains__(self, name: str) -> bool:
        return any(given == name for given, _ in self._pairs)


class Request:
    """One request."""

    def __init__(
        self, method: str, target: str, headers: Fields, way: Way, *, remote: str | None = None, address: str | None = None
    ) -> None:
        self.method = method
        self.headers = headers
        self.way = way
        self.remote = remote  # who asks
        self.address = address  # where we were reached
        self.raw_path, _, self.query_string = target.partition("?")
        self.path_qs = target
        self.pattern: str | None = None  # of the route that it takes, as in the table
        self.match_info: Mapping[str, str] = {}

    @property
    def path(self) -> str:
        """The path, for a person; a slash that is part of a name looks like any other."""
        return unquote(self.raw_path)

    @cached_property
    def query(self) -> Query:
        """The parameters."""
        return Query(self.query_string)

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of a browser, the first of each name."""
        found: dict[str, str] = {}
        for given in self.headers.getall("Cookie"):
            for part in given.split(";"):
                name, equals, value = part.strip().partition("=")
                if equals:
                    found.setdefault(name, value.strip('"'))
        return found

    async def body(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it comes. Raises BadBody where it breaks off."""
        while part := await self.way.receive():
            yield part
