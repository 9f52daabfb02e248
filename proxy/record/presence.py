"""Has a caller that sent FIN left, or does it only have nothing more to say?

TCP tells the two apart nowhere: `close()` and `shutdown(SHUT_WR)` send the same segment. But where the caller lives on this
machine, which is what a sidecar is for, the kernel knows: a socket that was closed belongs to no process any more (its
inode is 0), one that was half closed still does. We ask it over NETLINK_SOCK_DIAG (sock_diag(7)).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from enum import Enum


class Presence(Enum):
    """What became of the other end of a connection."""

    THERE = "there"
    LEFT = "left"
    UNKNOWN = "unknown"  # the other end is on another machine, or the kernel does not say


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR = 2
_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_INODE_OFFSET = 16 + 4 + 48 + 16  # nlmsghdr, four bytes of state, inet_diag_sockid, four counters


def presence(sock: socket.socket) -> Presence:
    """Look at the other end of a connected TCP socket."""
    try:
        here, there = sock.getsockname(), sock.getpeername()
    except OSError:
        return Presence.LEFT
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not _is_local(here[0], there[0]):
        return Presence.UNKNOWN
    try:
        return _ask(sock.family, there, here)
    except OSError:
        return Presence.UNKNOWN


def _is_local(here: str, there: str) -> bool:
    try:
        address = ipaddress.ip_address(there.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return here == there or (mapped or address).is_loopback


def _ask(family: int, source: tuple[object, ...], target: tuple[object, ...]) -> Presence:
    """Ask for the socket whose own address is `source` and whose peer is `target`."""
    address = _socket_id(family, source, target)
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + address
    message = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(0.05)
        netlink.sendto(message, (0, 0))
        answer = netlink.recv(4096)
    kind = struct.unpack_from("=IH", answer)[1]
    if kind == _NLMSG_ERROR:
        error = -struct.unpack_from("=i", answer, 16)[0]
        return Presence.LEFT if error == 2 else Presence.UNKNOWN  # ENOENT: there is no such socket any more
    inode = struct.unpack_from("=I", answer, _INODE_OFFSET)[0]
    return Presence.THERE if inode else Presence.LEFT


def _socket_id(family: int, source: tuple[object, ...], target: tuple[object, ...]) -> bytes:
    def packed(address: object) -> bytes:
        return socket.inet_pton(family, str(address).partition("%")[0]).ljust(16, b"\0")

    ports = struct.pack("!HH", source[1], target[1])
    return ports + packed(source[0]) + packed(target[0]) + struct.pack("=I", 0) + _NO_COOKIE
