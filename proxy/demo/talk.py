"""Calls that go on while the demo is looked at: a provider on loopback that says what the script says, and people who ask it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from proxy.demo.script import CITIES, NAMES, STORIES, SYSTEM, Story
from proxy.task import JSON

BETWEEN_SECONDS = 5.0  # two sessions begin, on average
PIECE_SECONDS = 0.045
MODELS = ("gpt-5-mini", "gpt-5-mini", "gpt-5")
APPS = ("support", "docs", "notes", "code")
LONGEST_REQUEST = 1 << 20
ANSWERS = {asked: told for story in STORIES for asked, told in story.lines}


class _Provider(BaseHTTPRequestHandler):
    """Streams the answer that stands in the script, a few characters at a time."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name that the standard library asks for
        length = min(int(self.headers.get("Content-Length", 0)), LONGEST_REQUEST)
        asked = json.loads(self.rfile.read(length))
        question = str(asked["messages"][-1]["content"])
        model, chance = asked["model"], random.Random(question)  # noqa: S311  # the same question sounds the same
        time.sleep(chance.uniform(0.2, 1.0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        told = ANSWERS.get(question, "I did not find that in the documents I have. Could you say it in other words?")
        for at in range(0, len(told), 6):
            self._event(
                {"model": model, "choices": [{"index": 0, "delta": {"content": told[at : at + 6]}, "finish_reason": None}]}
            )
            time.sleep(PIECE_SECONDS * chance.uniform(0.3, 1.7) + (1.2 if chance.random() < 0.01 else 0))
        usage = {"prompt_tokens": len(str(asked)) // 4, "completion_tokens": len(told) // 4 + 1}
        self._event({"model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: JSON) -> None:
        self._chunk(
            b"data: " + json.dumps({"object": "chat.completion.chunk", "id": "chatcmpl-demo", **event}).encode() + b"\n\n"
        )

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing: a demo's provider has nothing to tell."""


def provider() -> str:
    """Start the provider in a thread of its own; where it is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="demo provider", daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def begin(data_dir: Path) -> str:
    """Start provider and people in a process of their own, which ends with this one, also when this one becomes another program.

    Where the provider is.
    """
    read, write = os.pipe()
    os.set_inheritable(write, True)  # it stays open as long as the supervisor that we become
    command = [sys.executable, "-m", "proxy.demo.talk", str(data_dir)]
    process = subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves
    os.close(read)
    if process.stdout is None:
        raise RuntimeError("a pipe was asked for")
    return process.stdout.readline().strip()


def main() -> None:
    """Provide, and ask, until standard input ends."""
    print(provider(), flush=True)  # noqa: T201  # to who started us
    path = Path(sys.argv[1]) / "run.json"
    threading.Thread(target=_people, args=(path, time.time()), name="demo people", daemon=True).start()
    sys.stdin.read()


def _calls_door(path: Path, since: float) -> str | None:
    """Where calls are taken, once a tasktap that began after `since` says so."""
    try:
        return str(json.loads(path.read_bytes())["calls"]) if path.stat().st_mtime >= since else None
    except (OSError, ValueError, KeyError):
        return None


def _people(path: Path, since: float) -> None:
    while (calls := _calls_door(path, since)) is None:
        time.sleep(0.1)
    chance = random.Random()  # noqa: S311  # a demo
    stories = [story for story in STORIES if story.app in APPS and story.tool is None]
    while True:
        person = chance.choice(NAMES)
        facts = {"name": person.capitalize(), "city": chance.choice(CITIES)}
        threading.Thread(target=_talk, args=(calls, chance.choice(stories), person, facts), daemon=True).start()
        time.sleep(chance.expovariate(1 / BETWEEN_SECONDS))


def _talk(calls: str, story: Story, person: str, facts: dict[str, str]) -> None:
    chance = random.Random()  # noqa: S311  # a demo
    session, model = f"{story.app}-{chance.getrandbits(40):010x}", chance.choice(MODELS)
    messages: list[JSON] = [{"role": "system", "content": SYSTEM[story.app]}]
    for asked, told in story.lines:
        messages.append({"role": "user", "content": asked.format_map(facts) if "{name}" in asked else asked})
        body = {"model": model, "messages": messages, "stream": True}
        with contextlib.suppress(OSError, HTTPException):  # tasktap stops, or was stopped
            _ask(calls, body, {"X-Session-Id": session, "X-User-Id": f"{person}@example.com", "X-Task-Name": story.app})
        messages.append({"role": "assistant", "content": told})
        time.sleep(chance.uniform(2, 9))


def _ask(calls: str, body: JSON, labels: dict[str, str]) -> None:
    door = HTTPConnection(urlsplit(calls).netloc, timeout=60)
    try:
        door.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json", **labels})
        door.getresponse().read()
    finally:
        door.close()


if __name__ == "__main__":
    main()
