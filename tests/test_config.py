"""Settings: where they come from, which wins, and what is said of a mistake."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import proxy
from proxy.config import ConfigError, Durability, KeyMode, Settings, address, describe, leaves, load
from proxy.config.complaints import line_of
from proxy.config.environment import name_of
from proxy.config.values import age_of

SECRET = "sk-canary-7f3a9c"


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("TASKTAP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(text: str, name: str = "tasktap.toml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def complaint(text: str) -> str:
    """What `load` says of a file with this text."""
    with pytest.raises(ConfigError) as caught:
        load(written(text))
    assert SECRET not in repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    return str(caught.value)


# --- where settings come from ---


def test_without_anything_the_defaults_hold():
    settings = load()
    assert settings == Settings()
    assert (settings.data_dir, settings.listen.calls, settings.listen.desk) == (
        Path("tasktap-data"),
        "127.0.0.1:8900",
        "127.0.0.1:8901",
    )
    assert {name: upstream.url for name, upstream in settings.upstreams.items()} == {
        "openai": "https://api.openai.com",
        "anthropic": "https://api.anthropic.com",
        "ollama": "http://127.0.0.1:11434",
    }


def test_flags_beat_the_environment_and_the_environment_beats_the_file(monkeypatch):
    written('[listen]\ncalls = "127.0.0.1:1"\ndesk = "127.0.0.1:2"\nworkers = 3\n')
    monkeypatch.setenv("TASKTAP_LISTEN__CALLS", "127.0.0.1:11")
    monkeypatch.setenv("TASKTAP_LISTEN__DESK", "127.0.0.1:12")
    listen = load(calls="127.0.0.1:111").listen
    assert (listen.calls, listen.desk, listen.workers) == ("127.0.0.1:111", "127.0.0.1:12", 3)


def test_the_named_file_is_read_before_that_of_the_environment_before_that_of_the_directory(monkeypatch):
    for name in ("tasktap.toml", "second.toml", "third.toml"):
        written(f'data_dir = "{name}"', name)
    assert load().data_dir == Path("tasktap.toml")
    monkeypatch.setenv("TASKTAP_CONFIG", "second.toml")
    assert load().data_dir == Path("second.toml")
    assert load(Path("third.toml")).data_dir == Path("third.toml")


def test_a_named_file_that_is_missing_is_an_error(monkeypatch):
    written("")
    with pytest.raises(ConfigError, match=r"--config: there is no file gone\.toml"):
        load(Path("gone.toml"))
    monkeypatch.setenv("TASKTAP_CONFIG", "gone.toml")
    with pytest.raises(ConfigError, match=r"TASKTAP_CONFIG: there is no file gone\.toml"):
        load()


def test_overriding_one_key_of_a_built_in_keeps_the_others(monkeypatch):
    written('[upstreams.anthropic]\nkey_mode = "always"\nkey = "abc"\n[upstreams.anthropic.timeouts]\nidle = 5\n')
    monkeypatch.setenv("TASKTAP_UPSTREAMS__OPENAI__URL", "http://127.0.0.1:9/x/")
    upstreams = load().upstreams
    anthropic = upstreams["anthropic"]
    assert (anthropic.url, anthropic.auth, anthropic.key_mode) == ("https://api.anthropic.com", "x-api-key", KeyMode.ALWAYS)
    assert (anthropic.timeouts.idle, anthropic.timeouts.connect) == (5.0, 10.0)
    assert upstreams["openai"].url == "http://127.0.0.1:9/x"
    assert set(upstreams) == {"openai", "anthropic", "ollama"}


def test_an_upstream_with_a_hyphen_can_be_set_by_a_variable(monkeypatch):
    monkeypatch.setenv("TASKTAP_UPSTREAMS__MY_GROQ__URL", "https://api.groq.com/openai")
    assert load().upstreams["my-groq"].url == "https://api.groq.com/openai"


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("TASKTAP_DESK__KEY", "")
    assert load().desk.key is None


def test_a_variable_gives_a_list_with_commas(monkeypatch):
    monkeypatch.setenv("TASKTAP_DESK__HOSTS", "tasktap.internal, desk.example")
    assert load().desk.hosts == ("tasktap.internal", "desk.example")


@pytest.mark.parametrize("text", ["legal", "=3", "legal=", "legal=0", "legal=-1", "legal=soon", "legal=1e9", "a=1,a=2"])
def test_the_age_of_a_project_is_in_days_or_for_ever(monkeypatch, text):
    monkeypatch.setenv("TASKTAP_RETENTION__PROJECTS", "legal=forever, scratch=0.5, a=b=30")
    assert list(map(age_of, load().retention.projects)) == [("legal", None), ("scratch", 0.5), ("a=b", 30.0)]
    monkeypatch.setenv("TASKTAP_RETENTION__PROJECTS", text)
    with pytest.raises(ConfigError, match="TASKTAP_RETENTION__PROJECTS"):
        load()


def test_every_setting_can_be_set_by_a_variable(monkeypatch):
    """What `describe` shows of each setting changes with its variable, so none is out of reach."""
    Path("ca.pem").write_text("")
    texts = {"url": "http://a.example", "key": "k" * 20, "ca_file": "ca.pem", "proxy": "none", "hosts": "a", "auth": "api-key"}
    texts |= {
        "provider": "groq",
        "data_dir": "d",
        "default_upstream": "ollama",
        "calls": "[::1]:1",
        "desk": "[::1]:2",
        "on_caller_left": "drain",
    }
    texts |= {
        "durability": "power",
        "privacy": "metadata-only",
        "strip_aliases": "true",
        "inject_usage": "true",
        "vectors": "true",
        "estimate": "true",
        "open_feedback": "true",
        "infer": "false",
        "key_mode": "always",
        "segment_bytes": "2MiB",
        "max_bytes": "3MiB",
        "projects": "a=1",
    }
    texts |= {"format": "json", "level": "debug"}
    texts |= {"patterns": "email", "own": "a=b{1,2}", "paths": "$.a"}
    texts |= {"power_share": "0.5", "struggling_share": "0.5", "struggling_reasons": "3"}
    before = dict(describe(load()))
    for leaf in leaves():
        path = tuple("openai" if part == "*" else part for part in leaf)
        value = {("store", "url"): "memory:", ("redact", "projects"): "b=a+email"}.get(path, texts.get(path[-1], "2000"))
        monkeypatch.setenv(name_of(path), "64" if path[-1] == "workers" else value)
    after = dict(describe(load()))
    unchanged = {key for key in before if after[key] == before[key]}
    assert unchanged == {key for key in before if key.startswith(("upstreams.anthropic.", "upstreams.ollama."))}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('patterns = ["emial"]', 'unknown pattern "emial". Did you mean "email"?'),
        ('own = ["ticket"]', 'must be like "ticket=TCK-[0-9]{6}"'),
        ('own = ["card=1"]', 'must be like "ticket=TCK-[0-9]{6}"'),
        ('own = ["t=(?=a)"]', "t: RE2 does not take this pattern"),
        ('own = ["t=a", "t=b"]', "names a pattern twice"),
        ('paths = ["messages"]', '"messages" is no path'),
        ('projects = ["shop"]', 'must be like "shop=email+card"'),
        ('projects = ["shop=emial"]', 'there is no pattern "emial". Did you mean "email"?'),
        ('projects = ["shop=$x"]', '"$x" is no path'),
    ],
)
def test_what_cannot_be_redacted_so_is_refused_with_a_reason(text, complaint):
    Path("tasktap.toml").write_text(f"[redact]\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load()
    assert complaint in str(error.value)


def test_an_own_pattern_without_re2_says_what_to_install():
    """In a Python that cannot import it, as one is where the extra is not installed."""
    code = "import sys; sys.modules['re2'] = None; from proxy.config import load; load()"
    Path("tasktap.toml").write_text('[redact]\nown = ["t=a"]\n')
    here = str(Path(proxy.__file__).parents[1])
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": here}, check=False)
    assert "redact.own: own patterns need RE2: pip install 'tasktap[redact]'" in said.stderr


# --- what a value may be ---


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8900", "127.0.0.1", 8900), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535)],
)
def test_an_address_is_a_host_and_a_port(text, host, port):
    assert (address(text).host, address(text).port, str(address(text))) == (host, port, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (":8900", 'Write "127.0.0.1:8900"'),
        ("8900", 'Write "127.0.0.1:8900"'),
        ("localhost", 'as in "localhost:8900"'),
        ("localhost:http", "needs a port"),
        ("localhost:65536", "needs a port"),
        ("localhost:-1", "needs a port"),
        ("::1:8900", "in brackets"),
        ("[::g]:1", "not an IPv6 address"),
        ("http://localhost:1", "in brackets"),
        ("a b:1", "neither a host name nor an address"),
        ("", "names no host"),
    ],
)
def test_a_bad_address_is_refused_with_the_way_to_write_it(text, says):
    with pytest.raises(ValueError) as caught:
        address(text)
    assert says in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_an_address(text):
    with contextlib.suppress(ValueError):
        assert address(str(address(text))) == address(text)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://api.groq.com/openai/v1", 'Write "https://api.groq.com/openai"'),
        ("https://api.openai.com/v1/", 'Write "https://api.openai.com"'),
        ("https://api.openai.com/v1/chat/completions", 'Write "https://api.openai.com"'),
        (f"https://user:{SECRET}@api.openai.com", "`key` is the place"),
        ("api.openai.com", 'Did you mean "https://api.openai.com"?'),
        ("ftp://api.openai.com", "must begin with http"),
        ("https://api.openai.com/?a=1", "query or a fragment"),
        ("https://api.openai.com/#a", "query or a fragment"),
        ("https://", "host"),
        ("https://a.example:99999", "is not a URL"),
        ("https://a.example:0", "port 0"),
        ("https://a.example/a b", "holds a blank"),
    ],
)
def test_a_bad_upstream_url_is_refused_with_the_fix(url, says):
    message = complaint(f'[upstreams.groq]\nurl = "{url}"\n')
    assert message.startswith("tasktap.toml, line 2: upstreams.groq.url: ")
    assert says in message


def test_a_prefix_that_only_contains_v1_is_a_url():
    written('[upstreams.gateway]\nurl = "https://gateway.example/v1/account/openai/"\n')
    assert load().upstreams["gateway"].url == "https://gateway.example/v1/account/openai"


@pytest.mark.parametrize("name", ["v1", "api", "tasktap", "Groq", "9lives", "a_b", ""])
def test_a_name_that_cannot_stand_in_a_path_is_no_upstream(name):
    assert f'"{name}"' in complaint(f'[upstreams."{name}"]\nurl = "https://a.example"\n')


def test_sizes_may_have_units(monkeypatch):
    written('[capture]\nmax_body = "64MiB"\n[journal]\nmax_bytes = "2 GB"\nsegment_bytes = 1_048_576\n')
    settings = load()
    assert (settings.capture.max_body, settings.journal.max_bytes, settings.journal.segment_bytes) == (
        64 << 20,
        2 * 10**9,
        1 << 20,
    )


def test_the_store_is_one_that_is_known():
    assert 'store.url: unknown scheme "sqllite". Did you mean "sqlite"?' in complaint('[store]\nurl = "sqllite:"')
    assert "needs a colon" in complaint('[store]\nurl = "sqlite"')


# --- secrets ---


def test_a_secret_comes_from_a_value_a_variable_or_a_file(monkeypatch):
    monkeypatch.setenv("MY_KEY", SECRET)
    Path("key.txt").write_text(SECRET + "\n")
    written(f'[desk]\nkey = "{SECRET}"\n[upstreams.openai]\nkey = "env:MY_KEY"\n[upstreams.ollama]\nkey = "file:key.txt"\n')
    settings = load()
    for key in (settings.desk.key, settings.upstreams["openai"].key, settings.upstreams["ollama"].key):
        assert key is not None
        assert key.get_secret_value() == SECRET


def test_a_secret_is_never_shown(monkeypatch):
    monkeypatch.setenv("TASKTAP_UPSTREAMS__OPENAI__KEY", SECRET)
    written(f'[desk]\nkey = "{SECRET}"\n')
    settings = load()
    shown = repr(settings) + str(settings) + str(describe(settings)) + settings.model_dump_json() + repr(settings.upstreams)
    assert SECRET not in shown
    assert dict(describe(settings))["desk.key"] == "set (hidden)"
    assert dict(describe(settings))["upstreams.ollama.key"] == "not set"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("env:NOT_THERE", "the environment variable NOT_THERE is not set"),
        ("env:", "needs the name of a variable"),
        ("file:gone.txt", "the file gone.txt cannot be read: No such file"),
        ("file:empty.txt", "is empty"),
        ("file:two.txt", "what two.txt gives holds a blank, a line break"),
        (f"{SECRET} {SECRET}", "holds a blank, a line break"),
        (f"{SECRET}\\u00e9", "holds a blank, a line break"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(key, says):
    Path("empty.txt").write_text("\n")
    Path("two.txt").write_text(f"{SECRET}\n{SECRET}\n")
    message = complaint(f'[upstreams.openai]\nkey = "{key}"\n')
    assert message.startswith("tasktap.toml, line 2: upstreams.openai.key: ")
    assert says in message


@pytest.mark.parametrize(
    "text",
    [
        f'desk = "{SECRET}"',
        f'[upstreams]\nopenai = "{SECRET}"',
        f'[desk]\nkeys = "{SECRET}"',
        f'[desk]\nkey = ["{SECRET}"]',
        f'[desk]\nkey = "{SECRET}\n',
        f'[upstreams.openai]\nproxy = "http://me:{SECRET}@proxy.example:1"',
        f'[upstreams.openai]\ntimeouts = "{SECRET}"',
        f'[listen]\ncalls = "127.0.0.1:{SECRET}"',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown_either(text):
    assert complaint(text)


def test_a_key_that_is_always_used_must_be_there():
    assert "upstreams.openai.key_mode" in complaint('[upstreams.openai]\nkey_mode = "always"')


# --- mistakes ---


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[listen]\n\ncals = "127.0.0.1:1"', 'tasktap.toml, line 3: listen.cals: unknown key. Did you mean "calls"?'),
        ('calls = "127.0.0.1:1"', 'tasktap.toml, line 1: calls: unknown key. Did you mean "listen.calls"?'),
        ('[openai]\nurl = "http://x"', 'tasktap.toml, line 1: openai: unknown key. Did you mean "upstreams.openai"?'),
        ('[upstreams.openai]\nurll = "x"', 'line 2: upstreams.openai.urll: unknown key. Did you mean "url"?'),
        (
            "upstreams.openai.timeouts.conect = 3",
            'line 1: upstreams.openai.timeouts.conect: unknown key. Did you mean "connect"?',
        ),
        ('on_caller_left = "drian"', 'tasktap.toml, line 1: on_caller_left: unknown value "drian". Did you mean "drain"?'),
        ('[journal]\ndurability = "x"', 'line 2: journal.durability: unknown value "x". Known: process, power, none'),
        ('default_upstream = "opnai"', 'line 1: default_upstream: there is no upstream "opnai". Did you mean "openai"?'),
        ("[listen]\nworkers = 0", "line 2: listen.workers: 0 is too small: at least 1"),
        ("[listen]\nworkers = 65", "line 2: listen.workers: 65 is too large: at most 64"),
        ("[listen]\nworkers = 1.5", "line 2: listen.workers: must be a whole number"),
        ("[listen]\nworkers = true", "line 2: listen.workers: must be a number"),
        ("[listen]\nidle_seconds = inf", "line 2: listen.idle_seconds: must be a number"),
        ("[listen]\ncalls = 8900", "line 2: listen.calls: must be a text, in quotes"),
        (
            '[upstreams.a]\nurl = "http://a"\nprovider = "opnai"',
            'line 3: upstreams.a.provider: unknown provider "opnai". Did you mean "openai"?',
        ),
        ("[prices.m]\ninput = -1", "line 2: prices.m.input: -1 is too small: at least 0"),
        ("[prices.m]\ninputt = 1", 'line 2: prices.m.inputt: unknown key. Did you mean "input"?'),
        ('[prices.m]\ninput = "much"', "line 2: prices.m.input: must be a number"),
        ("[prices.m]\n", "line 1: prices.m: has no price in it. Set `input` and `output`"),
        ('[prices." "]\ninput = 1', "is empty. Write a model"),
        ('[labels]\nstrip_aliases = "perhaps"', "line 2: labels.strip_aliases: must be true or false"),
        ("journal = 3", "line 1: journal: is a table, not a value"),
        ("[upstreams.groq]\nauth = 'bearer'", "line 1: upstreams.groq.url: is missing"),
        ("[upstreams.openai]\nca_file = 'gone.pem'", "line 2: upstreams.openai.ca_file: there is no file gone.pem"),
        ('[journal]\nmax_bytes = "much"', 'line 2: journal.max_bytes: must be a number of bytes, or a text such as "64MiB"'),
        ('[journal]\nmax_bytes = "8MiB"', "journal.segment_bytes: is more than journal.max_bytes"),
        ("[listen\n", "tasktap.toml: is not TOML: "),
        ('[listen]\ndesk = "127.0.0.1:8900"', "is the address of the calls door too"),
    ],
)
def test_a_mistake_is_named_with_its_file_line_key_and_what_would_be_right(text, says):
    assert says in complaint(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(monkeypatch):
    monkeypatch.setenv("TASKTAP_LISTEN__CALS", "x")
    monkeypatch.setenv("TASKTAP_STOP_DEADLINE", "soon")
    lines = complaint('on_caller_left = "x"\n[desk]\nkeyy = 1\n[listen]\nworkers = 0\nheader_second = 1\n').splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "TASKTAP_LISTEN__CALS",
        "TASKTAP_STOP_DEADLINE (stop_deadline)",
        "tasktap.toml, line 1",
        "tasktap.toml, line 3",
        "tasktap.toml, line 5",
        "tasktap.toml, line 6",
    ]


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("TASKTAP_LISTEN__CALS", "TASKTAP_LISTEN__CALS: unknown setting. Did you mean TASKTAP_LISTEN__CALLS?"),
        ("TASKTAP_LISTEN_CALLS", "Did you mean TASKTAP_LISTEN__CALLS?"),
        ("TASKTAP_CONFG", "Did you mean TASKTAP_CONFIG?"),
        ("TASKTAP_UPSTREAMS__GROQ__URI", "Did you mean TASKTAP_UPSTREAMS__GROQ__URL?"),
        ("TASKTAP_LISTEN", "TASKTAP_LISTEN: is a table. Set what is in it, as in TASKTAP_LISTEN__CALLS"),
        ("TASKTAP_UPSTREAMS__OPENAI", "is a table. Set what is in it, as in TASKTAP_UPSTREAMS__OPENAI__URL"),
        ("TASKTAP_QQQQQQ", "TASKTAP_QQQQQQ: unknown setting"),
        ("TASKTAP_LISTEN__WORKERS", "TASKTAP_LISTEN__WORKERS (listen.workers): must be a whole number"),
    ],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(monkeypatch, variable, says):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ConfigError) as caught:
        load()
    assert says in str(caught.value)


def test_the_variables_kubernetes_sets_for_a_service_named_tasktap_are_no_mistake(monkeypatch):
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_CALLS",
        "PORT",
        "PORT_8900_TCP",
        "PORT_8900_TCP_ADDR",
        "DESK_SERVICE_HOST",
    ):
        monkeypatch.setenv(f"TASKTAP_{name}", "tcp://10.0.0.1:8900")
    assert load() == Settings()


def test_a_mistake_in_a_flag_is_named_by_the_flag():
    with pytest.raises(ConfigError, match=r"--calls \(listen\.calls\): names no host"):
        load(calls=":8900")


@pytest.mark.parametrize("desk", ["0.0.0.0:8901", "[::]:8901", "192.0.2.1:0", "desk.example:8901"])
def test_a_desk_that_others_can_reach_needs_a_key(desk, monkeypatch):
    with pytest.raises(ConfigError, match=r"--desk \(listen\.desk\): .*Set desk\.key, or listen on"):
        load(desk=desk)
    monkeypatch.setenv("TASKTAP_DESK__KEY", SECRET)
    assert load(desk=desk).listen.desk == desk


@pytest.mark.parametrize("desk", ["127.0.0.1:8901", "127.9.9.9:8901", "[::1]:8901", "localhost:8901"])
def test_a_desk_on_loopback_needs_no_key(desk):
    assert load(desk=desk).desk.key is None


def test_the_line_of_a_key_is_that_on_which_its_statement_begins():
    text = (
        '# a\n\n[desk]\nhosts = [\n  "a",\n  "b",\n]\n\n'
        '[upstreams.x]  # key = 1\ntimeouts.idle = """\n[listen]\nworkers"""\n[listen]\nworkers = 2'
    )
    assert line_of(text, ("desk", "hosts")) == 4
    assert line_of(text, ("upstreams", "x")) == 9
    assert line_of(text, ("upstreams", "x", "timeouts", "idle")) == 10
    assert line_of(text, ("listen", "workers")) == 14
    assert line_of(text, ("listen", "missing")) == 13
    assert line_of(text, ("nowhere",)) is None


def test_settings_cannot_be_changed():
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.journal.durability = Durability.POWER  # type: ignore[misc]
