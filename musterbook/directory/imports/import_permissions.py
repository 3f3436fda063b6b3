"""The permissions that acts on an import need, by what it does."""

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports import bulk, entry_files, file_import, undo
from musterbook.directory.models import ImportKind


def list_needed(record: models.Import) -> frozenset[str]:
    """Return the permissions that are needed to run what the import does."""
    change = bulk.get_change(record)
    if change:
        return frozenset({change.kind.permission})
    mode = undo.get_mode(record) if record.kind == ImportKind.UNDO else Mode(record.mode)
    return file_import.list_needed(mode, entry_files.get_layout(record))
