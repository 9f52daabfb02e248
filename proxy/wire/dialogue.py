"""What was said in a call, whatever its dialect, as remarks that can be compared: the history that came along, and the answers.

Instructions (system, developer) are no remarks: apps change them, and stamp them with the date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from proxy.task import JSON
from proxy.wire.gemini_text import member
from proxy.wire.remark import ANSWER, PROMPT, REMINDER, TOOL, USER, Remark, call_of, content_of, medium, spoken, written
from proxy.wire.text import INSTRUCTING

PLAIN = 4096  # characters of a message that is remembered

MOST_ANSWERS = 8
"""Choices of one call that a later call may go on from."""

BREAKS = re.compile(r"\n|(?=<\|?/?[a-zA-Z_]+\|?>|\[/?INST\])|(?<=\s)(?=(?:Human|User|Q|Assistant|AI|Bot|A):)")
"""Where one piece of a growing prompt ends and the next begins: lines, and the marks of chat templates."""


class Reference(NamedTuple):
    """Something that a provider gave, and takes as "go on from there": a response, a conversation, a context."""

    kind: str
    value: str


class Dialogue(NamedTuple):
    """How a dialect tells of a conversation."""

    history: Callable[[JSON], Iterable[Remark]]
    answers: Callable[[JSON, JSON], Iterable[Iterable[Remark]]]  # of a request and its answer: each choice


def history_of(kind: str, asked: Any) -> tuple[Remark, ...]:
    """What the request brings along, oldest first; empty where it is no conversation."""
    dialogue = DIALOGUES.get(kind)
    return tuple(dialogue.history(asked)) if dialogue is not None and isinstance(asked, dict) else ()


def answers_of(kind: str, asked: Any, answer: Any) -> tuple[tuple[Remark, ...], ...]:
    """Each of the answers that came, at most `MOST_ANSWERS`; those that say nothing are left out."""
    dialogue = DIALOGUES.get(kind)
    if dialogue is None or not isinstance(asked, dict) or not isinstance(answer, dict):
        return ()
    found = [tuple(remarks) for remarks in dialogue.answers(asked, answer)][:MOST_ANSWERS]
    return tuple([remarks for remarks in found if any(remark.text or remark.calls for remark in remarks)])


def references_of(kind: str, asked: Any) -> tuple[Reference, ...]:
    """What the request goes on from by name; then its history is not all of the conversation."""
    if not isinstance(asked, dict):
        return ()
    found = []
    if kind == "response":
        if isinstance(asked.get("previous_response_id"), str):
            found.append(Reference("response", asked["previous_response_id"]))
        found += _conversation(asked)
    elif kind == "ollama_generate" and isinstance(asked.get("context"), list) and asked["context"]:
        found.append(Reference("context", written(asked["context"])))
    return tuple(found)


def handles_of(kind: str, answer: Any) -> tuple[Reference, ...]:
    """What the answer gives for later calls to go on from."""
    if not isinstance(answer, dict):
        return ()
    found = []
    if kind == "response":
        if isinstance(answer.get("id"), str) and isinstance(answer.get("output"), list):
            found.append(Reference("response", answer["id"]))
        found += _conversation(answer)
    elif kind == "ollama_generate" and isinstance(answer.get("context"), list) and answer["context"]:
        found.append(Reference("context", written(answer["context"])))
    return tuple(found)


def _conversation(value: JSON) -> list[Reference]:
    named = value.get("conversation")
    id = named.get("id") if isinstance(named, dict) else named
    return [Reference("conversation", id)] if isinstance(id, str) and id else []


def _dicts(value: Any) -> list[JSON]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


# -- chat, and Ollama's ------------------------------------------------------------------------------------------------


@lru_cache(4096)
def _plain(role: str, content: str) -> Remark | None:
    """A message that is one text and nothing else, as most are; they come again with every call. None where it is no remark."""
    if role == "assistant":
        return spoken(content) if content.strip() else None
    if role in INSTRUCTING:
        return None
    return Remark(TOOL if role in ("tool", "function") else USER, content.strip())


def _chat(asked: JSON) -> list[Remark]:
    found = []
    for message in _dicts(asked.get("messages")):
        role, content = message.get("role"), message.get("content")
        if len(message) == 2 and type(content) is str and type(role) is str and len(content) < PLAIN:
            remark = _plain(role, content)
        elif role == "assistant":
            remark = _chat_answer(message)
            remark = remark if remark.text or remark.calls else None
        elif role not in INSTRUCTING:
            images = message.get("images")
            text = content_of(content)
            side = TOOL if role in ("tool", "function") else USER
            remark = Remark(side, text + medium({"images": images}) if images else text)
        else:
            continue
        if remark is not None:
            found.append(remark)
    return found


def _chat_answer(message: JSON) -> Remark:
    content = message.get("content")
    text = content if type(content) is str else content_of(content)
    if isinstance(message.get("refusal"), str):
        text += message["refusal"]
    calls = []
    for call in _dicts(message.get("tool_calls")):
        body = call.get("function") or call.get("custom")
        if isinstance(body, dict):
            calls.append(call_of(call.get("id"), body.get("name"), body.get("arguments", body.get("input"))))
    if isinstance(message.get("function_call"), dict):
        calls.append(call_of("", message["function_call"].get("name"), message["function_call"].get("arguments")))
    return spoken(text, calls)


def _chat_answers(_asked: JSON, answer: JSON) -> list[Iterable[Remark]]:
    choices = [choice.get("message") for choice in _dicts(answer.get("choices"))]
    return [(_chat_answer(message),) for message in choices if isinstance(message, dict)]


def _ollama_answers(_asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    if isinstance(answer.get("message"), dict):
        yield (_chat_answer(answer["message"]),)


# -- prompts that grow -------------------------------------------------------------------------------------------------


def _pieces(prompt: str) -> Iterator[Remark]:
    for piece in BREAKS.split(prompt):
        text = piece.strip()
        if text:
            yield Remark(PROMPT, text)


def _prompt(asked: JSON) -> Iterable[Remark]:
    prompt = asked.get("prompt")
    return _pieces(prompt) if isinstance(prompt, str) else ()


def _completion_answers(asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    """All that a prompt that goes on begins with: the prompt, and what came."""
    prompt = asked.get("prompt")
    for choice in _dicts(answer.get("choices")):
        text = choice.get("text")
        if isinstance(prompt, str) and isinstance(text, str) and text.strip():
            yield _pieces(text if asked.get("echo") is True and text.startswith(prompt) else prompt + text)


def _generate_answers(asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    prompt, text = asked.get("prompt"), answer.get("response")
    if isinstance(prompt, str) and isinstance(text, str) and text.strip():
        yield _pieces(prompt + text)


# -- the Responses API -------------------------------------------------------------------------------------------------


def _items(asked: JSON) -> Iterable[Remark]:
    given = asked.get("input")
    return (Remark(USER, given.strip()),) if isinstance(given, str) else _remarks_of_items(_dicts(given))


def _remarks_of_items(items: Iterable[JSON]) -> Iterator[Remark]:
    """Reasoning, references and the provider's own tools are left out: some apps send them again and some do not."""
    for item in items:
        kind, role = item.get("type"), item.get("role")
        if role == "assistant":
            remark = spoken(content_of(item.get("content")))
            if remark.text:
                yield remark
        elif isinstance(role, str):
            if role not in INSTRUCTING:
                yield Remark(USER, content_of(item.get("content")))
        elif kind in ("function_call", "custom_tool_call"):
            arguments = item.get("arguments", item.get("input"))
            yield Remark(ANSWER, "", (call_of(item.get("call_id"), item.get("name"), arguments),))
        elif kind == "compaction" and isinstance(item.get("encrypted_content"), str):
            yield Remark(ANSWER, f"compaction {item['encrypted_content']}")  # what stands for all that was said before it
        elif isinstance(kind, str) and kind.endswith("_output"):
            yield Remark(TOOL, content_of(item.get("output")))


def _response_answers(_asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    """A compacted conversation gives the user's messages back too: they are no answers."""
    yield [remark for remark in _remarks_of_items(_dicts(answer.get("output"))) if remark.side != USER]


# -- Anthropic's messages ----------------------------------------------------------------------------------------------


def _messages(asked: JSON) -> Iterator[Remark]:
    for message in _dicts(asked.get("messages")):
        role, content = message.get("role"), message.get("content")
        if role == "assistant":
            remark = _spoken_blocks(content)
            if remark.text or remark.calls:
                yield remark
        elif role not in INSTRUCTING:
            yield from _given_blocks(content) if isinstance(content, list) else (Remark(USER, content_of(content)),)


def _given_blocks(blocks: list[Any]) -> Iterator[Remark]:
    said: list[Any] = []
    for block in blocks:
        if isinstance(block, dict) and str(block.get("type")).endswith("tool_result"):
            yield Remark(TOOL, content_of(block.get("content")))
        elif not (isinstance(block, dict) and str(block.get("text")).startswith(REMINDER)):
            said.append(block)
    if said:
        yield Remark(USER, content_of(said))


def _spoken_blocks(content: Any) -> Remark:
    if not isinstance(content, list):
        return spoken(content_of(content))
    text = "".join([block["text"] for block in _dicts(content) if isinstance(block.get("text"), str)])
    used = [block for block in _dicts(content) if block.get("type") == "tool_use"]
    return spoken(text, [call_of(block.get("id"), block.get("name"), block.get("input")) for block in used])


def _message_answers(_asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    yield (_spoken_blocks(answer.get("content")),)


# -- Gemini ------------------------------------------------------------------------------------------------------------


def _contents(asked: JSON) -> Iterator[Remark]:
    contents = asked.get("contents")
    for content in _dicts(contents if isinstance(contents, list) else [contents]):
        if content.get("role") == "model":
            remark = _spoken_parts(content)
            if remark.text or remark.calls:
                yield remark
            continue
        said: list[Any] = []
        for part in _parts(content):
            gave = member(part, "functionResponse", "function_response")
            if isinstance(gave, dict):
                yield Remark(TOOL, f"{gave.get('name')} {content_of(gave.get('response'))}")
            else:
                said.append(part)
        if said:
            yield Remark(USER, content_of(said))


def _parts(content: JSON) -> Iterator[JSON]:
    parts = content.get("parts")
    return (part for part in _dicts(parts if isinstance(parts, list) else [parts]) if part.get("thought") is not True)


def _spoken_parts(content: JSON) -> Remark:
    text, calls = [], []
    for part in _parts(content):
        call = member(part, "functionCall", "function_call")
        if isinstance(call, dict):
            calls.append(call_of(call.get("id"), call.get("name"), call.get("args")))
        elif isinstance(part.get("text"), str):
            text.append(part["text"])
    return spoken("".join(text), calls)


def _gemini_answers(_asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    for candidate in _dicts(answer.get("candidates")):
        if isinstance(candidate.get("content"), dict):
            yield (_spoken_parts(candidate["content"]),)


# -- Bedrock's Converse ------------------------------------------------------------------------------------------------


def _converse(asked: JSON) -> Iterator[Remark]:
    for message in _dicts(asked.get("messages")):
        if message.get("role") == "assistant":
            remark = _converse_answer(message)
            if remark.text or remark.calls:
                yield remark
            continue
        said: list[Any] = []
        for block in _dicts(message.get("content")):
            result = block.get("toolResult")
            if isinstance(result, dict):
                yield Remark(TOOL, content_of(result.get("content")))
            elif "cachePoint" not in block:
                said.append(block)
        if said:
            yield Remark(USER, content_of(said))


def _converse_answer(message: JSON) -> Remark:
    text, calls = [], []
    for block in _dicts(message.get("content")):
        used, cited = block.get("toolUse"), block.get("citationsContent")
        if isinstance(block.get("text"), str):
            text.append(block["text"])
        elif isinstance(cited, dict):
            text.append(content_of(cited.get("content")))
        elif isinstance(used, dict):
            calls.append(call_of(used.get("toolUseId"), used.get("name"), used.get("input")))
    return spoken("".join(text), calls)


def _converse_answers(_asked: JSON, answer: JSON) -> Iterator[Iterable[Remark]]:
    output = answer.get("output")
    if isinstance(output, dict) and isinstance(output.get("message"), dict):
        yield (_converse_answer(output["message"]),)


DIALOGUES: dict[str, Dialogue] = {
    "chat": Dialogue(_chat, _chat_answers),
    "completion": Dialogue(_prompt, _completion_answers),
    "response": Dialogue(_items, _response_answers),
    "message": Dialogue(_messages, _message_answers),
    "ollama_chat": Dialogue(_chat, _ollama_answers),
    "ollama_generate": Dialogue(_prompt, _generate_answers),
    "gemini": Dialogue(_contents, _gemini_answers),
    "converse": Dialogue(_converse, _converse_answers),
}
"""The kinds of calls that are conversations."""
