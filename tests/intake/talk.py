"""Speaks to a desk as an app does, and finds what became of it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.proc import Tasktap
from tests.sockets import PATIENCE

_straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def send(url: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, Any]:
    """The status and the JSON of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **named}, method=method)
    try:
        with _straight.open(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read() or b"null")


def log(house: Tasktap, body: Any) -> list[dict[str, Any]]:
    """Log tasks; every one must be answered."""
    status, answer = send(f"{house.run['desk']}/api/tasks", body)
    assert status == 200, answer
    items: list[dict[str, Any]] = answer["items"]
    return items
