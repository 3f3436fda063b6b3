"""The end of fixes that were typed on the page of a plan (`imports.drafts`): they are planned, go on, or are deleted."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from musterbook.directory import models
from musterbook.directory.imports import plan_ends
from musterbook.directory.imports.options import Options

_AT_ONCE = 500


def has_same_rows(record: models.Import, origin: models.Import) -> bool:
    """Return whether the import was made from this other one, and its rows have the same numbers: those of the same sheet."""
    sheets = {one.file_facts.get("sheet") for one in (record, origin)}
    return record.origin_id == origin.pk and record.file_sha256 == origin.file_sha256 and len(sheets) == 1


def carry_over(record: models.Import) -> None:
    """Give a concluded import the fixes of the plan that it was made from, without those that it has planned.

    Call it in the transaction that writes the result. A fix that was typed while the import was planned is not lost. Fixes
    of another sheet of the file stay where they are: here, their rows are those of other users.
    """
    origin = record.origin
    if origin is None or not (record.state == "applied" or plan_ends.shows_plan(record)):
        return
    if not has_same_rows(record, origin):
        return
    fixes = models.ImportDraft.objects.filter(of=record.origin_id)
    if not fixes.exists():
        return
    planned = Options.of_json(record.options).corrections
    rest = [
        fix.pk
        for fix in fixes.filter(current=True).defer("actor")
        if _is_open(fix, planned.get(str(fix.row), {}).get(fix.column))
    ]
    for start in range(0, len(rest), _AT_ONCE):
        fixes.filter(pk__in=rest[start : start + _AT_ONCE]).update(of=record, as_planned=False)
    fixes.delete()


def _is_open(fix: models.ImportDraft, planned: str | None) -> bool:
    """Return whether a fix is not in a plan that has this text in its cell (None: the text of the plan before)."""
    return not fix.as_planned if planned is None else planned != fix.text


def delete_expired(at: datetime) -> int:
    """Delete the fixes of plans that were discarded, and those that are older than kept files.

    A plan that has expired can be made again, with its fixes.
    """
    over = Q(of__ended=plan_ends.PlanEnd.DISCARDED)
    old = Q(at__lt=at - timedelta(days=settings.MUSTER_KEEP_FILES_DAYS))
    number, _ = models.ImportDraft.objects.filter(over | old).delete()
    return number
