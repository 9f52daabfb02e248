"""Conversations whose history is replaced by a summary, as agents and frameworks do it: of the labelled set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.sessions.talk import Turn, model, user

if TYPE_CHECKING:
    from tests.sessions.labelled import Talk

CLAUDE_CODE = """Your task is to create a detailed summary of the conversation so far, paying close attention to the user's
explicit requests and your previous actions. Before providing your final summary, wrap your analysis in <analysis> tags."""
CONTINUED = """This session is being continued from a previous conversation that ran out of context. The summary below covers \
the earlier portion of the conversation.

Summary:
{}

Please continue the conversation from where we left off without asking the user any further questions."""
OPENCODE = """Provide a detailed prompt for continuing our conversation above. Focus on information that would be helpful for \
continuing the conversation, including what we did, what we're doing, and what we're going to do next."""
CODEX = (
    """You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another LLM that will resume the task."""
)
HANDED_OVER = """Another language model started to solve this problem and produced a summary of its thinking process. You \
also have access to the state of the tools that were used by that language model. Here is the summary produced by the \
other language model:
{}"""
LANGCHAIN = """Progressively summarize the lines of conversation provided, adding onto the previous summary returning a new \
summary.

EXAMPLE
Current summary:
The human asks what the AI thinks of artificial intelligence. The AI thinks artificial intelligence is a force for good.

New lines of conversation:
Human: Why do you think artificial intelligence is a force for good?
AI: Because artificial intelligence will help humans reach their full potential.

New summary:
The human asks what the AI thinks of artificial intelligence. The AI thinks artificial intelligence is a force for good because \
it will help humans reach their full potential.
END OF EXAMPLE

Current summary:
{}

New lines of conversation:
{}

New summary:"""
AGENTS = "You are a senior assistant. Compress the earlier conversation into a precise, reusable summary."


def said(talk: Talk, turns: list[Turn]) -> list[Turn]:
    """Some turns of the conversation, from there on: question and answer."""
    for _ in range(talk.random.randint(2, 5)):
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.sentence())]
    return turns


OFTEN = "The user greeted the assistant and asked for help with an order that had not arrived."


def lines(talk: Talk) -> str:
    """A summary of some sentences, at times of one; some are of many summaries."""
    told = [talk.sentence(8, 20) for _ in range(talk.random.choice((1, 2, 4, 7)))]
    if talk.random.random() < 0.5:
        told.insert(0, OFTEN)
    return "\n".join(f"- {one}" for one in told)


def claude_code(talk: Talk) -> None:
    """/compact: the model sums the history up, and the next one begins with that within a message."""
    turns = said(talk, [user(talk.sentence())])
    for _ in range(talk.random.randint(1, 2)):
        asked = turns.pop()
        summary = lines(talk)
        told = f"<analysis>\n{talk.text()}\n</analysis>\n\n<summary>\n{summary}\n</summary>"
        talk.say([*turns, user(CLAUDE_CODE)], model(told))
        turns = said(talk, [user(CONTINUED.format(summary)), asked])


def opencode(talk: Talk) -> None:
    """The summary is the answer to a message that the model was not asked."""
    turns = said(talk, [user(talk.sentence())])
    summary = model(lines(talk))
    talk.say([*turns[:-1], user(OPENCODE)], summary)
    said(talk, [user("What did we do so far?"), summary, turns[-1]])


def codex(talk: Talk) -> None:
    """What the user said is kept, and no answer; the summary is in a message behind it."""
    turns = said(talk, [user(talk.sentence())])
    summary = talk.text() + " " + talk.sentence(10, 20)
    talk.say([*turns[:-1], user(CODEX)], model(summary))
    kept = [turn for turn in turns[:-1] if turn.role == "user"][-2:]
    said(talk, [*kept, user(HANDED_OVER.format(summary)), turns[-1]])


def transcript(turns: list[Turn], names: tuple[str, str]) -> str:
    """What was said, as one text."""
    return "\n".join(f"{names[turn.role == 'assistant']}: {turn.text}" for turn in turns)


def agents_session(talk: Talk) -> None:
    """A session that sums up what is older than its last turns, from a transcript: OpenAI's agents."""
    turns = said(talk, [user(talk.sentence())])
    earlier, last = turns[:-3], turns[-3:]
    summary = model(talk.text() + " " + talk.sentence(10, 20))
    text = transcript(earlier, ("USER", "ASSISTANT"))
    talk.say([user(text)], summary, replace(talk.app, system=AGENTS))
    said(talk, [user("Summarize the conversation we had so far."), summary, *last])


def summary_buffer(talk: Talk) -> None:
    """LangChain's ConversationSummaryBufferMemory: the last messages as they were, others summed up in the instructions."""
    turns: list[Turn] = [user(talk.sentence())]
    summary, system = "", talk.app.system
    for _ in range(talk.random.randint(5, 9)):
        answer = model(talk.text())
        talk.say(turns, answer, replace(talk.app, system=system))
        turns = [*turns, answer, user(talk.sentence())]
        if len(turns) > 5:
            old, turns = turns[:2], turns[2:]
            asked = LANGCHAIN.format(summary, transcript(old, ("Human", "AI")))
            summary = f"{summary} {talk.sentence(10, 20)}".strip()
            talk.say([user(asked)], model(summary), replace(talk.app, system=None))
            system = f"{talk.app.system or ''}\n\nSummary of the conversation so far: {summary}"


def summary_memory(talk: Talk) -> None:
    """LangChain's ConversationSummaryMemory: nothing is kept as it was; every call has the summary and one question."""
    summary, system = "", talk.app.system
    for _ in range(talk.random.randint(3, 6)):
        question, answer = user(talk.sentence(6, 12)), model(talk.text())
        talk.say([question], answer, replace(talk.app, system=system))
        asked = LANGCHAIN.format(summary, transcript([question, answer], ("Human", "AI")))
        summary = f"{summary} {talk.sentence(10, 20)}".strip()
        talk.say([user(asked)], model(summary), replace(talk.app, system=None))
        system = f"{talk.app.system or ''}\n\nSummary of the conversation so far: {summary}"


SUMMED_UP: dict[Callable[[Talk], None], int] = {
    claude_code: 20, opencode: 15, codex: 15, agents_session: 15, summary_buffer: 15, summary_memory: 15,
}  # fmt: skip
"""How many conversations of each shape."""
