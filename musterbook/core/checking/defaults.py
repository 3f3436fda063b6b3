"""The defaults: the value that new users get in a column that the file does not have (F14)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.checking import cells
from musterbook.core.domain import problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import DEFAULTED, FileValues
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class DefaultValues:
    """The defaults that apply to a file.

    - `values`: one row with the value columns that `CheckedTable` names, of the columns that the file does not have.
    - `texts`: the same columns → the default as it was written.
    - `problems`: the problems of wrong defaults, each of which refuses the file.
    """

    values: pl.DataFrame = field(default_factory=pl.DataFrame)
    texts: dict[Column, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def describe(self, added: int) -> Iterator[Problem]:
        """Yield a note for each default that added users get."""
        users = f"{added:,} new user{' gets' if added == 1 else 's get'}"
        for column, value in self.texts.items() if added else ():
            yield Problem.of("default-used", column=column.heading, value=value, users=users)


def read_defaults(table: Table, file_values: FileValues, words: Vocabulary) -> DefaultValues:
    """Return the defaults that apply to the table. They are checked like cells.

    A default that is given for this file is always checked; one of the agency's, only if the file lacks the column.
    """
    values, wrong = list[pl.Series](), list[Problem]()
    texts: dict[Column, str] = {}
    for column in DEFAULTED:
        absent = column not in table.present and not table.problems
        text = file_values.defaults.get(
            column.heading, file_values.agency_defaults.get(column.heading) if absent else None
        )
        if text is None:
            continue
        read = cells.read_cells(column, pl.Series("cell", [text]), words, guarded=False)
        cause = _find_fault(column, text, read)
        if cause:
            wrong.append(Problem.of("invalid-default", column=column.heading, value=text, cause=cause))
        elif absent:
            values += read.values.get_columns()
            texts[column] = text
    return DefaultValues(pl.DataFrame(values), texts, tuple(wrong))


def _find_fault(column: Column, text: str, read: cells.CellValues) -> str:
    """Return the sentence that describes why a default cannot be used, or ""."""
    if not text.strip():
        return "It is blank."
    faults = read.faults.with_columns(row=pl.lit(0, pl.UInt32), column=pl.lit(column.heading))
    for problem in problems.list_problems(faults):
        return " ".join(problem.in_english())
    if "group_inactive" in read.values and read.values["group_inactive"][0]:
        return Problem.of("inactive-group", column=column.heading, value=text).in_english()[0]
    return ""
