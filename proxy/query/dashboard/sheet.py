"""A list as a file: every row that the view finds, page by page, as CSV that no spreadsheet runs, or as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from proxy.query.encoding import encode
from proxy.task import JSON, Page

PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Next = Callable[[str | None], Awaitable[Page[Any]]]
"""The page after a cursor."""


async def rows(following: Next, document: Callable[[Any], JSON]) -> AsyncIterator[JSON]:
    """Every row as the API's document of it."""
    cursor: str | None = None
    while True:
        page = await following(cursor)
        for item in page.items:
            yield document(item)
        if (cursor := page.next) is None:
            return


async def send(
    request: web.Request, name: str, found: AsyncIterator[JSON], flat: Mapping[str, tuple[str, ...]]
) -> web.StreamResponse:
    """Stream them as the file `name`; `flat` are the fields that CSV spreads over several columns."""
    is_csv = name.endswith(".csv")
    answer = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="tasktap-{name}"'})
    answer.content_type = "text/csv" if is_csv else "application/json"
    answer.charset = "utf-8"
    first: JSON | None = None
    async for row in found:  # what is wrong with the view shows at the first row, while it can still be said
        first = row
        break
    await answer.prepare(request)
    if is_csv:
        if first is not None:
            await answer.write(_line(list(spread(first, flat))))
    else:
        await answer.write(b"[")
    if first is not None:
        await answer.write(_line(list(spread(first, flat).values())) if is_csv else b"\n" + encode(first))
        async for row in found:
            await answer.write(_line(list(spread(row, flat).values())) if is_csv else b",\n" + encode(row))
    if not is_csv:
        await answer.write(b"\n]\n")
    await answer.write_eof()
    return answer


def spread(row: JSON, flat: Mapping[str, tuple[str, ...]]) -> JSON:
    """A row with its flattened fields each as `field.inner`."""
    wide: JSON = {}
    for name, value in row.items():
        if name in flat:
            inner = value if isinstance(value, dict) else {}
            wide |= {f"{name}.{key}": inner.get(key) for key in flat[name]}
        else:
            wide[name] = value
    return wide


def cell(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value) if isinstance(value, str) else encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(values: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([cell(value) for value in values])
    return line.getvalue().encode("utf-8", "replace")
