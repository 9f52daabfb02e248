"""Pure: the parameters of a question, read from the text in which people give them.

The API and the command line read them here alike, and the OpenAPI document lists them from the same table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from proxy.query.measured import SORTS
from proxy.store.insight import METADATA, USER_SORTS
from proxy.task import JSON, LABEL_LENGTH, Condition, Ending, Filter, Flag

KINDS = (
    "chat", "completion", "response", "embedding", "moderation", "image", "audio", "file", "batch", "model", "realtime",
    "message", "ollama_chat", "ollama_generate", "ollama_embed", "gemini", "converse", "opaque", "custom",
)  # fmt: skip
LIMIT_DEFAULT = 50
LIMIT_MOST = 500
WORDS_MOST = 32
CONDITIONS_MOST = 8
STEPS = ("minute", "hour", "day", "week")
GROUPED = ("project_id", "kind", "model", "ending", "version_id", "user_id", "session_id")
TEXT_MOST = 4096  # longer than any label we keep


class BadFilter(ValueError):
    """A parameter that cannot be understood; `param` is its name, the text says what would be."""

    def __init__(self, param: str, problem: str):
        super().__init__(f"{param}: {problem}")
        self.param = param
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question's parameters, understood."""

    filter: Filter = field(default_factory=Filter)
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None
    by: str | None = None
    step: str = "day"
    sort: str | None = None
    against: Filter = field(default_factory=Filter)
    decoded: bool = False
    dry_run: bool = False
    implicit: bool | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the JSON object that an act takes."""

    description: str
    type: type[str] | type[bool] = str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: how it is called, what it means, what it looks like, and how an answer to it is read."""

    name: str
    description: str
    schema: JSON
    apply: Callable[[Asked, str], Asked]


def understand(pairs: Iterable[tuple[str, str]], allowed: tuple[Parameter, ...]) -> Asked:
    """Read `pairs`; a name that is not `allowed`, comes twice or has a value of no sense raises BadFilter."""
    known = {parameter.name: parameter for parameter in allowed}
    asked, seen = Asked(), set[str]()
    for name, value in pairs:
        if name not in known:
            raise BadFilter(name[:64], _choice("no such parameter", name, tuple(known)))
        if name in seen:
            raise BadFilter(name, "is given twice. Give it once.")
        if not value:
            raise BadFilter(name, "is empty. Leave it out.")
        if len(value) > TEXT_MOST:
            raise BadFilter(name, f"is longer than {TEXT_MOST} characters.")
        seen.add(name)
        asked = known[name].apply(asked, value)
    since, until = asked.filter.since, asked.filter.until
    if since is not None and until is not None and since > until:
        raise BadFilter("to", "is before `from`.")
    return asked


def understand_body(body: bytes, allowed: tuple[Parameter, ...]) -> Asked:
    """Read parameters that are the members of a JSON object; `null` is as if it were not there. Raises BadFilter."""
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadFilter("body", "is not a JSON object.")
    pairs = [(name, _said(name, each)) for name, each in value.items() if each is not None]
    return understand(pairs, allowed)


def members(body: bytes, allowed: Mapping[str, Member]) -> JSON:
    """The members of a JSON object that says what to do; `null` is as if it were not there. Raises BadFilter."""
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadFilter("body", "is not a JSON object.")
    said = {name: each for name, each in value.items() if each is not None}
    for name, each in said.items():
        if name not in allowed:
            raise BadFilter(name[:64], _choice("no such member", name, tuple(allowed)))
        member = allowed[name]
        if type(each) is not member.type:
            raise BadFilter(name, "is not text." if member.type is str else "is neither true nor false.")
        if isinstance(each, str) and not 0 < len(each) <= LABEL_LENGTH:
            raise BadFilter(name, f"is empty or longer than {LABEL_LENGTH} characters.")
    for name, member in allowed.items():
        if member.needed and name not in said:
            raise BadFilter(name, "is missing.")
    return said


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadFilter(name[:64], "is neither text nor number.")


def time(name: str, value: str) -> int:
    """ISO 8601 (UTC where no zone is named) or seconds since the epoch, as microseconds since the epoch.

    Raises BadFilter.
    """
    advice = "is no time. Give ISO 8601, e.g. 2026-11-22T15:04:05Z, or seconds since the epoch."
    if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", value):
        microseconds = int(Decimal(value) * 1_000_000)
        if microseconds >= 253_402_300_800_000_000:  # the year 10000
            raise BadFilter(name, "is after the year 9999. Are these milliseconds? Give seconds.")
        return microseconds
    try:
        # A "+" that was not percent-encoded arrives as a space.
        at = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", value) if "T" in value else value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise BadFilter(name, advice) from None


def words(value: str) -> tuple[str, ...]:
    """`tea "green leaves"` as `("tea", "green leaves")`; a quotation mark that is not closed closes at the end.

    Raises BadFilter.
    """
    found = tuple(
        " ".join(part.split()) for quoted in re.findall(r'"([^"]*)"?|([^\s"]+)', value) for part in quoted if part.strip()
    )
    if not found:
        raise BadFilter("q", 'has no word in it. Give words, and "phrases in quotation marks".')
    if len(found) > WORDS_MOST:
        raise BadFilter("q", f"has more than {WORDS_MOST} words.")
    return found


def conditions(value: str) -> tuple[Condition, ...]:
    """`tier=gold,score>=0.5` as conditions. Raises BadFilter."""
    found = []
    for part in value.split(","):
        told = re.fullmatch(r"\s*([^=<>]{1,64}?)\s*(<=|>=|=|<|>)\s*(.{0,128}?)\s*", part)
        if told is None:
            raise BadFilter("metadata", f'"{part[:64]}" is no condition. Give KEY=VALUE, or KEY>=NUMBER with <, <=, > or >=.')
        name, relation, given = told.groups()
        number = re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", given)
        if number is None and relation != "=":
            raise BadFilter("metadata", f'"{given[:64]}" is no number; {relation} compares numbers.')
        found.append(Condition(name, relation, float(given) if number else given.strip('"')))
    if len(found) > CONDITIONS_MOST:
        raise BadFilter("metadata", f"has more than {CONDITIONS_MOST} conditions.")
    return tuple(found)


def _by(value: str) -> str:
    if value.startswith(METADATA) and value != METADATA:
        return value
    return _one_of("by", value, GROUPED)


def _choice(problem: str, given: str, choices: tuple[str, ...]) -> str:
    near = get_close_matches(given.lower(), choices, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return f"{problem}.{hint} It can be {', '.join(choices) or 'nothing: this takes no parameters'}."


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise BadFilter(name, _choice(f'"{value[:64]}" is not known', value, choices))
    return value


def _kind(value: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", value) is None:
        raise BadFilter("kind", _choice(f'"{value[:64]}" is no kind, which is a word such as "chain"', value, KINDS))
    return value


def _limit(asked: Asked, value: str) -> Asked:
    if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= LIMIT_MOST:
        raise BadFilter("limit", f"is not a whole number from 1 to {LIMIT_MOST}.")
    return replace(asked, limit=int(value))


def _decoded(asked: Asked, value: str) -> Asked:
    return replace(asked, decoded=_one_of("decoded", value, ("0", "1")) == "1")


def _narrow(name: str, read: Callable[[str], Any]) -> Callable[[Asked, str], Asked]:
    """A parameter that sets the field `name` of the filter."""
    return lambda asked, value: replace(asked, filter=replace(asked.filter, **{name: read(value)}))


TEXT: JSON = {"type": "string"}
TIME: JSON = {"type": "string", "examples": ["2026-11-22T15:04:05.123456Z", "1795359845.123456"]}
LIMIT: JSON = {"type": "integer", "minimum": 1, "maximum": LIMIT_MOST, "default": LIMIT_DEFAULT}

SESSION = Parameter("session_id", "Tasks of this session.", TEXT, _narrow("session_id", str))
USER = Parameter("user_id", "What this user did.", TEXT, _narrow("user_id", str))
PROJECT = Parameter("project_id", "What is in this project.", TEXT, _narrow("project_id", str))
PAGING = (
    Parameter(
        "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": LIMIT_MOST, "default": LIMIT_DEFAULT}, _limit
    ),
    Parameter("cursor", "What the page before gave as `next`.", TEXT, lambda asked, value: replace(asked, cursor=value)),
)
VERSION = Parameter("version_id", "Tasks whose metadata has this `version_id`.", TEXT, _narrow("version_id", str))
FILTERS = (
    SESSION,
    USER,
    PROJECT,
    Parameter("parent_task_id", "Parts of this task.", TEXT, _narrow("parent_task_id", str)),
    Parameter("model", "Tasks answered by this model, or that asked for it.", TEXT, _narrow("model", str)),
    Parameter(
        "kind",
        "Tasks of this kind: of a call, or what the app calls its own.",
        {"type": "string", "examples": [*KINDS]},
        _narrow("kind", _kind),
    ),
    Parameter(
        "ending",
        "Tasks that ended so.",
        {"type": "string", "enum": [str(ending) for ending in Ending]},
        _narrow("ending", lambda value: Ending(_one_of("ending", value, tuple(Ending)))),
    ),
    Parameter(
        "flag",
        "Tasks that somebody flagged so.",
        {"type": "string", "enum": [str(flag) for flag in Flag]},
        _narrow("flag", lambda value: Flag(_one_of("flag", value, tuple(Flag)))),
    ),
    Parameter("from", "Tasks that began at this time or later.", TIME, _narrow("since", lambda value: time("from", value))),
    Parameter("to", "Tasks that began before this time.", TIME, _narrow("until", lambda value: time("to", value))),
    VERSION,
    Parameter(
        "metadata",
        "Conditions on the metadata, with commas: `tier=gold`, `score>=0.5,score<0.9`; a number in quotation marks is a text.",
        {"type": "string", "examples": ["tier=gold", "score>=0.5,score<0.9"]},
        _narrow("metadata", conditions),
    ),
    Parameter("q", 'Words, and "phrases", that are all in input or output.', TEXT, _narrow("words", words)),
)
DECODED = Parameter("decoded", "1: with the content coding taken off.", {"type": "string", "enum": ["0", "1"]}, _decoded)
IMPLICIT = Parameter(
    "implicit",
    "1: sessions of one call that named none, alone; 0: without those.",
    {"type": "string", "enum": ["0", "1"]},
    lambda asked, value: replace(asked, implicit=_one_of("implicit", value, ("0", "1")) == "1"),
)
DRY_RUN = Parameter(
    "dry_run",
    "Only say what would change.",
    {"type": "boolean"},
    lambda asked, value: replace(asked, dry_run=_one_of("dry_run", value, ("0", "1")) == "1"),
)
FORGET = (
    USER,
    SESSION,
    Parameter("task_id", "This task.", TEXT, lambda asked, value: replace(asked, task_id=value)),
    PROJECT,
    Parameter("before", "Tasks that began before this time.", TIME, _narrow("until", lambda value: time("before", value))),
    DRY_RUN,
)
"""What is to be forgotten: what all of these hold for."""

AGAIN = (*FILTERS, *PAGING, DRY_RUN)
"""What an act over kept tasks can be told."""
TASK = Parameter("task_id", "This task alone.", TEXT, lambda asked, value: replace(asked, task_id=value))

_PROJECT = Member("The project of the session; needed where several have one of this id.")
SPLIT = {
    "from_task": Member("The id of the first task that moves.", needed=True),
    "thread": Member("Whether only tasks that go on from it move, and not all later ones.", bool),
    "into": Member("The id of the new session; one is made where it is left out."),
    "project_id": _PROJECT,
}
MERGE = {"into": Member("The id of the session that all tasks move into.", needed=True), "project_id": _PROJECT}
"""What splitting and merging sessions take."""
BY = Parameter(
    "by",
    "What tasks are put into groups by: a field, or a key of the metadata, `metadata.KEY`.",
    {"type": "string", "examples": [*GROUPED, "metadata.tier"]},
    lambda asked, value: replace(asked, by=_by(value)),
)
STEP = Parameter(
    "step",
    "How long each stretch of time is.",
    {"type": "string", "enum": list(STEPS), "default": "day"},
    lambda asked, value: replace(asked, step=_one_of("step", value, STEPS)),
)
SORT = Parameter(
    "sort",
    "What comes first: the most of this.",
    {"type": "string", "enum": list(SORTS), "default": "tasks"},
    lambda asked, value: replace(asked, sort=_one_of("sort", value, SORTS)),
)
TOP = PAGING[:1]


def _against(name: str, read: Callable[[str], Any]) -> Callable[[Asked, str], Asked]:
    return lambda asked, value: replace(asked, against=replace(asked.against, **{name: read(value)}))


AGAINST = (
    Parameter(
        "against_from",
        "Compare with tasks from this time on.",
        TIME,
        _against("since", lambda value: time("against_from", value)),
    ),
    Parameter("against_to", "And before this time.", TIME, _against("until", lambda value: time("against_to", value))),
    Parameter("against_version_id", "Compare with tasks of this `version_id`.", TEXT, _against("version_id", str)),
    Parameter("against_model", "Compare with tasks of this model.", TEXT, _against("model", str)),
)
RELEVANCE = Parameter(
    "sort",
    "With `q`, what comes first: the `newest`, or the best of the newest 300, on one page.",
    {"type": "string", "enum": ["newest", "relevance"], "default": "newest"},
    lambda asked, value: replace(asked, sort=_one_of("sort", value, ("newest", "relevance"))),
)
USER_SORT = Parameter(
    "sort",
    "Which users come first: those with the most of this.",
    {"type": "string", "enum": list(USER_SORTS), "default": "last_seen"},
    lambda asked, value: replace(asked, sort=None if value == "last_seen" else _one_of("sort", value, USER_SORTS)),
)
