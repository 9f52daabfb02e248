"""The one sender of this process: how it is set up, and what happens when the process forks or ends."""

from __future__ import annotations

import atexit
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy.client.recording import end_all, forget_all
from proxy.client.sender import URL, Sender, Settings, log


def _settings() -> Settings:
    """What the environment says."""
    return replace(
        Settings(),
        url=os.environ.get("TASKTAP_URL") or URL,
        key=os.environ.get("TASKTAP_KEY") or None,
        project_id=os.environ.get("TASKTAP_PROJECT") or os.environ.get("PHOSPHO_PROJECT_ID") or None,
    )


the = Sender(Settings())


def init(
    api_key: str | None = None,
    project_id: str | None = None,
    base_url: str | None = None,
    *,
    tick: float | None = None,
    version_id: str | None = None,
    timeout: float | None = None,
    exit_seconds: float | None = None,
    max_tasks: int | None = None,
    max_bytes: int | None = None,
    spool: str | os.PathLike[str] | None = None,
    spool_bytes: int | None = None,
    **ignored: Any,
) -> None:
    """Say where the desk is; what is left out is `TASKTAP_URL`, `TASKTAP_KEY` and `TASKTAP_PROJECT`, else the default.

    `base_url` is the desk (`http://127.0.0.1:8901`), `api_key` its key. `tick`: seconds for which tasks gather before they are
    sent; `timeout`: seconds for which the desk may be silent; `exit_seconds`: the longest that the end of the app is held up.
    `max_tasks` and `max_bytes` bound what waits in memory; with `spool`, a directory, tasks go to disk while the desk is away,
    up to `spool_bytes`. `auto_log`, `tracing` and `raise_error_on_fail_to_send` of phospho are accepted and do nothing.
    """
    try:
        given = {
            "url": base_url, "key": api_key, "project_id": project_id, "tick": tick, "version_id": version_id, "timeout": timeout,
            "exit_seconds": exit_seconds, "most": max_tasks, "most_bytes": max_bytes, "spool_bytes": spool_bytes,
            "spool": Path(spool) if spool is not None else None,
        }  # fmt: skip
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if not str(changes.get("url", "http://")).startswith(("http://", "https://")):
            log.warning("init: base_url %r has no http:// or https:// before it; it is not used", changes.pop("url"))
        the.configure(replace(_settings(), **changes))
        unknown = sorted(set(ignored) - {"auto_log", "tracing", "raise_error_on_fail_to_send"})
        if unknown:
            log.warning("init: there is no %s", ", ".join(unknown))
    except Exception as wrong:  # as everywhere here: the app goes on
        the.fault(wrong)


def flush(timeout: float = 5.0) -> bool:
    """Wait until what was logged before is with the desk, at most `timeout` seconds; True if it is (or on disk, if asked)."""
    try:
        return the.flush(timeout)
    except Exception as wrong:
        the.fault(wrong)
        return False


def stats() -> dict[str, Any]:
    """What became of what this process logged, and what waits."""
    return {
        "waiting": len(the.outbox),
        "waiting_bytes": the.outbox.bytes,
        "sent": the.counts.sent,
        "spooled": the.counts.spooled,
        "dropped": the.outbox.dropped + the.spool_dropped(),
        "rejected": the.counts.rejected,
        "errors": the.counts.errors,
        "last_error": the.counts.last_error,
    }


def close() -> None:
    """End what is still streaming, and send what waits: at most `exit_seconds`, less where the desk cannot be reached."""
    end_all()
    the.close()


def _forked() -> None:
    forget_all()  # the parent's streams are the parent's to record
    the.begin()


the.configure(_settings())
atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
