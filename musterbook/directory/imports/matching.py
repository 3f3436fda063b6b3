"""Whether the columns and values of an import's file are to be matched before its plan is looked at (F4, F13)."""

from musterbook.directory import models
from musterbook.directory.imports import first_steps, plan_files, unknown_values
from musterbook.directory.models import FROM_FILE, ImportKind

_BY_COLUMNS = frozenset({"missing-column", "misspelt-column", "duplicate-column"})
"""The problems of a file that are solved by matching its columns."""


def has_headings(record: models.Import) -> bool:
    """Return whether the file has headings to match. An empty file has none, and neither has a picture."""
    try:
        return bool(plan_files.read_header(record.number).headings)
    except plan_files.PlanGone:
        return False


def needs_columns(record: models.Import) -> bool:
    """Return whether the file was refused because of its columns alone."""
    if record.kind not in FROM_FILE or record.state != "refused":
        return False
    codes = models.ImportProblem.objects.filter(of=record, row=0, note=False).values_list("code", flat=True)
    found = set(codes)
    return bool(found & _BY_COLUMNS) and found <= _BY_COLUMNS | {"unknown-mapping"}


def needs_values(record: models.Import, *, asked: bool = False) -> bool:
    """Return whether it is a first import, and its file names roles, ranks or groups that do not exist.

    `asked`: whether the user is matching the file already. Then any unknown value of any import is a reason.
    """
    if record.kind != ImportKind.FILE or record.state not in ("previewed", "held"):
        return False
    if asked:
        return bool(unknown_values.list_unknown(record))
    return first_steps.is_first(record) and len(unknown_values.list_missing(record).names) > 0
