"""What insights look like in a terminal, and as rows of CSV or Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from proxy.cli.charts import bar, spark
from proxy.cli.export import cell, csv_line
from proxy.cli.options import Problem
from proxy.cli.paper import Paper, facts, row, table
from proxy.cli.text import count, line, seconds
from proxy.query import endings
from proxy.task import JSON

BAR = 24
FEWEST = 5
"""Tasks of what a session may end after: fewer of them tell nothing."""


def show(what: str, told: JSON) -> None:
    """Print one answer."""
    {
        "overview": _overview,
        "series": _series,
        "breakdown": _breakdown,
        "sessions": _sessions,
        "users": _users,
        "compare": _compare,
    }[what](Paper(), told)


def _overview(paper: Paper, told: JSON) -> None:
    total = told["totals"]
    facts(
        paper,
        (
            ("tasks", count(total["tasks"]) + _whose(told)),
            ("failed", f"{count(total['errors'])} ({share(total['error_rate'])})" if total["errors"] else None),
            ("success", f"{share(total['success_rate'])} of {count(total['rated'])} rated" if total["rated"] else None),
            ("tokens", f"{count(total['input_tokens'])} in, {count(total['output_tokens'])} out"),
            ("cost", dollars(total["cost"])),
            ("took", _took(total["seconds"])),
            ("first token", _took(total["first_token_seconds"])),
        ),
    )
    for name in ("models", "kinds", "endings", "projects"):
        if len(told[name]) > 1 or name == "models":
            paper.print()
            _groups(paper, name.removesuffix("s").upper(), told[name])


def _whose(told: JSON) -> str:
    return "" if told["sessions"] is None else f" in {count(told['sessions'])} sessions of {count(told['users'])} users"


def _series(paper: Paper, told: JSON) -> None:
    groups: dict[str, list[JSON]] = {}
    for item in told["items"]:
        groups.setdefault("others" if item.get("others") else str(item.get("value", "all")), []).append(item)
    if not groups:
        paper.print("No tasks.", style="dim")
        return
    width = max(20, paper.width - 60)
    made = table(
        ("", {}),
        ("TASKS", {"justify": "right"}),
        ("OVER TIME", {}),
        ("COST", {"justify": "right"}),
        ("FAILED", {"justify": "right"}),
    )
    for name, items in groups.items():
        tasks, errors = (sum(item[each] for item in items) for each in ("tasks", "errors"))
        known = [item["cost"] for item in items if item["cost"] is not None]
        cost = (dollars(sum(known)) if known else None) or ""
        made.add_row(
            *row(
                line(name, 24),
                count(tasks),
                spark([item["tasks"] for item in items], width),
                cost,
                share(errors / tasks if tasks else None),
            )
        )
    paper.print(made)
    first, last = (told["items"][place]["at"][: 16 if told["step"] == "minute" else 13] for place in (0, -1))
    paper.print(f"each {told['step']} from {first} to {last}, UTC", style="dim")


def _breakdown(paper: Paper, told: JSON) -> None:
    items = [*told["items"], *([{"value": "(others)", **told["others"]}] if told["others"] else [])]
    _groups(paper, told["by"].upper(), items)


def _groups(paper: Paper, name: str, items: Sequence[JSON]) -> None:
    if not items:
        paper.print("No tasks.", style="dim")
        return
    most = max(item["tasks"] for item in items)
    wide = paper.width >= 100
    made = table(
        (name, {"style": "cyan", "max_width": 36}),
        ("TASKS", {"justify": "right"}),
        *((("", {"max_width": BAR}),) if wide else ()),
        ("FAILED", {"justify": "right", "style": "red"}),
        ("SUCCESS", {"justify": "right"}),
        ("COST", {"justify": "right"}),
        *((("P50", {"justify": "right"}), ("P95", {"justify": "right"})) if wide else ()),
    )
    for item in items:
        made.add_row(
            *row(
                line(item["value"]) or "(none)",
                count(item["tasks"]),
                *((bar(item["tasks"], most, BAR),) if wide else ()),
                share(item["error_rate"]) if item["errors"] else "",
                f"{share(item['success_rate'])} of {count(item['rated'])}" if item["rated"] else "",
                dollars(item["cost"]) or "",
                *((seconds(item["seconds"]["p50"]), seconds(item["seconds"]["p95"])) if wide else ()),
            )
        )
    paper.print(made)


def _sessions(paper: Paper, told: JSON) -> None:
    ended = told["count"] - told["running"]
    facts(
        paper,
        (
            ("sessions", f"{count(told['count'])}, and {count(told['implicit'])} of one call that named none"),
            ("not ended yet", count(told["running"]) if told["running"] else None),
            ("ended badly", f"{count(told['ended_badly'])} ({share(told['ended_badly'] / ended)})" if ended else None),
            *(
                (name, _spread(told[key], how))
                for name, key, how in (("lasted", "seconds", seconds), ("tasks", "tasks", str), ("turns", "turns", str))
            ),
            ("over time", spark([each["sessions"] for each in told["over_time"]], 60)),
        ),
    )
    bars = told["seconds"]["histogram"]
    if any(each["count"] for each in bars):
        paper.print()
        made = table(("LASTED", {}), ("SESSIONS", {"justify": "right"}), ("", {"ratio": 1}))
        most = max(each["count"] for each in bars)
        for each in bars:
            until = f"to {seconds(each['to'])}" if each["to"] is not None else "or more"
            made.add_row(*row(f"{seconds(each['from'])} {until}", count(each["count"]), bar(each["count"], most, 40)))
        paper.print(made)
    sure = [each for each in told["ends"] if each["p"] < 0.05][:12]
    if sure:
        paper.print()
        made = table(
            ("WHAT ENDS SESSIONS", {}),
            ("OF LAST", {"justify": "right"}),
            ("OF OTHERS", {"justify": "right"}),
            ("TIMES", {"justify": "right"}),
            ("P", {"justify": "right"}),
        )
        for each in sure:
            lift = "only" if each["lift"] is None else f"{each['lift']:.2f}"
            made.add_row(
                *row(
                    f"{each['name']}: {line(each['value'], 40)}",
                    share(each["share_of_lasts"]),
                    share(each["share_of_others"]),
                    lift,
                    chance(each["p"]),
                )
            )
        paper.print(made)
    if told["terms"]:
        paper.print()
        sampled = told["sampled"]
        made = table(
            ("WORDS OF LAST MESSAGES", {}),
            (f"IN {count(sampled['terms'])} LAST", {"justify": "right"}),
            (f"IN {count(sampled['other_texts'])} OTHERS", {"justify": "right"}),
            ("G2", {"justify": "right"}),
            ("P", {"justify": "right"}),
        )
        for each in told["terms"]:
            figures = (count(each["lasts"]), count(each["others"]), f"{each['g2']:.1f}", chance(each["p"]))
            made.add_row(*row(line(each["term"], 30), *figures))
        paper.print(made)
    after = [each for each in told["abandoned"] if each["value"] != "none" and each["tasks"] >= FEWEST]
    if after:
        paper.print()
        made = table(
            ("A SESSION ENDS AFTER", {}),
            ("TASKS", {"justify": "right"}),
            ("ENDED", {"justify": "right"}),
            ("SHARE", {"justify": "right"}),
            ("OF ALL", {"justify": "right"}),
        )
        for each in sorted(after, key=lambda each: (-each["share"], each["name"], each["value"]))[:12]:
            figures = (count(each["tasks"]), count(each["ended"]), share(each["share"]), share(each["of_all"]))
            made.add_row(*row(f"{each['name']}: {line(each['value'], 40)}", *figures))
        paper.print(made)
    if told["positions"]:
        paper.print()
        made = table(("TURN", {}), ("RATED", {"justify": "right"}), ("SUCCESS", {"justify": "right"}), ("", {"ratio": 1}))
        for each in told["positions"]:
            place = f"{each['position']}{' and later' if each['and_later'] else ''}"
            rate = each["success_rate"]
            made.add_row(*row(place, count(each["rated"]), share(rate), bar(rate, 1, BAR)))
        paper.print(made)


def _users(paper: Paper, told: JSON) -> None:
    for segment in told["segments"]:
        paper.print(f"{segment['name']}: {count(segment['count'])} of {count(told['count'])} users", style="bold", markup=False)
        paper.print(segment["definition"], style="dim", markup=False)
        for user in segment["users"][:10]:
            shown = ", ".join(f"{name} {value:g}" for name, value in user["evidence"].items())
            paper.print(*row(f"  {line(user['id'], 40)}  {shown}"))
        paper.print()
    if told["cohorts"]:
        made = table(
            ("FIRST SEEN IN THE WEEK OF", {}), ("USERS", {"justify": "right"}), ("CAME AGAIN, WEEK AFTER WEEK", {"ratio": 1})
        )
        for cohort in told["cohorts"][-12:]:
            again = "  ".join(share(each / cohort["users"]) for each in cohort["came_again"]) if cohort["users"] else ""
            made.add_row(*row(cohort["week"][:10], count(cohort["users"]), again))
        paper.print(made)


def _compare(paper: Paper, told: JSON) -> None:
    made = table(
        ("", {}),
        ("BASE", {"justify": "right"}),
        ("NOW", {"justify": "right"}),
        ("DIFFERENCE", {"justify": "right"}),
        ("95% BETWEEN", {}),
        ("", {}),
    )
    made.add_row(*row("tasks", count(told["base"]["tasks"]), count(told["now"]["tasks"]), "", "", ""))
    for each in told["differences"]:
        base, now, between = each["base"], each["now"], each["difference"]
        shown = [figure["value"] if figure else None for figure in (base, now, between)]
        reach = f"{figure(between['low'])} to {figure(between['high'])}" if between else ""
        made.add_row(*row(each["measure"], *map(figure, shown), reach, "significant" if each["significant"] else ""))
    paper.print(made)


def share(rate: float | None) -> str:
    """`12.5%`"""
    return "" if rate is None else f"{100 * rate:.1f}%"


def chance(p: float) -> str:
    """A probability, as far as it matters."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def dollars(amount: float | None) -> str | None:
    """`$12.34`, with four places where it is less than a cent's worth."""
    if amount is None:
        return None
    return f"${amount:,.2f}" if abs(amount) >= 1 else f"${amount:.4f}"


def figure(value: float | None) -> str:
    """Four figures that say something."""
    return "" if value is None else f"{value:.4g}"


def _took(spread: JSON) -> str | None:
    if spread["p50"] is None:
        return None
    return (
        f"p50 {seconds(spread['p50'])}, p90 {seconds(spread['p90'])}, p95 {seconds(spread['p95'])}, p99 {seconds(spread['p99'])}"
    )


def _spread(told: JSON, how: Any) -> str | None:
    if told["mean"] is None:
        return None
    mean = how(told["mean"]) if how is not str else f"{told['mean']:.1f}"
    return f"mean {mean}, median {how(told['median'])}, p90 {how(told['p90'])}, most {how(told['most'])}"


def rows(what: str, told: JSON) -> list[JSON]:
    """An answer as flat rows, all with the same names."""
    if what == "overview":
        found = [{"group": "all", "value": None, **told["totals"]}]
        found += [{"group": name, **item} for name in ("projects", "models", "kinds", "endings") for item in told[name]]
    elif what == "breakdown":
        found = [*told["items"], *([{"value": "(others)", **told["others"]}] if told["others"] else [])]
    elif what == "series":
        found = told["items"]
    elif what == "sessions":
        found = endings.rows(told)
    elif what == "users":
        found = [{"segment": segment["name"], **user} for segment in told["segments"] for user in segment["users"]]
    else:
        found = told["differences"]
    flat = [_flat(each) for each in found]
    names = list(dict.fromkeys(name for each in flat for name in each))
    return [{name: each.get(name) for name in names} for each in flat]


def _flat(document: JSON) -> JSON:
    found: JSON = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= {f"{name}_{inner}": deeper for inner, deeper in _flat(value).items()}
        else:
            found[name] = value
    return found


def csv_of(found: Sequence[JSON]) -> bytes:
    """A line of names, then a line a row."""
    if not found:
        return b""
    lines = [csv_line(tuple(found[0])), *(csv_line([cell(value) for value in each.values()]) for each in found)]
    return b"".join(lines)


def parquet_of(found: Sequence[JSON]) -> bytes:
    """One table. Raises Problem where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Problem("Parquet needs pyarrow: pip install 'tasktap[parquet]'.", 2) from None
    plain = [
        {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in each.items()} for each in found
    ]
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(plain), sink)
    return sink.getvalue()
