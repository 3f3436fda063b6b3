"""Says what was measured: a table as text, and every figure as JSON, with the machine, the commit and the targets."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.plans import Row
from scripts import setup

_STAGES = ("reading", "planning", "writing", "committing")
_BYTES_A_ROW, _BYTES_AT_LEAST = 1200, 150_000_000
_PACKAGES = ("polars", "django", "psycopg")


def kept(rows: Sequence[Row], out: Path) -> str:
    """Writes `last.txt` and `last.json` into the folder; gives the text."""
    text = "\n".join([_heading(), "", *_table(rows), "", *sorted({remark for row in rows for remark in row.remarks})])
    facts = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **_machine(),
        "rows": [_facts(row, rows) for row in rows],
    }
    (out / "last.txt").write_text(text + "\n", encoding="utf-8")
    (out / "last.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return text


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**9
    return {
        "commit": _commit(), "cores": os.cpu_count(), "memory_gb": memory, "system": platform.system(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **{name: version(name) for name in _PACKAGES},
    }  # fmt: skip


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=setup.ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _heading() -> str:
    return ", ".join(f"{name} {value}" for name, value in _machine().items())


def _mid(row: Row, name: str) -> float | None:
    return median(row.seconds[name]) if name in row.seconds else None


def _sum(row: Row, *names: str) -> float | None:
    found = [_mid(row, name) for name in names]
    return None if None in found else sum(value for value in found if value is not None)


def _target(row: Row, rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """The limit of the case and its target, in seconds; None where it was not measured."""
    if row.case == "new":
        limit = _sum(row, "read", "write")
        return limit, limit and 1.25 * limit
    if row.case == "unchanged":
        limit = _sum(row, "read", "select")
        return limit, limit and 2 * limit
    same = next((r for r in rows if (r.case, r.database, r.users) == ("unchanged", row.database, row.users)), None)
    unchanged, write = _mid(same, "run") if same else None, _mid(row, "write")
    limit = None if unchanged is None or write is None else unchanged + write
    return limit, None if unchanged is None or write is None else 1.3 * unchanged + 1.5 * write


def _facts(row: Row, rows: Sequence[Row]) -> dict[str, object]:
    limit, target = _target(row, rows)
    middles = {name: round(median(found), 3) for name, found in row.seconds.items()}
    peak = max(row.peak_bytes)
    return {
        **asdict(row), "medians": middles, "limit": limit, "target": target, "peak_bytes_a_row": peak / row.users,
        "peak_target": _BYTES_A_ROW * row.users + _BYTES_AT_LEAST,
    }  # fmt: skip


_Cell = Callable[[Row, Sequence[Row]], str]


def _spread(row: Row) -> str:
    found = row.seconds["run"]
    return f"{median(found):.2f} ({min(found):.2f}–{max(found):.2f})" if len(found) > 1 else f"{found[0]:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _parts(row: Row, stages: Sequence[str]) -> str:
    return " / ".join(_number(_mid(row, stage)) for stage in stages)


def _ratio(row: Row, rows: Sequence[Row]) -> str:
    limit = _target(row, rows)[0]
    return f"{median(row.seconds['run']) / limit:.2f}" if limit else "–"


_COLUMNS: dict[str, _Cell] = {
    "users": lambda row, _: f"{row.users:,}",
    "case": lambda row, _: row.case,
    "database": lambda row, _: row.database,
    "seconds (spread)": lambda row, _: _spread(row),
    " / ".join(_STAGES): lambda row, _: _parts(row, _STAGES),
    "bare read / select / write": lambda row, _: _parts(row, ("read", "select", "write")),
    "limit": lambda row, rows: _number(_target(row, rows)[0]),
    "ratio": _ratio,
    "target": lambda row, rows: _number(_target(row, rows)[1]),
    "process": lambda row, _: _number(_mid(row, "process")),
    "command (empty file)": lambda row, _: f"{_number(_mid(row, 'command'))} ({_number(_mid(row, 'command-empty'))})",
    "peak MB": lambda row, _: f"{max(row.peak_bytes) / 1e6:.0f}",
    "target MB": lambda row, _: f"{(_BYTES_A_ROW * row.users + _BYTES_AT_LEAST) / 1e6:.0f}",
    "bytes a row": lambda row, _: f"{max(row.peak_bytes) / row.users:,.0f}",
}


def _table(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown, which is read as text too."""
    lines = [list(_COLUMNS), *([cell(row, rows) for cell in _COLUMNS.values()] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    written = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return [written[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *written[1:]]
