"""A process that is forked off ends as one that was started would, and holds nothing of its parent's."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proc import Tasktap, clean_environment, serving
from tests.relay.certificates import authority

ROOT = Path(__file__).parents[1]


def said(code: str) -> str:
    """What a process prints that forks, and imports nothing that has threads."""
    code = f"import os, signal, subprocess, sys, time\nfrom proxy.server.forked import fork\n{code}"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=100, check=True, stdin=subprocess.PIPE
    )
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("work", "code"),
    [("lambda: None", 0), ("lambda: sys.exit(3)", 3), ("lambda: sys.exit('no')", 1), ("lambda: 1 / 0", 1)],
)
def test_it_ends_with_the_code_that_an_interpreter_would_end_with(work: str, code: int):
    assert said(f"print(fork({work}, ()).wait(60))") == str(code)


def test_a_signal_ends_it_though_its_parent_takes_the_signal_otherwise():
    code = """
signal.signal(signal.SIGTERM, lambda *_: print("taken"))
child = fork(lambda: time.sleep(60), ())
child.terminate()
print(child.wait(60))
child.terminate()
"""
    assert said(code) == "-15"


def test_waiting_for_one_that_runs_ends_in_time():
    code = """
child = fork(lambda: time.sleep(60), ())
try:
    child.wait(0.05)
except subprocess.TimeoutExpired:
    print("late", child.poll())
child.kill()
print(child.wait(60))
"""
    assert said(code).split() == ["late", "None", "-9"]


def test_it_has_the_descriptors_that_it_is_to_keep_and_no_others():
    code = """
kept, left = os.pipe()
def look():
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            print(fd, os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
print(kept, left, flush=True)
fork(look, (kept,)).wait(60)
"""
    first, *rest = (line.split() for line in said(code).splitlines())
    assert {line[0] for line in rest} == {"0", "1", "2", first[0]}
    assert dict(rest)["0"] == "/dev/null"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    with serving(tmp_path_factory.mktemp("forked")) as house:
        yield house


def names(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(each))
    return found


def test_relay_and_desk_hold_no_lock_of_the_supervisors(house: Tasktap):
    lock = str(house.data / "lock")
    assert lock in names(house.pid("supervisor"))
    assert lock not in names(house.pid("relay")) | names(house.pid("desk"))


def test_relay_and_supervisor_load_nothing_that_only_the_desk_or_the_settings_need():
    look = "import sys; import proxy.server.supervisor; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    heavy = {"aiohttp", "aiosqlite", "sqlite3", "pydantic", "typer", "jinja2", "pygments", "genai_prices", "markdown_it", "re2"}
    assert "uvloop" in loaded
    assert loaded & heavy == set()


def test_a_desk_that_starts_loads_no_settings_and_nothing_that_only_an_answer_or_a_price_needs():
    look = "import sys; import proxy.server.desk; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=clean_environment(), capture_output=True, check=True)
    loaded = set(ran.stdout.decode().split())
    heavy = {
        *("aiohttp", "multidict", "yarl", "attr", "idna", "email", "html", "http.cookies", "sqlite3", "genai_prices", "zipfile"),
        *("pydantic", "typer", "jinja2", "pygments", "markdown_it", "nh3", "re2", "argparse", "tempfile", "statistics"),
        *("proxy.query", "proxy.config", "proxy.server.front", "proxy.record.watching", "proxy.record.intake_acts"),
        *("proxy.record.phospho_door", "proxy.record.reread", "proxy.record.regroup", "proxy.wire.otlp", "proxy.store.phrases"),
    }
    assert "proxy.record.recorder" in loaded
    assert loaded & heavy == set()


def test_a_desk_reads_no_certificate_authorities_and_starts_others_in_the_environment_as_it_was(tmp_path: Path):
    look = """if True:
        import os, ssl
        from proxy.server.desk_main import without_authorities
        before = dict(os.environ)
        assert ssl.create_default_context().get_ca_certs()
        without_authorities()
        from aiohttp import connector
        assert dict(os.environ) == before
        assert not connector._SSL_CONTEXT_VERIFIED.get_ca_certs()
    """
    environment = clean_environment(SSL_CERT_FILE=str(authority(tmp_path)))
    subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=environment, check=True, timeout=150)
