"""Templates to bytes: one environment that escapes everything, and the answer's fields that keep a page harmless."""

from __future__ import annotations

import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import web
from markupsafe import Markup

from proxy.query.dashboard import assets, figures, prose, tree, turns
from proxy.query.document import moment

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing inline, nothing from elsewhere: a page does what our own two files do, whatever was recorded."""

_PACKED_FROM = 1_000  # bytes


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader(__package__ or "proxy.query.dashboard"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "count": figures.count,
        "exact": figures.exact,
        "seconds": figures.seconds,
        "dollars": figures.dollars,
        "size": figures.size,
        "when": figures.when,
        "clock": figures.clock,
        "tone": figures.tone,
        "words": figures.words,
        "iso": moment_of,
        "visible": prose.visible,
        "prose": prose.prose,
        "plain": prose.plain,
        "tree": tree.tree,
    }
    environment.globals |= {"asset": assets.address, "percent": figures.percent, "DASH": figures.DASH, "loosely": turns.loosely}
    return environment


def moment_of(microseconds: int) -> str:
    """As the API writes times; for years that no calendar has, the number."""
    try:
        return moment(microseconds)
    except OverflowError:
        return str(microseconds)


def drawn(template: str, **values: Any) -> str:
    """The page, or a piece of one."""
    return _environment().get_template(template).render(**values)


def fragment(template: str, name: str, *values: Any) -> Markup:
    """What one macro of a template makes."""
    return Markup(getattr(_environment().get_template(template).module, name)(*values))  # noqa: S704  # macros escape


def answer(html: str, packed: bool, status: int = 200) -> web.Response:
    """A page on its way; `packed`: the browser takes gzip."""
    body = html.encode("utf-8", "backslashreplace")
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "same-origin",  # with `no-referrer` browsers send our own forms with `Origin: null`, as strangers'
        "Vary": "Accept-Encoding, Cookie",
    }
    if packed and len(body) > _PACKED_FROM:
        press = zlib.compressobj(6, wbits=31)
        body = press.compress(body) + press.flush()
        headers["Content-Encoding"] = "gzip"
    return web.Response(status=status, body=body, content_type="text/html", charset="utf-8", headers=headers)
