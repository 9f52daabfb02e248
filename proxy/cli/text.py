"""Pure: words, times and figures as a person reads them in a terminal. Nothing that was stored can steer the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

UNITS = ((60, "s"), (60, "m"), (24, "h"), (7, "d"), (52, "w"))

# C0, DEL, C1, and the marks that turn the direction of text: each could make a line look like another.
CONTROLS = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
CONTROLS |= dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
CONTROLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)  # lone surrogates are in no character set
MULTILINE = {code: shown for code, shown in CONTROLS.items() if code not in {0x09, 0x0A}}


def line(text: str | None, most: int = 400) -> str:
    """`text` on one line: each run of white space is one space, and what is too long for any terminal is cut."""
    return " ".join((text or "")[: 4 * most].split()).translate(CONTROLS)[:most]


def lines(text: str) -> str:
    """`text` on its own lines."""
    return text.replace("\r\n", "\n").translate(MULTILINE)


def ago(then: int, now: int) -> str:
    """How long ago, in at most four characters: `now`, `12s`, `5m`, `3h`, `6d`, `9w`, `2y`. Both in microseconds."""
    amount = (now - then) // 1_000_000
    if amount < 1:
        return "now"
    for size, unit in UNITS:
        if amount < size:
            return f"{amount}{unit}"
        amount //= size
    return f"{amount}y"


def clock(at: int, zone: tzinfo | None = None) -> str:
    """`2026-11-22 15:04:05 CET`, in the terminal's own time zone where none is given."""
    return f"{datetime.fromtimestamp(at / 1e6, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def seconds(amount: float | None) -> str:
    """`340ms`, `1.24s`, `12.1s`, `3m05s`, `2h05m`, `4d03h`."""
    if amount is None:
        return ""
    if amount < 0.9995:
        return f"{amount * 1000:.0f}ms"
    if amount < 9.995:
        return f"{amount:.2f}s"
    if amount < 59.95:
        return f"{amount:.1f}s"
    whole = round(amount)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole < 86_400 else f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def dollars(amount: float | None, *, signed: bool = False) -> str:
    """`$0.000137`, `$1.25`, `$1,203.10`: what may be a small part of a cent keeps six digits. With `signed` a plus, too."""
    if amount is None:
        return ""
    sign = "-" if amount < 0 else "+" if signed else ""
    bare = abs(amount)
    return f"{sign}${bare:,.2f}" if bare >= 1 or bare == 0 else f"{sign}${bare:.6f}"


def size(amount: int | None) -> str:
    """`812 B`, `1.5 KiB`, `3.0 MiB`."""
    if amount is None:
        return ""
    if amount < 1024:
        return f"{amount} B"
    value, unit = amount / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < 1023.95:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def count(amount: int | None) -> str:
    """`1,234`; nothing where it is not known."""
    return "" if amount is None else f"{amount:,}"
