"""The listening sockets: made once by the supervisor, so that a worker that dies and comes back refuses nobody."""

from __future__ import annotations

import errno
import socket
import time

BACKLOG = 4096
PATIENCE_SECONDS = 4.0  # a tasktap whose supervisor was killed lets go of its ports within 2


class Taken(Exception):
    """An address cannot be listened on. The text says which, why, and what to do."""


def listen(address: str, key: str, count: int) -> list[socket.socket]:
    """`count` sockets that listen on `address` ("127.0.0.1:8900", "[::1]:8900"; port 0 picks one). Raises Taken.

    `key` is the setting that the address came from.
    """
    host, _, port_text = address.rpartition(":")
    host = host.strip("[]")
    port = int(port_text)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _listen(host, port, count)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise Taken(f"{key}: cannot listen on {address}: {_reason(error)}") from None
            time.sleep(0.05)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program does. Stop it or choose another port."
    if error.errno == errno.EACCES:
        return "a port below 1024 needs more rights. Choose another port."
    return f"{error.strerror or error}."


def _listen(host: str, port: int, count: int) -> list[socket.socket]:
    family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    first = socket.socket(family, kind, proto)
    made = [first]
    try:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(where)  # without SO_REUSEPORT: fails where another program has the port, even one that would share it
        first.listen(BACKLOG)
        if count > 1:
            where = first.getsockname()
            first.close()
            made = []
            for _ in range(count):
                each = socket.socket(family, kind, proto)
                made.append(each)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                each.bind(where)
                each.listen(BACKLOG)
    except OSError:
        for each in made:
            each.close()
        raise
    return made


def url(sock: socket.socket) -> str:
    """How to reach a listening socket from this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
