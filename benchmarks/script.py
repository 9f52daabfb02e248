"""What the upstream says in a call, write by write, and how much of it has come when a proxy has passed it on."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import scenes


@dataclass(frozen=True, slots=True)
class Script:
    """The writes of an answer, the same without its head, and what each says without its framing."""

    writes: list[bytes]
    bare: list[bytes]
    says: list[bytes]
    chunked: bool

    def arrived(self, data: bytes, number: int) -> int | None:
        """How many events `data` holds, the first of them that `number`; 0 where more must come, `None` where it is other data.

        A proxy may put two chunks into one, or the last chunk into a write of its own.
        """
        if data == self.bare[number]:
            return 1
        body = unframed(data) if self.chunked else data
        if body is None:
            return 0
        wanted, count = b"", 0
        while len(wanted) < len(body) and number + count < len(self.says):
            wanted += self.says[number + count]
            count += 1
        if wanted == body:
            return count
        return 0 if wanted.startswith(body) else None

    def ends(self, data: bytes) -> bool:
        """Is `data`, with which the last event came or what follows on it, the end of the answer?"""
        return not self.chunked or data.endswith(scenes.LAST_CHUNK)


def unframed(data: bytes) -> bytes | None:
    """What whole chunks say, be the last one with them or not; `None` where one is cut, `ValueError` where it is none."""
    said: list[bytes] = []
    at = 0
    while at < len(data) and data[at:] != scenes.LAST_CHUNK:
        line = data.find(b"\r\n", at)
        size = int(data[at:line], 16) if line >= 0 else 0
        over = line + 2 + size + 2
        if not size or over > len(data):
            return None
        said.append(data[line + 2 : over - 2])
        at = over
    return b"".join(said)


def stream(events: int) -> Script:
    """A stream of so many events."""
    writes = scenes.events(events)
    bare = [writes[0].partition(b"\r\n\r\n")[2], *writes[1:]]
    return Script(writes, bare, [unframed(each) or b"" for each in bare], chunked=True)


def small() -> Script:
    """The answer to a small call: one write."""
    whole = scenes.ANSWERS[b"small"]
    body = whole.partition(b"\r\n\r\n")[2]
    return Script([whole], [body], [body], chunked=False)
