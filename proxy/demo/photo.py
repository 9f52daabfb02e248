"""Pure: the photo that somebody in the demo sends of a broken hiking pole, drawn here."""

from __future__ import annotations

import base64
import struct
import zlib
from functools import cache

WIDTH, HEIGHT = 240, 150
SKY, HILL, GRASS, POLE, GRIP = (196, 222, 236), (112, 148, 128), (94, 132, 78), (206, 82, 34), (44, 46, 50)


def _colour(x: int, y: int) -> tuple[int, int, int]:
    """Of a pixel: two halves of a pole on grass before a hill."""
    halves = ((28, 128, 118, 76), (132, 84, 214, 104))  # from x, y to x, y
    for number, (x0, y0, x1, y1) in enumerate(halves):
        if x0 <= x <= x1 and abs(y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0))) < 3.5:
            return GRIP if number == 0 and x < x0 + 24 else POLE
    if y < 62 - 26 * (1 - ((x - 165) / 120) ** 2):
        return SKY[0] - y // 3, SKY[1] - y // 4, SKY[2]
    return HILL if y < 72 + (x % 17) // 6 else (GRASS[0] + (x * 7 + y * 13) % 9, GRASS[1] + (x * 5 + y * 3) % 11, GRASS[2])


@cache
def photo() -> str:
    """A PNG as a data URL."""
    rows = b"".join(b"\0" + bytes(part for x in range(WIDTH) for part in _colour(x, y)) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    png = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + png).decode()
