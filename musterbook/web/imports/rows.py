"""The rows of a plan that have problems, as a grid: wrong cells to fix, the nearest values, and the fixes so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from musterbook.core.checking import meanings
from musterbook.core.domain.columns import BY_HEADING
from musterbook.core.domain.file_values import MAPPED
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import former_ids
from musterbook.directory.imports import drafts
from musterbook.directory.imports.drafts import Fix
from musterbook.directory.imports.plan_pages import Cell, PlanPage, PlanRow
from musterbook.web import default_fields

_MOST_OPTIONS = 25
"""The most values that a list in a cell offers. If there are more, they are suggested while the user types."""
_MOST_COMPARED = 1_000
"""The most values among which the nearest ones are looked for."""
_SUGGESTED = 2
"""The number of nearest values that are offered as buttons."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell of the grid. `text`: what it has now, with its fix; `planned`: what the plan has."""

    heading: str
    text: str
    planned: str
    problems: Sequence[Problem] = ()
    editable: bool = False
    fixed: bool = False
    fixed_by: str = ""
    """The name of the user who fixed it, if that is another user than the reader."""
    options: Sequence[str] = ()
    """The values of a list; none if the cell is typed."""
    suggestions: Sequence[str] = ()
    id: str = ""

    @property
    def is_list(self) -> bool:
        """Return whether the cell is a list of values."""
        return bool(self.options)

    @property
    def can_be_blank(self) -> bool:
        """Return whether a list offers the blank value: the column is not required, and the cell is not blank now."""
        column = BY_HEADING.get(self.heading)
        return bool(self.text) and column is not None and not column.required

    @property
    def is_listed(self) -> bool:
        """Return whether the text of the cell is one of the values of its list."""
        return self.text in self.options


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of the grid, with its cells in the order of the columns. `edits`: the cells to fix, or with problems."""

    line: PlanRow
    cells: Sequence[GridCell]

    @property
    def edits(self) -> list[GridCell]:
        """Return the cells that are wrong or fixed, or all of them if the problem is one of the whole row."""
        return [cell for cell in self.cells if cell.editable or cell.problems]


@dataclass(frozen=True, slots=True)
class Grid:
    """A page of wrong rows, and the headings of their columns."""

    columns: Sequence[str] = ()
    rows: Sequence[GridRow] = ()
    typed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Heading → the values that are suggested while the user types."""


def describe_rows(record: models.Import, page: PlanPage, ended: str, actor: str) -> dict[str, Any]:
    """Return what the page shows of wrong rows: the grid, the decisions, and the bar of fixes."""
    can_fix = drafts.can_fix(record, ended)
    return {
        "can_fix": can_fix,
        "grid": _make_grid(record, page, can_fix, actor),
        "fixes": describe_fixes(record, actor),
    }


def describe_fixes(record: models.Import, actor: str) -> dict[str, Any]:
    """Return the number of fixes, the sentence about it, and whether the user can undo one."""
    count = drafts.count_fixes(record)
    return {"count": count, "status": describe_count(count), "can_undo": drafts.can_undo(record, actor)}


def describe_count(count: int) -> str:
    """Return the sentence about the number of fixes that are not planned yet."""
    if not count:
        return _("No fixes to check")
    text = ngettext("%(number)s fix, not yet checked", "%(number)s fixes, not yet checked", count)
    return text % {"number": f"{count:,}"}


def _make_grid(record: models.Import, page: PlanPage, can_fix: bool, actor: str) -> Grid:
    fixes = drafts.map_fixes(record, [line.row for line in page.lines if line.row]) if can_fix else {}
    cells = _CellMaker(record, can_fix, fixes, actor)
    rows = [GridRow(line, [cells.make_cell(line, cell) for cell in line.cells]) for line in page.lines]
    return Grid(page.columns, rows, cells.typed)


class _CellMaker:
    """It makes the cells of one page, and looks each value up once."""

    def __init__(self, record: models.Import, can_fix: bool, fixes: Mapping[tuple[int, str], Fix], actor: str) -> None:
        self._words: Vocabulary = snapshot_queries.read_vocabulary(record.agency)
        self._can_fix, self._fixes, self._actor = can_fix, fixes, actor
        others = {fix.actor for fix in fixes.values()} - {actor}
        self._names = former_ids.read_current_names(record.agency, others, record.started_at) if others else {}
        self._near: dict[tuple[str, str], Sequence[str]] = {}
        self._choices = {column.heading: default_fields.list_choices(column, self._words) for column in MAPPED}

    @property
    def typed(self) -> dict[str, Sequence[str]]:
        """Return the values of the columns that have too many for a list."""
        return {heading: names for heading, names in self._choices.items() if len(names) > _MOST_OPTIONS}

    def make_cell(self, line: PlanRow, cell: Cell) -> GridCell:
        """Return the cell as the grid shows it."""
        fix = self._fixes.get((line.row or 0, cell.heading))
        if not self._can_fix or not (cell.problems or line.problems or fix):
            return GridCell(cell.heading, cell.text, cell.text, cell.problems)
        names = self._choices.get(cell.heading, ())
        other = fix.actor if fix and fix.actor != self._actor else ""
        return GridCell(
            cell.heading,
            fix.text if fix else cell.text,
            cell.text,
            cell.problems,
            editable=True,
            fixed=fix is not None,
            fixed_by=self._names.get(other) or other,
            options=names if len(names) <= _MOST_OPTIONS else (),
            suggestions=self._find_near(cell) if cell.problems and not fix else (),
            id=f"{line.row}-{cell.heading}",
        )

    def _find_near(self, cell: Cell) -> Sequence[str]:
        key = (cell.heading, cell.text)
        if key not in self._near:
            names = self._choices.get(cell.heading, ())
            known = 0 < len(names) <= _MOST_COMPARED
            near = meanings.list_near(*key, self._words) if known else []
            # The value exists if the problem is another one, such as a role that the operator may not give.
            self._near[key] = [name for name in near if name != cell.text][:_SUGGESTED]
        return self._near[key]
