"""An upstream whose name is no host name: the caller is told at once."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.proc import serving
from tests.sockets import Wire


def test_a_name_that_can_never_be_looked_up_is_a_502_and_not_a_wait_without_end(tmp_path: Path) -> None:
    config = f'default_upstream = "long"\n[upstreams.long]\nurl = "http://{"x" * 64}.example"\n'
    with serving(tmp_path, config) as house, socket.create_connection(house.calls) as sock:
        wire = Wire(sock)
        wire.send(b"GET /v1/models HTTP/1.1\r\nHost: tasktap\r\n\r\n")
        head = wire.head()
        assert head is not None
        assert head.line.startswith(b"HTTP/1.1 502 ")
        wire.body(head)
        id = head.value(b"x-task-id")
        assert id is not None
        assert house.task(id)["ending"] == "unreachable"
