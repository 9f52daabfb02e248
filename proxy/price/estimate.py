"""Usage where the provider sent none: counted from the texts, and marked as that. Pure but for the tokenizer."""

from __future__ import annotations

from proxy.price.count import tokens
from proxy.price.texts import answered, asked
from proxy.task import Task, Usage, changed

KINDS = frozenset(("chat", "completion", "response", "message", "ollama_chat", "ollama_generate", "gemini", "converse"))
"""Calls whose tokens are those of texts."""

USES_NOTHING = ("/count_tokens", ":countTokens", "/input_tokens", "/cancel")
"""How the paths of calls end that only count, or break off what was begun."""

PER_MESSAGE = 3  # tokens that frame each message of a chat, and 3 that begin the answer (OpenAI's cookbook)
ESTIMATED = "estimated"


def estimated(task: Task) -> Task:
    """`task` with an estimate of its tokens, where it had an answer and nobody counted them.

    Images, sound and files cost tokens that cannot be told from here: then the input stays unknown.
    """
    if task.usage is not None or task.kind not in KINDS or task.output is None or not _is_made(task):
        return task
    read, written = asked(task.raw_input), answered(task.raw_output)
    model = task.model or task.model_requested
    given = None
    if read.texts and not read.media:
        given = tokens(list(read.texts), model) + (PER_MESSAGE * (read.messages + 1) if read.messages else 0)
    output = None if written.media or not written.texts else tokens(list(written.texts), model)
    if given is None and output is None:
        return task
    usage = Usage(input_tokens=given, output_tokens=output, source=ESTIMATED)
    return changed(task, usage=usage, tokens_per_second=_pace(task, output))


def _is_made(task: Task) -> bool:
    """Whether the call made what it answers: what is looked up or deleted used its tokens before. A logged task has no path."""
    if task.method is None or task.path is None:
        return True
    return task.method == "POST" and not task.path.partition("?")[0].rstrip("/").endswith(USES_NOTHING)


def _pace(task: Task, output: int | None) -> float | None:
    if output is None or task.seconds_to_first_token is None or not task.pieces:
        return None
    seconds = task.pieces[-1][0] - task.seconds_to_first_token
    return output / seconds if seconds >= 0.001 else None
