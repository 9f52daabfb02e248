"""LiteLLM's spend logs (its table `LiteLLM_SpendLogs`) and standard logging payloads (as its callbacks write them to files).

Prompts and answers are there only if `store_prompts_in_spend_logs` was on. https://docs.litellm.ai/docs/proxy/logging_spec
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from proxy.record.imports.fields import KINDS, given, moment, number, parsed, rest, table, text, usage
from proxy.task import JSON

USED = (
    "id", "request_id", "trace_id", "session_id", "call_type", "response_cost", "spend", "status", "total_tokens",
    "prompt_tokens", "completion_tokens", "startTime", "endTime", "completionStartTime", "response_time", "model",
    "metadata", "end_user", "user", "messages", "response", "error_str", "error_information", "model_parameters",
    "hidden_params", "api_key", "requester_ip_address", "proxy_server_request", "model_map_information", "cost_breakdown",
    "status_fields", "request_duration_ms",
)  # fmt: skip

FIGURES = {"input_tokens": ("prompt_tokens",), "output_tokens": ("completion_tokens",), "total_tokens": ("total_tokens",)}


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    return "call_type" in columns and bool({"spend", "response_cost", "startTime"} & set(columns))


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    query = _query(row)
    answered = parsed(given(row, "response"))
    metadata = table(row, "metadata")
    error = text(row, "error_str") or text(table(row, "error_information"), "error_message", "error_class")
    problems = [error] if error else []
    if query is None:
        problems.append("the export holds no prompt (store_prompts_in_spend_logs was off)")
    began, first = moment(row, "startTime"), moment(row, "completionStartTime")
    return {
        "task_id": text(row, "request_id", "id"),
        **({"raw_input": query} if query else {"input": ""}),
        **({"output": answered} if isinstance(answered, str) else {"raw_output": answered or None}),
        "session_id": text(row, "session_id", "trace_id"),
        "user_id": text(row, "end_user", "user"),
        "kind": KINDS.get(str(row.get("call_type") or "").lower()),
        "model": text(row, "model"),
        "metadata": {**_without_none(metadata), **rest(row, *USED)},
        "usage": usage(
            row, input_tokens=("prompt_tokens",), output_tokens=("completion_tokens",), total_tokens=("total_tokens",)
        ),
        "cost": number(row, "response_cost", "spend"),
        "created_at": began,
        "ended_at": moment(row, "endTime"),
        "seconds_to_first_token": _between(began, first) if first != moment(row, "endTime") else None,
        "ending": {"success": "completed", "failure": "upstream_error"}.get(str(row.get("status"))),
        "problems": problems,
    }


def _query(row: JSON) -> JSON | None:
    """The request, put together from where the parts of it were kept; `None` where nothing was."""
    whole = table(row, "proxy_server_request")
    if whole.get("messages") or whole.get("input") or whole.get("prompt"):
        return whole
    messages = parsed(given(row, "messages"))
    if not messages:
        return None
    if isinstance(messages, dict) and ("messages" in messages or "input" in messages):
        return messages
    key = "messages" if isinstance(messages, list) else "input" if "embedding" in str(row.get("call_type")) else "prompt"
    return {"model": row.get("model"), key: messages, **table(row, "model_parameters")}


def _between(began: Any, first: Any) -> float | None:
    """Seconds from the start to the first token."""
    if isinstance(began, (int, float)) and isinstance(first, (int, float)):
        seconds = first - began
    else:
        try:
            seconds = (datetime.fromisoformat(str(first)) - datetime.fromisoformat(str(began))).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 <= seconds < 86_400 else None


def _without_none(metadata: JSON) -> JSON:
    """LiteLLM writes each of its dozens of fields, mostly as null. Hashes of keys are no business of ours."""
    return {name: value for name, value in metadata.items() if value not in (None, "", {}, []) and "api_key" not in name}
