"""What an LLM wrote, as HTML that can do nothing: Markdown without HTML, then sanitised; no picture of it is ever fetched."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

RENDERED_CHARACTERS = 20_000
"""Longer texts are shown as they are: the time that Markdown takes grows with them."""

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "span",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "span": {"class"}, "code": {"class"}, "ol": {"start"}}
_MARKS = re.compile(r"[*_`#>|\[\]~\\<&]|^\s*(?:[-+]|\d+[.)])\s|^(?:-{3,}|={3,})\s*$|^(?: {4}|\t)|  $", re.MULTILINE)
_INVISIBLE = {
    **{code: f"\\x{code:02x}" for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160))},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)},
    **{code: f"\\u{code:04x}" for code in (0x200B, 0x2060, 0xFEFF, 0x2028, 0x2029)},
}
"""Characters that would act on the page instead of being seen: controls, and those that turn the direction of text around."""


def visible(text: str) -> str:
    """`text` with invisible characters spelled out; lone surrogates too."""
    text = text.translate(_INVISIBLE)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def plain(text: str) -> Markup:
    """`text` as it is, its line feeds kept."""
    return Markup('<div class="plain">{}</div>').format(visible(text))


@lru_cache(1024)
def prose(text: str) -> Markup:
    """`text` as Markdown where it is short enough for that, else as it is."""
    if len(text) > RENDERED_CHARACTERS:
        return plain(text)
    shown = visible(text)
    if _MARKS.search(shown) is None:  # most of what people ask
        paragraphs = (str(escape(part)).replace("\n", "<br>\n") for part in re.split(r"\n{2,}", shown.strip("\n")))
        return Markup("".join(f"<p>{part}</p>" for part in paragraphs))  # noqa: S704  # escaped a line above
    import nh3

    dirty = _parser().render(shown)
    clean = nh3.clean(
        dirty,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        link_rel="noopener noreferrer nofollow",
        url_schemes={"http", "https", "mailto"},
    )
    return Markup(clean)  # noqa: S704  # sanitised a line above


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlight}).enable(["table", "strikethrough"])

    def picture(tokens: Any, at: int, *_: Any) -> str:
        """A picture is named, never fetched: whoever wrote its address would learn that this page was read."""
        token = tokens[at]
        return str(Markup("<code>[image {} {}]</code>").format(token.content, token.attrs.get("src", "")))

    parser.add_render_rule("image", lambda _self, tokens, at, *rest: picture(tokens, at, *rest))
    return parser


def _highlight(code: str, language: str, _rest: str) -> str:
    return str(highlighted(code, language))


@lru_cache(256)
def highlighted(code: str, language: str) -> Markup:
    """`code` in colours, where its language is known."""
    if not language or len(code) > RENDERED_CHARACTERS:
        return escape(code)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except (ClassNotFound, ValueError):
        return escape(code)
    return Markup(highlight(code, lexer, HtmlFormatter(nowrap=True)))  # noqa: S704  # Pygments escapes what it is given
