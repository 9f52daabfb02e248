"""Tasks as something to learn from or to read: examples for fine-tuning, and conversations as Markdown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from proxy.store.marks import TALK, TOOL_RESULT
from proxy.task import JSON, Ending, Filter, Session, Summary, Task
from proxy.wire.as_chat import answer_of, joined, messages_of, tools_of
from proxy.wire.dialogue import references_of

if TYPE_CHECKING:
    from proxy.store import Store

PAGE = 200
CHAIN_MOST = 500  # calls that a call goes on from, one before the other


async def examples(tasks: AsyncIterator[Summary], store: Store) -> AsyncIterator[bytes]:
    """A line of JSON a task as OpenAI's fine-tuning takes it; see `example` for what is left out, and what failed is too."""
    from proxy.query.encoding import encode

    async for summary in tasks:
        task = await store.get(summary.id) if summary.ending is Ending.COMPLETED and summary.kind in TALK else None
        if task is None:
            continue
        earlier = await _earlier(task, store)
        if earlier is not None and (told := example(task, earlier)) is not None:
            yield encode(told) + b"\n"


def example(task: Task, earlier: Sequence[JSON] = ()) -> JSON | None:
    """`{"messages": [...], "tools": [...]}`: all that was said up to the answer, and the answer as the last message.

    `None` without question or answer, and where what the question goes on from cannot be told.
    """
    messages = messages_of(task.kind, task.raw_input)
    if not messages and task.input is not None and not task.input.startswith(TOOL_RESULT):
        system = [{"role": "system", "content": task.system_prompt}] if task.system_prompt else []
        messages = [*system, {"role": "user", "content": task.input}]
    told = answer_of(task.kind, task.raw_output, (*earlier, *messages))
    answer = told or ({"role": "assistant", "content": task.output} if task.output else None)
    if answer is None or not any(message.get("role") == "user" for message in (*earlier, *messages)):
        return None
    first = [message for message in messages[:1] if message.get("role") == "system"]
    whole = joined([*first, *earlier, *messages[len(first) :]], answer)
    tools = tools_of(task.kind, task.raw_input)
    return {"messages": whole, **({"tools": tools} if tools else {})}


async def _earlier(task: Task, store: Store) -> list[JSON] | None:
    """What was said before a call whose provider keeps the history, without instructions; `None` where that is not known."""
    found: list[list[JSON]] = []
    while references_of(task.kind, task.raw_input):
        before = linked_to(task)
        kept = await store.get(before) if before is not None and len(found) < CHAIN_MOST else None
        if kept is None or kept.kind != task.kind:
            return None
        task = kept
        answer = answer_of(task.kind, task.raw_output)
        said = [message for message in messages_of(task.kind, task.raw_input) if message.get("role") != "system"]
        found.append([*said, *([answer] if answer is not None else [])])
    return [message for messages in reversed(found) for message in messages]


def linked_to(task: Summary) -> str | None:
    """The task that this one goes on from by a name that the provider gave, whoever has moved it since."""
    evidence = task.session_evidence
    if evidence is not None and evidence.get("by") == "person":
        evidence = evidence.get("found")
    by = evidence.get("by") if evidence is not None else None
    return evidence.get("task") if evidence is not None and by in ("response", "conversation") else None


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
