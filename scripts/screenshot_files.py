"""The files whose imports bring the pages of `./screenshots` into their states, made from the sample's first night."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from scripts import setup

Row = dict[str, str]
Change = Callable[[int, Row], Row | None]
"""What becomes a row of a file, from its place and the row of the sample; None leaves the user out."""

_BROKEN: tuple[tuple[int, str, str], ...] = (
    (2, "RANK", "Sargent"),
    (3, "PHONE", "555"),
    (5, "STATUS", "Actve"),
    (7, "ROLE", "Oficer"),
    (11, "EVIDENCE_GROUP_EXT_ID", "PATROL-9"),
    (13, "EMAIL", "nobody at riverton"),
    (17, "FIRST_NAME", ""),
    (19, "SUPERVISOR_EMAIL", "gone@riverton.example"),
    (23, "BADGE_NUMBER", "1.23457E+15"),
)
"""Each so many-th row has this wrong value in this column."""
_LONG = "Wolfeschlegelsteinhausenbergerdorff" * 5


def _break_rows(place: int, row: Row) -> Row:
    wrong = {column: value for each, column, value in _BROKEN if place % each == 0}
    return {**row, **wrong}


def _keep_half(place: int, row: Row) -> Row | None:
    return row if place % 2 or row["ROLE"] == "Admin" else None


def _lock_out(place: int, row: Row) -> Row:
    return {**row, "STATUS": "Active" if row["ROLE"] == "Admin" or place % 5 == 0 else "Inactive"}


def _use_other_names(_place: int, row: Row) -> Row:
    names = {"EXTERNAL_ID": "Employee no.", "EMAIL": "E-mail", "USERNAME": "Login", "RANK": "Title", "PHONE": "Mobile"}
    ranks = {"Police Officer": "Ofc. I", "Sergeant": "Sgt II"}
    return {names.get(column, column): ranks.get(value, value) for column, value in row.items()}


def _lengthen_names(place: int, row: Row) -> Row | None:
    return {**row, "LAST_NAME": _LONG, "LOCATION": _LONG} if row["ROLE"] != "Admin" and place < 12 else None


FILES: dict[str, Change] = {
    "broken": _break_rows,
    "half": _keep_half,
    "lockout": _lock_out,
    "other-names": _use_other_names,
    "long-names": _lengthen_names,
    "same": lambda _place, row: row,
}
"""The name of each file without its ending, and how it differs from the first night."""


def write_all(folder: Path) -> dict[str, Path]:
    """Write every file into the folder. Return the path of each by its name."""
    with (setup.ROOT / "examples" / "first-night.csv").open(encoding="utf-8-sig", newline="") as file:
        sample = list(csv.DictReader(file))
    return {name: _write(folder / f"{name}.csv", _change(sample, change)) for name, change in FILES.items()}


def _change(sample: list[Row], change: Change) -> list[Row]:
    changed = (change(place, row) for place, row in enumerate(sample, 2))
    return [row for row in changed if row is not None]


def _write(path: Path, rows: Iterable[Row]) -> Path:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
