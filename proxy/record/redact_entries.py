"""Takes what rules name out of what apps log themselves and what people say, before the intake writes it down. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from proxy.record.json_path import Step
from proxy.record.redact_rules import PATH_MARK, Redaction, Rules
from proxy.store.entries import Entry, Said

TEXTS: Final = ("input", "output", "system_prompt", "metadata", "raw_input", "raw_output")
"""Words of a task that are searched; paths are those of the request (`raw_input`) and of the response (`raw_output`)."""


def without(entry: Entry, redaction: Redaction) -> Entry:
    """The entry as it may be kept; `entry` itself where nothing has to go."""
    project = entry.project_id if isinstance(entry, Said) else entry.words.get("project_id")
    rules = redaction.of(project.encode() if isinstance(project, str) else None)
    if rules is None:
        return entry
    if isinstance(entry, Said):
        said = entry.feedback
        comment = None if said.comment is None else _text(said.comment, rules)
        return entry if comment == said.comment else replace(entry, feedback=replace(said, comment=comment))
    words = dict(entry.words)
    for name in TEXTS:
        if words.get(name) is not None:
            words[name] = _value(words[name], rules, [] if name.startswith("raw_") else None)
    return entry if words == entry.words else replace(entry, words=words)


def _value(value: Any, rules: Rules, place: list[Step] | None) -> Any:
    if place and any(path.leads_to(place) for path in rules.paths):
        return PATH_MARK.decode()
    if isinstance(value, str):
        return _text(value, rules)
    if isinstance(value, list):
        return [_value(each, rules, None if place is None else [*place, at]) for at, each in enumerate(value)]
    if isinstance(value, dict):
        return {name: _value(each, rules, None if place is None else [*place, name]) for name, each in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and "card" in rules.named:
        return value if (clean := _text(str(value), rules)) == str(value) else clean
    return value


def _text(text: str, rules: Rules) -> str:
    plain = text.encode("utf-8", "surrogatepass")
    clean = rules.clean(plain)
    return text if clean is plain else clean.decode("utf-8", "surrogatepass")
