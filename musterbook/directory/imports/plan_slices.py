"""The rows of an import from any place on, for programs: of one kind, or all in the order of the file."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from musterbook.directory import models
from musterbook.directory.imports import plan_files, plan_pages, plan_search
from musterbook.directory.imports.plan_files import PlanGone
from musterbook.directory.imports.plan_pages import KindFilter, PlanRow

ALL = "all"
"""The filter of all rows of the file."""
FILTERS = (ALL, *plan_pages.FILTERS, *plan_pages.CONCERNED)
_WITH_CELLS = ("added", "updated", "errored")
"""The outcomes whose rows have more than an external ID in the plan."""


def read_slice(
    record: models.Import, filter_name: str, start: int, most: int, text: str = "", kind: KindFilter | None = None
) -> list[PlanRow]:
    """Return the rows from the place `start` (0: the first), at most this many.

    `filter_name`: one of FILTERS. `text`, `kind`: as in `plan_pages.read_page`. Raise PlanGone if they are no longer kept.
    """
    text = text.strip()
    try:
        part = (
            _scan_all(record, text) if filter_name == ALL else plan_pages.scan_filtered(record, filter_name, text, kind)
        )
    except PlanGone:
        return _read_trail(record, filter_name, start, most, text, kind)
    rows = plan_pages.collect_rows(part.slice(start, most), filter_name)
    return list(_make_all(record, rows) if filter_name == ALL else plan_pages.make_rows(record, filter_name, rows))


def _scan_all(record: models.Import, text: str) -> pl.LazyFrame:
    """Return all rows, or those with the text in what their outcome shows of them. Raise PlanGone."""
    part = plan_files.scan_part(record.number, "rows").with_columns(pl.col("outcome").cast(pl.String))
    if not text:
        return part
    named = plan_search.filter_rows(part, record, ALL, text).select("row")
    found = [plan_pages.scan_filtered(record, name, text, None).select("row") for name in _WITH_CELLS]
    return part.join(pl.concat([named, *found]).unique(), on="row", how="semi", maintain_order="left")


def _read_trail(
    record: models.Import, filter_name: str, start: int, most: int, text: str, kind: KindFilter | None
) -> list[PlanRow]:
    """Return the same for an import whose plan is no longer kept, from the trail and from its record."""
    values, names = plan_pages.select_trail_rows(record, filter_name, text, kind)
    if not names and (filter_name == ALL or plan_pages.count_kept(record, filter_name)):
        raise PlanGone(record.number)
    rows = [dict(zip(names, row, strict=True)) for row in values[start : start + most]]
    return list(plan_pages.make_rows(record, filter_name, rows))


def _make_all(record: models.Import, rows: Sequence[Mapping[str, str | int]]) -> Iterator[PlanRow]:
    """Yield rows of all outcomes, with what their plan has for each."""
    numbers = [int(row["row"]) for row in rows]
    full = {
        name: {
            row["row"]: row
            for row in plan_files.scan_part(record.number, name)
            .filter(pl.col("row").is_in(numbers))
            .collect()
            .to_dicts()
        }
        for name in _WITH_CELLS
    }
    made: dict[int, PlanRow] = {}
    for outcome in {str(row["outcome"]) for row in rows}:
        own = [row for row in rows if row["outcome"] == outcome]
        complete = [{**row, **full.get(outcome, {}).get(row["row"], {})} for row in own]
        made |= {line.row or 0: line for line in plan_pages.make_rows(record, outcome, complete)}
    yield from (made[number] for number in numbers)
