"""The chunks of an OpenAI-shaped stream, merged into what the non-streamed API would have answered.

The rules, level by level:
- of the whole: the last value that says something (not null, "" or 0). Objects, `usage` above all, are merged; lists are
  replaced, since providers that send one (`citations`) send it whole each time. `choices` are kept by their index.
- of a choice: likewise, but lists are joined (`logprobs.content`, `token_ids`).
- of a choice's `delta`: see growth.py. What stands beside it and says the same is left out.
Null never replaces a value, and what never came is not there.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.growth import PADDING, Text, grow, index_of, joined

REPLACED = frozenset(("message",))
"""Members of a choice that are the whole so far, each time (Perplexity)."""

PASSING = PADDING | {"p", "prompt_progress"}
"""Members of a chunk that no answer has: padding (`p` is Mistral's), and how far the prompt has been read (llama.cpp)."""

ECHOES = ("text",)
"""Members of a choice that say again what its delta says (Together)."""

OF_ONE_TOKEN = ("token_id",)
"""Members of a delta that are about its token alone (Together)."""


class Chunks:
    """One stream's chunks: add each, then ask for the result, once. It may share values with the chunks."""

    def __init__(self, object: str) -> None:
        """`object` is what the non-streamed answer calls itself."""
        self._object = object
        self._whole: JSON = {}
        self._choices: dict[int, JSON] = {}
        self._deltas: dict[int, JSON] = {}

    def add(self, chunk: JSON) -> None:
        """Take one chunk in."""
        whole = self._whole
        for key, value in chunk.items():
            if key == "choices" and isinstance(value, list):
                whole["choices"] = []
                for at, choice in enumerate(value):
                    if isinstance(choice, dict):
                        self._add_choice(at, choice)
            elif key not in whole:
                if key not in PASSING:
                    whole[key] = value
            elif value is None or whole[key] == value:
                continue
            elif isinstance(value, dict) and isinstance(whole[key], dict):
                _merge(whole[key], value)
            elif value or not whole[key]:
                whole[key] = value

    def _add_choice(self, at: int, choice: JSON) -> None:
        index = index_of(choice)
        if index is None:
            index = at
        known = self._choices.get(index)
        if known is None:
            known = self._choices[index] = {"index": index}
        for key, value in choice.items():
            if key == "delta":
                if isinstance(value, dict):
                    delta = self._deltas.get(index)
                    if delta is None:
                        delta = self._deltas[index] = {}
                    grow(delta, value)
            elif value is None:
                if key not in known:
                    known[key] = None
            elif key != "index":
                _settle(known, key, value)

    def grown(self, chunk: JSON) -> tuple[str, Text] | None:
        """The one text that `chunk`, added last, made longer, and what it grew into; None where one like it might do more."""
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            return None
        choice: JSON = choices[0]
        delta = choice.get("delta")
        if not isinstance(delta, dict) or any(type(value) in (list, dict) for key, value in choice.items() if key != "delta"):
            return None
        have = self._deltas[index_of(choice) or 0]
        found = None
        for key, value in delta.items():
            if type(have.get(key)) is Text:
                if found is not None or type(value) is not str or not value:
                    return None
                found = value, have[key]
            elif type(value) in (list, dict) or (type(value) is str and type(have.get(key)) is not str and key not in PADDING):
                return None
        return found

    def result(self) -> JSON:
        """The answer: choices in the order of their index, each with its `message`."""
        whole = self._whole
        if whole.get("object") is not None:
            whole["object"] = self._object
        if self._choices:
            for index, delta in self._deltas.items():
                _complete(self._choices[index], joined(delta))
            whole["choices"] = [self._choices[index] for index in sorted(self._choices)]
        return whole


def _complete(choice: JSON, message: JSON) -> None:
    """Put in the message that has grown, with what only a message said whole had (Perplexity, when it is concise)."""
    for key in OF_ONE_TOKEN:
        message.pop(key, None)
    for key in ECHOES:
        choice.pop(key, None)
    said = choice.get("message")
    if isinstance(said, dict):
        for key, value in said.items():
            if value and not message.get(key):
                message[key] = value
    choice["message"] = message


def _settle(into: JSON, key: str, value: Any) -> None:
    """Merge a member of a choice, or of an object in one. `value` is not null."""
    have = into.get(key)
    if key in REPLACED:
        into[key] = value
    elif isinstance(value, list):
        if isinstance(have, list):
            have.extend(value)
        else:
            into[key] = list(value)
    elif isinstance(value, dict):
        if not isinstance(have, dict):
            have = into[key] = {}
        for name, item in value.items():
            if item is None:
                have.setdefault(name, None)
            else:
                _settle(have, name, item)
    elif value != "" or have is None:
        into[key] = value


def _merge(have: JSON, value: JSON) -> None:
    """Take an object into another; the later says more, save for its nulls."""
    for key, item in value.items():
        if isinstance(item, dict) and isinstance(have.get(key), dict):
            _merge(have[key], item)
        elif item is not None or key not in have:
            have[key] = item
