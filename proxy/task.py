"""The values of the house: what a call was, what is remembered of it, what can be asked.

Everything here is frozen and does no I/O. Times are `int` microseconds since the Unix epoch (UTC); durations are `float` seconds.
`None` always means "not known", never zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from proxy.quick import changer, quickly

T = TypeVar("T")

JSON = dict[str, Any]
"""A provider's own JSON object, read with `.get`. The one place where `Any` is allowed."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as they were on the wire: order, case, duplicates and bytes >= 0x80 kept."""

FULL_ID_LENGTH = 128
"""The longest `X-Task-Id` a caller may give."""

LABEL_LENGTH = 512
"""The longest label (session, user, project, name): longer ones are noted in `problems` and not used."""


OWN_SESSION = "auto-"
"""How the id of a session begins that no app named."""


class Ending(StrEnum):
    """How a call ended: exactly one, always."""

    COMPLETED = "completed"  # the upstream finished and the caller had it all
    UPSTREAM_ERROR = "upstream_error"  # status >= 400, or an error event inside a 200 stream
    UPSTREAM_BROKE = "upstream_broke"  # cut after it had begun to answer
    UNREACHABLE = "unreachable"  # refused, DNS, TLS, closed before a byte of an answer
    TIMED_OUT = "timed_out"
    CALLER_LEFT = "caller_left"
    UPLOAD_INCOMPLETE = "upload_incomplete"  # the caller left, or broke off, inside its request body
    REJECTED = "rejected"  # by us
    STOPPED = "stopped"  # we shut down
    PROXY_DIED = "proxy_died"

    __hash__ = str.__hash__  # Enum's own is Python, and these are looked up for every task


class Source(StrEnum):
    """Where a session or user label was found."""

    HEADER = "header"
    ALIAS = "alias"
    BODY = "body"
    BAGGAGE = "baggage"
    INFERRED = "inferred"
    CLIENT = "client"

    __hash__ = str.__hash__


class Flag(StrEnum):
    """What somebody thought of a task."""

    SUCCESS = "success"
    FAILURE = "failure"

    __hash__ = str.__hash__


class Which(StrEnum):
    """Which of a call's two bodies."""

    REQUEST = "request"
    RESPONSE = "response"


class Piece(NamedTuple):  # of which a stream has hundreds: made in a third of the time of a dataclass
    """Some bytes of a body, and when they came.

    `at` is seconds since the call was accepted, from a monotonic clock.
    """

    at: float
    data: bytes


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One exchange, as the tap saw it and the journal kept it. Nothing in it has been understood yet.

    Secrets are gone already: `target` has its credentials replaced, `request_fields` and `response_fields` are the allow-listed
    ones, and bodies are redacted (`redactions` says where).
    """

    origin: str  # "<epoch>.<number>": unique for ever, made by the relay; what makes a replay harmless
    id: str  # the task id that the caller was given in X-Task-Id
    own_id: str  # an id of ours, used where `id` turns out to be taken
    retry_of: str | None = None  # the caller gave this id a second time, so `id` is ours
    part_of: str | None = None  # the id that an upgraded connection was given, of which this is a later part
    created_at: int  # microseconds since the epoch
    ended_at: int
    ending: Ending
    upstream: str  # its name in the configuration
    kind: str  # the dialect that the route promised; "opaque" where it promised none
    method: str
    target: str  # path and query as sent by the caller, credentials replaced
    caller_key: str | None = None  # keyed fingerprint of the API key
    request_fields: Fields = ()  # allow-listed, and every label field
    request_body: bytes = b""  # transfer coding removed, content coding kept
    sent: tuple[Piece, ...] = ()  # `request_body` in pieces, where the connection was upgraded: plain WebSocket frames
    request_size: int = 0  # bytes on the wire; more than len(request_body) where the record was cut
    request_decoded: bool = False  # the content coding was removed, because something in it had to be redacted
    http_status: int | None = None  # what the caller got
    reason: str = ""
    response_fields: Fields = ()
    response: tuple[Piece, ...] = ()  # the response body in the pieces it came in
    response_size: int = 0
    response_decoded: bool = False
    seconds_to_first_byte: float | None = None
    seconds_to_connect: float | None = None  # until a connection was made; `None`: there was one
    seconds_to_sent: float | None = None  # until the whole request had come, where its body came in pieces
    marked: bool = False  # the end marker of the dialect went to the caller
    unclosed: Ending | None = None  # how it would have ended without that marker: the answer did not come to its own end
    drained: bool = False  # the answer was read to its end for the record, after its caller had left
    error_code: str | None = None  # X-Tasktap-Error, where the answer was ours
    redactions: tuple[str, ...] = ()  # where something was taken out: "request.body", "response.body", "target", ...
    problems: tuple[str, ...] = ()  # what the relay could not do as asked, or could not keep

    @property
    def response_body(self) -> bytes:
        """The kept response body, whole."""
        return b"".join(piece.data for piece in self.response)


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as counted by `source`; a figure that nobody gave is `None`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    source: str = "provider"  # or "estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody said of a task, once."""

    id: str
    created_at: int
    flag: Flag | None = None
    score: float | None = None
    comment: str | None = None
    source: str | None = None
    user_id: str | None = None


class Trace(NamedTuple):
    """A keyed hash of something that was said, under which later calls of the conversation find a task."""

    key: int  # 64 bits, signed
    mark: int  # tells apart tasks of the same key: 31 bits, whose meaning depends on what the key is of


class Traced(NamedTuple):
    """A task that was found by a trace, and the session it is in now."""

    key: int
    mark: int
    task_id: str
    session_id: str
    explicit: bool  # somebody named this session
    created_at: int
    last_at: int  # when the session ended, as far as is known; 0: it was said to be over (`X-Session-Final`), and ended well


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A task as lists show it: everything but bodies, headers and pieces."""

    id: str
    origin: str
    project_id: str = "default"
    created_at: int
    ended_at: int
    kind: str
    name: str | None = None
    session_id: str | None = None
    session_source: Source | None = None
    session_evidence: JSON | None = None  # how an inferred session was found; what a person changed
    session_final: bool = False
    user_id: str | None = None
    user_source: Source | None = None
    parent_task_id: str | None = None
    retry_of: str | None = None
    input: str | None = None
    output: str | None = None
    system_prompt: str | None = None
    metadata: JSON = field(default_factory=dict)
    model_requested: str | None = None
    model: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    price: JSON | None = None
    upstream: str | None = None
    method: str | None = None
    path: str | None = None  # path and query, credentials replaced
    http_status: int | None = None
    error_code: str | None = None
    upstream_request_id: str | None = None
    response_id: str | None = None  # the provider's own: chatcmpl-...
    caller_key: str | None = None
    stream: bool | None = None
    request_size: int | None = None
    response_size: int | None = None
    seconds_to_first_byte: float | None = None
    seconds_to_first_token: float | None = None
    seconds_total: float | None = None
    longest_stall: float | None = None  # seconds between two pieces of the response
    tokens_per_second: float | None = None  # of a stream's output, from its first token to its last piece
    ending: Ending
    finish_reasons: tuple[str | None, ...] = ()
    flag: Flag | None = None
    problems: tuple[str, ...] = ()
    events: tuple[JSON, ...] = ()  # labels: {"name", "source"}; `proxy/store/events.py` says who gives them
    logged: JSON | None = None  # of a carried call: what the app itself said of it, by field


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Summary):
    """A task, whole."""

    own_id: str | None = None  # the id it gets where `id` is taken by another call; not part of the record
    traces: tuple[Trace, ...] = ()  # by which a call that goes on from it finds it; not part of the record
    as_read: tuple[tuple[Any, bytes], ...] = field(default=(), compare=False, repr=False)
    """JSON that is `raw_input` or `raw_output`, each with the body that it was read from just now; not part of the record."""

    raw_input: Any = None  # the request's JSON
    raw_output: Any = None  # the response's JSON, as the non-streamed API would have given it
    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes = b""  # as kept: content coding kept, unless `redactions` say otherwise
    request_coding: str | None = None  # the content coding `request_body` is in, e.g. "gzip"
    response_body: bytes = b""
    response_coding: str | None = None
    pieces: tuple[tuple[float, int], ...] = ()  # (seconds since created_at, bytes) of each piece of the response
    redactions: tuple[str, ...] = ()
    carried: JSON = field(default_factory=dict)  # what the relay saw and reading put otherwise: kept to read it again
    feedback: tuple[Feedback, ...] = ()
    evaluations: tuple[JSON, ...] = ()


changed = changer(Task)
"""`dataclasses.replace` of a task: each is changed on its way to the store."""

fill: Callable[[Task, str, Any], None] = object.__setattr__
"""Puts a field into a task that nobody else has so far: to make it anew takes ten times as long."""


@dataclass(frozen=True, slots=True)
class Body:
    """One kept body: its bytes, and the content coding they are in (`None`: plain)."""

    data: bytes
    coding: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What tasks tell of judgement and of trouble, counted: see `proxy/store/marks.py` for what each means."""

    success: int = 0  # flagged so
    failure: int = 0
    refusals: int = 0
    moderated: int = 0  # stopped or flagged by a content filter
    limited: int = 0  # answered 429
    repeated: int = 0  # the input before, again
    rephrased: int = 0  # most words of the input before, again
    frustrated: int = 0
    loops: int = 0  # the same tool call as in the answer before


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the tasks of one session add up to. Kept as a rollup: never counted from tasks when asked."""

    id: str
    project_id: str
    user_id: str | None  # the last one seen
    started_at: int
    ended_at: int
    tasks: int
    errors: int  # tasks whose ending is not `completed`
    input_tokens: int
    output_tokens: int
    cost: float | None
    first_input: str | None  # a title: the first words of the first task
    last_input: str | None
    last_output: str | None
    last_ending: Ending
    model: str | None  # the last one seen
    final: bool  # X-Session-Final was seen
    implicit: bool = False  # one call that names no session and that nothing goes on from
    turns: int = 0  # inputs of a person, not of a tool
    silence_seconds: float = 0.0  # between an end and the next start, added up
    longest_silence_seconds: float = 0.0
    models: tuple[str, ...] = ()  # the first eight
    last_flag: Flag | None = None
    ended_badly: bool = False  # the last task failed, was refused or flagged a failure
    signs: Signs = Signs()

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return (self.ended_at - self.started_at) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What the tasks of one user add up to; a rollup like `Session`."""

    id: str
    project_id: str
    first_seen: int
    last_seen: int
    tasks: int
    sessions: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    active_days: int = 0
    session_seconds: float | None = None  # the mean duration of the sessions in which this user was the last one seen
    ended_badly: int = 0  # of those sessions: how many were given up
    busiest_minute: int = 0  # tasks begun in one minute, at most
    signs: Signs = Signs()


@dataclass(frozen=True, slots=True)
class Condition:
    """What a key of the metadata must be: equal to a text or number, or for `<`, `<=`, `>`, `>=` a number in a range."""

    name: str
    relation: str  # "=", "<", "<=", ">" or ">="
    value: str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks. Every field that is not `None` must hold; `since` is inclusive, `until` exclusive (microseconds)."""

    session_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    parent_task_id: str | None = None  # parts of this task
    model: str | None = None
    kind: str | None = None
    ending: Ending | None = None
    flag: Flag | None = None
    version_id: str | None = None  # of the metadata
    metadata: tuple[Condition, ...] = ()  # each must hold
    since: int | None = None
    until: int | None = None
    words: tuple[str, ...] = ()  # each must be in input or output; one with spaces is a phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Which tasks are to be forgotten. Every field that is not `None` must hold; `before` is exclusive (microseconds)."""

    task_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    other_projects: tuple[str, ...] = ()  # in none of these
    since: int | None = None  # began then or later
    before: int | None = None  # began before
    ended_by: int | None = None  # ended then or earlier

    def holds(self, task: Summary) -> bool:
        """Whether this task is one of them."""
        return (
            self.task_id in (None, task.id)
            and self.session_id in (None, task.session_id)
            and self.user_id in (None, task.user_id)
            and self.project_id in (None, task.project_id)
            and task.project_id not in self.other_projects
            and (self.since is None or task.created_at >= self.since)
            and (self.before is None or task.created_at < self.before)
            and (self.ended_by is None or task.ended_at <= self.ended_by)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was forgotten."""

    tasks: int = 0
    sessions: int = 0  # those of which no task is left
    users: int = 0
    feedback: int = 0
    bytes: int = 0  # that headers and bodies took, as kept
    through: int | None = None  # `created_at` of the latest of the tasks

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            tasks=self.tasks + other.tasks,
            sessions=self.sessions + other.sessions,
            users=self.users + other.users,
            feedback=self.feedback + other.feedback,
            bytes=self.bytes + other.bytes,
            through=max((at for at in (self.through, other.through) if at is not None), default=None),
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and where the next ones start (`None`: there are no more)."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where every call since this start is: `carried == stored + waiting + lost`, at every moment."""

    carried: int = 0  # calls that have ended
    running: int = 0
    journalled: int = 0  # of the carried ones, those whose end is in the journal
    stored: int = 0
    waiting: int = 0  # ended, not yet in the store
    lost: int = 0
    rejected: int = 0  # malformed HTTP: refused before it was a call
    recovered: int = 0  # stored now, but carried before this start
    set_aside: int = 0  # of the waiting ones: refused by the store, kept in a file
    lapses: int = 0  # bytes went out before the journal had them, because it was slow
    bodies_dropped: int = 0  # bodies that the journal had no room for
    journal_bytes: int = 0
    journal_segments: int = 0
    journal_stalled: bool = False
    journal_damaged: int = 0  # bytes that no record could be found in, or that could not be read
    intake_waiting: int = 0  # entries of apps and people that are journalled, read and not in the store yet
    intake_set_aside: int = 0  # ... that the store refused, since this desk began
    intake_stalled: bool = False  # the intake's own journal cannot write
    intake_error: str | None = None  # why they cannot be stored
    store_error: str | None = None
    lag_seconds: float = 0.0  # age of the oldest journalled end that is not yet stored
    retired_tasks: int = 0  # let go of by age or size
    retention_error: str | None = None  # what kept its last round from the end
    retired_bytes: int = 0  # that their headers and bodies took, as kept
    relays: int = 0  # relays alive
    open_connections: int = 0
    unrecorded: int = 0  # calls that were to leave no record (`X-Task-Privacy: no-record`); they are not among the carried
    open_streams: int = 0  # streamed answers under way
    endings: tuple[tuple[Ending, int], ...] = ()  # how the carried calls ended
    limits: tuple[tuple[str, int], ...] = ()  # how often each limit was met
    held: tuple[tuple[float, int], ...] = ()  # how many answers waited for the journal for at most so many seconds
    held_more: int = 0  # ... and for longer
    held_seconds: float = 0.0  # all of these waits together
    commits: int = 0  # of the store, by this desk
    commit_seconds: float = 0.0
    store_errors: int = 0
    reasons: tuple[str, ...] = ()  # why recording is not well; empty when it is
