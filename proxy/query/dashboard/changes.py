"""Pure: what the context of a call has that the one before had not: turns kept, added, gone, instructions, tools, settings."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from proxy.query.dashboard.turns import Shape, Turn, asked, tools
from proxy.task import Task

DIFFED_CHARACTERS = 6_000
"""Longer instructions are only said to differ."""

_MEANING = {
    "messages",
    "input",
    "prompt",
    "contents",
    "system",
    "instructions",
    "tools",
    "systemInstruction",
    "system_instruction",
    "suffix",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """Against the call before."""

    before: str  # its id
    kept: int
    added: tuple[Turn, ...]
    gone: tuple[Turn, ...]
    instructions: tuple[tuple[str, str], ...]  # (ins | del | same, words); empty where they are the same
    instructions_differ: bool
    tools_added: tuple[str, ...]
    tools_gone: tuple[str, ...]
    settings: tuple[tuple[str, Any, Any], ...]  # name, before, now
    tokens: int | None  # more input tokens than before

    @property
    def is_plain(self) -> bool:
        """Whether the conversation only went on."""
        return not (self.gone or self.instructions_differ or self.tools_added or self.tools_gone or self.settings)


def changes(before: Task, now: Task) -> Changes:
    """What is other in `now`."""
    old, new = asked(before), asked(now)
    old_said, new_said = ([turn for turn in turns if turn.role != "system"] for turns in (old, new))
    same = 0
    while same < min(len(old_said), len(new_said)) and old_said[same] == new_said[same]:
        same += 1
    rest_old, rest_new = old_said[same:], new_said[same:]
    tail = 0
    while tail < min(len(rest_old), len(rest_new)) and rest_old[-1 - tail] == rest_new[-1 - tail]:
        tail += 1
    system_old, system_new = _instructions(old), _instructions(new)
    tools_old, tools_new = tools(before.raw_input), tools(now.raw_input)
    counts = [task.usage.input_tokens if task.usage else None for task in (before, now)]
    return Changes(
        before=before.id,
        kept=same + tail,
        added=tuple(rest_new[: len(rest_new) - tail]),
        gone=tuple(rest_old[: len(rest_old) - tail]),
        instructions=_words(system_old, system_new) if system_old != system_new else (),
        instructions_differ=system_old != system_new,
        tools_added=tuple(name for name in tools_new if name not in tools_old),
        tools_gone=tuple(name for name in tools_old if name not in tools_new),
        settings=_settings(before.raw_input, now.raw_input),
        tokens=counts[1] - counts[0] if counts[0] is not None and counts[1] is not None else None,
    )


def _instructions(turns: tuple[Turn, ...]) -> str:
    return "\n".join(part.text for turn in turns if turn.role == "system" for part in turn.parts if part.shape is Shape.TEXT)


def _words(old: str, new: str) -> tuple[tuple[str, str], ...]:
    if len(old) + len(new) > 2 * DIFFED_CHARACTERS:
        return ()
    left, right = old.split(" "), new.split(" ")
    found: list[tuple[str, str]] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            words = left[i1:i2]
            found.append(("same", " ".join(words if len(words) < 24 else [*words[:10], "…", *words[-10:]])))
        else:
            found += [(kind, " ".join(words)) for kind, words in (("del", left[i1:i2]), ("ins", right[j1:j2])) if words]
    return tuple(found)


def _settings(old: Any, new: Any) -> tuple[tuple[str, Any, Any], ...]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return ()
    names = [name for name in {**old, **new} if name not in _MEANING]
    return tuple((name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))
