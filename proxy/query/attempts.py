"""How often an address may be wrong about the desk's key: ten times at once, then six times a minute.

While it may not, no key of that address is looked at, right or wrong; a browser that has signed in goes on, and so do others.
"""

from __future__ import annotations

import math
import time
from ipaddress import IPv6Address, ip_address

from aiohttp import web

from proxy.query.door import refuse
from proxy.query.pace import Pace

AT_ONCE, PER_MINUTE = 10, 6


class Attempts:
    """The wrong keys of each address; of an IPv6 network (/64), since whoever has one address of it has all."""

    def __init__(self) -> None:
        self._pace = Pace(AT_ONCE, PER_MINUTE)

    def refusal(self, request: web.Request, *, carried: bool = False) -> web.Response | None:
        """Why no key of this address is looked at now; `None`: it is. What the calls door `carried` counts apart."""
        wait = self._pace.ahead(_who(request, carried), time.monotonic())
        if wait <= 0:
            return None
        after = {"Retry-After": str(math.ceil(wait))}
        return refuse(
            429, "too_many_wrong_keys", "Too many wrong keys came from this address. Wait, and try again.", headers=after
        )

    def wrong(self, request: web.Request, *, carried: bool = False) -> None:
        """A wrong key came."""
        self._pace.wait(_who(request, carried), time.monotonic())


def _who(request: web.Request, carried: bool) -> str:
    if carried:
        return "carried"
    try:
        address = ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> 64)
    return str(address)
