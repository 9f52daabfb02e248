"""What is said in a benchmark: requests and answers of the sizes and shapes that chat APIs have.

A request names its answer in `X-Play`, so that the upstream needs no route and every proxy passes the choice on:
`small`, `large`, `events COUNT SECONDS` (an event stream, one event per `SECONDS`; 0 sends them in a burst) and `hold`
(one event, then silence until the caller leaves).
"""

from __future__ import annotations

import json

REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    b"Authorization: Bearer sk-benchmark-0123456789abcdef\r\nUser-Agent: benchmark\r\nX-Session-Id: s-1\r\nX-User-Id: u-1\r\n"
    b"X-Play: %s\r\n%sContent-Length: %d\r\n\r\n%s"
)
MARK = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def _request_body(size: int, stream: bool) -> bytes:
    """A chat request of about `size` bytes: one long message, as a pasted document makes it."""
    said = {"model": "bench-1", "stream": stream, "messages": [{"role": "user", "content": ""}]}
    text = "What do the words of this long document say? "
    room = max(0, size - len(json.dumps(said)))
    said["messages"] = [{"role": "user", "content": (text * (room // len(text) + 1))[:room]}]
    return json.dumps(said).encode()


def _answer(size: int) -> bytes:
    """A whole answer, head included, with a body of about `size` bytes."""
    usage = {"prompt_tokens": 50, "completion_tokens": 90, "total_tokens": 140}
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": "stop"}
    said = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "bench-1",
        "choices": [choice],
        "usage": usage,
    }
    room = size - len(json.dumps(said))
    choice["message"] = {"role": "assistant", "content": ("It says what it says. " * (room // 22 + 1))[:room]}
    body = json.dumps(said).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(number: int, last: int) -> bytes:
    """One event of a chat stream, about 190 bytes."""
    finish = "stop" if number == last else None
    delta = {} if finish else {"content": f" word{number}"}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    said = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "bench-1",
        "choices": [choice],
    }
    return b"data: " + json.dumps(said).encode() + b"\n\n"


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nx-request-id: req_bench\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
ANSWERS = {b"small": _answer(600), b"large": _answer(10_000)}


def request(play: str, fields: bytes = b"") -> bytes:
    """The whole request that is answered with `play`, `fields` in its head: 300 bytes of body, 200 KB for `large`."""
    body = _request_body(200_000 if play == "large" else 300, play.startswith(("events", "hold")))
    return REQUEST % (play.encode(), fields, len(body), body)


def events(count: int) -> list[bytes]:
    """The writes of a stream of `count` events: head and first event, then each event, the last with the end marker."""
    chunks = [_chunked(_event(number, count - 1)) for number in range(count)]
    chunks[0] = STREAM_HEAD + chunks[0]
    chunks[-1] += _chunked(MARK) + LAST_CHUNK
    return chunks


def body(play: str) -> bytes:
    """The body that a caller must have received when `play` is over, transfer coding removed."""
    if play.startswith("events"):
        count = int(play.split()[1])
        return b"".join(_event(number, count - 1) for number in range(count)) + MARK
    return ANSWERS[play.encode()].partition(b"\r\n\r\n")[2]


def dechunk(data: bytes) -> bytes:
    """Remove the chunked transfer coding from a whole body; raises `ValueError` where it is not one."""
    out: list[bytes] = []
    at = 0
    while True:
        line = data.index(b"\r\n", at)
        size = int(data[at:line].split(b";")[0], 16)
        if size == 0:
            return b"".join(out)
        out.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
