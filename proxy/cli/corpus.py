"""Tasks as something to read: conversations as Markdown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from proxy.store.marks import TOOL_RESULT
from proxy.task import Ending, Filter, Session, Summary

if TYPE_CHECKING:
    from proxy.store import Store

PAGE = 200


async def conversations(tasks: AsyncIterator[Summary], store: Store) -> AsyncIterator[bytes]:
    """Each session that one of the tasks is in, whole, the oldest task first; a task of no session by itself."""
    done: set[tuple[str, str]] = set()
    async for task in tasks:
        if task.session_id is None:
            yield (_title(task.id, task.input) + _turn(task)).encode("utf-8", "replace")
            continue
        key = (task.project_id, task.session_id)
        if key in done:
            continue
        done.add(key)
        session = await store.session(task.session_id, task.project_id)
        yield _heading(session, task).encode("utf-8", "replace")
        whose, cursor = Filter(session_id=task.session_id, project_id=task.project_id), None
        while True:
            page = await store.find(whose, limit=PAGE, cursor=cursor, oldest_first=True)
            for each in page.items:
                yield _turn(each).encode("utf-8", "replace")
            if (cursor := page.next) is None:
                break


def _heading(session: Session | None, task: Summary) -> str:
    from proxy.query.document import moment

    title = _title(task.session_id or task.id, session.first_input if session else task.input)
    if session is None:
        return title
    facts = [f"{moment(session.started_at)} to {moment(session.ended_at)}", f"{session.tasks} tasks"]
    facts += [f"user {session.user_id}"] if session.user_id else []
    facts += [f"${session.cost:.4f}"] if session.cost is not None else []
    return f"{title}*{', '.join(facts)}*\n\n"


def _title(id: str, text: str | None) -> str:
    words = " ".join((text or id).split())
    return f"# {words[:80]}\n\n`{id}`\n\n"


def _turn(task: Summary) -> str:
    who = "Tool" if (task.input or "").startswith(TOOL_RESULT) else "User"
    parts = [f"**{who}**\n\n{_quoted(task.input)}"] if task.input is not None else []
    parts += [f"**Assistant**{_by(task)}\n\n{_quoted(task.output)}"] if task.output is not None else []
    parts += [f"*{task.ending}*"] if task.ending is not Ending.COMPLETED else []
    parts += [f"*flagged {task.flag}*"] if task.flag else []
    return "".join(f"{part}\n\n" for part in parts)


def _by(task: Summary) -> str:
    return f" ({task.model})" if task.model else ""


def _quoted(text: str) -> str:
    """As a block quotation, so that headings and rules in it are its own."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines()) or ">"
