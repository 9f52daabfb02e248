"""Helicone's requests, as its export tool and its query API give them (JSON, JSON lines, CSV).

Bodies are there only if they were asked for (`--include-body`). https://docs.helicone.ai/tools/export
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from proxy.record.imports.fields import BadRow, given, moment, number, parsed, rest, table, text, usage
from proxy.task import JSON

SESSION, NAME = "Helicone-Session-Id", "Helicone-Session-Name"
USED = (
    "request_id", "response_id", "request_created_at", "response_created_at", "request_body", "response_body",
    "request_properties", "properties", "request_user_id", "user_id", "helicone_user", "model", "request_model",
    "response_model", "model_override", "prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_read_tokens",
    "prompt_cache_write_tokens", "reasoning_tokens", "latency", "delay_ms", "cost", "cost_usd", "costUSD",
    "response_status", "feedback_rating", "time_to_first_token", "signed_body_url", "assets", "asset_ids",
)  # fmt: skip


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    found = set(columns)
    return {"request_created_at", "response_status"} <= found or {"request_id", "request_body", "response_body"} <= found


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    properties = {**table(row, "request_properties"), **table(row, "properties")}
    asked, answered = parsed(given(row, "request_body")), parsed(given(row, "response_body"))
    status = number(row, "response_status")
    began = moment(row, "request_created_at")
    rating = given(row, "feedback_rating")
    latency = number(row, "delay_ms", "latency")
    problems = [] if asked is not None else ["the export holds no request body"]
    return {
        "task_id": text(row, "request_id", "response_id"),
        **({"raw_input": asked} if isinstance(asked, (dict, list)) else {"input": asked or ""}),
        **({"raw_output": answered} if isinstance(answered, (dict, list)) else {"output": answered}),
        "session_id": text(properties, SESSION, SESSION.lower()),
        "name": text(properties, NAME, NAME.lower()),
        "user_id": text(row, "request_user_id", "user_id", "helicone_user"),
        "kind": _kind(asked),
        "model": text(row, "response_model", "model", "model_override", "request_model"),
        "metadata": {
            **{name: value for name, value in properties.items() if name.lower() not in {SESSION.lower(), NAME.lower()}},
            **rest(row, *USED),
        },
        "usage": usage(
            row,
            input_tokens=("prompt_tokens",),
            output_tokens=("completion_tokens",),
            total_tokens=("total_tokens",),
            cached_input_tokens=("prompt_cache_read_tokens",),
            cache_write_tokens=("prompt_cache_write_tokens",),
            reasoning_tokens=("reasoning_tokens",),
        ),
        "cost": number(row, "cost_usd", "costUSD", "cost"),
        "created_at": began,
        "ended_at": moment(row, "response_created_at") or _later(began, latency),
        "seconds_to_first_token": _seconds(number(row, "time_to_first_token")),
        "ending": None if status is None else "completed" if 200 <= status < 400 else "upstream_error",
        "flag": None if rating is None else "success" if rating in {True, "true", "True", "1"} else "failure",
        "problems": problems,
    }


def _kind(asked: Any) -> str | None:
    if not isinstance(asked, dict):
        return None
    return "chat" if "messages" in asked else "completion" if "prompt" in asked else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _later(began: Any, milliseconds: float | None) -> str | None:
    """The end, where only the duration was kept."""
    if milliseconds is None or not isinstance(began, str):
        return None
    try:
        return (datetime.fromisoformat(began) + timedelta(milliseconds=milliseconds)).isoformat()
    except (ValueError, OverflowError):
        raise BadRow(f"request_created_at: {began!r} is no time") from None
