"""Pure: what the desk knows of one of its routes."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.query.parameters import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One question that the desk answers to GET and HEAD; or, with another `method`, one thing that it does."""

    path: str  # `{id}` stands for one segment, percent-encoded: "a%2Fb" is the id "a/b"
    name: str  # of the handler, and the OpenAPI operation's id
    summary: str
    answers: str  # a schema's name, or a media type
    parameters: tuple[Parameter, ...] = ()
    open: bool = False  # answered without the key
    also: tuple[int, ...] = ()  # statuses of errors it can answer with, besides those that every route can
    method: str = "GET"
    takes: str | None = None  # the schema of its body
    most: int = 1 << 20  # bytes of that body
    feedback: bool = False  # `desk.feedback_key` opens it too, for pages of any site

    @property
    def has_id(self) -> bool:
        """Whether it is about one thing."""
        return "{id}" in self.path
