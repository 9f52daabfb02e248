"""What is nested too deeply is text, and everything beside it is read."""

import json

import pytest

from proxy.wire.shallow import DEEPEST, loads_all, shallow


def deep(levels: int, inner: str = "1") -> str:
    return '[{"a":' * (levels // 2) + inner + "}]" * (levels // 2)


@pytest.mark.parametrize("levels", [DEEPEST + 200, 5000, 200_000])
@pytest.mark.parametrize("inner", ["1", '"] } \\" ["', '{"ü":[]}'])
def test_what_is_too_deep_is_the_text_that_it_was(levels, inner):
    value = loads_all(f'{{"before": [1, "]"], "deep": {deep(levels, inner)}, "after": {{"b": "}}"}}}}'.encode())[0]
    assert (value["before"], value["after"]) == ([1, "]"], {"b": "}"})
    found, depth = value["deep"], 1
    while not isinstance(found, str):
        found, depth = (found["a"] if isinstance(found, dict) else found[0]), depth + 1
    assert depth == DEEPEST, "it is inside one more"
    assert found in deep(levels, inner)
    assert len(found) > len(deep(levels, inner)) - 6 * DEEPEST


def test_what_is_not_too_deep_is_read_as_it_is():
    text = json.dumps({"a": [{"b": [1, None, "x"]}]}).encode()
    assert loads_all(text) == (json.loads(text), False)
    assert shallow(text) == b""


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 5000, b"]" * 5000, b'{"a":' + b"[" * 5000 + b"]" * 4999 + b"}", b'"' + b"[" * 500]
)
def test_what_is_no_json_is_none(text):
    with pytest.raises(ValueError):
        loads_all(text)
