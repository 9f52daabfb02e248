"""What a call's head may leave in the record: which credentials it carried, and its target and fields without them."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.record.redact_names import REDACTED, is_credential_field, is_kept, is_label, is_secret_name, label_key
from proxy.record.redact_text import TextRedactor
from proxy.task import Fields

NEEDLE_BYTES = 8
"""A shorter credential is looked for nowhere: it is a placeholder ("test", "ollama"), and a word that texts are full of."""

COOKIE_BYTES = 16
"""A shorter cookie value is a choice (`theme=dark`), no session."""

_Cleaner = Callable[[bytes, tuple[bytes, ...]], bytes]

_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)@")
_SOCKET_KEY = b"openai-insecure-api-key."
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*[ \t]+(?=[^ \t])")


def needles(fields: Fields, target: bytes, more: Iterable[bytes] = ()) -> tuple[bytes, ...]:
    """Every credential that this call carries, to be looked for wherever it is echoed.

    Most calls carry one, in one spelling. `more` are credentials that the call does not show, such as a key of ours that goes
    upstream with it. None is inside another, none is shorter than NEEDLE_BYTES.
    """
    found = [value for name, value in fields for value in _credentials(name.lower(), value)]
    found += _target_credentials(target)
    found += more
    spelled = dict.fromkeys(spelling for value in found if len(value) >= NEEDLE_BYTES for spelling in _spellings(value))
    return tuple(value for value in spelled if not any(other != value and other in value for other in spelled))


def clean_target(target: bytes, known: tuple[bytes, ...] = ()) -> tuple[bytes, bool]:
    """The request target without its secret parameters, userinfo and `known` credentials, and whether something was taken out."""
    cleaned = target
    if not cleaned.startswith(b"/"):
        authority = _AUTHORITY.match(cleaned)
        if authority:
            cleaned = cleaned[: authority.start(1)] + REDACTED + cleaned[authority.end(1) :]
    path, mark, query = cleaned.partition(b"?")
    if mark:
        cleaned = path + mark + b"&".join(_clean_parameter(part) for part in query.split(b"&"))
    cleaned = scrubbed(cleaned, known)
    return cleaned, cleaned != target


def kept(fields: Fields, known: tuple[bytes, ...], request: bool) -> Fields:
    """The fields that may be in the record, in their order, case and number, with `known` credentials taken out of the values."""
    out: list[tuple[bytes, bytes]] = []
    cleaner = _of_request if request else _of_response
    for field in fields:
        clean = cleaner(field[0])
        if clean is not None:
            value = clean(field[1], known)
            out.append(field if value is field[1] else (field[0], value))
    return tuple(out)


def scrubbed(value: bytes, known: tuple[bytes, ...]) -> bytes:
    """`value` with every known credential replaced; `value` itself where there is none."""
    for needle in known:
        if value.find(needle) >= 0:  # half the price of `in`
            value = value.replace(needle, REDACTED)
    return value


def fingerprint(credential: bytes, pepper: bytes) -> str:
    """What a credential is called in the record: the first 16 bytes of HMAC-SHA256 under `pepper`, in hex."""
    return hmac.digest(pepper, credential, "sha256")[:16].hex()


def _credentials(name: bytes, value: bytes) -> Iterator[bytes]:
    """The credentials in one field; `name` is in lower case."""
    if name == b"cookie":
        for pair in value.split(b";"):
            cookie = pair.partition(b"=")[2].strip(b' \t"')
            if len(cookie) >= COOKIE_BYTES:
                yield cookie
    elif name == b"sec-websocket-protocol":
        for protocol in value.split(b","):
            _, mark, key = protocol.strip().partition(_SOCKET_KEY)
            if mark:
                yield key
    elif is_credential_field(name):
        scheme = _SCHEME.match(value)
        secret = value[scheme.end() :].rstrip() if scheme else value.strip()
        yield secret
        if scheme and scheme.group().strip().lower() == b"basic":
            yield from _basic(secret)


def _basic(secret: bytes) -> Iterator[bytes]:
    """What HTTP Basic hides in base64: the password; the pair where the password is too short to look for."""
    try:
        pair = base64.b64decode(secret, validate=False)
    except (binascii.Error, ValueError):
        return
    password = pair.partition(b":")[2]
    yield password if len(password) >= NEEDLE_BYTES else pair


def _target_credentials(target: bytes) -> Iterator[bytes]:
    if not target.startswith(b"/") and (authority := _AUTHORITY.match(target)):
        pair = authority.group(1)
        password = pair.partition(b":")[2]
        yield password if len(password) >= NEEDLE_BYTES else pair
        yield unquote_to_bytes(password)
    for part in target.partition(b"?")[2].split(b"&"):
        name, mark, value = part.partition(b"=")
        if mark and is_secret_name(parameter_name(name)):
            yield value
            yield unquote_to_bytes(value.replace(b"+", b" "))


def _spellings(value: bytes) -> Iterator[bytes]:
    """The ways in which a value is written in URLs and in JSON, those that differ."""
    yield value
    if unquote_to_bytes(value) == value:  # else it is in that spelling already
        yield quote_from_bytes(value, safe="").encode()
    text = value.decode("utf-8", "surrogateescape")
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
    if not value.isascii():
        yield json.dumps(text)[1:-1].encode()
    if b"/" in value:
        yield value.replace(b"/", rb"\/")  # as PHP writes it


def _clean_parameter(part: bytes) -> bytes:
    name, mark, value = part.partition(b"=")
    return name + mark + REDACTED if value and is_secret_name(parameter_name(name)) else part


def parameter_name(name: bytes) -> bytes:
    """The name of a query parameter or form field, as it is meant."""
    return unquote_to_bytes(name.replace(b"+", b" ")).strip() if b"%" in name or b"+" in name else name


@lru_cache(maxsize=1024)
def _of_request(name: bytes) -> _Cleaner | None:
    """How the value of a request's field is cleaned; `None`: the field is not kept."""
    name = name.lower()
    if not is_kept(name, request=True):
        return None
    if is_label(name):
        return _hidden if is_secret_name(label_key(name)) else _clean_label
    return _clean_baggage if name == b"baggage" else scrubbed


@lru_cache(maxsize=1024)
def _of_response(name: bytes) -> _Cleaner | None:
    return scrubbed if is_kept(name.lower(), request=False) else None


def _hidden(_: bytes, __: tuple[bytes, ...]) -> bytes:
    return REDACTED


def _clean_label(value: bytes, known: tuple[bytes, ...]) -> bytes:
    """A label, which may be JSON."""
    text = TextRedactor(known)
    return text.feed(value) + text.finish()


def _clean_baggage(value: bytes, known: tuple[bytes, ...]) -> bytes:
    """W3C baggage without the values, and their properties, that have a secret's name."""
    members = value.split(b",")
    cleaned = [_clean_member(member) for member in members]
    return scrubbed(value if cleaned == members else b",".join(cleaned), known)


def _clean_member(member: bytes) -> bytes:
    name, mark, _ = member.partition(b"=")
    plain = parameter_name(name.strip())
    return name + mark + REDACTED if mark and is_secret_name(plain.rpartition(b".")[2]) else member
