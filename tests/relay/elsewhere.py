"""What else may stand between, or not be there: a CONNECT proxy, a port that is closed, one that never answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.sockets import Head, Wire


class ConnectProxy:
    """A tiny HTTP proxy that understands CONNECT and nothing else."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.heads: list[Head] = []
        self.refuse: bytes | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(Wire(sock),), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        head = wire.head()
        assert head is not None
        self.heads.append(head)
        if self.refuse:
            wire.send(self.refuse)
            wire.leave()
            return
        host, _, port = head.line.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as onward, wire.sock:
            wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            wire.sock.settimeout(None)
            back = threading.Thread(target=_copy, args=(onward, wire.sock), daemon=True)
            back.start()
            _copy(wire.sock, onward)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of loopback that nothing listens on, held so that nobody else gets it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    try:
        yield sock.getsockname()[1]
    finally:
        sock.close()


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that never completes a connection: its accept queue is full, so the kernel drops every SYN."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    try:
        yield listener.getsockname()[1]
    finally:
        for sock in [*fillers, listener]:
            sock.close()
