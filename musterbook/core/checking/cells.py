"""The distinct cells of one column → their values and all their problems (rules C1–C10)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.values import emails, keys, names, phones, text

STATES = {"active": True, "invited": True, "locked": True, "password reset": True, "inactive": False}
"""Status as written in a file → whether the user is Active. The states that the export shows are read as Active (C5)."""

_ERROR_VALUE = r"^(?:#(?:[\p{Lu}0-9_/¡¿]{2,15}[!?]|N/[AD]|NV|GETTING_DATA|#+)|Err:[0-9]{3})$"
"""The error values of spreadsheets, in any language: `#REF!`, `#BEZUG!`, `#¡REF!`, `#N/A`, `Err:502`, `####`."""
_SCIENTIFIC = r"^[+-]?[0-9](?:[.,][0-9]+[Ee][+-]?[0-9]+|[Ee]\+[0-9]{2,})$"
_REPLACED = "\ufffd"
_APOSTROPHE = "^'[0-9]"
_NUMBERED = (
    columns.EXTERNAL_ID, columns.NEW_EXTERNAL_ID, columns.BADGE_NUMBER, columns.USERNAME, columns.PHONE, columns.GROUP_ID,
    columns.GROUP_EXT_ID, columns.MEMBER_EXT_ID, columns.PARENT_EXT_ID,
)  # fmt: skip
_UNSEEN = (columns.EMAIL, columns.USERNAME)
"""The columns that may have no character that nobody sees: it can make two addresses look the same."""
_TEXT = pl.col("text").str

_FAULTS = {"cell": pl.String, "code": pl.String, "value": pl.String, "detail": pl.String, "hint": pl.String}
_NO_FAULTS = pl.DataFrame(schema=_FAULTS)

ParamFunction = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class CellValues:
    """The result of reading the cells.

    - `values`: the value columns that `CheckedTable` names, for each cell.
    - `faults`: `cell`, `code`, `value`, `detail`, `hint` of every problem.
    """

    values: pl.DataFrame
    faults: pl.DataFrame


def read_cells(column: Column, cells: pl.Series, words: Vocabulary, *, guarded: bool) -> CellValues:
    """Return the reading of a column's cells as they are in the file, each given once. They may be `guarded`."""
    reader = _Reader(column, cells, text.clean(cells, guarded=guarded), words)
    reader.check_text()
    read = _Reader.as_text if column.plain else _READERS.get(column.heading, _Reader.as_text)
    read(reader)
    return CellValues(
        pl.DataFrame(reader.values), pl.concat([_NO_FAULTS, *reader.found]) if reader.found else _NO_FAULTS
    )


class _Reader:
    """A reading in progress: the text of the cells, those still valid, and the faults so far."""

    def __init__(self, column: Column, cells: pl.Series, clean: pl.Series, words: Vocabulary) -> None:
        self.column, self.words = column, words
        self.cells, self.text = cells, clean
        self.valid = pl.repeat(True, len(cells), eager=True)
        self.values: dict[str, pl.Series] = {}
        self.found: list[pl.DataFrame] = []

    def _flag(self, wrong: pl.Series, code: str, **params: ParamFunction | str) -> None:
        """Record a fault for every wrong cell, with the parameters of its kind. These cells are no longer valid."""
        if not wrong.any():
            return
        self.valid &= ~wrong
        detail, hint = problems.fill_slots(code, params, "")
        values = self.text.filter(wrong).to_list()
        faults = pl.DataFrame(
            [values, _render_params(detail, values), _render_params(hint, values)], ["value", "detail", "hint"]
        )
        cells = self.cells.filter(wrong).alias("cell")
        self.found.append(faults.select(cells, pl.lit(code).alias("code"), "value", "detail", "hint"))

    def check_text(self) -> None:
        """Check for faults that any column can have (C1–C3, C10).

        These are illegal characters, damage by a spreadsheet, excessive length, and blank required cells.
        """
        unseen, damage = self.column in _UNSEEN, _list_damage(self.column)
        wrong = self.text.to_frame("text").select(
            _TEXT.contains(f"{text.ILLEGAL}|{text.HIDDEN}" if unseen else text.ILLEGAL).alias("illegal"),
            *(sign.alias(cause) for cause, sign in damage.items()),
            (_TEXT.len_chars() > self.column.longest).alias("long"),
            (pl.col("text") == "").alias("blank"),
        )
        describe = text.name_character if unseen else text.name_illegal
        self._flag(wrong["illegal"], "illegal-character", character=describe)
        for cause in damage:
            self._flag(wrong[cause], "spreadsheet-damage", cause=cause)
        limit = str(self.column.longest)
        self._flag(wrong["long"], "too-long", length=lambda value: f"{len(value):,}", limit=limit)
        if self.column.required:
            self._flag(wrong["blank"], "required")

    def _keep(self, name: str, values: pl.Series) -> None:
        self.values[name] = (values.set(~self.valid, None) if self.found else values).alias(name)

    def as_text(self) -> None:
        """Keep the text itself, and its key where the column is compared by one."""
        self._keep(self.column.field, self.text)
        if self.column in columns.KEYED or self.column is columns.SUPERVISOR_EMAIL:
            self._keep(self.column.key, keys.make_keys(self.text))

    def as_email(self) -> None:
        """Check the cells as email addresses (C4)."""
        faults = emails.find_faults(self.text.filter(self.valid))
        self._flag(self.valid & self.text.is_in(list(faults)), "invalid-email", reason=faults.__getitem__)
        self.as_text()

    def as_status(self) -> None:
        """Read whether the user is Active (C5)."""
        active = pl.Series([STATES.get(keys.fold(value)) for value in self.text], dtype=pl.Boolean)
        self._flag(self.valid & active.is_null(), "invalid-status")
        self._keep("status", active)

    def as_role(self) -> None:
        """Read the id of the role (C6)."""
        ids = names.resolve_names(self.text, names.index_roles(self.words.roles))
        known = {role.name: role.name for role in self.words.roles}
        self._flag(
            self.valid & ids.is_null(), "unknown-role", suggestion=lambda value: names.suggest_names(value, known)
        )
        self._keep("role_id", ids)

    def as_rank(self) -> None:
        """Read the id of the rank, and whether the cell is blank (C6)."""
        ids = names.resolve_names(self.text, names.index_ranks(self.words.ranks))
        short = {rank.abbreviation: rank.name for rank in self.words.ranks if rank.abbreviation}
        known = short | {rank.name: rank.name for rank in self.words.ranks}
        self._read_optional("rank", ids, "unknown-rank", known)

    def as_group(self) -> None:
        """Read the id of the group, whether the cell is blank, and whether the group is inactive (C7)."""
        groups = {group.external_id: group.id for group in self.words.groups}
        ids = names.resolve_names(self.text, groups, exact=True)
        self._read_optional("group", ids, "unknown-group", {name: name for name in groups})
        inactive = [group.id for group in self.words.groups if not group.active]
        self.values["group_inactive"] = ids.is_in(inactive).fill_null(False)

    def _read_optional(self, name: str, ids: pl.Series, code: str, known: dict[str, str]) -> None:
        blank = self.text == ""
        self._flag(
            self.valid & ids.is_null() & ~blank, code, suggestion=lambda value: names.suggest_names(value, known)
        )
        self._keep(f"{name}_id", ids)
        self.values[f"{name}_blank"] = blank & self.valid

    def as_phone(self) -> None:
        """Read the number as E.164 (C8)."""
        numbers = phones.parse_numbers(self.text.set(~self.valid, ""), self.words.country)
        self._flag(self.valid & numbers.is_null(), "invalid-phone", reason=phones.explain_fault)
        self._keep("phone", numbers)


def _list_damage(column: Column) -> dict[str, pl.Expr]:
    """Return the ways in which programs damage the cells of a column, each with the sign of it."""
    damage = {
        "a spreadsheet replaced the value with an error": _TEXT.contains(_ERROR_VALUE),
        "a program replaced a character that it could not read": _TEXT.contains(_REPLACED, literal=True),
    }
    if column in _NUMBERED:
        damage["a spreadsheet shortened the number and lost digits"] = _TEXT.contains(_SCIENTIFIC)
    if column in _NUMBERED and column is not columns.USERNAME:
        cause = "the apostrophe that marks text in a spreadsheet became part of the value"
        damage[cause] = _TEXT.contains(_APOSTROPHE)
    return damage


def _render_params(param: ParamFunction | str, values: list[str]) -> list[str]:
    return [param if isinstance(param, str) else param(value) for value in values]


_READERS: Mapping[str, Callable[[_Reader], None]] = {
    "EMAIL": _Reader.as_email,
    "STATUS": _Reader.as_status,
    "ROLE": _Reader.as_role,
    "RANK": _Reader.as_rank,
    "EVIDENCE_GROUP_EXT_ID": _Reader.as_group,
    "PHONE": _Reader.as_phone,
}
