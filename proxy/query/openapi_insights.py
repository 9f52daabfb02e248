"""Pure: the schemas of what `/api/insights/...` answers."""

from __future__ import annotations

from proxy.query.measured import SECONDS
from proxy.query.segments import SEGMENTS
from proxy.task import JSON

MOMENT: JSON = {"type": "string", "format": "date-time"}
WHEN: JSON = {"type": ["string", "null"], "format": "date-time"}
COUNT: JSON = {"type": "integer", "minimum": 0}
NUMBER: JSON = {"type": "number"}
MAYBE: JSON = {"type": ["number", "null"]}
WHOSE: JSON = {"type": ["integer", "null"], "minimum": 0}
TEXT: JSON = {"type": "string"}
VALUE: JSON = {
    "type": ["string", "null"],
    "description": "null: tasks that have none; of metadata, values past the hundredth.",
}


def _object(**properties: JSON) -> JSON:
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": named, "required": list(named)}


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(schema: JSON) -> JSON:
    return {"type": "array", "items": schema}


def _or_null(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


EVIDENCE: JSON = {
    "type": "object",
    "additionalProperties": {"type": "number"},
    "description": "The figures that put the user in this segment.",
}
SEGMENTED: JSON = {
    "type": "object",
    "additionalProperties": EVIDENCE,
    "description": "The segments that the user is in, each with the figures that show it.",
}
TIMES: dict[str, JSON] = {"from_": WHEN, "to": WHEN}
MEASURES: dict[str, JSON] = {
    "tasks": COUNT,
    "errors": {**COUNT, "description": "Tasks whose ending is not `completed`."},
    "error_rate": MAYBE,
    "rated": {**COUNT, "description": "Tasks with a flag, of which `success_rate` is a share."},
    "success": COUNT,
    "failure": COUNT,
    "success_rate": MAYBE,
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "cached_input_tokens": COUNT,
    "cost": {**MAYBE, "description": "US dollars of the `priced` tasks; null where there is none."},
    "priced": COUNT,
    "seconds": {
        **_object(mean=MAYBE, **dict.fromkeys(SECONDS, MAYBE)),
        "description": "How long calls took. Percentiles are off by 4.5% at most. By user and by session: of those shown,"
        " while their tasks are 2,000 at most.",
    },
    "first_token_seconds": _object(**dict.fromkeys(SECONDS, MAYBE)),
}
ITEM = _object(value=VALUE, **MEASURES)
SHORT = _object(mean=MAYBE, median=MAYBE, p90=MAYBE)
INTERVAL = _or_null(_object(value=NUMBER, low=NUMBER, high=NUMBER))
DISTRIBUTION = _ref("Distribution")
NARROWED: dict[str, JSON] = {"version_id": {"type": ["string", "null"]}, "model": {"type": ["string", "null"]}}
POINT = _object(at=MOMENT, **MEASURES)
POINT["properties"] |= {
    "value": VALUE,
    "others": {"type": "boolean", "description": "With `by`: all values that are not shown, added up."},
}

SCHEMAS: dict[str, JSON] = {
    "Measures": _object(**MEASURES),
    "Distribution": _object(
        count=COUNT,
        mean=MAYBE,
        median=MAYBE,
        p90=MAYBE,
        most=MAYBE,
        histogram=_list(_object(from_=NUMBER, to={**MAYBE, "description": "Exclusive; null: no end."}, count=COUNT)),
    ),
    "Overview": _object(
        **TIMES,
        totals=_ref("Measures"),
        sessions={**WHOSE, "description": "Null where filters beyond project and time leave more than 20,000 tasks."},
        users={**WHOSE, "description": "Likewise."},
        **{name: _list(ITEM) for name in ("projects", "models", "kinds", "endings")},
    ),
    "Series": _object(**TIMES, step=TEXT, by={"type": ["string", "null"]}, items=_list(POINT)),
    "Breakdown": _object(
        **TIMES,
        by=TEXT,
        sort=TEXT,
        values={**COUNT, "description": "How many there are, shown or not."},
        items=_list(ITEM),
        others=_or_null(_ref("Measures")),
    ),
    "SessionInsights": _object(
        **TIMES,
        count=COUNT,
        implicit={**COUNT, "description": "Sessions of one call that named none: in no other figure here."},
        running={**COUNT, "description": "Of `count`, those that have not ended: no `final`, and too short a silence."},
        ended_badly={**COUNT, "description": "Ended, and the last task failed, was refused or flagged a failure."},
        seconds=DISTRIBUTION,
        tasks=DISTRIBUTION,
        turns=DISTRIBUTION,
        over_time=_list(
            _object(at=MOMENT, sessions=COUNT, running=COUNT, ended_badly=COUNT, seconds=SHORT, tasks=SHORT, turns=SHORT)
        ),
        ends={
            **_list(
                _object(
                    name=TEXT,
                    value=TEXT,
                    lasts=COUNT,
                    others=COUNT,
                    share_of_lasts=MAYBE,
                    share_of_others=MAYBE,
                    lift=MAYBE,
                    z={**NUMBER, "description": "Of the two-proportion test."},
                    p=NUMBER,
                )
            ),
            "description": "The last tasks of sessions against all others, the surest difference first.",
        },
        abandoned={
            **_list(_object(name=TEXT, value=TEXT, tasks=COUNT, ended=COUNT, share=NUMBER, of_all=MAYBE)),
            "description": "How often a session ends after a task like this.",
        },
        terms={
            **_list(_object(term=TEXT, lasts=COUNT, others=COUNT, g2=NUMBER, p=NUMBER)),
            "description": "Words that last messages have more often; G squared over 3.84 is p under 0.05.",
        },
        positions=_list(_object(position=COUNT, and_later={"type": "boolean"}, rated=COUNT, success=COUNT, success_rate=NUMBER)),
        sampled={
            **_object(terms=COUNT, other_texts=COUNT, rated=COUNT),
            "description": "Of how many texts and rated tasks, the newest, `terms` and `positions` are.",
        },
    ),
    "UserInsights": _object(
        **TIMES,
        count=COUNT,
        segments=_list(
            _object(
                name={"type": "string", "enum": list(SEGMENTS)},
                definition=TEXT,
                count=COUNT,
                users=_list(_ref("UserWithEvidence")),
            )
        ),
        cohorts=_list(
            _object(
                week=MOMENT,
                users=COUNT,
                came_again={**_list(COUNT), "description": "Of them, in the first week after, the second, ..."},
            )
        ),
    ),
    "Comparison": _object(
        base=_object(**TIMES, **NARROWED, **MEASURES),
        now=_object(**TIMES, **NARROWED, **MEASURES),
        differences=_list(
            _object(measure=TEXT, base=INTERVAL, now=INTERVAL, difference=INTERVAL, significant={"type": "boolean"})
        ),
        confidence=NUMBER,
    ),
}
