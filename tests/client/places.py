"""What an app talks to in these tests: a desk that keeps what it is posted, and a provider of OpenAI's and Ollama's ways."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = dict[str, Any]
ANSWER = "Qubits harness quantum physics for faster, more powerful computation."
WORDS = [f"{word} " for word in ANSWER.split()]


class Place:
    """A real HTTP/1.1 server on loopback; `answer(path, body)` gives status, content type and pieces.

    One that is `away` has its port, so that nobody else gets it, and refuses every connection until `open`.
    """

    def __init__(self, *, away: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        place = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                place.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status, kind, pieces = place.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in pieces:
                    if piece is None:  # it breaks here
                        self.wfile.flush()
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                        return
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        if not away:
            self.open()

    def open(self) -> None:
        self._server.server_activate()
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, body: Any) -> tuple[int, str, list[bytes | None]]:
        raise NotImplementedError

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class FakeDesk(Place):
    """Answers as the desk's intake does. `verdict` finds fault with a task, `status` with a whole request."""

    def __init__(self, *, away: bool = False) -> None:
        self.verdict: Callable[[JSON], str | None] = lambda task: None
        self.status: Callable[[Any], int] = lambda body: 200
        self.faults = 0  # faults of the client that the test makes
        self.tasks: list[JSON] = []
        self.feedback: list[tuple[str, JSON]] = []
        super().__init__(away=away)

    def answer(self, path: str, body: Any) -> tuple[int, str, list[bytes | None]]:
        status = self.status(body)
        if status != 200:
            return status, "application/json", [b'{"error": {"message": "as the test wants it"}}']
        if path.endswith("/feedback"):
            self.feedback.append((path.split("/")[3], body))
            return 200, "application/json", [b"{}"]
        items = []
        for task in body["tasks"]:
            error = self.verdict(task)
            if error is None:
                self.tasks.append(task)
            items.append({"id": task["task_id"], "status": "stored"} if error is None else rejected(task, error))
        return 200, "application/json", [json.dumps({"items": items}).encode()]

    def last(self) -> JSON:
        return self.tasks[-1]

    def of(self, id: str) -> JSON:
        """The last version of one task."""
        return [task for task in self.tasks if task["task_id"] == id][-1]


def rejected(task: JSON, error: str) -> JSON:
    return {"id": task["task_id"], "status": "rejected", "error": error}


class Provider(Place):
    """OpenAI's chat completions, streamed or not, and Ollama's generate. It breaks a stream whose question says so."""

    def answer(self, path: str, body: Any) -> tuple[int, str, list[bytes | None]]:
        if path.endswith("/api/generate"):
            return 200, "application/x-ndjson", list(ollama_lines(body["model"]))
        if "fail" in json.dumps(body["messages"]):
            return 400, "application/json", [b'{"error": {"message": "no", "type": "invalid_request_error"}}']
        if not body.get("stream"):
            return 200, "application/json", [json.dumps(completion(body["model"])).encode()]
        pieces: list[bytes | None] = [b"data: %s\n\n" % json.dumps(each).encode() for each in chunks(body)]
        if "break" in json.dumps(body["messages"]):
            return 200, "text/event-stream", [*pieces[:4], None]
        return 200, "text/event-stream", [*pieces, b"data: [DONE]\n\n"]


USAGE = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30, "prompt_tokens_details": {"cached_tokens": 4}}


def completion(model: str) -> JSON:
    message = {"role": "assistant", "content": ANSWER, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": f"{model}-2024"}
    return {**head, "choices": [choice], "usage": USAGE}


def chunks(body: JSON) -> list[JSON]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": f"{body['model']}-2024"}

    def chunk(delta: JSON, finish: str | None = None) -> JSON:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    found = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in WORDS), chunk({}, "stop")]
    if (body.get("stream_options") or {}).get("include_usage"):
        found.append({**head, "choices": [], "usage": USAGE})
    return found


def ollama_lines(model: str) -> list[bytes]:
    lines: list[JSON] = [{"model": model, "response": word, "done": False} for word in WORDS]
    lines.append({"model": model, "response": "", "done": True, "prompt_eval_count": 11, "eval_count": 9})
    return [json.dumps(line).encode() + b"\n" for line in lines]
