"""Running calls seen while they run: from the journal, without a lock, and without a secret."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.demo import talk
from tests.proc import Tasktap, serving, soon
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate

QUESTION = "Port utils/date.js to TypeScript and add types."
KEY = "sk-live-canary-5d1e0b7a93c2"


def call(house: Tasktap, **labels: str) -> None:
    door = http.client.HTTPConnection(urlsplit(house.run["calls"]).netloc, timeout=100)
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    fields = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", **labels}
    door.request("POST", "/v1/chat/completions", json.dumps(body), fields)
    door.getresponse().read()
    door.close()


def events(house: Tasktap) -> Iterator[dict[str, Any]]:
    """What is told, call by call, until 100 s of silence."""
    door = http.client.HTTPConnection(*house.address("desk"), timeout=100)
    try:
        door.request("GET", "/live/events")
        answer = door.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield from json.loads(line[6:])
    finally:
        door.close()


def test_a_call_is_told_of_as_it_speaks_and_how_it_ended(tmp_path: Path):
    upstream, seen = Upstream(), threading.Event()
    upstream.play(STREAM_HEAD + chunk(event("It is ")), gate(seen), chunk(event("done.")) + chunk(DONE) + b"0\r\n\r\n")
    with serving(tmp_path, f'[upstreams.openai]\nurl = "{upstream.url}"\n') as house:
        caller = threading.Thread(target=call, args=(house,), kwargs={"X-Session-Id": "s-1", "X-User-Id": "ada"})
        caller.start()
        states, texts = [], []
        for told in events(house):
            assert KEY not in json.dumps(told)
            states.append(told["state"])
            texts.append(told["text"])
            if told["state"] == "ended":
                break
            if told["text"]:
                seen.set()
        caller.join(100)
        assert "answering" in states
        partial = [text for text in texts if text and text != texts[-1]]
        assert partial, "nothing was seen before the end"
        assert all(texts[-1].startswith(text) for text in partial)
        assert (told["ending"], told["session_id"], told["user_id"], told["input"]) == ("completed", "s-1", "ada", QUESTION)
        assert house.task(told["task_id"])["output"] == texts[-1] == "It is done."
    upstream.check()
    upstream.close()


def test_who_looks_on_keeps_no_segment_and_is_told_to_several(tmp_path: Path):
    config = f'[upstreams.openai]\nurl = "{talk.provider()}"\n[journal]\nsegment_bytes = "64KiB"\n'
    with serving(tmp_path, config) as house:
        looking = [events(house), events(house)]
        callers = [threading.Thread(target=call, args=(house,)) for _ in range(8)]
        for caller in callers:
            caller.start()
        firsts = [next(one) for one in looking]
        assert all(first["state"] in ("waiting", "answering", "ended") for first in firsts)
        for caller in callers:
            caller.join(60)
        house.quiet()
        soon(lambda: len(list((house.data / "journal").glob("*.journal"))) <= 1, "one segment, the open one")
        for one in looking:
            one.close()  # type: ignore[attr-defined]  # a generator
