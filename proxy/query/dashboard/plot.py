"""Pure: figures as SVG, whole on the server: places across are percent, so that text keeps its size at every width.

Each slot of a chart has a transparent rectangle whose title tells its values; with JavaScript it becomes a crosshair and a card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from proxy.query.dashboard import figures
from proxy.query.dashboard.scale import ceiling, step, steps

Unit = Callable[[float | None], str]
LABELS = 8
"""At an axis, where each slot has one; of the moments of a course there are at most `MOMENTS`, which are longer."""

MOMENTS = 6
HEAT_STEPS = 8


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one name, one a slot; None where there is none. `style` is a colour of the palette, 1 to 8, or a word of it."""

    name: str
    values: tuple[float | None, ...]
    style: str = "1"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place on the axis: what stands below it, what its card says, and where a click or a drag over it leads."""

    label: str
    title: str
    since: str = ""
    until: str = ""


def _drawn(parts: Iterable[str]) -> Markup:
    """Parts that are our own figures and escaped texts, as one: thousands of them are in a page."""
    return Markup("".join(parts))  # noqa: S704


def _legend(series: Sequence[Series], before: bool) -> Markup:
    items = Markup("").join(
        Markup('<span data-series="{}"><i class="v{}"></i>{}</span>').format(number, one.style, one.name)
        for number, one in enumerate(series)
    )
    if before:
        items += Markup('<span><i class="soft"></i>the period before</span>')
    return Markup('<figcaption class="legend">{}</figcaption>').format(items) if len(series) > 1 or before else Markup("")


def _frame(body: Markup, height: int, top: float, unit: Unit, title: str) -> Markup:
    marks = []
    for value in steps(0, top, 4):
        y = height - height * value / top
        marks.append(
            f'<line class="{"grid" if value else "axis"}" x1="0" x2="100%" y1="{y:.0f}" y2="{y:.0f}"/>'
            f'<text x="-8" y="{y + 4:.0f}" text-anchor="end">{escape(_mark(value, unit))}</text>'
        )
    grid = _drawn(marks)
    return Markup('<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">{}{}</svg>').format(
        height + 24, title, grid, body
    )


def _mark(value: float, unit: Unit) -> str:
    """A figure at the axis: `5 s`, where a measured one is `5.0 s`."""
    return unit(value).replace(".0 ", " ") if value else "0"


def _margin(marks: Iterable[str]) -> str:
    """The class that leaves room for the longest of these at the left."""
    longest = max(map(len, marks), default=1)
    return next((name for most, name in ((3, "left-s"), (5, "left-m"), (7, "left-l")) if longest <= most), "left-xl")


def _labels(slots: Sequence[Slot], height: int) -> Markup:
    named = [number for number, slot in enumerate(slots) if slot.label]
    made = Markup("")
    most = LABELS if len(slots) <= LABELS else MOMENTS
    for place, number in enumerate(named[:: max(1, -(-len(named) // most))]):
        x = 100 * (number + 0.5) / len(slots)
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        other = Markup(' class="other"') if place % 2 else ""  # a phone has no room for these
        made += Markup('<text{} x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(
            other, x, height + 18, anchor, slots[number].label
        )
    return made


def _hits(slots: Sequence[Slot], series: Sequence[Series], before: Sequence[float | None], height: int, unit: Unit) -> Markup:
    made = []
    width = 100 / max(1, len(slots))
    for number, slot in enumerate(slots):
        lines = [slot.title, *(f"{one.name}: {unit(one.values[number])}" for one in series)]
        if before:
            lines.append(f"before: {unit(before[number])}")
        span = f' data-since="{escape(slot.since)}" data-until="{escape(slot.until)}"' if slot.since else ""
        title = escape("\n".join(lines))
        made.append(
            f'<rect class="hit" x="{number * width:.3f}%" width="{width:.3f}%" y="0" height="{height}"{span}>'
            f"<title>{title}</title></rect>"
        )
    return _drawn(made)


def _sum(values: Sequence[float | None]) -> float:
    return sum(value or 0 for value in values)


def bars(slots: Sequence[Slot], series: Sequence[Series], *, title: str, unit: Unit = figures.count, height: int = 168) -> Markup:
    """Bars, series upon series."""
    columns = [[one.values[number] for one in series] for number in range(len(slots))]
    top = ceiling(max(map(_sum, columns), default=0))
    width = 100 / max(1, len(slots))
    drawn = []
    for number, values in enumerate(columns):
        y = float(height)
        for index, value in enumerate(values):
            if value:
                tall = height * value / top
                y -= tall
                drawn.append(
                    f'<rect class="v{escape(series[index].style)}" data-series="{index}" x="{(number + 0.14) * width:.3f}%"'
                    f' width="{0.72 * width:.3f}%" y="{y:.2f}" height="{max(tall, 1.0):.2f}" rx="1.5"/>'
                )
    body = _drawn(drawn)
    body += _labels(slots, height) + _hits(slots, series, (), height, unit)
    return Markup('<figure class="chart {}" data-plot>{}{}</figure>').format(
        _margin(_mark(value, unit) for value in steps(0, top, 4)), _frame(body, height, top, unit, title), _legend(series, False)
    )


def lines(
    slots: Sequence[Slot],
    series: Sequence[Series],
    *,
    title: str,
    unit: Unit = figures.count,
    before: Sequence[float | None] = (),
    height: int = 168,
) -> Markup:
    """Lines; a single series is filled below. `before` is drawn dashed behind them."""
    top = ceiling(
        max(
            [value for one in series for value in one.values if value is not None] + [v for v in before if v is not None],
            default=0,
        )
    )
    drawn = Markup("")
    if any(value is not None for value in before):
        drawn += Markup('<path class="before" d="{}" vector-effect="non-scaling-stroke"/>').format(_path(before, top)[0])
    dots = Markup("")
    for index, one in enumerate(series):
        path, alone = _path(one.values, top)
        if len(series) == 1 and path:
            first = next(number for number, value in enumerate(one.values) if value is not None)
            last = max(number for number, value in enumerate(one.values) if value is not None)
            if None not in one.values[first : last + 1]:
                left, right = (1000 * (place + 0.5) / len(one.values) for place in (first, last))
                drawn += Markup('<path class="area v{}" d="{}L{:.1f} 100L{:.1f} 100Z"/>').format(one.style, path, right, left)
        drawn += Markup('<path class="line l{}" data-series="{}" d="{}" vector-effect="non-scaling-stroke"/>').format(
            one.style, index, path
        )
        for x, y in alone:
            dots += Markup('<circle class="v{}" data-series="{}" cx="{:.2f}%" cy="{:.1f}" r="2.5"/>').format(
                one.style, index, x / 10, y * height / 100
            )
    body = Markup(
        '<svg x="0" y="0" width="100%" height="{}" viewBox="0 0 1000 100" preserveAspectRatio="none" overflow="visible">{}</svg>'
    ).format(height, drawn)
    body += dots + _labels(slots, height) + _hits(slots, series, before, height, unit)
    return Markup('<figure class="chart {}" data-plot>{}{}</figure>').format(
        _margin(_mark(value, unit) for value in steps(0, top, 4)),
        _frame(body, height, top, unit, title),
        _legend(series, bool(before)),
    )


def _path(values: Sequence[float | None], top: float) -> tuple[str, list[tuple[float, float]]]:
    """The line, and the points that have no neighbour."""
    path: list[str] = []
    alone: list[tuple[float, float]] = []
    count = len(values)
    for number, value in enumerate(values):
        if value is None:
            continue
        x, y = 1000 * (number + 0.5) / count, 100 - 100 * value / top
        joined = number > 0 and values[number - 1] is not None
        path.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}")
        if not joined and (number + 1 == count or values[number + 1] is None):
            alone.append((x, y))
    return "".join(path), alone


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    unit: Unit = figures.count,
    told: bool = False,
) -> Markup:
    """A field of squares, the darker the more; with `told`, each has its figure."""
    top = max((value or 0 for row in values for value in row), default=0) or 1
    tall, gap = 20, 3
    width = 100 / max(1, len(columns))
    drawn = []
    for down, row in enumerate(values):
        y = down * (tall + gap)
        drawn.append(f'<text x="-8" y="{y + 14}" text-anchor="end">{escape(rows[down])}</text>')
        for across, value in enumerate(row):
            if value is None:
                continue
            level = 0 if not value else 1 + min(HEAT_STEPS - 1, int((value / top) ** 0.6 * (HEAT_STEPS - 0.001)))
            shown = escape(unit(value))
            drawn.append(
                f'<rect class="h{level}" x="{across * width + 0.12:.3f}%" width="{width - 0.24:.3f}%" y="{y}" height="{tall}"'
                f' rx="3"><title>{escape(rows[down])} {escape(columns[across])}\n{shown}</title></rect>'
            )
            if told:
                on = "over" if level > HEAT_STEPS - 2 else "amid" if level > HEAT_STEPS - 4 else "upon"
                x = (across + 0.5) * width
                drawn.append(f'<text class="{on}" x="{x:.2f}%" y="{y + 14}" text-anchor="middle">{shown}</text>')
    body = _drawn(drawn)
    height = len(rows) * (tall + gap)
    every = max(1, -(-len(columns) // 8))
    for across in range(0, len(columns), every):
        body += Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{}</text>').format(
            (across + 0.5) * width, height + 14, columns[across]
        )
    return Markup(
        '<figure class="chart {}" data-plot>'
        '<svg class="plot heat" width="100%" height="{}" role="img" aria-label="{}">{}</svg></figure>'
    ).format(_margin(rows), height + 20, title, body)


def shares(items: Sequence[tuple[str, float, str]], *, title: str, unit: Unit = figures.count) -> Markup:
    """A row a name, longest first: (name, value, address or nothing)."""
    most = max((value for _, value, _ in items), default=0) or 1
    whole = sum(value for _, value, _ in items) or 1
    rows = Markup("").join(
        Markup(
            '<li>{}<span class="num">{} <small>{}</small></span><svg width="100%" height="6" aria-hidden="true">'
            '<rect class="track" width="100%" height="6" rx="3"/>'
            '<rect class="v1" width="{:.2f}%" height="6" rx="3"/></svg></li>'
        ).format(
            Markup('<a href="{}">{}</a>').format(address, name) if address else Markup("<span>{}</span>").format(name),
            unit(value),
            figures.percent(value, whole),
            100 * value / most,
        )
        for name, value, address in items
    )
    return Markup('<ol class="shares plot" aria-label="{}">{}</ol>').format(title, rows)


def spark(values: Sequence[float], *, title: str) -> Markup:
    """A line without an axis, for a cell of a table."""
    top = max(values, default=0)
    if not top or len(values) < 2:
        return Markup(
            '<svg class="spark plot" role="img" aria-label="{}"><line class="grid" x1="0" x2="100%" y1="20.5" y2="20.5"/></svg>'
        ).format(title)
    points = " ".join(
        f"{1000 * number / (len(values) - 1):.0f},{95 - 90 * value / top:.0f}" for number, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark plot" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polyline class="line l1" points="{}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(title, points)


def histogram(values: Sequence[float], *, bins: int = 24, unit: Unit = figures.count) -> tuple[list[Slot], tuple[float, ...]]:
    """Values as slots of equal width and how many fall into each."""
    if not values:
        return [], ()
    by = step(max(values) or 1, bins)
    count = int(max(values) / by) + 1
    filled = [0.0] * count
    for value in values:
        filled[min(count - 1, int(value / by))] += 1
    return [Slot(unit(number * by), f"{unit(number * by)} to {unit((number + 1) * by)}") for number in range(count)], tuple(
        filled
    )
