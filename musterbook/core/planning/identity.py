"""The same account, another person: rows that change who an account belongs to (M12)."""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import BADGE_NUMBER, EMAIL, FIRST_NAME, LAST_NAME, USERNAME, Column
from musterbook.core.domain.decisions import IDENTITY, OTHER, SAME, Decisions
from musterbook.core.domain.problems import build_frame as none_found
from musterbook.core.values import search_keys

_NAMES = (FIRST_NAME, LAST_NAME)
_SIGNS = (EMAIL, USERNAME, BADGE_NUMBER)
_FEWEST = 2
"""How many of _SIGNS change with both names when a row means another person."""

DECIDED = {SAME: "same-person", OTHER: "another-person"}
"""The choice for a row → the code of its note."""
CODES = frozenset({IDENTITY, *DECIDED.values()})
"""The codes whose parameters `was` and `would_be` are the two persons."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The identity changes of a file: the problems of rows nobody has decided, and the notes of the others.

    `others`: the rows whose user becomes another person.
    """

    problems: pl.DataFrame = field(default_factory=none_found)
    notes: pl.DataFrame = field(default_factory=none_found)
    others: pl.Series = field(default_factory=lambda: pl.Series("row", [], dtype=pl.UInt32))


def find_identities(rows: pl.DataFrame, decisions: Decisions) -> Identities:
    """Return the identity changes of the rows. `rows`: the checked rows with the stored values of their users."""
    changing = _select_changing(rows)
    if changing.is_empty():
        return Identities()
    changing = changing.with_columns(choice=decisions.choose_identities(changing["row"]))
    open_rows = changing.filter(pl.col("choice").is_null())
    notes = [_flag(changing.filter(pl.col("choice") == choice), code) for choice, code in DECIDED.items()]
    others = changing.filter(pl.col("choice") == OTHER)["row"]
    return Identities(_flag(open_rows, IDENTITY), pl.concat(notes), others)


def _select_changing(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that change both names, and enough of the other signs of a person."""
    signs = pl.sum_horizontal(_changes(column.key).cast(pl.UInt8) for column in _SIGNS)
    fields = (*(column.field for column in (*_NAMES, *_SIGNS)), *(column.key for column in _SIGNS))
    narrow = rows.select("row", *fields, *(f"was_{name}" for name in fields))
    named = narrow.filter(*(_changes(column.field) for column in _NAMES)).filter(signs >= _FEWEST)
    return named.filter(_is_renamed(named, FIRST_NAME) & _is_renamed(named, LAST_NAME)) if named.height else named


def _changes(name: str) -> pl.Expr:
    return (pl.col(name) != pl.col(f"was_{name}")).fill_null(False)


def _is_renamed(rows: pl.DataFrame, column: Column) -> pl.Series:
    """Return whether each name is another one: not only its case, accents, spaces or hyphens differ."""
    return _fold(rows[column.field]) != _fold(rows[f"was_{column.field}"])


def _fold(names: pl.Series) -> pl.Series:
    folded = search_keys.fold_texts(names)
    letters = folded.str.replace_all(r"[^\pL\pM\pN]", "")
    return letters.zip_with(letters != "", folded)


def _flag(rows: pl.DataFrame, code: str) -> pl.DataFrame:
    return problems.flag_rows(
        rows,
        code,
        column=columns.LAST_NAME.heading,
        value=pl.format("{} {}", *(column.field for column in _NAMES)),
        was=_describe("was_"),
        would_be=_describe(""),
    )


def _describe(prefix: str) -> pl.Expr:
    """Return who a person is: “Dana Dietz (dana.dietz@example.org, ddietz, badge 1004)”."""
    names = [f"{prefix}{column.field}" for column in (*_NAMES, *_SIGNS)]
    return pl.format("{} {} ({}, {}, badge {})", *(pl.col(name).fill_null("") for name in names))
