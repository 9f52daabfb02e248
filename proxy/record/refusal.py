"""Answers of our own, in the shape that OpenAI's SDKs know. Pure."""

from __future__ import annotations

import json
from http import HTTPStatus


def refusal(
    status: int, code: str, message: str, *, task_id: str | None = None, close: bool = False, retry_after: int | None = None
) -> bytes:
    """A whole HTTP/1.1 answer that refuses a call or says what failed.

    4xx are the caller's (`invalid_request_error`), 5xx are ours or the way to the upstream (`proxy_error`).
    """
    kind = "invalid_request_error" if status < 500 else "proxy_error"
    body = json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}}).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Tasktap-Error: {code}",
    ]
    if task_id is not None:
        lines.append(f"X-Task-Id: {task_id}")
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
