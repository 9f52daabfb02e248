"""How much memory a process has, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Bytes that it has in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def peak(pid: int) -> int:
    """The most bytes that it ever had in memory."""
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second figure grows with the first, by least squares; 0.0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    count = len(points)
    x, y = sum(at for at, _ in points) / count, sum(value for _, value in points) / count
    spread = sum((at - x) ** 2 for at, _ in points)
    return sum((at - x) * (value - y) for at, value in points) / spread if spread else 0.0
