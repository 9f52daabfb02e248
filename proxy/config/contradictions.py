"""Settings that are fine one by one and cannot be together."""

from __future__ import annotations

from proxy.config.complaints import Problem, suggestion
from proxy.config.redaction import paths, unknown_rules
from proxy.config.settings import KeyMode, Settings
from proxy.config.values import address


def contradictions(settings: Settings) -> list[Problem]:
    """What `settings` cannot mean all at once."""
    found = []
    name = settings.default_upstream
    if name not in settings.upstreams:
        found.append(Problem(("default_upstream",), f'there is no upstream "{name}"' + suggestion(name, settings.upstreams)))
    found += _doors(settings)
    if settings.listen.max_target_bytes > settings.listen.max_head_bytes:
        found.append(Problem(("listen", "max_target_bytes"), "is more than listen.max_head_bytes, which holds the target too"))
    if settings.journal.segment_bytes > settings.journal.max_bytes:
        found.append(Problem(("journal", "segment_bytes"), "is more than journal.max_bytes"))
    found += [
        Problem(("redact", "projects"), f'there is no pattern "{rule}"' + suggestion(rule, known))
        for rule, known in unknown_rules(settings.redact.projects, settings.redact.own)
    ]
    for path in [rule for text in settings.redact.projects for rule in text.rpartition("=")[2].split("+") if rule[:1] == "$"]:
        try:
            paths((path,))
        except ValueError as wrong:
            found.append(Problem(("redact", "projects"), str(wrong)))
    found += [
        Problem(("prices", pattern), "has no price in it. Set `input` and `output`")
        for pattern, price in settings.prices.items()
        if not price.model_fields_set
    ]
    found += [
        Problem(("upstreams", name, "key_mode"), 'is "always", but there is no key to use')
        for name, upstream in settings.upstreams.items()
        if upstream.key_mode is KeyMode.ALWAYS and upstream.key is None
    ]
    return found


def _doors(settings: Settings) -> list[Problem]:
    calls, desk = address(settings.listen.calls), address(settings.listen.desk)
    found = []
    if not desk.is_loopback and settings.desk.key is None:
        reason = (
            f"{desk} can be reached from other machines, so whoever reaches it could read the record. "
            f'Set desk.key, or listen on "127.0.0.1:{desk.port}"'
        )
        found.append(Problem(("listen", "desk"), reason))
    for name in ("read_key", "feedback_key"):
        given, key = getattr(settings.desk, name), settings.desk.key
        if given is not None and key is not None and given.get_secret_value() == key.get_secret_value():
            found.append(Problem(("desk", name), "is the same as desk.key. Give it a value of its own"))
    if settings.desk.read_key is not None and settings.desk.key is None:
        found.append(
            Problem(("desk", "read_key"), "is of no use without desk.key: without one, whoever reaches the desk may do all")
        )
    if calls == desk and calls.port:
        found.append(Problem(("listen", "desk"), f"{desk} is the address of the calls door too. Give the desk a port of its own"))
    return found
