"""The search in the rows of a plan: in all cells, in the problems and notes as they are shown, and in fixes."""

from collections.abc import Iterator
from string import Formatter

import polars as pl
from django.db.models import Q
from django.utils.translation import gettext

from musterbook.core.domain.problems import CATALOG, Kind
from musterbook.directory import models
from musterbook.directory.imports import plan_files


def filter_rows(part: pl.LazyFrame, record: models.Import, filter_name: str, text: str) -> pl.LazyFrame:
    """Return the rows of a part of the plan that contain the text, regardless of case."""
    schema = part.collect_schema()
    cells = [pl.col(name) for name, kind in schema.items() if kind == pl.String]
    conditions = [_contains(cell, text) for cell in cells]
    if filter_name in ("errored", "noted"):
        rows = _find_flagged(record, text, notes=filter_name == "noted")
        conditions.append(pl.col("row").is_in(rows.implode()))
    return part.filter(pl.any_horizontal(conditions))


def make_condition(text: str) -> Q:
    """Return the condition of stored problems or notes that contain the text."""
    names = ("external_id", "column", "value", "detail", "hint", "code")
    conditions = Q()
    for name in names:
        conditions |= Q(**{f"{name}__icontains": text})
    return conditions


def _contains(cell: pl.Expr, text: str) -> pl.Expr:
    return cell.str.to_lowercase().str.contains(text.lower(), literal=True).fill_null(False)


def _find_flagged(record: models.Import, text: str, *, notes: bool) -> pl.Series:
    """Return the rows with such problems or notes, and the rows with fixes that contain the text."""
    flagged = plan_files.scan_part(record.number, "problems").filter(pl.col("note") == notes)
    codes = flagged.select(pl.col("code").unique()).collect()["code"]
    found = [
        flagged.filter(pl.col("code") == code).filter(
            pl.any_horizontal(_contains(shown, text) for shown in (*_show_kind(CATALOG[code]), pl.col("value"), pl.col("code")))
        ).select("row")
        for code in codes
        if code in CATALOG
    ]  # fmt: skip
    fixes = models.ImportDraft.objects.filter(of=record, current=True, text__icontains=text) if not notes else []
    fixed = pl.Series("row", [fix.row for fix in fixes], pl.UInt32)
    return pl.concat([*pl.collect_all(found), fixed.to_frame()])["row"].unique()


def _show_kind(kind: Kind) -> Iterator[pl.Expr]:
    """Yield the sentence and the remedy of problems of a kind, in the reader's language."""
    params = dict(zip(kind.params, ("detail", "hint"), strict=False)) | {"column": "column", "value": "value"}
    for template in filter(None, (kind.sentence, kind.remedy)):
        parts = [
            part
            for literal, name, _, _ in Formatter().parse(gettext(template))
            for part in (pl.lit(literal), *([pl.col(params[name])] if name in params else []))
        ]
        yield pl.concat_str(parts, ignore_nulls=True)
