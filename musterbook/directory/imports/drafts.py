"""Fixes of cells that are saved as they are typed, until the plan is made again with them (A3).

Everyone who may run the import sees the same fixes. A fix never silently replaces one that its author has not seen:
the new text is then reported as a conflict, and the cell stays as it is.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Length

from musterbook.core.domain.columns import ALL
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import draft_ends, file_import, plan_ends, plan_files
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnd, PlanEnded
from musterbook.directory.models import FROM_FILE

MOST_FIXES = 20_000
"""The most fixes that a plan keeps, with those that can be brought back by an undo."""
MOST_CHARACTERS = 4_000_000
"""The most characters that these fixes have together."""
LONGEST = 10_000
"""The most characters of one fix."""
_ONE_EDIT = timedelta(minutes=1)
"""What a user types into one cell within this time is one fix."""
_SETTLED = ("previewed", "held", "refused", "applied")
_FIELDS = {column.heading: column.field for column in ALL} | {"EXTERNAL_ID": "cell_external_id"}


class TooManyFixes(Exception):
    """The plan has as many fixes as it can keep, or a fix is too long."""


class CannotFix(Exception):
    """The import has no plan to fix: it is not an import of a file, it is not over, or it failed."""


class NothingToUndo(Exception):
    """The user has no fix that can be undone."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a user typed into a cell. `was`: the text that the cell had, as the user saw it."""

    row: int
    heading: str
    was: str
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """The current fix of a cell. `actor`: the external ID of the user who typed it."""

    row: int
    heading: str
    text: str
    actor: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """An edit that was not saved, because the cell has another text than its author saw."""

    edit: Edit
    text: str
    """The text that the cell has now."""
    actor: str
    """The external ID of the user who typed it, or "" if it is the text of the plan."""


def save_fixes(record: models.Import, edits: Iterable[Edit], context: AuditContext) -> list[Conflict]:
    """Save what a user typed into cells of the plan. Return the edits that were not saved.

    Cells that the plan does not show as wrong rows are ignored. If the plan was made again in the meantime, the fixes
    are saved with the plan in its place. Raise CannotFix, PlanEnded, TooManyFixes, UnknownOperator, NotPermitted.
    """
    given = [edit for edit in edits if edit.heading in _FIELDS]
    if any(len(edit.text) > LONGEST for edit in given):
        raise TooManyFixes
    file_import.authorize_import(record.agency, context.authority, Mode(record.mode))
    with transaction.atomic():
        current = _lock_current(record, context)
        texts = read_texts(record, current, {edit.row for edit in given})
        conflicts = [conflict for edit in given if (conflict := _save(current, edit, texts, context))]
        _check_size(current)
    return conflicts


def undo_fix(record: models.Import, context: AuditContext) -> Fix:
    """Take the user's latest fix back, unless another user has changed the cell since. Return the cell as it is now.

    Raise NothingToUndo, and the errors of `save_fixes`.
    """
    file_import.authorize_import(record.agency, context.authority, Mode(record.mode))
    with transaction.atomic():
        current = _lock_current(record, context)
        last = _select(current).filter(current=True, actor=context.actor).order_by("-pk").first()
        if last is None:
            raise NothingToUndo
        last.delete()
        before = _select(current).filter(row=last.row, column=last.column).order_by("-pk").first()
        if before is None:
            text = read_texts(record, current, [last.row]).get((last.row, last.column), "")
            return Fix(last.row, last.column, text, "")
        _select(current).filter(pk=before.pk).update(current=True)
        return Fix(before.row, before.column, before.text, before.actor)


def list_fixes(record: models.Import) -> list[Fix]:
    """Return the fixes that the plan does not have yet, by row."""
    return list(_make_fixes(_select_open(record).order_by("row", "pk")))


def map_fixes(record: models.Import, rows: Iterable[int]) -> dict[tuple[int, str], Fix]:
    """Return row and heading → the current fix of the cell, for these rows."""
    found = _select_open(record).filter(row__in=[*rows])
    return {(fix.row, fix.heading): fix for fix in _make_fixes(found)}


def count_fixes(record: models.Import) -> int:
    """Return the number of cells with a fix that the plan does not have yet."""
    return _select_open(record).count()


def digest_others(record: models.Import, actor: str) -> str:
    """Return a digest of the fixes of other users that the plan does not have yet, or "" if there are none.

    It says whether another user has typed something since a page was shown.
    """
    fixes = [[fix.row, fix.heading, fix.text] for fix in list_fixes(record) if fix.actor != actor]
    return hashlib.sha256(json.dumps(sorted(fixes)).encode()).hexdigest()[:32] if fixes else ""


def can_undo(record: models.Import, actor: str) -> bool:
    """Return whether the user has a fix to take back."""
    return _select(record).filter(current=True, actor=actor).exists()


def can_fix(record: models.Import, ended: str) -> bool:
    """Return whether cells of the import can be fixed. `ended`: how its plan ended, as `plan_ends.get_end` says it."""
    return record.kind in FROM_FILE and record.state in _SETTLED and not ended


def make_corrections(record: models.Import) -> dict[str, dict[str, str]]:
    """Return the corrections of the import with its fixes, as its options keep them."""
    cells = {row: dict(texts) for row, texts in Options.of_json(record.options).corrections.items()}
    for fix in list_fixes(record):
        cells.setdefault(str(fix.row), {})[fix.heading] = fix.text
    return cells


def find_current(record: models.Import) -> models.Import:
    """Return the plan in the place of this one, if it was made again from the same rows, or else the same import."""
    while record.ended == PlanEnd.REPLACED and record.successor and draft_ends.has_same_rows(record.successor, record):
        record = record.successor
    return record


def _select(record: models.Import) -> "QuerySet[models.ImportDraft]":
    return models.ImportDraft.objects.filter(of=record)


def _select_open(record: models.Import) -> "QuerySet[models.ImportDraft]":
    return _select(record).filter(current=True, as_planned=False)


def _make_fixes(found: "QuerySet[models.ImportDraft]") -> Iterator[Fix]:
    return (Fix(*values) for values in found.values_list("row", "column", "text", "actor"))


def _lock_current(record: models.Import, context: AuditContext) -> models.Import:
    """Lock the plan that fixes are saved with: this one, or the one in its place. Raise CannotFix, PlanEnded."""
    while True:
        locked = models.Import.objects.select_for_update(no_key=True).get(pk=record.pk)
        current = find_current(locked)
        if current.pk == locked.pk:
            break
        record = current
    ended = plan_ends.get_end(locked, context.at)
    if ended:
        raise PlanEnded(locked, ended)
    if not can_fix(locked, ended):
        raise CannotFix(locked.number)
    return locked


def read_texts(record: models.Import, current: models.Import, rows: Collection[int]) -> dict[tuple[int, str], str]:
    """Return row and heading → the text in the current plan, for the cells of these wrong rows. Raise CannotFix.

    `record`: the plan in which they are wrong.
    """
    try:
        part = plan_files.scan_part(record.number, "errored")
    except plan_files.PlanGone:
        raise CannotFix(record.number) from None
    names = {heading: name for heading, name in _FIELDS.items() if name in part.collect_schema().names()}
    found = part.select("row", *dict.fromkeys(names.values())).filter(pl.col("row").is_in(rows)).collect()
    texts = {(line["row"], heading): line[name] or "" for line in found.to_dicts() for heading, name in names.items()}
    planned = Options.of_json(current.options).corrections
    return {(row, heading): planned.get(str(row), {}).get(heading, text) for (row, heading), text in texts.items()}


def _save(
    current: models.Import, edit: Edit, texts: Mapping[tuple[int, str], str], context: AuditContext
) -> Conflict | None:
    """Save one edit. Return the conflict if the cell has another text than the user saw."""
    planned = texts.get((edit.row, edit.heading))
    if planned is None:
        return None
    text = edit.text.replace("\0", "")
    last = _select(current).filter(row=edit.row, column=edit.heading, current=True).first()
    now = last.text if last else planned
    if _show(text) == _show(now):
        return None
    if _show(edit.was) != _show(now):
        return Conflict(edit, now, last.actor if last else "")
    as_planned = _show(text) == _show(planned)
    if last and _is_same_edit(current, last, context):
        _select(current).filter(pk=last.pk).update(text=text, as_planned=as_planned)
        return None
    if last:
        _select(current).filter(pk=last.pk).update(current=False)
    models.ImportDraft.objects.create(
        of=current,
        row=edit.row,
        column=edit.heading,
        text=text,
        actor=context.actor,
        at=context.at,
        as_planned=as_planned,
    )
    return None


def _show(text: str) -> str:
    """Return the text as an input of a page has it: without line breaks."""
    return text.replace("\r", "").replace("\n", "")


def _is_same_edit(current: models.Import, last: models.ImportDraft, context: AuditContext) -> bool:
    """Return whether the user goes on with the fix that they typed last."""
    if last.actor != context.actor or context.at - last.at > _ONE_EDIT:
        return False
    return not _select(current).filter(actor=context.actor, pk__gt=last.pk).exists()


def _check_size(current: models.Import) -> None:
    """Raise TooManyFixes if the fixes are too many or too long. Older fixes of the same cells are deleted first."""
    if _is_too_large(current):
        _select(current).filter(current=False).delete()
        if _is_too_large(current):
            raise TooManyFixes


def _is_too_large(current: models.Import) -> bool:
    found = _select(current).aggregate(fixes=Sum(1, default=0), characters=Sum(Length("text"), default=0))
    return bool(found["fixes"] > MOST_FIXES or found["characters"] > MOST_CHARACTERS)
