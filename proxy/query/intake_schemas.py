"""Pure: the schemas of what apps and people say of tasks, and of what they are answered, for the OpenAPI document."""

from __future__ import annotations

from proxy.task import JSON, Ending

TEXT: JSON = {"type": "string"}
TEXTS: JSON = {"type": "array", "items": TEXT}


def _schemas() -> JSON:
    """What apps and people say of tasks, and what they are answered."""
    flag: JSON = {"type": ["string", "null"], "enum": ["success", "failure", None]}
    time: JSON = {"type": ["string", "number", "null"], "description": "ISO 8601, or seconds since the epoch."}
    texts = ("output", "session_id", "user_id", "project_id", "name", "system_prompt", "parent_task_id", "model")
    said: JSON = {
        **{name: {"type": ["string", "null"]} for name in texts},
        "kind": {"type": ["string", "null"], "default": "custom"},
        "raw_input": {"description": "Any JSON; a provider's own request is read."},
        "raw_output": {"description": "Any JSON; a provider's own response, or the list of its chunks, is read."},
        "metadata": {"type": ["object", "null"]},
        "ended_at": time,
        "usage": {"type": ["object", "null"], "description": "`Usage`, or a provider's own usage object."},
        "cost": {"type": ["number", "null"]},
        "session_final": {"type": ["boolean", "null"]},
        "flag": flag,
    }
    log = {
        "task_id": {"type": ["string", "null"], "description": "An id of the app's own; the same again is merged."},
        "input": {"description": "Text; other JSON is kept as `raw_input` and read."},
        **said,
        "created_at": time,
        "ending": {"type": ["string", "null"], "enum": [*Ending, None]},
        "problems": {**TEXTS, "type": ["array", "null"]},
        "feedback": {
            **_list("FeedbackGiven"),
            "description": "What people thought of it. With a `task_id` alone it is on a task that may come later.",
        },
    }
    given = {"flag": flag, "score": {"type": ["number", "null"]}, "created_at": time}
    given |= {name: {"type": ["string", "null"]} for name in ("comment", "source", "user_id")}
    item = _object(
        {"id": {"type": ["string", "null"]}, "status": {"type": "string", "enum": ["stored", "merged", "waiting", "rejected"]}}
    )
    item["properties"]["error"] = {**TEXT, "description": "Why it is rejected."}
    status = {"type": "string", "enum": ["stored", "merged", "waiting"]}
    return {
        "Log": {"type": "object", "properties": log, "description": "What has no field here becomes metadata."},
        "Logs": {"anyOf": [_ref("Log"), {"type": "array", "items": _ref("Log")}, _object({"tasks": _list("Log")})]},
        "Kept": _object({"items": {"type": "array", "items": item}}),
        "Amendment": {"type": "object", "properties": {"input": TEXT, **said}},
        "Amended": _object({"id": TEXT, "status": status}),
        "FeedbackGiven": {"type": "object", "properties": given, "description": "One of flag, score and comment is there."},
        "FeedbackKept": _object({"id": TEXT, "status": status, "feedback_id": TEXT}),
    }


def _object(properties: JSON) -> JSON:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> JSON:
    return {"type": "array", "items": _ref(name)}


INTAKE_SCHEMAS = _schemas()
