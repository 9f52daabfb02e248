"""`tasktap doctor` finds what is wrong, says what to do, and calls nothing wrong that is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.server.checkup import _open_files
from tests.proc import clean_environment, serving
from tests.relay.caller import chat, once
from tests.relay.elsewhere import closed_port
from tests.upstream import Upstream, ok

HERE = Path(__file__).parents[1]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def config(url: str, more: str = "") -> str:
    return f'default_upstream = "main"\n[upstreams.main]\nurl = "{url}"\n{more}'


def doctor(place: Path, *, ill: bool) -> dict[str, list[dict[str, Any]]]:
    """The findings by what they are about, and the exit code as it should be."""
    flags = ["--config", str(place / "tasktap.toml"), "--data-dir", str(place / "data")]
    said = subprocess.run(
        [sys.executable, "-m", "proxy", "doctor", "--json", *flags],
        cwd=HERE,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert said.stderr == ""
    document = json.loads(said.stdout)
    assert (said.returncode, document["ok"]) == (int(ill), not ill), document
    found: dict[str, list[dict[str, Any]]] = {}
    for each in document["findings"]:
        found.setdefault(each["about"], []).append(each)
        assert each["verdict"] == "well" or each["advice"], each
    return found


def verdicts(found: dict[str, list[dict[str, Any]]], about: str) -> set[str]:
    return {each["verdict"] for each in found[about]}


def test_a_sound_deployment_is_well(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream.url)) as house:
        upstream.play(ok())
        house.task(once(house.calls, chat()).id)
        tape = upstream.play(ok(b""), read="head")
        found = doctor(house.place, ill=False)
        for about in ("data directory", "desk's door", "recording", "store", "upstream main"):
            assert verdicts(found, about) == {"well"}, about
        assert "1 calls carried, 1 stored" in found["recording"][0]["seen"]
        assert (tape.method, tape.target) == (b"HEAD", b"/")
        assert not [name for name, _ in tape.fields if name.lower() == b"authorization"]


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    with closed_port() as port:
        more = '[listen]\ndesk = "0.0.0.0:0"\n[desk]\nkey = "short"\n'
        with serving(tmp_path / "house", config(f"http://127.0.0.1:{port}")) as house:
            pass
        house.config.write_text(config(f"http://127.0.0.1:{port}", more))
        (house.data / "tasktap.db").chmod(0o644)
        database = (house.data / "tasktap.db").read_bytes()
        (house.data / "tasktap.db").write_bytes(database[:100] + b"\xff" * 2000 + database[2100:])
        found = doctor(house.place, ill=True)
        assert verdicts(found, "data directory") == {"ill"}
        assert "tasktap.db" in found["data directory"][0]["seen"]
        assert verdicts(found, "store") == {"ill"}
        assert verdicts(found, "upstream main") == {"ill"}
        assert verdicts(found, "desk's door") == {"ill", "care"}
        assert verdicts(found, "running") == {"care"}


def test_a_clock_that_has_gone_back_and_a_short_reading_key_are_found(tmp_path: Path, upstream: Upstream) -> None:
    more = '[desk]\nkey = "a-key-that-is-long-enough"\nread_key = "short"\n'
    with serving(tmp_path / "house", config(upstream.url, more)) as house:
        pass
    upstream.play(ok(b""), read="head")
    found = doctor(house.place, ill=True)
    assert verdicts(found, "clock") == {"well"}
    assert [each["seen"] for each in found["desk's door"]] == ["desk.read_key is shorter than 16 characters"]
    later = time.time() + 3600
    os.utime(house.data / "tasktap.db", (later, later))
    upstream.play(ok(b""), read="head")
    found = doctor(house.place, ill=True)
    assert verdicts(found, "clock") == {"care"}
    assert "the clock has gone back" in found["clock"][0]["seen"]


def test_where_nothing_was_started_it_says_how(tmp_path: Path, upstream: Upstream) -> None:
    tmp_path.joinpath("tasktap.toml").write_text(config(upstream.url))
    upstream.play(ok(b""), read="head")
    found = doctor(tmp_path, ill=False)
    assert verdicts(found, "data directory") == {"care"}
    assert found["running"][0]["advice"] == "tasktap serve"


def test_few_open_files_are_found() -> None:
    few, enough = _open_files(1024, 10_000), _open_files(524_288, 10_000)
    assert (few.verdict, few.seen) == ("care", "enough for 448 callers at once")
    assert few.advice is not None
    assert "LimitNOFILE" in few.advice
    assert (enough.verdict, enough.seen) == ("well", "enough for 10,000 callers at once")
    assert _open_files(1024, 400).verdict == "well"
