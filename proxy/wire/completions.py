"""Completions, the older kind (`/v1/completions`), streamed and not: a prompt, and the texts that go on from it."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import answer_of, event_error, reading_of
from proxy.wire.chat import finish_reasons_of, speaks, usage_in
from proxy.wire.deltas import Chunks
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.growth import index_of
from proxy.wire.text import BETWEEN_CHOICES, content_text, output_of

GROWING = ("text", "reasoning", "reasoning_content")
"""Strings of a choice that each chunk brings more of; the rest is merged as a chat's is."""


def read(said: Said) -> Reading:
    """Read one completion."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    answer = answer_of(said, Texts(), "data: [DONE]")
    raw = answer.whole
    listed = raw.get("choices")
    choices = [choice for choice in listed if isinstance(choice, dict)] if isinstance(listed, list) else []
    texts = [text for text in (text_of(choice, "text") for choice in choices) if text]
    return reading_of(
        said,
        answer,
        input=_input(asked),
        output=BETWEEN_CHOICES.join(texts) or output_of(choices),  # Mistral's answers as a chat does
        usage=usage_in(raw, choices),
        finish_reasons=finish_reasons_of(choices),
    )


class Texts:
    """The sum of a stream: the texts of each choice joined, logprobs joined, the rest as it came last."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.marked = False
        self._chunks = Chunks("text_completion")
        self._texts: dict[int, dict[str, list[str]]] = {}
        self._chats = False  # its chunks are those of a chat

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one chunk in. Whether it holds a token."""
        message = event_error(name, chunk)
        if message is not None:
            self.error = message
            if "error" not in chunk:
                chunk = {"error": chunk}
        said = speaks(chunk)
        self._chats = self._chats or said
        choices = chunk.get("choices")
        for at, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                index = index_of(choice)
                texts = self._texts.setdefault(at if index is None else index, {})
                for member in GROWING:
                    if isinstance(choice.get(member), str):
                        text = choice.pop(member)
                        texts.setdefault(member, []).append(text)
                        said = said or text != ""
        self._chunks.add(chunk)
        return said

    def result(self) -> JSON:
        """The answer."""
        whole = self._chunks.result()
        if self._chats and "object" in whole:
            whole["object"] = "chat.completion"
        if self._texts:  # then `choices` are those of these indexes
            for choice in whole["choices"]:
                for member, parts in self._texts[choice["index"]].items():
                    choice[member] = "".join(parts)
        return whole


def _input(asked: JSON) -> str | None:
    text = prompt_text(asked.get("prompt"))
    suffix = text_of(asked, "suffix")
    return text if suffix is None else f"{text or ''}\n[suffix] {suffix}"


def prompt_text(prompt: Any) -> str | None:
    """A prompt, or each of several on a line of its own: a string, or the tokens of one, of which only the count is told."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        return None
    if all(type(token) is int for token in prompt):
        return f"[{len(prompt)} tokens]"
    return "\n".join(_one(each) for each in prompt)


def _one(prompt: Any) -> str:
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return f"[{len(prompt)} tokens]"
    if isinstance(prompt, dict) and "type" not in prompt and isinstance(prompt.get("content"), list):
        return content_text(prompt["content"])
    return content_text(prompt if isinstance(prompt, list) else [prompt])
