"""Writes straight into a socket where no bytes wait: cheaper and sooner than its transport, which waits for the turn's end."""

from __future__ import annotations

import asyncio
import os
from typing import Final

_write: Final = os.write


class Straight:
    """The way out of one connection, for as long as its transport is there."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        plain = sock is not None and transport.get_extra_info("ssl_object") is None
        self._fd: int = sock.fileno() if plain else -1  # under TLS the socket is the transport's alone
        self._behind = False  # bytes may wait in the transport

    def write(self, data: bytes) -> None:
        """Send.

        The transport closes the socket after `connection_lost` only: until then the descriptor is ours.
        """
        transport = self._transport
        if self._fd >= 0 and not (self._behind and transport.get_write_buffer_size()):
            try:
                sent = _write(self._fd, data)
            except OSError:  # full, or gone: the transport meets the same, and knows what to do
                sent = 0
            self._behind = sent < len(data)
            if not self._behind:
                return
            data = data[sent:]
        transport.write(data)

    def broken(self, error: Exception) -> None:
        """A fault of ours kept bytes from being sent: none may follow them."""
        context = {"message": "bytes could not be sent", "exception": error, "transport": self._transport}
        asyncio.get_running_loop().call_exception_handler(context)
        self._transport.abort()
