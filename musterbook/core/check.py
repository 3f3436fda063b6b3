"""Step 2, check: cells as text → values, normalised and resolved, and every problem of every row (rules C1–C11)."""

from collections.abc import Callable, Mapping

import polars as pl

from musterbook.core import columns, email, keys, names, phone, problems, text
from musterbook.core.checked import CheckedTable
from musterbook.core.columns import Column
from musterbook.core.table import Table
from musterbook.core.vocabulary import Vocabulary

_STATUS = {"active": True, "invited": True, "locked": True, "password reset": True, "inactive": False}
"""Status as a file writes it → whether the user is Active; the states that the export shows read as Active (C5)."""

_ERROR_VALUE = r"^#(?:REF!|N/A|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|GETTING_DATA|#+)$"
_SCIENTIFIC = r"^[+-]?[0-9](?:[.,][0-9]+)[Ee]\+?[0-9]+$"
_NUMBERED = (columns.EXTERNAL_ID, columns.BADGE_NUMBER, columns.PHONE)
_UNSEEN = (columns.EMAIL, columns.USERNAME)


def check(table: Table, vocabulary: Vocabulary) -> CheckedTable:
    """The table's cells as values. A row whose cells may stand in the wrong columns has no problem but that."""
    checker = _Checker(table, vocabulary)
    for column in table.present:
        checker.column(column)
    return checker.checked()


class _Checker:
    """One check in the making: the values so far, and the problems so far."""

    def __init__(self, table: Table, vocabulary: Vocabulary) -> None:
        self.table, self.words = table, vocabulary
        self.rows = table.cells["row"]
        self.values: dict[str, pl.Series] = {"row": self.rows}
        self.found: list[pl.DataFrame] = [table.faults] if not table.faults.is_empty() else []

    def checked(self) -> CheckedTable:
        """What all columns came to."""
        found = pl.concat(self.found) if self.found else problems.frame()
        shifted = found.filter(pl.col("code") == "cell-count")["row"]
        if not shifted.is_empty():
            found = found.filter((pl.col("code") == "cell-count") | ~pl.col("row").is_in(shifted.implode()))
        return CheckedTable(pl.DataFrame(self.values), self.table.present, found)

    def column(self, column: Column) -> None:
        """Checks one column, and keeps its values; a cell with a problem is null."""
        cells = text.clean(self.table.cells[column.field])
        sound = self._legible(column, cells)
        reader = _READERS.get(column.heading, _Checker._text)
        reader(self, column, cells, sound)

    def _say(
        self, column: Column, cells: pl.Series, wrong: pl.Series, code: str,
        detail: Callable[[str], str] = lambda value: "", hint: Callable[[str], str] = lambda value: "",
    ) -> None:  # fmt: skip
        """Notes a problem for every cell that is wrong; detail and hint are made once for each distinct value."""
        if not wrong.any():
            return
        values = cells.filter(wrong)
        distinct = values.unique().to_list()
        self.found.append(
            pl.DataFrame({"row": self.rows.filter(wrong), "value": values}).select(
                "row",
                pl.lit(code).alias("code"),
                pl.lit(column.heading).alias("column"),
                "value",
                _mapped(distinct, detail).alias("detail"),
                _mapped(distinct, hint).alias("hint"),
            )
        )

    def _legible(self, column: Column, cells: pl.Series) -> pl.Series:
        """Whether each cell can be read on: not blank where it must not be, without illegal characters or damage."""
        already = self.table.faults.filter(pl.col("column") == column.heading)["row"]
        sound = ~self.rows.is_in(already.implode()) if not already.is_empty() else pl.repeat(True, len(cells), eager=True)
        for wrong, code, detail, hint in self._faults(column, cells):
            self._say(column, cells, wrong & sound, code, detail, hint)
            sound = sound & ~wrong
        return sound

    def _faults(self, column: Column, cells: pl.Series) -> list[tuple[pl.Series, str, Callable[[str], str], Callable[[str], str]]]:
        illegal = text.illegal(cells)
        if column in _UNSEEN:
            illegal = illegal | text.hidden(cells)
        damaged = cells.str.contains(_ERROR_VALUE)
        faults = [
            (illegal, "illegal-character", text.named_character if column in _UNSEEN else text.named_illegal, _nothing),
            (damaged, "spreadsheet-damage", lambda value: "a spreadsheet's error, in place of the value", _nothing),
        ]
        if column in _NUMBERED:
            scientific = cells.str.contains(_SCIENTIFIC)
            faults.append((scientific, "spreadsheet-damage", lambda value: "a spreadsheet has shortened the number", _nothing))
        if column.required:
            faults.append((cells == "", "required", _nothing, _nothing))
        longest = column.longest
        faults.append(
            (cells.str.len_chars() > longest, "too-long", lambda value: str(len(value)), lambda value: str(longest))
        )
        return faults

    def _keep(self, name: str, values: pl.Series, sound: pl.Series) -> None:
        self.values[name] = values.alias(name) if sound.all() else values.set(~sound, None).alias(name)

    def _text(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        self._keep(column.field, cells, sound)
        if column in columns.KEYED or column is columns.SUPERVISOR_EMAIL:
            self._keep(column.key, keys.keys(cells), sound)

    def _email(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        faults = email.faults(cells.filter(sound))
        wrong = sound & cells.is_in(list(faults)) if faults else ~sound & sound
        self._say(column, cells, wrong, "invalid-email", lambda value: faults[value])
        self._text(column, cells, sound & ~wrong)

    def _status(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        meant = {value: _STATUS[keys.fold(value)] for value in cells.unique() if keys.fold(value) in _STATUS}
        values = cells.replace_strict(meant, default=None, return_dtype=pl.Boolean)
        self._say(column, cells, sound & values.is_null(), "invalid-status")
        self._keep("status", values, sound)

    def _role(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        values = names.resolved(cells, names.roles(self.words.roles))
        known = [role.name for role in self.words.roles]
        self._say(column, cells, sound & values.is_null(), "unknown-role", hint=lambda v: names.suggestion(v, known))
        self._keep("role_id", values, sound)

    def _rank(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        values = names.resolved(cells, names.ranks(self.words.ranks))
        known = [rank.name for rank in self.words.ranks]
        wrong = sound & values.is_null() & (cells != "")
        self._say(column, cells, wrong, "unknown-rank", hint=lambda v: names.suggestion(v, known))
        self._keep("rank_id", values, sound)
        self.values["rank_blank"] = ((cells == "") & sound).alias("rank_blank")

    def _group(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        groups = {group.external_id: group.id for group in self.words.groups}
        values = names.resolved(cells, groups, exact=True)
        wrong = sound & values.is_null() & (cells != "")
        self._say(column, cells, wrong, "unknown-group", hint=lambda v: names.suggestion(v, groups))
        self._keep("group_id", values, sound)
        inactive = [group.id for group in self.words.groups if not group.active]
        self.values["group_blank"] = ((cells == "") & sound).alias("group_blank")
        self.values["group_inactive"] = values.is_in(inactive).fill_null(False).alias("group_inactive")

    def _phone(self, column: Column, cells: pl.Series, sound: pl.Series) -> None:
        read = phone.numbers(cells.set(~sound, "") if not sound.all() else cells, self.words.country)["phone"]
        self._say(column, cells, sound & read.is_null(), "invalid-phone")
        self._keep("phone", read, sound)


_READERS: Mapping[str, Callable[[_Checker, Column, pl.Series, pl.Series], None]] = {
    "EMAIL": _Checker._email,
    "STATUS": _Checker._status,
    "ROLE": _Checker._role,
    "RANK": _Checker._rank,
    "EVIDENCE_GROUP_EXT_ID": _Checker._group,
    "PHONE": _Checker._phone,
}


def _nothing(value: str) -> str:
    return ""


def _mapped(distinct: list[str], made: Callable[[str], str]) -> pl.Expr:
    return pl.col("value").replace_strict(distinct, [made(value) for value in distinct], return_dtype=pl.String)
