"""A key that a model said in fragments is found in the assembled answer by its fingerprint."""

from __future__ import annotations

import pytest

from proxy.record.redact import fingerprint, without_echoes

KEY = b"sk-proj-canary_aB3dE5gH7jK9mN1pQ3"
PEPPER = b"p" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, b"[redacted]"),
        (b'{"content":"your key is ' + KEY + b'."}', b'{"content":"your key is [redacted]."}'),
        (b"`" + KEY + b"` and `" + KEY + b"`", b"`[redacted]` and `[redacted]`"),
        (
            b"f(key=" + KEY + b", other=sk-proj-of-somebody-else-12345)",
            b"f(key=[redacted], other=sk-proj-of-somebody-else-12345)",
        ),
    ],
)
def test_the_key_is_replaced_wherever_it_is_a_word(text: bytes, expected: bytes) -> None:
    assert without_echoes(text, fingerprint(KEY, PEPPER), PEPPER) == expected


def test_text_without_the_key_comes_back_as_the_same_object() -> None:
    text = b"antidisestablishmentarianism https://example.org/a/long/path/of/many/parts " + KEY[:-1] + b" " + b"QUJD" * 1000
    assert without_echoes(text, fingerprint(KEY, PEPPER), PEPPER) is text
