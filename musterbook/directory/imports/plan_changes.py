"""Changes of a plan that make it again: other cells, other options, and decisions about its rows (A3, A7, C12, M12, M13)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _

from musterbook.core.domain.columns import BADGE_NUMBER, BY_HEADING, HEADINGS, Column
from musterbook.core.domain.decisions import DAMAGE, IDENTITY, OTHER, SAME, TAKEN, merge_by_row
from musterbook.core.reading import corrections
from musterbook.directory import models
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import drafts, plan_ends, problem_groups, queue
from musterbook.directory.imports.drafts import CannotFix, TooManyFixes
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnd, PlanEnded
from musterbook.directory.models import FROM_FILE


@dataclass(frozen=True, slots=True)
class NewCell:
    """A new text for a cell of a row with problems. `was`: the text that the sender saw, None if that does not matter."""

    row: int
    heading: str
    text: str
    was: str | None = None


@dataclass(frozen=True, slots=True)
class NewValue:
    """A new text for the cells of all rows with the same problem. `value`: the value that they have, None for any (A7)."""

    code: str
    heading: str
    value: str | None
    text: str


@dataclass(frozen=True, slots=True)
class RowDecision:
    """A decision about one row. `code`: the problem that it ends. `choice`: as in `decisions.Decisions.by_row`."""

    row: int
    code: str
    choice: str


class CellsChanged(Exception):
    """Cells have other texts than the sender saw. `cells` has these: each a row, a heading, and the text that it has now."""

    def __init__(self, cells: Sequence[tuple[int, str, str]]) -> None:
        super().__init__(cells)
        self.cells = cells


def can_plan_again(record: models.Import, at: datetime) -> bool:
    """Return whether the plan of the import can be made again. That of an expired plan can."""
    ended = plan_ends.get_end(record, at)
    return drafts.can_fix(record, "" if ended == PlanEnd.EXPIRED else ended)


def check_can_plan_again(record: models.Import, at: datetime) -> None:
    """Raise PlanEnded or CannotFix if the plan of the import cannot be made again."""
    if not can_plan_again(record, at):
        ended = plan_ends.get_end(record, at)
        if ended and record.kind in FROM_FILE:
            raise PlanEnded(record, ended)
        raise CannotFix(record.number)


def find_made(record: models.Import, key: str | None) -> models.Import | None:
    """Return the plan that the same request, with the same key, has made in the place of this one (D6)."""
    made = record.successor
    return made if made and key and made.idempotency_key == key else None


def plan_again(record: models.Import, options: Options, context: AuditContext, key: str | None = None) -> models.Import:
    """Submit another preview of the import's file with these options. Raise PlanEnded, CannotFix, and as `submit_again`."""
    check_can_plan_again(record, context.at)
    return queue.submit_again(record, replace(options, preview=True, confirmed={}), context=context, key=key)


def forget_other_sheet(record: models.Import, options: Options) -> Options:
    """Return the options without what was said of rows, if they read another sheet of the file than the import did."""
    if options.sheet in (Options.of_json(record.options).sheet, record.file_facts.get("sheet")):
        return options
    # What was said of rows of one sheet says nothing of those of another.
    return replace(options, corrections={}, decided={})


def set_cells(record: models.Import, options: Options, cells: Sequence[NewCell]) -> Options:
    """Return the options with new texts for these cells. Raise InvalidValue, CellsChanged, CannotFix, TooManyFixes."""
    if not cells:
        return options
    texts = drafts.read_texts(record, record, {cell.row for cell in cells})
    fixes = drafts.map_fixes(record, {cell.row for cell in cells})
    changed = []
    for place, cell in enumerate(cells):
        key = (cell.row, cell.heading)
        if key not in texts:
            text = _("Row %(row)s has no problem, or the file has no column %(column)s.")
            raise InvalidValue(f"cells/{place}", text % {"row": cell.row, "column": cell.heading[:63]})
        now = fixes[key].text if key in fixes else texts[key]
        if cell.was not in (None, now):
            changed.append((cell.row, cell.heading, now))
        if len(cell.text) > drafts.LONGEST:
            raise TooManyFixes
    if changed:
        raise CellsChanged(changed)
    given: dict[str, dict[str, str]] = {}
    for cell in cells:
        given.setdefault(str(cell.row), {})[cell.heading] = cell.text.replace("\0", "")
    return _correct(options, given)


def _correct(options: Options, given: Mapping[str, Mapping[str, str]]) -> Options:
    merged = corrections.merge_corrections(options.corrections, given)
    if len(merged) > problem_groups.MOST_CORRECTED:
        raise TooManyFixes
    return replace(options, corrections=merged)


def set_values(record: models.Import, options: Options, values: Iterable[NewValue]) -> Options:
    """Return the options with new texts for all rows with these problems. Raise InvalidValue, TooManyFixes."""
    for place, value in enumerate(values):
        _check_value(value, f"groups/{place}")
        rows = problem_groups.list_group_rows(record, value.code, value.heading, value.value)
        if not rows:
            raise InvalidValue(f"groups/{place}", _("There are no such rows, or too many to fix here."))
        options = _correct(options, {str(row): {value.heading: value.text.replace("\0", "")} for row in rows})
    return options


def _check_value(value: NewValue, field: str) -> None:
    """Raise InvalidValue if users cannot share a value of the column, or if it must have one."""
    column = BY_HEADING.get(value.heading)
    if column is None or not is_shared(column):
        text = _("%(column)s is not a column in which users share a value.")
        raise InvalidValue(field, text % {"column": value.heading[:63]})
    if not fits(column, value):
        raise InvalidValue(field, _("Choose a value for %(column)s.") % {"column": column.heading})


def is_shared(column: Column) -> bool:
    """Return whether several users can have the same value of the column."""
    return not column.unique


def fits(column: Column, value: NewValue) -> bool:
    """Return whether the column can have this value: it is not blank, or the column is not required."""
    return not column.required or bool(value.text.strip())


def decide(options: Options, decisions: Sequence[RowDecision]) -> Options:
    """Return the options with these decisions about rows. Raise InvalidValue."""
    by_row = options.decided
    for place, one in enumerate(decisions):
        if not is_decision(one):
            text = _("“%(choice)s” is not a choice for %(code)s.")
            raise InvalidValue(f"decisions/{place}", text % {"choice": one.choice[:63], "code": one.code[:63]})
        by_row = merge_by_row(by_row, {str(one.row): {one.code: one.choice}})
    return replace(options, decided=by_row)


def is_decision(one: RowDecision) -> bool:
    """Return whether this can be decided about a row."""
    choices = {DAMAGE: tuple(HEADINGS), IDENTITY: (SAME, OTHER), TAKEN: (BADGE_NUMBER.heading,)}
    return one.choice in choices.get(one.code, ())
