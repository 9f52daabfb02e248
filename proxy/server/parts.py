"""Settings -> what each process needs of them, as plain JSON values: a child never loads the configuration's machinery."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from proxy.config import Settings
from proxy.config.redaction import told
from proxy.config.values import address, age_of


def relay_part(settings: Settings) -> dict[str, Any]:
    """What relays need of the settings."""
    listen, journal = settings.listen, settings.journal
    return {
        "default_upstream": settings.default_upstream,
        "drain": settings.on_caller_left == "drain",
        "strip_aliases": settings.labels.strip_aliases,
        "header_seconds": listen.header_seconds,
        "idle_seconds": listen.idle_seconds,
        "max_head": listen.max_head_bytes,
        "max_target": listen.max_target_bytes,
        "max_calls": listen.max_calls,
        "max_connections": listen.max_connections,
        "max_body": settings.capture.max_body,
        "inject_usage": settings.capture.inject_usage,
        "privacy": str(settings.capture.privacy),
        "private_projects": list(settings.capture.private_projects),
        "redact": redact_part(settings),
        "log": log_part(settings),
        "journal": {
            "durability": str(journal.durability),
            "patience": journal.patience_ms / 1000,
            "max_bytes": journal.max_bytes,
            "segment_bytes": journal.segment_bytes,
        },
        "upstreams": [
            {
                "name": name,
                "url": upstream.url,
                "key": None if upstream.key is None else upstream.key.get_secret_value(),
                "always": upstream.key_mode == "always",
                "auth": str(upstream.auth),
                "timeouts": upstream.timeouts.model_dump(),
                "ca_file": None if upstream.ca_file is None else str(upstream.ca_file),
                "proxy": upstream.proxy,
            }
            for name, upstream in settings.upstreams.items()
        ],
    }


def log_part(settings: Settings) -> dict[str, str]:
    """How every process logs."""
    return {"format": str(settings.log.format), "level": str(settings.log.level)}


def redact_part(settings: Settings) -> dict[str, Any]:
    """What is taken out of bodies, for relays and for the desk."""
    redact = settings.redact
    return told(redact.patterns, redact.own, redact.paths, redact.projects)


def _version() -> str:
    try:
        return metadata.version("tasktap")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"


def desk_part(settings: Settings) -> dict[str, Any]:
    """What the desk needs of the settings; the supervisor adds the address that it listens on, and that of the calls door."""
    key = settings.desk.key
    return {
        "version": _version(),
        "store": settings.store.url,
        "redact": redact_part(settings),
        "log": log_part(settings),
        "key": None if key is None else key.get_secret_value(),
        "read_key": None if settings.desk.read_key is None else settings.desk.read_key.get_secret_value(),
        "hosts": list(settings.desk.hosts),
        "calls_loopback": address(settings.listen.calls).is_loopback,
        "feedback_key": None if settings.desk.feedback_key is None else settings.desk.feedback_key.get_secret_value(),
        "open_feedback": settings.desk.open_feedback,
        "estimate": settings.usage.estimate,
        "vectors": settings.capture.vectors,
        "retention": {
            "max_age": settings.retention.max_age,
            "max_bytes": settings.retention.max_bytes,
            "projects": [age_of(text) for text in settings.retention.projects],
        },
        "prices": {
            pattern: {name: rate for name, rate in price.model_dump().items() if rate is not None}
            for pattern, price in settings.prices.items()
        },
        "upstreams": {name: {"url": each.url, "provider": each.provider} for name, each in settings.upstreams.items()},
        "insights": settings.insights.model_dump(),
        "sessions": {"infer": settings.sessions.infer, "idle_seconds": settings.sessions.idle_minutes * 60},
        "journal": {
            "durability": str(settings.journal.durability),
            "max_bytes": settings.journal.max_bytes,
            "segment_bytes": settings.journal.segment_bytes,
        },
    }
