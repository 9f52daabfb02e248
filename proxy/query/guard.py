"""Who may ask the desk: its hosts (against DNS rebinding), its own pages (against CSRF), its key; and what every answer says.

A browser that visits an evil page can be made to speak to loopback: CVE-2018-14505 (mitmweb), CVE-2024-28224 (Ollama).
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from multidict import MultiMapping

from proxy.query import cookie
from proxy.query.segments import Thresholds

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_HOSTS = ("localhost", "127.0.0.1", "::1")

HEADERS = {
    "Server": "tasktap",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer of the desk, errors and malformed HTTP included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the desk has to know of itself."""

    key: str | None = field(repr=False)
    read_key: str | None = field(default=None, repr=False)  # asks, and does nothing
    hosts: tuple[str, ...]  # names it is known by, besides its address and localhost
    loopback: bool  # whether only this machine can reach it
    version: str
    thresholds: Thresholds = field(default_factory=Thresholds)
    idle_seconds: float = 1800.0  # of silence, after which a session has ended
    feedback_key: str | None = field(default=None, repr=False)  # for browsers: gives feedback, and nothing else
    open_feedback: bool = False  # feedback is taken from anybody
    calls_loopback: bool = True  # whether only this machine can reach the calls door, which leads to `/tasktap/...`

    def silent_since(self, now: int) -> int:
        """The moment since which nothing is to be heard of a session that has ended by `now`."""
        return now - round(self.idle_seconds * 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a question is not answered."""

    status: int
    code: str
    message: str


def refusal(
    method: str,
    headers: MultiMapping[str],
    address: str | None,
    desk: Desk,
    *,
    open: bool,
    feedback: bool = False,
    carried: bool = False,
) -> Refusal | None:
    """Why this question is refused; `None`: it is not. `address` is the desk's, as the connection reached it.

    `open` routes are answered without the key, those for `feedback` with the feedback key, for pages of any site. What is
    `carried` came by the calls door: whoever may call the model may not read the record.
    """
    hosts = headers.getall("Host", [])
    if len(hosts) != 1 or bare(hosts[0]) not in {bare(known) for known in (*ALWAYS_HOSTS, *desk.hosts, address or "localhost")}:
        return Refusal(
            status=421,
            code="host_not_allowed",
            message="The desk is not known by this Host. Ask it by its address, or add the name to `desk.hosts`.",
        )
    if feedback and may_give_feedback(headers, desk):
        return None
    if method not in SAFE:
        foreign = [origin for origin in headers.getall("Origin", []) if not same_origin(origin, hosts[0])]
        if foreign or "cross-site" in headers.getall("Sec-Fetch-Site", []):
            return Refusal(status=403, code="origin_not_allowed", message="Another site's page may not do this.")
    if open:
        return None
    if desk.key is None:
        if desk.loopback and (desk.calls_loopback or not carried):
            return None
        return Refusal(status=403, code="key_not_set", message="A desk that is not on loopback needs a key. Set `desk.key`.")
    whose = role(headers, desk)
    if whose is None:
        return Refusal(status=401, code="invalid_key", message="Send the desk's key: `Authorization: Bearer KEY` (`desk.key`).")
    if whose is Role.READER and method not in SAFE:
        return Refusal(status=403, code="read_only", message="This key only reads (`desk.read_key`). This takes `desk.key`.")
    return None


class Role(StrEnum):
    """Who asks."""

    ADMIN = "admin"
    READER = "reader"


def role(headers: MultiMapping[str], desk: Desk) -> Role | None:
    """Whom the key, or the cookie, shows; `None`: nobody. Where there is no key everybody is the admin."""
    if desk.key is None:
        return Role.ADMIN
    for key, whose in ((desk.key, Role.ADMIN), (desk.read_key, Role.READER)):
        if key is not None and (has_key(headers, key) or signed_in(headers, key)):
            return whose
    return None


def has_key(headers: MultiMapping[str], key: str) -> bool:
    """Whether this key is in one of the fields for it."""
    return any(_opens(given, key) for given in headers.getall("Authorization", []))


def may_give_feedback(headers: MultiMapping[str], desk: Desk) -> bool:
    """Whether this may give feedback, whoever's page sent it."""
    if desk.open_feedback:
        return True
    key = desk.feedback_key
    return key is not None and has_key(headers, key)


def takes_feedback_from_pages(desk: Desk) -> bool:
    """Whether pages of other sites can give feedback at all."""
    return desk.open_feedback or desk.feedback_key is not None


def bare(host: str) -> str:
    """A Host's name in lower case, without port, brackets and final dot; an address in its one canonical spelling."""
    host = host.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)  # how a dual-stack socket says IPv4
        return str(mapped or address)
    except ValueError:
        return host.removesuffix(".")


def same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` came from `host`, port included; `null` never did."""
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}[parts.scheme]
        asked = urlsplit(f"{parts.scheme}://{host}")
        there, here = parts.port or default, asked.port or default
    except (ValueError, KeyError):
        return False
    return bare(parts.netloc) == bare(asked.netloc) and there == here


def _opens(authorization: str, key: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return same_key(given.strip(), key) and scheme.lower() == "bearer"


def same_key(given: str, key: str) -> bool:
    """Whether this is the key, in a time that does not tell how much of it is."""
    return hmac.compare_digest(_digest(given), _digest(key))


def knows_cookie(headers: MultiMapping[str], desk: Desk) -> bool:
    """Whether a browser shows a cookie of ours, which nobody can guess."""
    return any(key is not None and signed_in(headers, key) for key in (desk.key, desk.read_key))


def signed_in(headers: MultiMapping[str], key: str) -> bool:
    """Whether a browser shows the cookie that it got for the key."""
    for given in headers.getall("Cookie", []):
        try:
            morsel = SimpleCookie(given).get(cookie.NAME)
        except CookieError:
            continue
        if morsel is not None and cookie.opens(morsel.value, key, int(time.time())):
            return True
    return False


def _digest(text: str) -> bytes:  # its length tells nothing
    return sha256(text.encode("utf-8", "surrogateescape")).digest()
