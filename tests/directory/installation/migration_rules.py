"""What a migration may do, so that processes of the previous version go on without an error while those of the next start."""

from collections.abc import Iterator
from typing import Any

from django.db.migrations import Migration, operations
from django.db.migrations.state import ProjectState

_TAKES_AWAY = (
    operations.RemoveField, operations.RenameField, operations.DeleteModel, operations.RenameModel, operations.AlterModelTable,
)  # fmt: skip
_UNKNOWN = (operations.RunSQL, operations.RunPython)
_UNSAID = "say by safe_for_previous why the previous version goes on"


def find_unsafe(migration: Migration, before: ProjectState) -> list[str]:
    """Return what the migration does that processes of the previous version cannot go on with.

    `before`: the models before the migration. A migration says by `safe_for_previous` why SQL or code of it is safe.
    """
    state, made, found = before.clone(), set[str](), list[str]()
    for operation in migration.operations:
        made |= {operation.name_lower} if isinstance(operation, operations.CreateModel) else set()
        about = getattr(operation, "model_name_lower", "") or getattr(operation, "name_lower", "")
        if about not in made:
            found += _list_faults(operation, migration.app_label, state)
        operation.state_forwards(migration.app_label, state)
    if getattr(migration, "safe_for_previous", ""):
        found = [fault for fault in found if not fault.endswith(_UNSAID)]
    return found


def _list_faults(operation: Any, app: str, state: ProjectState) -> Iterator[str]:
    name = type(operation).__name__
    if isinstance(operation, _TAKES_AWAY):
        yield f"{name}: the previous version still uses it. Remove or rename it one release later"
    elif isinstance(operation, operations.AddField):
        if not (operation.field.null or operation.field.has_db_default() or operation.field.many_to_many):
            yield f"{name} {operation.name}: the previous version writes rows without it. Give it db_default, or null"
    elif isinstance(operation, operations.AlterField):
        old = state.models[app, operation.model_name_lower].fields[operation.name]
        yield from (f"{name} {operation.name}: {fault}" for fault in _compare(old, operation.field))
    elif isinstance(operation, operations.AddConstraint):
        yield f"{name} {operation.constraint.name}: the previous version may write what it refuses. Add it one release later"
    elif isinstance(operation, _UNKNOWN):
        yield f"{name}: {_UNSAID}"


def _compare(old: Any, new: Any) -> Iterator[str]:
    if old.null and not new.null:
        yield "the previous version may write nothing into it. Make it required one release later"
    if old.has_db_default() and not new.has_db_default() and not new.null:
        yield "the previous version may write rows without it. Keep db_default"
    if type(old) is not type(new):
        yield "the previous version writes another type. Add a column, and remove the old one a release later"
    if (new.max_length or 1 << 30) < (old.max_length or 1 << 30):
        yield "the previous version may write longer values"
