"""What text may hold that is nobody's business, found by named patterns: addresses, numbers with check digits, keys. Pure.

All take linear time: what may repeat is bounded, and a search begins at a letter that every hit has (`@`, `eyJ`, a digit run).
Text is UTF-8. What is found is the same in JSON inside a JSON string, where a line feed is `\\n`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

Span = tuple[int, int]

_WORD = rb"(?:[A-Za-z0-9._%+'-]|[\xc3-\xd4][\x80-\xbf])"  # of a local part: ASCII, Latin, Greek and Cyrillic letters
_LOCAL = re.compile(rb"(?:\\[nrtbf])?(" + _WORD + rb"{1,64})\Z")
_DOMAIN = re.compile(
    rb"(?:(?:[A-Za-z0-9-]|[\xc3-\xd4][\x80-\xbf]){1,63}\.){1,8}(?:[A-Za-z]|[\xc3-\xd4][\x80-\xbf]){2,24}(?![A-Za-z0-9])"
)
_CARD = re.compile(rb"(?<![A-Za-z0-9.+_-])[2-6](?:[ -]?[0-9]){11,18}(?![0-9A-Za-z_])(?!\.[0-9])")
_DIGITS = b"0123456789"
_NO_DIGIT = bytes(set(range(256)) - set(_DIGITS))
_PHONE = re.compile(
    rb"(?<![A-Za-z0-9._/+-])(?:"
    rb"(?:\+|00)[1-9](?:[ .()/-]{0,2}[0-9]){6,14}"  # international: E.164 has at most 15 digits
    rb"|(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"  # North America
    rb"|(?:\(0[1-9][0-9]{0,3}\)|0[1-9][0-9]{0,3})(?: ?[/-] ?| )[0-9]{2,8}(?:[ -][0-9]{2,5}){0,4}"  # national
    rb")(?![0-9A-Za-z_])(?![-.:/][0-9])"
)
_PHONE_DIGITS: Final = (8, 17)
_RUN = re.compile(rb"[0-9][0-9 ()./-]{5,40}[0-9]")
_IBAN = re.compile(rb"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_KINDS = bytes(0x30 if byte in _DIGITS else 0x41 if chr(byte).isalpha() and byte < 128 else byte for byte in range(256))
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FO FI GL NL SD FK",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "HR LV LI CH",
        22: "BH BG CR GE DE IE ME RS GB VA",
        23: "AE GI IL IQ TL OM SO",
        24: "AD CZ MD PK RO SA SK ES SE TN VG",
        25: "PT ST LY",
        26: "IS TR",
        27: "FR GR IT MC MR SM BI DJ",
        28: "AL AZ BY CY DO GT HU LB PL SV NI HN",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""Characters of an IBAN by country (SWIFT's registry)."""

_KEYS = (
    rb"(?:sk-[A-Za-z0-9_-]{16,200}"  # OpenAI, Anthropic, OpenRouter, DeepSeek, LiteLLM
    rb"|(?:gsk|xai|hf|r8|pplx|fw|csk|nvapi|tgp_v1|sk_live|sk_test|rk_live|rk_test|whsec|glpat|dop_v1|shpat|npm|pypi|lsv2_pt|lsv2_sk)"
    rb"[-_][A-Za-z0-9_-]{16,200}"
    rb"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}"
    rb"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,400}"  # Google
    rb"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    rb"|xox[abeoprs]-[A-Za-z0-9-]{10,200}|SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{16,64})"  # Slack, SendGrid
)
_API_KEY = re.compile(rb"(?:(?<=\\[nrt])|(?<![A-Za-z0-9]))" + _KEYS)
_LIKE_A_KEY = re.compile(_KEYS)
_KEY_LETTERS = bytes(0x41 if (chr(byte).isalnum() and byte < 128) or byte in b"_-" else 0x20 for byte in range(256))
_KEY_RUN: Final = b"A" * 16  # every key has a part as long as that
_RUN_END = re.compile(rb"A*")
_JWT = re.compile(
    rb"(?:(?<=\\[nrt])|(?<![A-Za-z0-9_-]))eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{2,8192}\.[A-Za-z0-9_-]{0,4096}"
    rb"(?:\.[A-Za-z0-9_-]{0,8192}\.[A-Za-z0-9_-]{0,1024})?"  # an encrypted one has five parts (RFC 7516)
)
_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def _emails(text: bytes) -> Iterator[Span]:
    at = text.find(b"@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        local = _LOCAL.search(text, max(0, at - 66), at) if domain else None
        if local and domain:
            yield local.start(1), domain.end()
        at = text.find(b"@", at + 1)


def _cards(text: bytes) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = found.group().translate(None, _NO_DIGIT)
        if len(set(digits)) > 1 and _luhn(digits):
            yield found.span()


def _luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = digit - 48
        total += value if place % 2 == 0 else value * 2 - 9 * (value > 4)
    return total % 10 == 0


def _phones(text: bytes) -> Iterator[Span]:
    done = 0
    for run in _RUN.finditer(text):
        start = max(done, run.start() - 2)
        while start < run.start() and text[start] not in b"+(":
            start += 1
        found = _PHONE.search(text, start, run.end() + 3)
        if found and found.start() < run.end():
            if _PHONE_DIGITS[0] <= len(found.group().translate(None, _NO_DIGIT)) <= _PHONE_DIGITS[1]:
                yield found.span()
            done = found.end()


def _ibans(text: bytes) -> Iterator[Span]:
    kinds = text.translate(_KINDS)
    at = kinds.find(b"AA00")
    while at >= 0:
        length = _IBAN_LENGTHS.get(text[at : at + 2].decode().upper())
        found = _IBAN.match(text, at) if length and kinds[at - 1 : at] not in (b"A", b"0") else None
        if length and found:
            end, count = at, 0
            while count < length and end < found.end():
                count += text[end] not in b" -"
                end += 1
            if count == length and kinds[end : end + 1] not in (b"A", b"0") and _mod97(text[at:end]):
                yield at, end
        at = kinds.find(b"AA00", at + 1)


def _mod97(iban: bytes) -> bool:
    """ISO 13616-1: the remainder is 1."""
    plain = iban.translate(None, b" -").decode().upper()
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def _api_keys(text: bytes, like: re.Pattern[bytes] = _API_KEY) -> Iterator[Span]:
    letters = text.translate(_KEY_LETTERS)
    at, done = letters.find(_KEY_RUN), 0
    while at >= 0:
        end = len(_RUN_END.match(letters, at).group()) + at  # type: ignore[union-attr]  # it matches anything
        for found in like.finditer(text, max(done, at - 26), min(len(text), end + 1)):
            yield found.span()
            done = found.end()
        at = letters.find(_KEY_RUN, end)


def _may_be_phone(text: bytes) -> bool:
    for run in _RUN.finditer(text):
        if not run.group().isdigit() or run.group()[:1] == b"0" or text[run.start() - 1 : run.start()] == b"+":
            return True
    return False


def _may_be_iban(text: bytes) -> bool:
    kinds = text.translate(_KINDS)
    at = kinds.find(b"AA00")
    while at >= 0:
        if text[at : at + 2].decode().upper() in _IBAN_LENGTHS and _IBAN.match(text, at):
            return True
        at = kinds.find(b"AA00", at + 1)
    return False


def _jwts(text: bytes) -> Iterator[Span]:
    at = text.find(b"eyJ")
    while at >= 0:
        found = _JWT.match(text, at)
        if found:
            yield found.span()
        at = text.find(b"eyJ", found.end() if found else at + 1)


def _private_keys(text: bytes) -> Iterator[Span]:
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        end = _END.search(text, begin.end())
        at = len(text) if end is None else end.end()  # of one that is cut short nothing is kept
        yield begin.start(), at


NAMED: Final[dict[str, Callable[[bytes], Iterator[Span]]]] = {
    "email": _emails,
    "card": _cards,
    "phone": _phones,
    "iban": _ibans,
    "api_key": _api_keys,
    "jwt": _jwts,
    "private_key": _private_keys,
}
"""What `redact.patterns` may name."""

_SQUASHED = bytes(0x30 if byte in _DIGITS else byte for byte in range(256))


HINTS: Final[dict[str, Callable[[bytes], bool]]] = {
    "email": lambda text: text.find(b"@") >= 0,
    "card": lambda text: text.translate(_SQUASHED, b" -").find(b"0" * 12) >= 0,
    "phone": _may_be_phone,
    "iban": _may_be_iban,
    "api_key": lambda text: any(True for _ in _api_keys(text, _LIKE_A_KEY)),
    "jwt": lambda text: text.find(b"eyJ") >= 0,
    "private_key": lambda text: text.find(b"-----BEGIN ") >= 0,
}
"""Quick looks: False is final, True says nothing."""

OPEN_KEY: Final = _BEGIN
END_OF_KEY: Final = _END
