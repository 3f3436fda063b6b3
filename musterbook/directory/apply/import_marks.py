"""The marks of users that an import of a file reads and writes: sources (S9), users who are leaving (S10), and users that
files do not change (S11).
"""

import polars as pl
from django.db import connection

from musterbook.core.domain.snapshot import MARKS
from musterbook.core.planning.marks import CHANGED
from musterbook.directory import models
from musterbook.directory.storage import frames

_FEW = 10_000
"""The most users who are looked up by their ids, and not by the index of marks."""
_PART = 50_000
"""The number of users who get the same source at once."""
_COMPARED = ("source", "missing_since", "missing_imports")
_TEXTS: frames.Schema = {**MARKS, "missing_since": pl.String}


def read_marks(agency: models.Agency, users: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the marks (MARKS) that matter to an import from that source ("": none named) with these users (`id`).

    Most users have no such mark. An index finds those who do, unless a source is named.
    """
    sql = (
        "SELECT id, source, no_files, CAST(missing_since AS text), missing_imports"
        f" FROM {frames.table(models.User)} WHERE agency_id = %s AND (no_files OR missing_since IS NOT NULL"
    )
    parameters: list[int | str | list[int]] = [agency.pk]
    if source:
        sql += " OR source <> %s"
        parameters.append(source)
    sql += ")"
    if users.height <= _FEW:
        condition, ids = frames.match_any("id", users["id"].to_list())
        sql += f" AND {condition}"
        parameters.append(ids)
    return _read(sql, parameters).join(users.select("id"), on="id", how="semi")


def _read(sql: str, parameters: frames.Parameters) -> pl.DataFrame:
    marks = frames.read_frame(sql, parameters, _TEXTS)
    return marks.with_columns(pl.col("missing_since").str.to_date("%Y-%m-%d"))


def restore_marks(changed: pl.DataFrame) -> pl.DataFrame:
    """Return the marks (CHANGED) that take back what an import wrote (`changed`, CHANGED).

    Marks that have changed since stay as they are, and so do the marks of users who are Inactive now.
    """
    condition, ids = frames.match_any("id", changed["id"].to_list())
    now = _read(
        "SELECT id, source, no_files, CAST(missing_since AS text), missing_imports"
        f" FROM {frames.table(models.User)} WHERE active AND {condition}",
        [ids],
    )
    both = now.drop("no_files").join(changed, on="id", suffix="_left")
    same = {name: pl.col(name).eq_missing(pl.col(f"{name}_left")) for name in _COMPARED}
    missing = same["missing_since"] & same["missing_imports"]
    keeps = {"source": same["source"], "missing_since": missing, "missing_imports": missing}
    restored = {name: pl.when(kept).then(f"was_{name}").otherwise(name) for name, kept in keeps.items()}
    return both.select("id", **restored, **{f"was_{name}": pl.col(name) for name in keeps}).select(CHANGED.keys())


def write_marks(changed: pl.DataFrame) -> None:
    """Write the marks that a plan changes (core.planning.marks.CHANGED): nothing for users whose marks stay."""
    if changed.is_empty():
        return
    sourced = changed.filter(pl.col("source") != pl.col("was_source"))
    for (source,), users in sourced.group_by("source"):
        _write_source(str(source), users["id"])
    leaving = changed.filter(
        pl.col("missing_since").ne_missing(pl.col("was_missing_since"))
        | (pl.col("missing_imports") != pl.col("was_missing_imports"))
    )
    frames.update(models.User, leaving.select("id", "missing_since", "missing_imports"))


def _write_source(source: str, users: pl.Series) -> None:
    """Write one source of many users: on SQLite, a statement for many users takes half the time of one for each."""
    with connection.cursor() as cursor:
        for start in range(0, len(users), _PART):
            condition, ids = frames.match_any("id", users[start : start + _PART].to_list())
            cursor.execute(f"UPDATE {frames.table(models.User)} SET source = %s WHERE {condition}", [source, ids])
