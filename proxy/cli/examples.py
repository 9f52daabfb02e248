"""Tasks as something to learn from: examples for fine-tuning, as OpenAI takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from proxy.query.encoding import encode
from proxy.store.marks import TALK, TOOL_RESULT
from proxy.task import JSON, Ending, Summary, Task
from proxy.wire.as_chat import answer_of, joined, messages_of, tools_of
from proxy.wire.dialogue import references_of

if TYPE_CHECKING:
    from proxy.store import Store

CHAIN_MOST = 500  # calls that a call goes on from, one before the other


async def examples(tasks: AsyncIterator[Summary], store: Store) -> AsyncIterator[bytes]:
    """A line of JSON a task as OpenAI's fine-tuning takes it; see `example` for what is left out, and what failed is too."""
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
