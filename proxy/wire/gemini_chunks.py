"""The chunks of a Gemini stream, merged into what generateContent would have answered.

Each chunk has the shape of the whole. Candidates are merged by their index; of their parts, texts that go on are joined, and all
others follow one another. Of the rest the last value that says something stays: figures are cumulative, lists come whole; but of
citations and logprobs each chunk brings its own. Null never replaces a value, and what never came is not there.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import event_error
from proxy.wire.gemini_args import args_of
from proxy.wire.growth import Text, index_of

JOINED = frozenset(("citationMetadata", "logprobsResult"))
"""Members of a candidate whose lists are joined."""

PLAIN = frozenset(("text", "thought", "thoughtSignature"))
"""Members of a part that is text, and can be joined with another."""


class Chunks:
    """One stream's chunks: add each, then ask for the result, once. It may share values with the chunks."""

    def __init__(self) -> None:
        self.error: str | None = None  # what a chunk said of a failure
        self.marked = False  # all candidates have finished, or the prompt was blocked; known when the result is
        self._whole: JSON = {}
        self._candidates: dict[int, JSON] = {}

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one chunk in; whether it holds a token."""
        error = event_error(name, chunk)
        if error is not None:
            self.error = error
            if "error" not in chunk:  # the flat shape, put where all others put it
                chunk = {"error": chunk}
        speaks = False
        for key, value in chunk.items():
            if key == "candidates" and isinstance(value, list):
                self._whole.setdefault(key, [])
                for at, candidate in enumerate(value):
                    if isinstance(candidate, dict):
                        index = index_of(candidate)
                        known = self._candidates.setdefault(at if index is None else index, {})
                        speaks = _grow(known, candidate) or speaks
            elif key not in self._whole or self._whole[key] != value:
                _settle(self._whole, key, value)
        return speaks

    def _is_over(self) -> bool:
        if self._candidates:
            return all(candidate.get("finishReason") for candidate in self._candidates.values())
        feedback = self._whole.get("promptFeedback")
        return isinstance(feedback, dict) and bool(feedback.get("blockReason"))

    def result(self) -> JSON | None:
        """The answer: candidates in the order of their index. None where nothing came."""
        self.marked = self._is_over()
        if self._candidates:
            self._whole["candidates"] = [self._candidates[index] for index in sorted(self._candidates)]
        for candidate in self._candidates.values():
            content = candidate.get("content")
            parts = content.get("parts") if isinstance(content, dict) else None
            for part in parts if isinstance(parts, list) else ():
                if isinstance(part, dict):
                    _finish(part)
        return self._whole or None


def _grow(known: JSON, candidate: JSON) -> bool:
    speaks = False
    for key, value in candidate.items():
        if key == "content" and isinstance(value, dict):
            content = known.get("content")
            if not isinstance(content, dict):
                content = known["content"] = {}
            for name, item in value.items():
                if name == "parts" and isinstance(item, list):
                    parts = content.get("parts")
                    if not isinstance(parts, list):
                        parts = content["parts"] = []
                    for part in item:
                        speaks = _say(parts, part) or speaks
                elif name not in content or content[name] != item:
                    _settle(content, name, item)
        elif key in JOINED and isinstance(value, dict) and isinstance(known.get(key), dict):
            for name, item in value.items():
                if isinstance(item, list) and isinstance(known[key].get(name), list):
                    known[key][name] += item
                else:
                    _settle(known[key], name, item)
        elif key not in known or known[key] != value:
            _settle(known, key, value)
    return speaks


def _say(parts: list[Any], part: Any) -> bool:
    """Take one more part in; whether it says anything."""
    last = parts[-1] if parts and isinstance(parts[-1], dict) else {}
    if not isinstance(part, dict) or not isinstance(part.get("text"), str) or not part.keys() <= PLAIN:
        if not (isinstance(part, dict) and _calls_on(last.get("functionCall"), part.get("functionCall"))):
            parts.append(part)
        return bool(part)
    text = part["text"]
    if type(last.get("text")) is Text and _goes_on(last, part):
        last["text"].append(text)
        last.update((key, value) for key, value in part.items() if key != "text")
    elif text or not parts or "thoughtSignature" in part:  # an empty text often brings the finish reason, and nothing else
        parts.append({**part, "text": Text((text,))})
    return bool(text or part.get("thoughtSignature"))


def _goes_on(last: JSON, part: JSON) -> bool:
    """Whether a text is more of the one before it. A signature signs all of its part, so it ends it."""
    return bool(last.get("thought")) == bool(part.get("thought")) and not last.get("thoughtSignature")


def _calls_on(call: Any, more: Any) -> bool:
    """Take in more arguments of a call that goes on (Vertex AI, streamFunctionCallArguments); whether they are that."""
    if not isinstance(call, dict) or not call.get("willContinue") or not isinstance(more, dict) or more.get("name"):
        return False
    have, pieces = call.setdefault("partialArgs", []), more.get("partialArgs")
    if isinstance(have, list) and isinstance(pieces, list):
        have += pieces
    call["willContinue"] = more.get("willContinue") or False
    return True


def _finish(part: JSON) -> None:
    """Make plain JSON of a part that has grown."""
    if type(part.get("text")) is Text:
        part["text"] = "".join(part["text"])
    call = part.get("functionCall")
    if isinstance(call, dict) and isinstance(call.get("partialArgs"), list) and "args" not in call:
        args = args_of(call["partialArgs"])
        if args is not None:
            call["args"] = args
            del call["partialArgs"]
            if not call.get("willContinue"):
                call.pop("willContinue", None)


def _settle(into: JSON, key: str, value: Any) -> None:
    have = into.get(key)
    if isinstance(value, dict) and isinstance(have, dict):
        for name, item in value.items():
            _settle(have, name, item)
    elif (value or not have) and (value is not None or key not in into):
        into[key] = value
