"""Pure: the OpenAPI 3.1 document, made from the table of routes and the values that they answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from proxy.query.document import HIDDEN, WAY
from proxy.query.intake_schemas import INTAKE_SCHEMAS
from proxy.query.openapi_insights import EVIDENCE, SCHEMAS, SEGMENTED
from proxy.query.parameters import AGAIN, FORGET, MERGE, SPLIT, TASK, Member
from proxy.query.routes import ACTS, ROUTES, Route
from proxy.task import JSON, Feedback, Session, Signs, Status, Summary, Task, Usage, User

MOMENT: JSON = {"type": "string", "format": "date-time", "examples": ["2026-11-22T15:04:05.123456Z"]}
TEXTS: JSON = {"type": "array", "items": {"type": "string"}}
PAIRS: JSON = {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}}
OBJECTS: JSON = {"type": "array", "items": {"type": "object"}}
COUNT: JSON = {"type": "integer", "minimum": 0}

WRITTEN: dict[str, JSON] = {
    "created_at": MOMENT,
    "ended_at": MOMENT,
    "started_at": MOMENT,
    "first_seen": MOMENT,
    "last_seen": MOMENT,
    "usage": {"anyOf": [{"$ref": "#/components/schemas/Usage"}, {"type": "null"}]},
    "price": {"type": ["object", "null"]},
    "session_evidence": {"type": ["object", "null"], "description": "How an inferred session was found; what a person changed."},
    "logged": {"type": ["object", "null"], "description": "Of a carried call: what the app itself said of it, by field."},
    "metadata": {"type": "object"},
    "models": TEXTS,
    "signs": {"$ref": "#/components/schemas/Signs"},
    "finish_reasons": {"type": "array", "items": {"type": ["string", "null"]}, "description": "By choice index."},
    "problems": TEXTS,
    "redactions": TEXTS,
    "request_headers": PAIRS,
    "response_headers": PAIRS,
    "pieces": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "description": "Seconds since `created_at`, and bytes, of each piece of the response.",
    },
    "feedback": {"type": "array", "items": {"$ref": "#/components/schemas/Feedback"}},
    "events": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "source": {"enum": ["app", "person", "rule"]}},
            "required": ["name"],
        },
        "description": "Labels of the task, and who gave each.",
    },
    "evaluations": OBJECTS,
    "raw_input": {"description": "The request's JSON."},
    "raw_output": {"description": "The response's JSON, as the non-streamed API would have given it."},
}
"""Fields whose JSON does not follow from their Python type alone."""

RENAMED = {"tasks": "task_count", "errors": "error_count", "sessions": "session_count"}
EVERYWHERE = {
    400: "Malformed HTTP.",
    401: "No key, or a wrong one.",
    403: "Not with this key, or not from this page.",
    421: "Not a host of this desk.",
    429: "Too many wrong keys.",
    500: "The desk failed.",
}
SOMETIMES = {
    400: "A parameter that cannot be understood.",
    404: "There is no such thing.",
    409: "Not as things are; the message says why.",
    413: "The body is too long.",
    415: "The body's content coding cannot be undone.",
    422: "The kept bytes cannot be decoded.",
    503: "Not now; the message says why.",
}


def openapi(version: str) -> JSON:
    """The document for this `version` of tasktap."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tasktap",
            "version": version,
            "summary": "Every LLM call that was carried, kept as a task.",
            "license": LICENSE,
        },
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "`desk.key`, where one is set."}},
        },
        "security": [{"key": []}, {}],
    }


LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _paths() -> JSON:
    paths: JSON = {}
    for route in (*ROUTES, *ACTS):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> JSON:
    answer: JSON = {"description": route.summary, "content": _content(route)}
    if route.answers == "application/octet-stream":
        answer["headers"] = {
            "X-Content-Coding": {"schema": {"type": "string"}, "description": "Absent where the bytes are plain."}
        }
    parameters: list[JSON] = [
        {"name": parameter.name, "in": "query", "description": parameter.description, "schema": parameter.schema}
        for parameter in route.parameters
    ]
    if route.has_id:
        parameters.insert(
            0, {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Its id."}
        )
    errors = {**EVERYWHERE, **{status: SOMETIMES[status] for status in route.also}}
    return {
        "operationId": route.name,
        "summary": route.summary,
        **({"parameters": parameters} if parameters else {}),
        **(
            {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(route.takes)}}}}
            if route.takes
            else {}
        ),
        **({"security": [{}]} if route.open else {}),
        "responses": {
            "200": answer,
            **{
                str(status): {"description": said, "content": {"application/json": {"schema": _ref("Error")}}}
                for status, said in sorted(errors.items())
                if not (route.open and status == 401)
            },
        },
    }


def _content(route: Route) -> JSON:
    if "/" in route.answers:
        return {route.answers: {"schema": {"type": "object"} if route.answers == "application/json" else {}}}
    return {"application/json": {"schema": _ref(route.answers)}}


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> JSON:
    more = {"seconds": {"type": "number"}, "title": {"type": ["string", "null"]}, "running": {"type": ["boolean", "null"]}}
    sessions = _value(Session, RENAMED, more)
    users = _value(User, RENAMED, {"rated": COUNT, "success_rate": {"type": ["number", "null"]}})
    return {
        "Task": _value(Task, more={name: {"type": ["number", "null"]} for name in WAY}),
        "Usage": _value(Usage),
        "Feedback": _value(Feedback),
        "Signs": _value(Signs),
        "Session": sessions,
        "User": _object({**users["properties"], "segments": SEGMENTED}),
        "Found": _found(),
        "Placed": _placed(),
        "Tasks": _page("Found"),
        "Sessions": _page("Session"),
        "Users": _page("User"),
        "SessionWithTasks": _object({**sessions["properties"], "tasks": _list("Placed"), "next": NEXT}),
        "UserWithSessions": _object({**users["properties"], "segments": SEGMENTED, "sessions": _list("Session"), "next": NEXT}),
        **INTAKE_SCHEMAS,
        "UserWithEvidence": _object({**users["properties"], "evidence": EVIDENCE}),
        "Status": _status(),
        "Again": _optional({parameter.name: parameter.schema for parameter in AGAIN}),
        "AgainOrOne": _optional({parameter.name: parameter.schema for parameter in (*AGAIN, TASK)}),
        "Reread": _object({**_PAGE_DONE, "skipped": _SKIPPED, "fields": _FIELDS, "examples": _EXAMPLES}),
        "Repriced": _object({**_PAGE_DONE, "models": {"type": "array", "items": _object(_OF_MODEL)}}),
        "Split": _members(SPLIT),
        "Merge": _members(MERGE),
        "Regrouped": _object(
            {"moved": COUNT, "session": _ref("Session"), "left": {"anyOf": [_ref("Session"), {"type": "null"}]}}
        ),
        "Forget": _optional({parameter.name: parameter.schema for parameter in FORGET}),
        "Forgotten": _FORGOTTEN,
        "Health": _object({"ok": {"type": "boolean"}}),
        "Readiness": _object({"ok": {"type": "boolean"}, "reasons": TEXTS}),
        **SCHEMAS,
        "Error": _object(
            {"error": _object({"message": TEXT, "type": TEXT, "code": TEXT, "param": {"type": ["string", "null"]}})}
        ),
    }


TEXT: JSON = {"type": "string"}
NEXT: JSON = {"type": ["string", "null"], "description": "The `cursor` of the page after this one; null where there is none."}


def _object(properties: JSON) -> JSON:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _members(allowed: Mapping[str, Member]) -> JSON:
    """The schema of the object that an act takes."""
    kinds = {str: "string", bool: "boolean"}
    properties = {name: {"type": kinds[each.type], "description": each.description} for name, each in allowed.items()}
    return {"type": "object", "properties": properties, "required": [name for name, each in allowed.items() if each.needed]}


def _optional(properties: JSON) -> JSON:
    return {"type": "object", "properties": properties}


_PAGE_DONE: JSON = {
    "read": COUNT,
    "unreadable": {**COUNT, "description": "Tasks whose record is damaged."},
    "changed": COUNT,
    "next": NEXT,
    "at": {"type": ["string", "null"], "format": "date-time", "description": "When the last of them began."},
}
_SKIPPED: JSON = {**COUNT, "description": "Tasks that were not read from bytes: logged by an app, or part of a connection."}
_FIELDS: JSON = {"type": "object", "additionalProperties": COUNT, "description": "How many tasks changed in each field."}
_MAYBE: JSON = {"type": ["string", "null"]}
_EXAMPLES: JSON = {"type": "array", "items": _object({"id": TEXT, "field": TEXT, "before": _MAYBE, "after": _MAYBE})}
_OF_MODEL: JSON = {
    "model": TEXT,
    "changed": COUNT,
    "learned": {**COUNT, "description": "Of the changed ones, those whose cost was not known."},
    "forgotten": {**COUNT, "description": "Those whose cost is not known any more."},
    "before": {"type": "number", "description": "US dollars, of those that changed."},
    "after": {"type": "number"},
}


def _list(name: str) -> JSON:
    return {"type": "array", "items": _ref(name)}


def _page(name: str) -> JSON:
    return _object({"items": _list(name), "next": NEXT})


def _value(kind: type[Any], renamed: dict[str, str] | None = None, more: JSON | None = None) -> JSON:
    """The schema of a value's document, from its fields."""
    hints = get_type_hints(kind)
    shown = [field.name for field in fields(kind) if field.name not in HIDDEN]
    properties = {(renamed or {}).get(name, name): WRITTEN.get(name) or _typed(hints[name]) for name in shown}
    return _object({**properties, **(more or {})})


def _typed(hint: Any) -> JSON:
    """The schema of a plain Python type, optional ones included."""
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    options = get_args(hint) or (hint,)
    nullable = NoneType in options
    (only,) = (option for option in options if option is not NoneType)
    if issubclass(only, StrEnum):
        values: list[str | None] = [str(member) for member in only]
        return {"type": ["string", "null"], "enum": [*values, None]} if nullable else {"type": "string", "enum": values}
    return {"type": [names[only], "null"] if nullable else names[only]}


_FORGOTTEN: JSON = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("tasks", "sessions", "users", "feedback", "bytes", "journal_records", "set_aside", "unreadable"), COUNT),
        "settled": {"type": "boolean", "description": "All that had ended by then was stored before."},
        "clean": {"type": "boolean", "description": "Nothing of it is left in the free places of the store's files."},
        "dry_run": {"type": "boolean"},
    },
    "required": ["tasks", "dry_run"],
}


def _status() -> JSON:
    calls = ("carried", "running", "journalled", "stored", "waiting", "lost", "rejected", "recovered", "set_aside")
    journal: JSON = dict.fromkeys(("bytes", "segments", "lapses", "bodies_dropped", "damaged_bytes"), COUNT)
    return _object(
        {
            "calls": {
                **_object(dict.fromkeys(calls, COUNT)),
                "description": "Since this start, but `recovered`. `carried = stored + waiting + lost`.",
            },
            "journal": _object({**journal, "stalled": {"type": "boolean"}}),
            "intake": {
                **_object(
                    {
                        "waiting": COUNT,
                        "set_aside": COUNT,
                        "stalled": {"type": "boolean"},
                        "error": _typed(get_type_hints(Status)["intake_error"]),
                    }
                ),
                "description": "What apps log and people say.",
            },
            "store": _object(
                {
                    "error": _typed(get_type_hints(Status)["store_error"]),
                    "errors": COUNT,
                    "commits": COUNT,
                    "commit_seconds": {"type": "number"},
                }
            ),
            "held": _object(
                {
                    "seconds": {"type": "number"},
                    "up_to": {
                        "type": "object",
                        "additionalProperties": COUNT,
                        "description": "How many answers waited for the journal for at most so many seconds, in buckets.",
                    },
                    "more": COUNT,
                }
            ),
            "retention": {
                **_object({"tasks": COUNT, "bytes": COUNT, "error": _typed(get_type_hints(Status)["retention_error"])}),
                "description": "What was let go of, since this start, and what kept its last round from the end.",
            },
            "relays": COUNT,
            "open_connections": COUNT,
            "open_streams": COUNT,
            "unrecorded": {**COUNT, "description": "Calls that were to leave no record; not among the carried."},
            "endings": {"type": "object", "additionalProperties": COUNT, "description": "How the carried calls ended."},
            "limits": {"type": "object", "additionalProperties": COUNT, "description": "How often each limit was met."},
            "lag_seconds": {"type": "number"},
            "reasons": TEXTS,
        }
    )


def _placed() -> JSON:
    """A summary in its session."""
    summary = _value(Summary)
    summary["properties"]["depth"] = {**COUNT, "description": "How many tasks it is a part of, one inside the other."}
    summary["required"].append("depth")
    return summary


def _found() -> JSON:
    """A summary; where words were looked for, with a snippet."""
    summary = _value(Summary)
    part: JSON = {"type": "array", "prefixItems": [TEXT, {"type": "boolean"}], "minItems": 2, "maxItems": 2}
    hits = "Only with `q`: text in parts, each with whether it is what was looked for; null where no hit is near the beginning."
    summary["properties"]["snippet"] = {"type": ["array", "null"], "items": part, "description": hits}
    return summary
