"""The report of the results: tables in Markdown, with the machine, the commits and the targets."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TypeVar

from benchmarks.agency_tables import NIGHTS, VISITS, WAITS, list_nights, list_visits, list_waits
from benchmarks.bursts import Burst, list_bursts
from benchmarks.machine import PASSING
from benchmarks.plans import AGENCIES, AGENCY_WAITS, IMPORTS, PEERS, Row
from benchmarks.targets import Verdict, find_median, find_p95, get_import_target, get_memory_target, list_verdicts

_OWN_TABLES = ("api", AGENCIES, AGENCY_WAITS)
_STAGES = ("reading", "planning", "writing", "committing")
_Thing = TypeVar("_Thing")


def make_report(rows: Sequence[Row]) -> str:
    """Return all tables, and the remarks."""
    imports = [row for row in rows if row.case in IMPORTS]
    others = [
        (row, name)
        for row in rows
        if row.case not in (*IMPORTS, *_OWN_TABLES)
        for name in row.seconds
        if _is_shown(name)
    ]
    parts = [
        *_list_machines(rows),
        *_add_heading("Against the targets", _format_table(_VERDICTS, list(list_verdicts(rows)))),
        *_add_heading(
            "Imports of a whole agency (seconds)", _format_table(_IMPORTS | _MOMENT, [(row, rows) for row in imports])
        ),
        *_add_heading("Requests of programs", _format_table(_REQUESTS, list_bursts(rows))),
        *_add_heading("Many agencies in one night", _format_table(NIGHTS, list_nights(rows))),
        *_add_heading("Pages during that night", _format_table(VISITS, list_visits(rows))),
        *_add_heading("A small agency next to a large one", _format_table(WAITS, list_waits(rows))),
        *_add_heading("What else was timed", _format_table(_OTHERS, others)),
        *sorted({remark for row in rows for remark in row.remarks}),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _is_shown(name: str) -> bool:
    """Return whether the figure is more than a part of another."""
    return "." not in name and name not in (*_STAGES, "process") and not name.startswith("waiting")


def _list_machines(rows: Iterable[Row]) -> list[str]:
    """Return each machine that rows were measured on, once."""
    found = [", ".join(f"{name} {value}" for name, value in row.made.items() if name not in PASSING) for row in rows]
    return [*dict.fromkeys(found), ""]


def _add_heading(heading: str, table: list[str]) -> list[str]:
    return [f"**{heading}**", "", *table, ""] if len(table) > 2 else []


def _format_number(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


def _format_spread(values: Sequence[float], factor: float = 1, places: int = 2) -> str:
    """Return the median, with the least and the greatest if there are several values."""
    middle, least, most = (f"{value * factor:,.{places}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least}–{most})" if len(values) > 1 else middle


def _format_parts(row: Row, names: Iterable[str]) -> str:
    return " / ".join(_format_number(find_median(row, name)) for name in names)


def _format_ratio(row: Row, rows: Sequence[Row]) -> str:
    limit = get_import_target(row, rows)[0]
    return _format_number(median(row.seconds["run"]) / limit) if limit else "–"


_Placed = tuple[Row, Sequence[Row]]
_IMPORTS: dict[str, Callable[[_Placed], str]] = {
    "users": lambda at: f"{at[0].users:,}",
    "case": lambda at: at[0].case,
    "database": lambda at: at[0].database,
    "import (spread)": lambda at: _format_spread(at[0].seconds["run"]),
    " / ".join(_STAGES): lambda at: _format_parts(at[0], _STAGES),
    "bare read / select / write": lambda at: _format_parts(at[0], ("read", "select", "write")),
    "limit": lambda at: _format_number(get_import_target(*at)[0]),
    "ratio": lambda at: _format_ratio(*at),
    "target": lambda at: _format_number(get_import_target(*at)[1]),
    "process": lambda at: _format_number(find_median(at[0], "process")),
    "command (empty file)": lambda at: (
        f"{_format_number(find_median(at[0], 'command'))} ({_format_number(find_median(at[0], 'command-empty'))})"
    ),
    "peak MB": lambda at: f"{max(at[0].peak_bytes) / 1e6:,.0f}",
    "target MB": lambda at: f"{get_memory_target(at[0].users) / 1e6:,.0f}",
}
_MOMENT: dict[str, Callable[[_Placed], str]] = {
    "commit": lambda at: str(at[0].made.get("commit", "–")),
    "load": lambda at: str(at[0].made.get("load", "–")),
}

_Timed = tuple[Row, str]


def _is_whole_import(row: Row, name: str) -> bool:
    """Return whether the figure is that of the import of all users, by Musterbook or by a peer."""
    return row.case in ("kolibri", *PEERS) and name in ("run", "peer", "peer hooked")


_OTHERS: dict[str, Callable[[_Timed], str]] = {
    "case": lambda at: at[0].case,
    "users": lambda at: f"{at[0].users:,}" if at[0].users else "–",
    "database": lambda at: at[0].database,
    "what": lambda at: at[1],
    "ms (spread)": lambda at: _format_spread(at[0].seconds[at[1]], 1000, 1),
    "95th of 100, ms": lambda at: _format_number(find_p95(at[0].seconds[at[1]]) * 1000, 1),
    "times": lambda at: str(len(at[0].seconds[at[1]])),
    "users/s": lambda at: (
        _format_number(at[0].users / median(at[0].seconds[at[1]]), 0) if _is_whole_import(*at) else "–"
    ),
    "peak MB": lambda at: (
        _format_number(max(at[0].peak_bytes) / 1e6, 0) if at[0].peak_bytes and at[1] == "run" else "–"
    ),
    "commit": lambda at: str(at[0].made.get("commit", "–")),
    "load": lambda at: str(at[0].made.get("load", "–")),
}


_REQUESTS: dict[str, Callable[[Burst], str]] = {
    "request": lambda burst: burst.what,
    "program": lambda burst: burst.program,
    "users": lambda burst: f"{burst.row.users:,}",
    "database": lambda burst: burst.database,
    "each second (spread)": lambda burst: _format_spread(burst.rates, 1, 0 if min(burst.rates) >= 10 else 1),
    "Musterbook is … × as fast": lambda burst: _format_number(burst.advantage),
    "median, ms": lambda burst: _format_number(median(burst.waits) * 1000, 1),
    "95th of 100, ms": lambda burst: _format_number(find_p95(burst.waits) * 1000, 1),
    "processor, ms each": lambda burst: _format_number(burst.processor and burst.processor * 1000),
    "requests": lambda burst: f"{len(burst.waits):,}",
}


def _format_figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    places = {"s": 2, "ms": 1, "×": 0, "MB": 0, "µs": 2}[unit]
    small = {"s": value < 1, "×": value < 10}.get(unit, False)
    return f"{value:,.{places + small}f} {unit}"


_VERDICTS: dict[str, Callable[[Verdict], str]] = {
    "what": lambda verdict: verdict.what,
    "users": lambda verdict: f"{verdict.row.users:,}" if verdict.row.users else "–",
    "database": lambda verdict: verdict.row.database,
    "measured": lambda verdict: _format_figure(verdict.measured, verdict.unit),
    "limit": lambda verdict: _format_figure(verdict.limit, verdict.unit),
    "ratio": lambda verdict: _format_number(verdict.ratio),
    "target": lambda verdict: f"{'≥' if verdict.at_least else '≤'} {_format_figure(verdict.target, verdict.unit)}",
    "": lambda verdict: "met" if verdict.met else "**not met**",
}


def _format_table(columns: dict[str, Callable[[_Thing], str]], things: Iterable[_Thing]) -> list[str]:
    lines = [list(columns), *([cell(thing) for cell in columns.values()] for thing in things)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    written = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return [written[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *written[1:]]
