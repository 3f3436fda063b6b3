"""Cells that look like damaged forms of what the row's user has (C12), and new numbers without the usual zeros."""

from collections.abc import Mapping

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.decisions import DAMAGE, Decisions
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning.unchanged import name_ids
from musterbook.core.values import damaged_text, text

_COMPARED = (columns.BADGE_NUMBER, columns.FIRST_NAME, columns.LAST_NAME, columns.USERNAME, columns.LOCATION)
_NAMED = {
    columns.EMAIL: "email",
    columns.STATUS: "active",
    columns.ROLE: "role_id",
    columns.RANK: "rank_id",
    columns.EVIDENCE_GROUP_EXT_ID: "group_id",
    columns.PHONE: "phone",
}
"""The columns in which a word for no value cannot be read at all → the name of its value in a row."""
_OFTEN_BLANK = (columns.RANK, columns.EVIDENCE_GROUP_EXT_ID)
"""Those of them whose value is null for a blank cell too."""
_CELLS = {"row": pl.UInt32, "value": pl.String, "was": pl.String, "signs": pl.Boolean}
"""A value of a row, the stored one of its user ("" for none), and whether it has signs that Python has to look at."""
_NO_CELLS = pl.DataFrame(schema=_CELLS)

_SIGNS = f"{damaged_text.QUESTION}|{damaged_text.CURLY}|{damaged_text.ENTITY}|{damaged_text.DECODED_IN_PART}"
_CAUSES = {
    "no-value": "programs write this word where there is no value",
    "zeros": "its leading zeros were lost",
    "number": "a spreadsheet or a program wrote it as a number",
    "date": "a spreadsheet turned it into a date",
}


def find_damaged(
    rows: pl.DataFrame, table: Table, users: pl.DataFrame, vocabulary: Vocabulary, decisions: Decisions
) -> pl.DataFrame:
    """Return the problems of cells that look damaged, except those that the operator has decided to keep.

    `rows`: the checked rows with the stored values of their users. `users`: the users of the snapshot.
    """
    if DAMAGE in decisions.accepted or rows.is_empty():
        return problems.build_frame()
    new = rows.filter(pl.col("id").is_null())
    parts = [_find_in_column(rows, new, column) for column in _COMPARED if column in table.present]
    parts += [
        _flag_cells(_select_alone(new, columns.EXTERNAL_ID), columns.EXTERNAL_ID),  # a known one is as it is stored
        _find_in_addresses(rows),
        _find_in_supervisors(rows, users),
        _find_in_phones(rows, table),
        *(_find_words(rows, table, column, vocabulary) for column in _NAMED if column in table.present),
    ]
    return decisions.remove_kept(pl.concat(parts))


def find_damaged_ids(rows: pl.DataFrame, decisions: Decisions) -> pl.DataFrame:
    """Return the same problems of new external IDs that users get in place of the present ones (M14)."""
    if DAMAGE in decisions.accepted:
        return problems.build_frame()
    ids = rows.select("row", value="new_external_id", was="external_id").drop_nulls()
    return decisions.remove_kept(_flag_cells(_select_suspects(ids), columns.NEW_EXTERNAL_ID))


def _find_in_column(rows: pl.DataFrame, new: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return the problems of one column. Only values that differ are compared. `new`: the rows of new users."""
    value, was = pl.col(column.field), pl.col(f"was_{column.field}")
    added = _select_alone(new, column)
    changed = rows.select("row", value=value, was=was).filter(pl.col("value") != pl.col("was"))
    return _flag_cells(pl.concat([added, _select_suspects(changed)]), column)


def _select_alone(new: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return the cells of new users that may be damaged. The conditions are cheap, and true for few values."""
    if new.is_empty():
        return _NO_CELLS
    value = pl.col("value")
    cells = new.select("row", value=column.field)
    odd = cells.filter(damaged_text.is_no_value(value) | (value.str.len_bytes() != value.str.len_chars()))
    suspects = odd.with_columns(was=pl.lit(""), signs=value.str.contains(damaged_text.DECODED))
    return suspects.filter(pl.col("signs") | damaged_text.is_no_value(value)).select(_CELLS.keys())


def _select_suspects(changed: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of existing users that may be damaged."""
    if changed.is_empty():
        return _NO_CELLS
    value, was = pl.col("value"), pl.col("was")
    lost = was.str.starts_with("0") & (value.str.len_bytes() < was.str.len_bytes())
    numeric = lost | value.str.contains(f"{damaged_text.NUMBER}|{damaged_text.DATE}")
    suspects = changed.with_columns(signs=value.str.contains(_SIGNS))
    return suspects.filter(pl.col("signs") | numeric | damaged_text.is_no_value(value))


def _classify() -> pl.Expr:
    """Return which of _CAUSES a value has, null for none."""
    value, was = pl.col("value"), pl.col("was")
    # A change of case alone is none: the person may be called Null.
    word = damaged_text.is_no_value(value) & (value.str.to_lowercase() != was.str.to_lowercase())
    return (
        pl.when(word).then(pl.lit("no-value"))
        .when(damaged_text.loses_zeros(value, was)).then(pl.lit("zeros"))
        .when(damaged_text.gains_decimals(value, was)).then(pl.lit("number"))
        .when(damaged_text.becomes_date(value, was)).then(pl.lit("date"))
    )  # fmt: skip


def _flag_cells(cells: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return the problems of the cells (_CELLS) that are damaged."""
    if cells.is_empty():
        return problems.build_frame()
    causes = cells.with_columns(cause=_classify().replace_strict(_CAUSES, default=None, return_dtype=pl.String))
    others = causes.filter(pl.col("cause").is_null(), "signs").select("value", "was").unique()
    found = [damaged_text.find_fault(value, was) or None for value, was in others.iter_rows()]
    judged = others.with_columns(fault=pl.Series(found, dtype=pl.String))
    joined = causes.join(judged, on=["value", "was"], how="left", maintain_order="left").with_columns(
        cause=pl.coalesce("cause", "fault")
    )
    before = pl.when(pl.col("was") == "").then(pl.lit("")).otherwise(pl.format(", where the user has “{}”", "was"))
    return problems.flag_rows(
        joined.filter(pl.col("cause").is_not_null()),
        DAMAGE,
        column=column.heading,
        value=pl.col("value"),
        was=before,
        cause=pl.col("cause"),
    )


def _find_in_addresses(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the problems of addresses. A local part is ASCII, so few kinds of damage leave it an address."""
    cells = rows.filter(pl.col("email") != pl.col("was_email")).select("row", value="email", was="was_email")
    questioned = cells.filter(pl.col("value").str.contains(damaged_text.QUESTION)).with_columns(signs=pl.lit(True))
    return _flag_cells(questioned, columns.EMAIL)


def _find_in_supervisors(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return the problems of words in place of a supervisor. A user who has none keeps none, with a note (M9)."""
    if "supervisor_email" not in rows.columns:
        return problems.build_frame()
    named = rows.filter(damaged_text.is_no_value(pl.col("supervisor_email")))
    if named.is_empty():
        return problems.build_frame()
    cells = named.filter(pl.col("id").is_null() | pl.col("was_supervisor_id").is_not_null()).join(
        users.select(was_supervisor_id="id", was="email"), on="was_supervisor_id", how="left", maintain_order="left"
    )
    return _flag_cells(
        cells.select("row", value="supervisor_email", was=pl.col("was").fill_null(""), signs=pl.lit(False)),
        columns.SUPERVISOR_EMAIL,
    )


def _find_in_phones(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the problems of phone numbers that end in `.0`: as a number, the stored one has a digit more."""
    if columns.PHONE not in table.present:
        return problems.build_frame()
    longer = rows.filter(pl.col("was_phone") != "", pl.col("phone") == pl.col("was_phone") + "0").select(
        "row", "was_phone"
    )
    if longer.is_empty():
        return problems.build_frame()
    cells = table.cells.select("row", "phone").join(longer, on="row")
    decimal = cells.filter(pl.col("phone").str.strip_chars(text.TRIMMED).str.ends_with(".0"))
    return problems.flag_rows(
        decimal,
        DAMAGE,
        column=columns.PHONE.heading,
        value=pl.col("phone"),
        was=pl.format(", where the user has “{}”", "was_phone"),
        cause=_CAUSES["number"],
    )


def _find_words(rows: pl.DataFrame, table: Table, column: Column, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the problems of words for no value in a column that has no such value, where the user has one or is new.

    Only cells that could not be read are compared.
    """
    name = _NAMED[column]
    blank = pl.col(f"{name.removesuffix('_id')}_blank") if column in _OFTEN_BLANK else pl.lit(False)
    unread = rows.filter(pl.col(name).is_null(), ~blank) if rows[name].null_count() else rows.clear()
    if unread.is_empty():
        return problems.build_frame()
    stored = _render_stored(name, vocabulary).fill_null("").alias("was")
    compared = unread.select("row", stored, new=pl.col("id").is_null())
    cells = table.cells.select("row", value=column.field).join(compared, on="row")
    words = cells.with_columns(text.clean(cells["value"], guarded=table.guarded).alias("value")).filter(
        damaged_text.is_no_value(pl.col("value")), pl.col("value") != "#N/A", pl.col("new") | (pl.col("was") != "")
    )
    return _flag_cells(words.select("row", "value", "was", signs=pl.lit(False)), column)


def _render_stored(name: str, vocabulary: Vocabulary) -> pl.Expr:
    """Return the stored value as the text of a file."""
    names = {
        "role_id": {role.id: role.name for role in vocabulary.roles},
        "rank_id": {rank.id: rank.name for rank in vocabulary.ranks},
        "group_id": {group.id: group.external_id for group in vocabulary.groups},
    }
    was = pl.col(f"was_{name}")
    if name == "active":
        return pl.when(was).then(pl.lit("Active")).when(~was).then(pl.lit("Inactive"))
    return name_ids(f"was_{name}", names[name]) if name in names else was


def note_missing_zeros(rows: pl.DataFrame, padded: Mapping[str, int]) -> pl.DataFrame:
    """Return the notes of new users whose id or badge lacks the leading zeros that those of all users have.

    `padded`: field → the most digits of a stored value, for each field whose stored values all begin with a zero. A
    number of as many digits has no room for a zero.
    """
    new = rows.filter(pl.col("id").is_null()) if padded else rows.clear()
    parts = [
        problems.flag_rows(
            new.filter(lacks_zeros(pl.col(field)), pl.col(field).str.len_bytes() < longest),
            "zeros-missing",
            column=columns.BY_HEADING[field.upper()].heading,
            value=pl.col(field),
        )
        for field, longest in padded.items()
    ]
    return pl.concat([problems.build_frame(), *parts])


PADDED = (columns.EXTERNAL_ID, columns.BADGE_NUMBER)
"""The columns of numbers that an agency may write with leading zeros."""


def lacks_zeros(value: pl.Expr) -> pl.Expr:
    """Return whether each value is a number without a leading zero."""
    return value.str.contains("^[1-9][0-9]*$")
