"""What the desk says where there is no answer, and which path is meant by one of phospho's."""

from __future__ import annotations

import re

from proxy.query import web
from proxy.query.document import of_error
from proxy.query.encoding import encode
from proxy.query.guard import HEADERS


def refuse(
    status: int, code: str, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """An error's answer, in the one shape."""
    type = "invalid_request_error" if status < 500 else "server_error"
    body = encode(of_error(message, type=type, code=code, param=param)) + b"\n"
    return web.Response(status=status, body=body, content_type="application/json", headers={**HEADERS, **(headers or {})})


_PHOSPHO = re.compile(r"(?:^|/)v([023])/((?:log|tasks|sessions|projects|otl|health)(?:/.*)?)$")


def canonical(path: str) -> str | None:
    """The path of phospho's API that this one means; `None` where it is that already, or is none.

    Its client puts `/v2/...` behind whatever base URL it was given: one that ends in a slash, or in `/v2`, or has a prefix. To
    redirect it would lose what it sends: it turns a POST into a GET.
    """
    if path.startswith(("/api/", "/tasktap/")) or (found := _PHOSPHO.search(path)) is None:
        return None
    version, rest = found.groups()
    meant = f"/v{version if rest.startswith('otl') else '2'}/{rest}"
    return None if meant == path else meant
