"""Pure: small plots of characters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"


def spark(values: Sequence[float | None], width: int) -> str:
    """A line of bars, `width` at most: of more values, each bar is the mean of some. What is not known is blank."""
    some = [value for value in values if value is not None]
    if not some or width < 1:
        return ""
    size = -(-len(values) // width)
    parts = [[v for v in values[at : at + size] if v is not None] for at in range(0, len(values), size)]
    means = [sum(part) / len(part) if part else None for part in parts]
    most = max(mean for mean in means if mean is not None) or 1.0
    return "".join(" " if mean is None else BLOCKS[_step(mean, most)] for mean in means)


def _step(value: float, most: float) -> int:
    """What is more than nothing shows."""
    return 0 if value <= 0 else max(1, min(8, round(8 * value / most)))


def bar(value: float, most: float, width: int) -> str:
    """A bar of `width` characters where `value` is the `most`."""
    eighths = 0 if value <= 0 or most <= 0 else max(1, round(8 * width * min(value / most, 1.0)))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
