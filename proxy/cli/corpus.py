"""Tasks as something to learn from or to read: examples for fine-tuning, and conversations as Markdown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from proxy.store.marks import TOOL_RESULT
from proxy.task import JSON, Ending, Filter, Session, Summary, Task

if TYPE_CHECKING:
    from proxy.store import Store

PAGE = 200


async def examples(tasks: AsyncIterator[Summary], store: Store) -> AsyncIterator[bytes]:
    """A line of JSON a task as OpenAI's fine-tuning takes it; a task without question or answer, or that failed, is left out."""
    from proxy.query.encoding import encode

    async for summary in tasks:
        task = await store.get(summary.id) if summary.ending is Ending.COMPLETED else None
        if task is not None and (told := example(task)) is not None:
            yield encode(told) + b"\n"


def example(task: Task) -> JSON | None:
    """`{"messages": [...], "tools": [...]}`, the messages as they were sent, and the answer as the last one."""
    messages = _sent(task)
    answer = _answered(task)
    if not messages or answer is None:
        return None
    tools = task.raw_input.get("tools") if isinstance(task.raw_input, dict) and task.kind == "chat" else None
    return {"messages": [*messages, answer], **({"tools": tools} if isinstance(tools, list) and tools else {})}


def _sent(task: Task) -> list[Any]:
    if task.kind == "chat" and isinstance(task.raw_input, dict) and isinstance(task.raw_input.get("messages"), list):
        found: list[Any] = task.raw_input["messages"]
        return found
    if task.input is None:
        return []
    system = [{"role": "system", "content": task.system_prompt}] if task.system_prompt else []
    return [*system, {"role": "user", "content": task.input}]


def _answered(task: Task) -> JSON | None:
    choices = task.raw_output.get("choices") if task.kind == "chat" and isinstance(task.raw_output, dict) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if isinstance(message, dict) and (message.get("content") or message.get("tool_calls")):
        kept = {name: message[name] for name in ("content", "tool_calls", "refusal") if message.get(name)}
        return {"role": "assistant", **kept}
    return {"role": "assistant", "content": task.output} if task.output else None


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
