"""Answers: those that are there as a whole, and those that come piece by piece."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.query.web.fields import NewFields
from proxy.query.web.request import Request, Way


class StreamResponse:
    """An answer that comes piece by piece: `prepare`, `write`, and `write_eof` at its end."""

    def __init__(
        self, *, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str | None = None, charset: str = ""
    ) -> None:
        self.status = status
        self.headers = NewFields(headers)
        self._way: Way | None = None
        if content_type is not None:
            self.headers["Content-Type"] = f"{content_type}; charset={charset}" if charset else content_type

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    @property
    def begun(self) -> bool:
        """Whether its head has gone out."""
        return self._way is not None

    def set_cookie(self, name: str, value: str, *, max_age: int, httponly: bool = False, samesite: str | None = None) -> None:
        """Give the browser a cookie for all of this desk, for so many seconds."""
        parts = [f"{name}={value}", f"Max-Age={max_age}", "Path=/"]
        parts += ["HttpOnly"] if httponly else []
        parts += [f"SameSite={samesite}"] if samesite is not None else []
        self.headers.add("Set-Cookie", "; ".join(parts))

    def del_cookie(self, name: str) -> None:
        """Take a cookie from the browser."""
        self.headers.add("Set-Cookie", f'{name}=""; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/')

    async def prepare(self, request: Request) -> None:
        """Send the head."""
        self._begin(request, None)

    async def write(self, data: bytes) -> None:
        """Send a piece. Raises ConnectionError where nobody takes it."""
        if self._way is None:
            raise RuntimeError("this answer was not prepared")
        await self._way.send(data)

    async def write_eof(self) -> None:
        """That was all. (What is served ends with its handler.)"""

    def _begin(self, request: Request, length: int | None) -> None:
        self._way = request.way
        request.way.begin(self.status, self.headers, length)


class Response(StreamResponse):
    """An answer that is there as a whole."""

    def __init__(
        self,
        *,
        status: int = 200,
        body: bytes = b"",
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
        charset: str = "",
    ) -> None:
        if text is not None:
            body, charset = text.encode("utf-8", "replace"), "utf-8"
            content_type = content_type or "text/plain"
        super().__init__(status=status, headers=headers, content_type=content_type, charset=charset)
        self.body = body

    async def send(self, request: Request) -> None:
        """All of it."""
        self._begin(request, len(self.body))
        if self.body:
            await self.write(self.body)
