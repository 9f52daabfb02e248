"""Pure: how figures are written for people: short, with a unit, and a dash where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime

from proxy.task import Ending

DASH = "–"
_UNITS = ("B", "KB", "MB", "GB", "TB")


def count(number: float | None) -> str:
    """`1,234`, `56.8k`, `1.2M`; a dash for None."""
    if number is None:
        return DASH
    size = abs(number)
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= limit:
            return f"{_three(number / limit)}{unit}"
    if size >= 1e4:
        return f"{_three(number / 1e3)}k" if size < 999_500 else "1M"
    return f"{number:,.0f}" if float(number).is_integer() else _three(number)


def _three(number: float) -> str:
    """Three digits, no trailing zeros."""
    return (
        f"{number:.{max(0, 3 - len(str(int(abs(number)))))}f}".rstrip("0").rstrip(".") if abs(number) < 100 else f"{number:.0f}"
    )


def exact(number: float | None) -> str:
    """Every digit, with commas."""
    return DASH if number is None else f"{number:,}"


def seconds(duration: float | None) -> str:
    """`0.8 ms`, `420 ms`, `3.2 s`, `4 min 5 s`, `2 h 3 min`, `5 d 2 h`."""
    if duration is None:
        return DASH
    if duration < 0:
        return f"−{seconds(-duration)}"
    if duration < 0.9995:
        ms = duration * 1000
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms" if ms else "0 ms"
    if duration < 59.95:
        return f"{duration:.1f} s" if duration < 9.95 else f"{duration:.0f} s"
    whole = round(duration)
    for unit, name, lower, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // lower
            return f"{whole // unit} {name}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def dollars(cost: float | None) -> str:
    """`$0.00042`, `$0.031`, `$12.40`, `$1,240`."""
    if cost is None:
        return DASH
    size = abs(cost)
    if size == 0:
        return "$0"
    if size < 1e-6:
        return "<$0.000001"
    if size < 0.1:
        return "$" + f"{cost:.{min(8, 1 - _exponent(size))}f}".rstrip("0")
    return f"${cost:,.2f}" if size < 1000 else f"${cost:,.0f}" if size < 1e7 else f"${count(cost)}"


def _exponent(size: float) -> int:
    return int(f"{size:e}".partition("e")[2])


def size(number: float | None) -> str:
    """`812 B`, `14 KB`, `3.4 MB`: of 1000 each."""
    if number is None:
        return DASH
    for unit in _UNITS:
        if abs(number) < 999.5 or unit == _UNITS[-1]:
            return f"{number:.0f} {unit}" if unit == "B" else f"{_three(number)} {unit}"
        number /= 1000
    raise AssertionError("not reached")


def percent(part: float | None, whole: float | None = 1.0) -> str:
    """`0.4 %`, `12 %`; a dash where there is nothing to divide by."""
    if part is None or not whole:
        return DASH
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 9.95 or share == 0 else f"{share:.1f} %" if share >= 0.05 else "<0.1 %"


def moment(microseconds: int) -> datetime:
    """Microseconds since the epoch as a moment in UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def when(microseconds: int, now: int) -> str:
    """How long ago, where that is less than a day; else the date, with the year where it is another one. UTC."""
    ago = (now - microseconds) / 1e6
    if 0 <= ago < 86_400:
        return "just now" if ago < 1.5 else f"{seconds(float(int(ago))).split(' ', 2)[0]} {_unit(ago)} ago"
    try:
        at, today = moment(microseconds), moment(now)
    except (ValueError, OverflowError, OSError):  # a year that no calendar of ours has
        return f"{microseconds} µs"
    return f"{at:%-d %b, %H:%M}" if at.year == today.year else f"{at:%-d %b %Y}"


def _unit(ago: float) -> str:
    return "s" if ago < 60 else "min" if ago < 3600 else "h"


def clock(microseconds: int) -> str:
    """`25 Nov 2026, 15:03:18.318`, UTC."""
    try:
        return f"{moment(microseconds):%-d %b %Y, %H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"


def tone(ending: str) -> str:
    """`ok`, `warn` or `bad`: how an ending is coloured, always beside its word."""
    if ending == Ending.COMPLETED:
        return "ok"
    return "warn" if ending in (Ending.CALLER_LEFT, Ending.STOPPED, Ending.UPLOAD_INCOMPLETE) else "bad"


def words(name: str) -> str:
    """`upstream_error` as `upstream error`."""
    return name.replace("_", " ")
