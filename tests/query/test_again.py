"""A call to run again: what is copied really makes the same call, with the key that its upstream wants."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.query.dashboard import again
from tests.query.examples import FULL
from tests.upstream import Upstream, ok

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = {"model": "m", "messages": [{"role": "user", "content": 'it\'s $HOME "and" more'}]}
CALLS = {
    "openai": ("/v1/files", "/v1/files", "authorization", "Bearer sk-o"),
    "gemini": ("/v1/other", "/gemini/v1/other", "authorization", "Bearer sk-g"),
    "anthropic": ("/v1/messages", "/anthropic/v1/messages", "x-api-key", "sk-a"),
}
"""Each upstream's path, the path at the calls door, and the field that pays, with its value."""
KEYS = {"OPENAI_API_KEY": "sk-o", "GEMINI_API_KEY": "sk-g", "ANTHROPIC_API_KEY": "sk-a"}


def ran(language: str, text: str) -> None:
    command = [sys.executable, "-c", text] if language == "python" else ["sh", "-c", text]
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""), **KEYS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("upstream", "key"), [("openai", "sk-o"), ("gemini", "sk-g")])
def test_what_is_copied_for_the_sdk_has_the_key_of_its_upstream(upstream: str, key: str):
    provider = Upstream()
    try:
        tape = provider.play(ok(b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[]}'))
        ran("python", again.python(replace(FULL, upstream=upstream, raw_input=BODY), provider.url))
        assert tape.head.value(b"authorization") == f"Bearer {key}".encode()
        assert json.loads(tape.body.data) == BODY
        provider.check()
    finally:
        provider.close()


@pytest.mark.parametrize("upstream", CALLS)
@pytest.mark.parametrize("language", ["curl", "python"])
def test_what_is_copied_makes_the_same_call(language: str, upstream: str):
    if language == "curl" and not shutil.which("curl"):
        pytest.skip("there is no curl: apt-get install curl")
    path, door, field, value = CALLS[upstream]
    task = replace(FULL, upstream=upstream, kind="other", path=path, method="POST", raw_input=BODY)
    write: Callable[..., str] = getattr(again, language)
    provider = Upstream()
    try:
        tape = provider.play(ok())
        text = write(task, provider.url)
        assert not any(key in text for key in KEYS.values())
        ran(language, text)
        assert (tape.method, tape.target) == (b"POST", door.encode())
        assert tape.head.value(field.encode()) == value.encode()
        assert tape.head.value(b"anthropic-version") == (b"2023-06-01" if upstream == "anthropic" else None)
        assert json.loads(tape.body.data) == BODY
        provider.check()
    finally:
        provider.close()
