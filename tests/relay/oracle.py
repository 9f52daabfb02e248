"""An upstream that lets h11, an independent strict parser, judge whatever reaches it."""

from __future__ import annotations

import contextlib
import socket
import threading

import h11


class Oracle:
    """Answers 200 to each whole request; `bad` holds the bytes of connections that h11 would not read."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.whole = 0
        self.bad: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            while self._one(sock):
                self.whole += 1
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def _one(self, sock: socket.socket) -> bool:
        """Read one request; was it whole and well-formed?"""
        peer, heard = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), b""
        while data := sock.recv(65536):
            heard += data
            peer.receive_data(data)
            try:
                while (event := peer.next_event()) is not h11.NEED_DATA:
                    if isinstance(event, h11.EndOfMessage):
                        if peer.trailing_data[0]:
                            self.bad.append(f"more than one request: {heard!r}")
                        return True
            except h11.RemoteProtocolError as error:
                self.bad.append(f"{error}: {heard!r}")
                return False
        return False
