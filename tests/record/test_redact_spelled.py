"""A secret whose letters are spelled out goes, in however many pieces the body comes."""

from __future__ import annotations

import json

import pytest

from proxy.record.redact import Redactor

SECRET = "sk-spelled-out-0001"
SPELLED = "".join(f"\\u{ord(letter):04x}" for letter in SECRET)


def fed(body: bytes, size: int) -> tuple[bytes, bool]:
    redactor = Redactor((SECRET.encode(),))
    kept = b"".join(redactor.feed(body[at : at + size]) for at in range(0, len(body), size)) + redactor.finish()
    return kept, redactor.redacted


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 1000])
def test_a_known_key_and_a_secret_name_that_are_spelled_out_go(size: int) -> None:
    body = ('{"a":"' + SPELLED + '","\\u0061pi_\\u006bey":"another","b":"\\\\u0061 \\u00e4"}').encode()
    kept, redacted = fed(body, size)
    assert redacted
    assert json.loads(kept) == {"a": "[redacted]", "api_key": "[redacted]", "b": "\\u0061 ä"}


@pytest.mark.parametrize("size", [1, 2, 5, 7, 1000])
@pytest.mark.parametrize("body", [rb'{"a":"\\\\u0061 \u00e4 \u2028 \n"}', rb'"\\', rb'"\u00', rb"\\\\\\\\", b"no escape"])
def test_what_hides_nothing_stays_as_it_is(body: bytes, size: int) -> None:
    assert fed(body, size) == (body, False)
