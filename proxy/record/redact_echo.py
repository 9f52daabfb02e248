"""Finds a caller's own key in text that was put together from a stream, where only the key's fingerprint is still known.

A model that says a key says it in fragments, an event each: on the wire it stands nowhere in one piece, and the relay cannot see
it. The assembled answer has it whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.record.redact_fields import fingerprint
from proxy.record.redact_names import REDACTED

# What keys are written in (token68 of RFC 9110, 11.2). Longer runs are base64 of something else, shorter ones are words.
_RUN = re.compile(rb"(?<![A-Za-z0-9_./+~-])[A-Za-z0-9_./+~-]{16,512}=*(?![A-Za-z0-9_./+~-])")


def echoes(text: bytes, caller_key: str, pepper: bytes) -> Iterator[tuple[int, int]]:
    """Where words with the fingerprint `caller_key` are."""
    for found in _RUN.finditer(text):
        run = found.group()
        for word in (run, run.rstrip(b"./-")):
            if fingerprint(word, pepper) == caller_key:
                yield found.start(), found.start() + len(word)
                break


def without_echoes(text: bytes, caller_key: str, pepper: bytes) -> bytes:
    """`text` with every word that has the fingerprint `caller_key` replaced; `text` itself where there is none."""

    def judged(found: re.Match[bytes]) -> bytes:
        run = found.group()
        word = run.rstrip(b"./-")  # the end of a sentence
        if fingerprint(run, pepper) == caller_key:
            return REDACTED
        return REDACTED + run[len(word) :] if word != run and fingerprint(word, pepper) == caller_key else run

    changed = _RUN.sub(judged, text)
    return text if changed == text else changed
