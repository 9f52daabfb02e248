"""Canaries: a different secret in every place where one can stand, and then a search of everything that was written."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest

from proxy.store import difference
from proxy.store import told as row_piece
from proxy.store.shelf import CHAIN
from tests.intake.talk import log
from tests.proc import Tasktap, clean_environment, serving
from tests.relay.caller import Caller, chat, once, request
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, fin, hang, ok, rst

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Canaries:
    """Hands out secrets, each with the name of its place in it."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def __call__(self, place: str) -> bytes:
        secret = f"sk-canary-{len(self.all):03d}-{place}-{len(self.all) * 7919 % 100003:05d}zQ".encode()
        self.all.append(secret)
        return secret


def spellings(secret: bytes) -> Iterator[bytes]:
    """The forms in which a secret may lie about."""
    yield secret
    yield secret.hex().encode()
    yield urllib.parse.quote(secret.decode(), safe="").replace("-", "%2D").encode()
    yield urllib.parse.quote(secret.decode(), safe="").replace("-", "%2d").encode()
    yield b"".join(b"%%%02X" % letter for letter in secret)
    yield b"".join(b"%%%02x" % letter for letter in secret)
    yield b"".join(b"\\u%04x" % letter for letter in secret)
    yield secret.replace(b"-", b"\\u002d")
    for shift in range(3):  # base64 of the secret wherever it begins in its three-byte groups
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * shift + secret)[4 * (shift > 0) : -4]


def unpacked(blob: bytes) -> Iterator[bytes]:
    """A blob, and what it may be compressed from."""
    yield blob
    for unpack in (lambda data: zlib.decompressobj(47).decompress(data), zlib.decompress, zstd.decompress, brotli.decompress):
        with contextlib.suppress(Exception):  # what is not in this coding says so in many ways
            yield unpack(blob)
    with contextlib.suppress(Exception):  # of a task's row, which has a dictionary of its own
        yield str(row_piece.text(blob)).encode()


MAGIC = (b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def hidden(data: bytes) -> Iterator[bytes]:
    """What compressed streams inside a file hold, wherever one begins."""
    for magic in MAGIC:
        at = data.find(magic)
        while at >= 0:
            with contextlib.suppress(Exception):
                if magic == MAGIC[0]:
                    yield zstd.ZstdDecompressor().decompress(data[at:])
                else:
                    yield zlib.decompressobj(47).decompress(data[at:])
            at = data.find(magic, at + 1)


def rows(path: Path) -> Iterator[bytes]:
    """Every value of every table of an SQLite file, unpacked."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        store.text_factory = bytes
        tables = [name.decode() for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            with contextlib.suppress(sqlite3.Error):
                for row in store.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        if isinstance(value, bytes):
                            yield from unpacked(value)
        for (key,) in store.execute("SELECT key FROM record").fetchall() if "record" in tables else ():
            yield difference.unpacked(store.execute(CHAIN, (key,)).fetchall())


def written(house: Tasktap) -> Iterator[tuple[str, bytes]]:
    """Everything that a tasktap has put anywhere: files, what is packed in them, and what it printed."""
    for path in [*house.data.rglob("*"), house.out, house.err]:
        if not path.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):  # a segment that was just forgotten
            data = path.read_bytes()
            yield path.name, data.rstrip(b"\0")
            if data.startswith(b"SQLite format 3"):
                for value in rows(path):
                    yield f"{path.name}, a value", value
            else:
                for value in hidden(data):
                    yield f"{path.name}, packed", value


def told(house: Tasktap) -> Iterator[tuple[str, bytes]]:
    """Everything that the desk tells."""
    yield "/api/status", house.fetch("/api/status")[1]
    cursor = ""
    while cursor is not None:
        page = house.get(f"/api/tasks?limit=500{cursor and '&cursor=' + urllib.parse.quote(cursor)}")
        yield "/api/tasks", json.dumps(page).encode()
        for item in page["items"]:
            for part in ("", "/request", "/response", "/request?decoded=1", "/response?decoded=1"):
                yield f"{item['kind']} {item['path']}: {part}", house.fetch(f"/api/tasks/{item['id']}{part}")[1]
            yield f"{item['id']}, what its fragments make", joined(house.fetch(f"/api/tasks/{item['id']}/response?decoded=1")[1])
            for place in (f"/tasks/{item['id']}", f"/tasks/{item['id']}/as/curl", f"/tasks/{item['id']}/as/python"):
                yield place, house.fetch(place)[1]
        cursor = page["next"]
    pages = ("/", "/tasks", "/tasks.csv", "/tasks.json", "/sessions", "/users", "/insights", "/status", "/live")
    for door in ("/api/sessions", "/api/users", "/api/insights/overview", "/metrics", "/readyz", *pages):
        yield door, house.fetch(door)[1]


def joined(stream: bytes) -> bytes:
    """All text that a stream's events carry, put together."""
    events = [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: {")]
    out: list[str] = []
    for each in events:
        with contextlib.suppress(ValueError, LookupError):
            out.append(json.loads(each)["choices"][0]["delta"]["content"])
    return "".join(out).encode()


def exported(house: Tasktap) -> Iterator[tuple[str, bytes]]:
    """What commands print of all that is kept."""
    flags = ["--config", str(house.config), "--data-dir", str(house.data)]
    lines = [["export", "--format", form] for form in ("jsonl", "csv", "openai-chat", "markdown")]
    lines += [["tasks", "--json", "--limit", "500"], ["status", "--json"], ["users", "--json"], ["sql", "SELECT * FROM tasks"]]
    for line in lines:
        said = subprocess.run(
            [sys.executable, "-m", "proxy", *line, *flags],
            cwd=Path(__file__).parents[2],
            env=clean_environment(),
            capture_output=True,
            timeout=150,
            check=False,
        )
        assert said.returncode in (0, 1), (line, said.stderr)
        assert len(said.stdout) > 20, (line, said.stdout)
        yield " ".join(line), said.stdout + said.stderr


def found(canaries: list[bytes], places: Iterator[tuple[str, bytes]]) -> list[str]:
    every = [(spelling, secret) for secret in canaries for spelling in spellings(secret)]
    hits = set()
    for place, data in places:
        for spelling, secret in every:
            if spelling in data:
                hits.add(f"{secret.decode()} in {place}")
    return sorted(hits)


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    config = f"""
        default_upstream = "main"
        [upstreams.main]
        url = "{the_upstream.url}"
        [upstreams.keyed]
        url = "{the_upstream.url}"
        key = "sk-canary-configured-key-0001"
    """
    with serving(tmp_path_factory.mktemp("secretive"), config) as house:
        yield house


Say = Callable[..., bytes]

HEADERS = [
    b"Authorization: Bearer %s",
    b"authorization: Basic %s",
    b"Authorization: %s",
    b"Proxy-Authorization: Basic %s",
    b"X-Api-Key: %s",
    b"api-key: %s",
    b"x-goog-api-key: %s",
    b"Cookie: session=%s; theme=dark",
    b"X-Amz-Security-Token: %s",
    b"X-Secret-Thing: %s",
    b"X-My-Token: %s",
    b"X-Auth-Whatever: %s",
    b"Helicone-Auth: Bearer %s",
    b"x-portkey-api-key: %s",
    b"cf-aig-authorization: Bearer %s",
    b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.%s",
]

QUERY = [
    b"key",
    b"api_key",
    b"apikey",
    b"API-Key",
    b"access_token",
    b"refresh_token",
    b"client_secret",
    b"sig",
    b"password",
    b"my_api_key",
]
JSON_NAMES = [
    "api_key",
    "apiKey",
    "API-KEY",
    "access_token",
    "refreshToken",
    "client_secret",
    "secretKey",
    "password",
    "authorization",
    "sig",
    "open_ai_api_key",
    "X-Auth-Token",
    "x-functions-key",
    "X-Client-Secret",
]


def calls_with_canaries(canary: Canaries, upstream: Upstream) -> Iterator[bytes]:
    """Requests to make, each with its tape put in."""
    for line in HEADERS:
        name = line.split(b":")[0].decode()
        upstream.play(ok(b"{}", b"Set-Cookie: sid=" + canary(f"set-cookie-{name}"), b"X-Api-Key: " + canary("response-key")))
        yield chat(line % canary(f"header-{name}"))
    for parameter in QUERY:
        upstream.play(ok())
        yield request(
            b"POST", b"/v1/chat/completions?a=b&%s=%s&c=d" % (parameter, canary(f"query-{parameter.decode()}")), body=b"{}"
        )
    secret = canary("query-encoded")
    upstream.play(ok())
    yield request(b"GET", b"/v1/x?%61pi_key=" + secret.replace(b"-", b"%2d"))
    for name in JSON_NAMES:
        upstream.play(ok(json.dumps({"deep": [{name: canary(f"response-json-{name}").decode()}]}).encode()))
        body = {
            "model": "m",
            "tools": [{"type": "mcp", name: canary(f"json-{name}").decode()}],
            "messages": [{"role": "user", "content": "hi"}],
        }
        yield chat(body=json.dumps(body).encode())
    upstream.play(ok())
    headers = {"Authorization": "Bearer " + canary("mcp-header").decode()}
    yield chat(body=json.dumps({"model": "m", "tools": [{"type": "mcp", "headers": headers}]}).encode())
    upstream.play(ok())
    escaped = "".join(f"\\u{letter:04x}" for letter in canary("json-escaped")).encode()
    yield chat(body=b'{"model":"m","\\u0061pi_key":"' + escaped + b'"}')
    upstream.play(ok())
    yield chat(b"Content-Encoding: gzip", body=gzip.compress(b'{"api_key":"%s","messages":[]}' % canary("json-gzip")))
    upstream.play(ok())
    pieces = b'{"model":"m","\\u0061pi_key":"%s","a":"%s"}' % (escaped, canary("json-in-pieces"))
    pieces = pieces.replace(b'"a":', b'"secret\\u005fkey":')
    split = [pieces[at : at + 7] for at in range(0, len(pieces), 7)]
    yield request(b"POST", b"/v1/chat/completions", b"Content-Type: application/json", pieces=split)
    upstream.play(ok(zstd.compress(b'{"client_secret":"%s"}' % canary("json-zstd")), b"Content-Encoding: zstd"))
    yield chat(b"Content-Encoding: zstd", body=zstd.compress(b'{"api_key":"%s","messages":[]}' % canary("request-zstd")))
    upstream.play(ok())
    form = b"grant_type=x&client_secret=%s&password=%s&b=c" % (canary("form-secret"), canary("form-password"))
    yield request(b"POST", b"/v1/token", b"Content-Type: application/x-www-form-urlencoded", body=form)
    upstream.play(ok())
    part = b'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n%s\r\n--b--\r\n' % canary("multipart")
    yield request(b"POST", b"/v1/files", b"Content-Type: multipart/form-data; boundary=b", body=part)
    upstream.play(ok())
    url = "https://user:" + canary("body-userinfo").decode() + "@host.invalid/picture.png"
    picture = {"type": "image_url", "image_url": {"url": url}}
    yield chat(body=json.dumps({"model": "m", "messages": [{"role": "user", "content": [picture]}]}).encode())
    upstream.play(ok())
    yield request(b"GET", b"http://user:" + canary("userinfo") + b"@host.invalid/v1/x")
    upstream.play(ok(b"{}", b"Location: http://user:" + canary("location") + b"@host.invalid/", status=b"302 Found"))
    yield request(b"GET", b"/v1/x")


def echoes(canary: Canaries, upstream: Upstream) -> Iterator[bytes]:
    """The credential of the call, said back by the upstream in many ways."""

    def bearer(secret: bytes, *more: bytes, body: bytes = b'{"model":"m"}') -> bytes:
        return chat(b"Authorization: Bearer " + secret, *more, body=body)

    secret = canary("echo-json")
    upstream.play(ok(b'{"error":{"message":"Incorrect API key provided: %s"}}' % secret, status=b"401 Unauthorized"))
    yield bearer(secret)
    secret = canary("echo-header")
    upstream.play(ok(b"{}", b"X-Debug: you sent " + secret, b"X-Request-Id: " + secret))
    yield bearer(secret)
    secret = canary("echo-gzip")
    upstream.play(ok(gzip.compress(b'{"echo":"%s"}' % secret), b"Content-Encoding: gzip"))
    yield bearer(secret)
    secret = canary("echo-br")
    upstream.play(ok(brotli.compress(b'{"echo":"%s"}' % secret), b"Content-Encoding: br"))
    yield bearer(secret)
    secret = canary("echo-stream")
    upstream.play(STREAM_HEAD + chunk(event("you said " + secret.decode())) + chunk(DONE) + b"0\r\n\r\n")
    yield bearer(secret)
    for size in (1, 7, 16):
        secret = canary(f"echo-split-{size}")
        said = event("you said " + secret.decode())
        upstream.play(STREAM_HEAD, *(chunk(said[at : at + size]) for at in range(0, len(said), size)), chunk(DONE) + b"0\r\n\r\n")
        yield bearer(secret)
    secret = canary("echo-deltas")
    deltas = [event(secret.decode()[at : at + 3]) for at in range(0, len(secret), 3)]
    upstream.play(STREAM_HEAD, *(chunk(delta) for delta in deltas), chunk(DONE) + b"0\r\n\r\n")
    yield bearer(secret)
    secret = canary("echo-member-deltas")
    text = '{"password": "' + secret.decode() + '", "a": 1}'
    deltas = [event(json.dumps(text[at : at + 4])[1:-1]) for at in range(0, len(text), 4)]
    upstream.play(STREAM_HEAD, *(chunk(delta) for delta in deltas), chunk(DONE) + b"0\r\n\r\n")
    yield chat()
    secret = canary("echo-own-body")
    upstream.play(ok())
    yield bearer(secret, body=b'{"model":"m","messages":[{"role":"user","content":"my key is %s"}]}' % secret)
    secret = canary("echo-label")
    upstream.play(ok())
    yield bearer(secret, b"X-User-Id: " + secret, b"X-Metadata-Key: " + secret, b'X-Task-Metadata: {"a":"%s"}' % secret)
    secret = canary("echo-target")
    upstream.play(ok())
    yield request(b"POST", b"/v1/x/" + secret, b"Authorization: Bearer " + secret, body=b"{}")
    secret = canary("echo-cut")
    upstream.play(STREAM_HEAD, chunk(b"data: " + secret[:10]), chunk(secret[10:]), rst)
    yield bearer(secret)
    secret = canary("echo-until-eof")
    upstream.play(b"HTTP/1.1 200 OK\r\n\r\nyou said ", secret[:9], secret[9:], fin)
    yield bearer(secret)
    secret = canary("echo-reason")
    upstream.play(ok(b"{}", status=b"401 no " + secret))
    yield bearer(secret)


MALFORMED = [
    b"POST /v1/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nbad line\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \0%s\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: h\r\nAuthorization Bearer %s\r\n\r\n",
    b"GET /v1/x?api_key=%s HTTP/1.1\r\n\r\n",
    b"CONNECT %s:443 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"%s\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: h\r\nX-Api-Key: %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


def test_no_canary_is_in_anything_that_is_written_or_told(secretive: Tasktap, upstream: Upstream) -> None:
    canary = Canaries()
    canary.all.append(b"sk-canary-configured-key-0001")
    for said in [*calls_with_canaries(canary, upstream), *echoes(canary, upstream)]:
        once(secretive.calls, said)
    upstream.play(ok(b"saw sk-canary-configured-key-0001"))
    once(secretive.calls, request(b"POST", b"/keyed/v1/x", body=b"{}"))
    for number, said in enumerate(MALFORMED):
        answer = once(secretive.calls, said % canary(f"malformed-{number}"))
        assert answer.status >= 400
        assert canary.all[-1] not in answer.head.raw + answer.body.data
    tape = upstream.play(hang)
    with Caller(secretive.calls) as caller:
        caller.send(chat(b"Authorization: Bearer " + canary("left")))
        assert tape.head
        caller.leave(rst=True)
    words = {"raw_input": {"api_key": canary("logged").decode()}, "metadata": {"password": canary("said").decode()}}
    log(secretive, {"input": "hi", **words})
    secretive.quiet()
    assert len(canary.all) > 80
    assert found(canary.all, written(secretive)) == []
    assert found(canary.all, told(secretive)) == []
    assert found(canary.all, exported(secretive)) == []


def test_no_canary_is_in_the_journal_while_nothing_reads_it(secretive: Tasktap, upstream: Upstream) -> None:
    """The desk stands still, so all is in the journal, and a stream is under way."""
    canary = Canaries()
    os.kill(secretive.pid("desk"), signal.SIGSTOP)
    try:
        for said in [*calls_with_canaries(canary, upstream), *echoes(canary, upstream)]:
            once(secretive.calls, said)
        secret = canary("under-way")
        tape = upstream.play(STREAM_HEAD, chunk(b"data: said " + secret[:12]), hang)
        with Caller(secretive.calls) as caller:
            caller.send(chat(b"Authorization: Bearer " + secret))
            while secret[:12] not in caller.wire.buffer:
                caller.wire.need()
            journal = [(name, data) for name, data in written(secretive)]
            assert any(b"/v1/chat/completions" in data for _, data in journal), "the search does not see the journal"
            assert found(canary.all, iter(journal)) == []
        tape.wait()
    finally:
        os.kill(secretive.pid("desk"), signal.SIGCONT)
    secretive.quiet()
    assert found(canary.all, written(secretive)) == []


def test_the_caller_still_gets_what_was_said(secretive: Tasktap, upstream: Upstream) -> None:
    """Only the record is redacted, never the wire."""
    secret = b"sk-canary-on-the-wire-1"
    said = b'{"error":{"message":"Incorrect API key provided: %s"}}' % secret
    body = b'{"api_key":"%s","messages":[]}' % secret
    tape = upstream.play(ok(said, b"Set-Cookie: a=" + secret))
    answer = once(secretive.calls, chat(b"Authorization: Bearer " + secret, body=body))
    assert answer.body.data == said
    assert answer.head.values(b"set-cookie") == [b"a=" + secret]
    assert tape.head.values(b"authorization") == [b"Bearer " + secret]
    assert tape.body.data == body
    task = secretive.task(answer.id)
    assert b"[redacted]" in secretive.fetch(f"/api/tasks/{task['id']}/request")[1]
    assert b"[redacted]" in secretive.fetch(f"/api/tasks/{task['id']}/response")[1]
    assert task["redactions"]
    assert task["caller_key"]


def test_one_key_has_one_fingerprint_and_two_have_two(secretive: Tasktap, upstream: Upstream) -> None:
    prints = []
    for secret in (b"sk-canary-print-1", b"sk-canary-print-1", b"sk-canary-print-2"):
        upstream.play(ok())
        prints.append(secretive.task(once(secretive.calls, chat(b"Authorization: Bearer " + secret)).id)["caller_key"])
    assert prints[0] == prints[1] != prints[2]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """A test of the tests: each way of hiding is seen through."""
    secret = b"sk-canary-000-self-00000zQ"
    store = sqlite3.connect(tmp_path / "x.sqlite")
    store.execute("CREATE TABLE t (a BLOB)")
    for blob in (
        zlib.compress(b"a" + secret),
        gzip.compress(b"b" + secret),
        zstd.compress(b"c" + secret),
        brotli.compress(b"d" + secret),
    ):
        store.execute("DELETE FROM t")
        store.execute("INSERT INTO t VALUES (?)", (blob,))
        store.commit()
        assert found([secret], (("x", value) for value in rows(tmp_path / "x.sqlite")))
    store.close()
    assert found([secret], iter([("x", base64.b64encode(b"ab" + secret + b"c"))]))
    assert found([secret], iter([("x", secret.hex().encode())]))
    assert found([secret], (("x", value) for value in hidden(b"junk" + zstd.compress(secret * 3) + b"more")))
