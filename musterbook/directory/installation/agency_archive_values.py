"""The values of an archive's rows, checked before any is used: anyone who knows the recipient can have written them."""

from pathlib import Path

import polars as pl
from django.utils.translation import gettext as _

from musterbook.directory.installation import agency_archive_forms
from musterbook.directory.installation.agency_archive import CannotImport
from musterbook.directory.installation.agency_archive_tables import Table
from musterbook.directory.storage import import_files

_LARGEST_PART = 1 << 28
"""The largest file of rows, in bytes: many times what an export writes at once."""
_TIME, _DAY = "%Y-%m-%d %H:%M:%S%.6f", "%Y-%m-%d"
_FORMS = {("directory.Import", "number"): import_files.NUMBER}
"""Table and column → the form of its texts, where the column is more than a text: numbers of imports name files."""


class _Strange(Exception):
    """A value is not what the column has."""


def read_part(table: Table, path: Path) -> pl.DataFrame:
    """Return the rows of one file, with the type, the length and the form of each value checked. Raise CannotImport."""
    try:
        rows = _parse(table, path)
        for column in table.columns:
            values = rows[column.name]
            too_long = column.longest is not None and bool((values.str.len_chars() > column.longest).any())
            too_large = column.span is not None and not values.is_between(*column.span).all()
            if too_long or too_large or (not column.nullable and values.null_count()) or _has_control(values):
                raise _Strange
            form = _FORMS.get((table.label, column.name))
            if form and not values.str.contains(f"^(?:{form})$").all():
                raise _Strange
            if column.json and not all(
                agency_archive_forms.fits(f"{table.label}.{column.name}", text) for text in values.drop_nulls()
            ):
                raise _Strange
        if table.label == "directory.Import":
            waiting = rows.filter(pl.col("finished_at").is_null())
            if not all(map(agency_archive_forms.can_run, waiting["kind"], waiting["options"])):
                raise _Strange
    except (_Strange, pl.exceptions.PolarsError, ValueError, TypeError):
        raise make_refusal(table.label) from None
    return rows


def make_refusal(label: str) -> CannotImport:
    """Return the error for values that the table does not hold."""
    return CannotImport(
        _("The archive has values in %(label)s that no table holds. It was made to do harm, or is damaged.")
        % {"label": label}
    )


def _parse(table: Table, path: Path) -> pl.DataFrame:
    """Return the rows of a file, in the types of the columns, with times that are times."""
    if path.stat().st_size > _LARGEST_PART:
        raise _Strange
    content = path.read_bytes()
    if content.count(b"\n") > table.at_once:
        raise _Strange  # a row of a few characters takes a hundred times as much memory
    try:
        rows = pl.read_ndjson(content, schema=table.schema)
        times = {column.name: _TIME if column.time else _DAY for column in table.columns if column.time or column.day}
        rows.select(
            pl.col(name).str.to_datetime(form) if form is _TIME else pl.col(name).str.to_date(form)
            for name, form in times.items()
        )
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of the library, which has no other name for it
            raise _Strange from None
        raise
    return rows


def _has_control(values: pl.Series) -> bool:
    """Return whether a text has a NUL character, which no database of ours stores."""
    return values.dtype == pl.String and bool(values.str.contains("\0", literal=True).any())
