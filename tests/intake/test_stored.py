"""OpenAI's stored-completions API on the calls door, with the real SDK; whoever reads the record needs the desk's key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.intake.talk import send
from tests.proc import Tasktap, files, serving, soon
from tests.upstream import Upstream

openai = pytest.importorskip("openai", reason="the SDK is needed: pip install -e '.[dev]'")

ANSWER = (
    b'{"id":"chatcmpl-%d","object":"chat.completion","created":1700000000,"model":"gpt-x",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"answer %d"},"finish_reason":"stop"}]}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    upstream = Upstream()
    config = f'[upstreams.openai]\nurl = "{upstream.url}"\n[desk]\nkey = "desk-key"\n'
    with serving(tmp_path_factory.mktemp("house"), config) as running:
        for number in range(5):
            answer = ANSWER % (number, number)
            upstream.play(HEAD % (len(answer), answer))
            messages = [{"role": "system", "content": "S"}, {"role": "user", "content": f"question {number}"}]
            body = {"model": "gpt-x", "messages": messages, "metadata": {"even": str(number % 2 == 0)}, "temperature": 0.5}
            assert send(f"{running.run['calls']}/v1/chat/completions", body)[0] == 200
        asked = f"{running.run['desk']}/api/status"
        soon(lambda: send(asked, None, "GET", Authorization="Bearer desk-key")[1]["calls"]["stored"] == 5, "the calls, stored")
        yield running
    upstream.close()


@pytest.fixture
def completions(house: Tasktap) -> Iterator[object]:
    with openai.OpenAI(base_url=house.run["calls"] + "/tasktap/v1", api_key="desk-key", max_retries=0) as client:
        yield client.chat.completions


def ids(page: object) -> list[str]:
    return [each.id for each in page]  # type: ignore[attr-defined]  # the SDK's page is followed to its end


def test_the_sdk_lists_retrieves_updates_and_deletes_what_was_carried(completions, house):
    first = completions.list(limit=2)
    assert ([each.id for each in first.data], first.has_more) == (["chatcmpl-0", "chatcmpl-1"], True)
    assert ids(completions.list(limit=2)) == [f"chatcmpl-{n}" for n in range(5)]
    assert ids(completions.list(limit=3, order="desc")) == [f"chatcmpl-{n}" for n in reversed(range(5))]
    assert ids(completions.list(metadata={"even": "True"})) == ["chatcmpl-0", "chatcmpl-2", "chatcmpl-4"]
    assert ids(completions.list(model="other")) == []
    one = completions.retrieve("chatcmpl-3")
    assert (one.choices[0].message.content, one.model, one.created) == ("answer 3", "gpt-x", 1700000000)
    assert (one.metadata["even"], one.temperature) == ("False", 0.5)
    messages = completions.messages.list("chatcmpl-3")
    assert [(each.id, each.role, each.content) for each in messages] == [
        ("chatcmpl-3-0", "system", "S"),
        ("chatcmpl-3-1", "user", "question 3"),
    ]
    changed = completions.update("chatcmpl-3", metadata={"seen": "yes"})
    assert changed.metadata == {"seen": "yes"}
    assert completions.retrieve("chatcmpl-3").metadata == {"seen": "yes"}
    assert completions.delete("chatcmpl-3").deleted
    with pytest.raises(openai.NotFoundError):
        completions.retrieve("chatcmpl-3")
    assert "chatcmpl-3" not in ids(completions.list())


def test_these_questions_are_no_tasks_and_count_nowhere(completions, house):
    before = send(f"{house.run['desk']}/api/status", None, "GET", Authorization="Bearer desk-key")[1]["calls"]
    list(completions.list())
    after = send(f"{house.run['desk']}/api/status", None, "GET", Authorization="Bearer desk-key")[1]["calls"]
    assert (before["carried"], before["lost"]) == (after["carried"], after["lost"]) == (5, 0)
    assert not [name for name, data in files(house.data).items() if b"/tasktap/v1" in data]


def test_the_record_is_read_only_with_the_desks_key_and_by_the_desks_names(house):
    path = f"{house.run['calls']}/tasktap/v1/chat/completions"
    assert send(path, None, "GET")[0] == 401
    assert send(path, None, "GET", Authorization="Bearer sk-upstream")[0] == 401
    assert send(path, None, "GET", Authorization="Bearer desk-key", Host="evil.example")[0] == 421
    for other in ("/tasktap/api/tasks", "/tasktap/v2/log/p", "/tasktap/../api/tasks", "/tasktap//api/tasks"):
        assert send(house.run["calls"] + other, None, "GET", Authorization="Bearer desk-key")[0] == 404


def test_whoever_may_only_call_does_not_read(tmp_path):
    """Without a key the desk is open to its own machine; a calls door that others can reach must not lead there."""
    house = Tasktap(tmp_path)
    house.command = lambda: [*Tasktap.command(house)[:-4], "--calls", "0.0.0.0:0", "--desk", "127.0.0.1:0"]  # type: ignore[method-assign]
    house.start()
    try:
        soon(lambda: house.fetch("/readyz")[0] == 200)
        port = house.address("calls")[1]
        assert send(f"http://127.0.0.1:{port}/tasktap/v1/chat/completions", None, "GET")[0] == 403
        assert soon(lambda: send(f"{house.run['desk']}/api/tasks", None, "GET")[0] == 200)
    finally:
        house.stop()
