"""Every setting, with its default and one sentence that says what it does."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from proxy.config import redaction, values

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class OnCallerLeft(StrEnum):
    """What becomes of the upstream's answer when its caller is gone."""

    CANCEL = "cancel"
    DRAIN = "drain"


class Privacy(StrEnum):
    """What is kept out of the record."""

    NONE = "none"
    METADATA_ONLY = "metadata-only"
    NO_RECORD = "no-record"


class Durability(StrEnum):
    """What the record survives."""

    PROCESS = "process"
    POWER = "power"
    NONE = "none"


class KeyMode(StrEnum):
    """When an upstream's own key is used."""

    FALLBACK = "fallback"
    ALWAYS = "always"


class Auth(StrEnum):
    """The header field that carries a key."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    API_KEY = "api-key"
    X_GOOG_API_KEY = "x-goog-api-key"


def _canonical_address(text: str) -> str:
    return str(values.address(text))


def _comma_list(given: object) -> object:
    """A list, or a text with commas: an environment variable has no lists."""
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given


def _one_of_list(given: object) -> object:
    """A list, or the only one in it: what may have commas in it cannot be told apart by them."""
    return [given] if isinstance(given, str) else given


def _home(path: Path) -> Path:
    return path.expanduser()


def _readable(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


Bytes = Annotated[int, BeforeValidator(values.size)]
Count = Annotated[int, BeforeValidator(values.not_a_bool)]
Seconds = Annotated[float, BeforeValidator(values.not_a_bool), Field(allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(values.not_a_bool), Field(allow_inf_nan=False)]
Secret = Annotated[SecretStr, BeforeValidator(values.secret)]
AddressText = Annotated[str, AfterValidator(_canonical_address)]
Name = Annotated[str, AfterValidator(values.upstream_name)]
HostList = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]


class Section(BaseModel):
    """One table of the file: frozen, knows all its keys, and shows no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Listen(Section):
    """The two doors, and what a caller may ask of the calls door."""

    calls: AddressText = Field(default="127.0.0.1:8900", description="Where apps call; port 0 picks a free one.")
    desk: AddressText = Field(
        default="127.0.0.1:8901", description="Where the record is read; an address that is not loopback needs `desk.key`."
    )
    workers: Count = Field(default=1, ge=1, le=64, description="Relay processes that share the calls door.")
    header_seconds: Seconds = Field(default=10.0, gt=0, description="Seconds in which the head of a request must be complete.")
    idle_seconds: Seconds = Field(default=75.0, gt=0, description="Seconds for which a caller's idle connection is kept open.")
    max_head_bytes: Bytes = Field(
        default=64 * KIB, ge=1 * KIB, le=16 * MIB, description="Longest request head; a longer one is answered 431."
    )
    max_target_bytes: Bytes = Field(
        default=16 * KIB, ge=256, le=16 * MIB, description="Longest path and query; a longer one is answered 414."
    )
    max_calls: Count = Field(default=10_000, ge=1, description="Calls that run at once in one relay; one more is answered 503.")
    max_connections: Count = Field(
        default=10_000,
        ge=1,
        description="Callers connected at once to one relay, fewer where it may open few files; one more is answered 503.",
    )


class Timeouts(Section):
    """How long an upstream may take, in seconds."""

    connect: Seconds = Field(default=10.0, gt=0, description="Seconds to reach the upstream, TLS included.")
    first_byte: Seconds = Field(default=600.0, gt=0, description="Seconds from the request's end to the answer's first byte.")
    idle: Seconds = Field(default=600.0, gt=0, description="Longest silence, in seconds, inside an answer that has begun.")
    keep_alive: Seconds = Field(default=4.0, ge=0, description="Seconds for which an idle upstream connection is used again.")


class Upstream(Section):
    """One provider that calls can go to."""

    url: Annotated[str, AfterValidator(values.upstream_url)] = Field(
        description="Origin and any prefix, without `/v1`: each call's own path is put after it."
    )
    key: Secret | None = Field(default=None, description="Credential for this upstream: the value, `env:NAME` or `file:PATH`.")
    key_mode: KeyMode = Field(
        default=KeyMode.FALLBACK, description="When `key` is used: `fallback` where the caller sent no credential, or `always`."
    )
    auth: Auth = Field(
        default=Auth.BEARER, description="The field that carries `key`: `bearer`, `x-api-key`, `api-key` or `x-goog-api-key`."
    )
    ca_file: Annotated[Path, AfterValidator(_readable)] | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    proxy: Annotated[str, AfterValidator(values.proxy_url)] | None = Field(
        default=None, description="Proxy to go through: `http://host:port`, or `none`; left out, HTTPS_PROXY and NO_PROXY decide."
    )
    provider: Annotated[str, AfterValidator(values.provider)] | None = Field(
        default=None,
        description="Whose list prices hold, where `url` does not tell: `openai`, `azure`, `aws`, `google`, `groq`, ...",
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long this upstream may take.")


BUILT_IN: dict[str, dict[str, str]] = {
    "openai": {"url": "https://api.openai.com", "auth": "bearer"},
    "anthropic": {"url": "https://api.anthropic.com", "auth": "x-api-key"},
    "ollama": {"url": "http://127.0.0.1:11434", "auth": "bearer"},
}
"""Upstreams that need no configuration. Setting one of their keys keeps the others."""


class Journal(Section):
    """The durable memory of calls that are not in the store yet."""

    durability: Durability = Field(
        default=Durability.PROCESS,
        description="What the record survives: `process` a kill, `power` a power cut, `none` nothing for sure.",
    )
    patience_ms: Count = Field(
        default=50, ge=0, le=10_000, description="Milliseconds for which the last bytes of an answer wait for a slow journal."
    )
    max_bytes: Bytes = Field(default=1 * GIB, ge=1 * MIB, description="Most that the journal may hold while the store is away.")
    segment_bytes: Bytes = Field(
        default=16 * MIB, ge=64 * KIB, le=1 * GIB, description="Size at which a new journal file is begun."
    )


class Store(Section):
    """Where tasks are kept."""

    url: Annotated[str, AfterValidator(values.store_url)] = Field(
        default="sqlite:", description="`sqlite:` in the data directory, `sqlite:PATH`, or `memory:` (forgotten at the end)."
    )


class Capture(Section):
    """How much of a call is kept."""

    max_body: Bytes = Field(
        default=64 * MIB,
        ge=0,
        description="Most that is kept of one body, its beginning and its end; the rest is carried, not recorded.",
    )
    privacy: Privacy = Field(
        default=Privacy.NONE,
        description="What no call's record has: `none` keeps all, `metadata-only` no bodies, `no-record` nothing but a count.",
    )
    private_projects: HostList = Field(default=(), description="Projects (`X-Project-Id`) whose bodies are never kept.")
    inject_usage: bool = Field(
        default=False,
        description="Ask streams of chat and text completions for their usage; the chunk with it is taken out again.",
    )
    vectors: bool = Field(
        default=False, description="Whether `raw_output` of an embedding has its vectors; the kept bytes have them anyway."
    )


Patterns = Annotated[tuple[str, ...], BeforeValidator(_comma_list), AfterValidator(redaction.patterns)]
OwnPatterns = Annotated[tuple[str, ...], BeforeValidator(_one_of_list), AfterValidator(redaction.own)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_comma_list), AfterValidator(redaction.paths)]
ProjectRules = Annotated[tuple[str, ...], BeforeValidator(_comma_list), AfterValidator(redaction.projects)]


class Redact(Section):
    """What is taken out of bodies before anything is written, beside credentials."""

    patterns: Patterns = Field(
        default=(), description="Any of `email`, `card`, `phone`, `iban`, `api_key`, `jwt`, `private_key`: taken out of bodies."
    )
    own: OwnPatterns = Field(
        default=(), description="Patterns of your own for RE2 (`tasktap[redact]`), each as `NAME=PATTERN`: likewise."
    )
    paths: Paths = Field(default=(), description="JSON paths, as `$.messages[*].content`, whose values are taken out of bodies.")
    projects: ProjectRules = Field(
        default=(),
        description="Projects with rules of their own, each as `NAME=email+card` (patterns, paths) or `NAME=none`.",
    )


class DeskDoor(Section):
    """Who may read the record."""

    key: Secret | None = Field(
        default=None, description="Key that readers must send as a Bearer token: the value, `env:NAME` or `file:PATH`."
    )
    read_key: Secret | None = Field(
        default=None, description="Key that reads and does nothing else: GET, and the pages without acts."
    )
    hosts: HostList = Field(default=(), description="Host names, beside its own address, by which the desk may be asked.")
    feedback_key: Secret | None = Field(
        default=None, description="Key for browsers: gives feedback on tasks, from any site, and does nothing else."
    )
    open_feedback: bool = Field(default=False, description="Whether anybody may give feedback, from any site, without a key.")


class LogFormat(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which on something is said."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(Section):
    """What tasktap says of itself on standard error."""

    format: LogFormat = Field(default=LogFormat.TEXT, description="How a line is written on standard error: `text` or `json`.")
    level: LogLevel = Field(default=LogLevel.INFO, description="From which on it is said: `debug`, `info`, `warning` or `error`.")


class LabelRules(Section):
    """How labels are treated."""

    strip_aliases: bool = Field(
        default=False, description="Whether other gateways' label fields are taken off before the call goes upstream."
    )


Projects = Annotated[tuple[str, ...], BeforeValidator(_comma_list), AfterValidator(values.ages)]


class Retention(Section):
    """How long tasks are kept, and how much room they may take."""

    max_age: Seconds | None = Field(default=None, gt=0, description="Days for which tasks are kept; left out, for ever.")
    max_bytes: Bytes | None = Field(
        default=None, ge=MIB, description="Most that the store may take; past it the oldest tasks go. Left out, no limit."
    )
    projects: Projects = Field(
        default=(), description="Projects with an age of their own, each as `NAME=DAYS` or `NAME=forever`."
    )


Dollars = Annotated[float, BeforeValidator(values.not_a_bool), Field(allow_inf_nan=False)]
Pattern = Annotated[str, AfterValidator(values.model_pattern)]


class Price(Section):
    """What one's own price of a model is, in US dollars for a million tokens."""

    input: Dollars | None = Field(default=None, ge=0, description="US dollars for a million input tokens.")
    output: Dollars | None = Field(default=None, ge=0, description="US dollars for a million output tokens.")
    cached_input: Dollars | None = Field(
        default=None, ge=0, description="For those of the input that were read from a cache; left out, `input` holds."
    )
    cache_write: Dollars | None = Field(
        default=None, ge=0, description="For those of the input that were written to a cache; left out, `input` holds."
    )
    reasoning: Dollars | None = Field(default=None, ge=0, description="For reasoning tokens; left out, `output` holds.")
    audio_input: Dollars | None = Field(
        default=None, ge=0, description="For those of the input that are sound; left out, `input` holds."
    )
    audio_output: Dollars | None = Field(
        default=None, ge=0, description="For those of the output that are sound; left out, `output` holds."
    )


class Sessions(Section):
    """Calls that name no session."""

    infer: bool = Field(default=True, description="Whether their session is found from the history that they bring along.")
    idle_minutes: Count = Field(
        default=30, ge=1, le=10_080, description="Minutes of silence that end a session: the same opening begins another."
    )


class UsageRules(Section):
    """What is done where the provider counts no tokens."""

    estimate: bool = Field(
        default=False, description="Whether tokens that the provider did not count are estimated, marked `estimated`."
    )


class Insights(Section):
    """Who counts as a power user, as abusive, as struggling."""

    power_share: Share = Field(
        default=0.05, gt=0, le=1, description="Share of users that is the top, by active days, tasks and cost, for power users."
    )
    power_days: Count = Field(default=3, ge=1, description="Days on which a power user was active, at least.")
    abusive_burst: Count = Field(
        default=60, ge=1, description="Tasks begun in one minute from which on their user counts as abusive."
    )
    abusive_refused: Count = Field(default=5, ge=1, description="Answers refused or stopped by a content filter, likewise.")
    abusive_limited: Count = Field(default=10, ge=1, description="Answers 429, likewise.")
    abusive_repeated: Count = Field(default=5, ge=1, description="Prompts repeated by a user who was refused, likewise.")
    struggling_reasons: Count = Field(
        default=2, ge=1, le=6, description="Signs of trouble, of six, from which on a user counts as struggling."
    )
    struggling_share: Share = Field(
        default=0.2, ge=0, le=1, description="Share of a user's tasks or sessions from which on a sign of trouble counts."
    )


class Settings(BaseSettings):
    """All settings. `proxy.config.load` makes one from file, environment and flags; made directly it reads neither."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data_dir: Annotated[Path, AfterValidator(_home)] = Field(
        default=Path("tasktap-data"), description="Directory of the journal and the store; one `tasktap serve` at a time uses it."
    )
    default_upstream: str = Field(default="openai", description="The upstream of calls whose path names none.")
    on_caller_left: OnCallerLeft = Field(
        default=OnCallerLeft.CANCEL,
        description="When a caller leaves: `cancel` the upstream's work, or `drain` its answer for the record.",
    )
    stop_deadline: Seconds = Field(default=8.0, ge=0, description="Seconds that running calls get to end when tasktap stops.")
    listen: Listen = Field(default_factory=Listen, description="The two doors.")
    upstreams: dict[Name, Upstream] = Field(
        default_factory=dict, validate_default=True, description="Providers by name; `/NAME/...` goes to `NAME`."
    )
    journal: Journal = Field(default_factory=Journal, description="The journal.")
    store: Store = Field(default_factory=Store, description="The store.")
    capture: Capture = Field(default_factory=Capture, description="What is kept.")
    redact: Redact = Field(default_factory=Redact, description="What is taken out of bodies.")
    desk: DeskDoor = Field(default_factory=DeskDoor, description="The desk.")
    log: Log = Field(default_factory=Log, description="What is said on standard error.")
    labels: LabelRules = Field(default_factory=LabelRules, description="Labels.")
    usage: UsageRules = Field(default_factory=UsageRules, description="Tokens.")
    retention: Retention = Field(default_factory=Retention, description="Retention.")
    prices: dict[Pattern, Price] = Field(default_factory=dict, description="Own prices, by a pattern of model names.")
    sessions: Sessions = Field(default_factory=Sessions, description="Sessions.")
    insights: Insights = Field(default_factory=Insights, description="Insights.")

    @field_validator("upstreams", mode="before")
    @classmethod
    def _with_built_ins(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        merged = {
            name: {**BUILT_IN.get(name, {}), **entry} if isinstance(entry, dict) else entry for name, entry in given.items()
        }
        return {**BUILT_IN, **merged}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `load` brings its own layers."""
        return (init_settings,)
