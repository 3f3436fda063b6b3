"""Exit statuses of commands, and the status and message of each expected exception."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from musterbook.core.domain.policy import Confirmed
    from musterbook.core.planning.holds import Hold


class Exit(IntEnum):
    """The exit statuses of the contract."""

    DONE = 0
    SOME_ERRORED = 1
    WRONG_CALL = 2
    REFUSED = 3
    HELD = 4
    FAILED = 5


class WrongCall(Exception):
    """The error for an incorrect call. The message says what is wrong and what to write instead."""


_STATES = {"refused": Exit.REFUSED, "held": Exit.HELD, "failed": Exit.FAILED}


def get_import_exit(state: str, errored: int) -> Exit:
    """Return the status of an import that ended in this state, with this number of errored rows."""
    return _STATES.get(state, Exit.SOME_ERRORED if errored else Exit.DONE)


def format_confirmed(holds: "Iterable[Hold]", before: "Confirmed | None" = None) -> str:
    """Return the options that confirm these holds and what was confirmed before, each with a space before it."""
    numbers = {**(before or {}), **{hold.key: hold.number for hold in holds}}
    return "".join(f" --confirm {key}" + ("" if number is None else f"={number}") for key, number in numbers.items())


def format_confirmation(holds: "Iterable[Hold]") -> str:
    """Return the sentence that asks for these holds to be confirmed."""
    return f"The import is held. To confirm it, add{format_confirmed(holds)}. Nothing was changed."


Sentence: TypeAlias = Callable[[Any], str]


def explain_error(error: Exception) -> tuple[Exit, str] | None:
    """Return the status and the sentence of a named exception, or None for an unexpected one."""
    from django.core.exceptions import ImproperlyConfigured

    from musterbook.config import home

    if isinstance(error, OSError) and all(explained := home.explain_error(error)):
        return Exit.FAILED, ". ".join(explained)
    # Without settings that can be used, there is no directory whose exceptions could be named.
    if isinstance(error, ImproperlyConfigured | WrongCall):
        return Exit.WRONG_CALL, str(error)
    from musterbook.directory.storage import database_errors

    if database_errors.is_damaged(error):
        from musterbook.directory.installation import migration

        return Exit.FAILED, f"{migration.get_path()}: {error}. {database_errors.explain_error(error)}"
    for kind, (status, sentence) in _make_table().items():
        if isinstance(error, kind):
            return status, sentence(error)
    return None


def _make_table() -> dict[type[Exception], tuple[Exit, Sentence]]:
    from django.db import OperationalError

    from musterbook.accounts import credentials, registration
    from musterbook.config import key_rotation
    from musterbook.directory import permissions
    from musterbook.directory.agency import agencies
    from musterbook.directory.apply import snapshot_queries
    from musterbook.directory.imports import approval, file_import, plan_ends, quotas, selection, undo
    from musterbook.directory.imports.runner import ImportFailed
    from musterbook.directory.installation import backup_encryption, backups, key_changes, migration
    from musterbook.directory.storage import formats, import_files
    from musterbook.directory.users import export, marks

    wrong: dict[type[Exception], Sentence] = {
        credentials.UnknownUser: lambda e: f"There is no user with the external ID “{e}” in this agency.",
        credentials.NotAllowed: str,
        registration.CannotInvite: str,
        agencies.UnknownAgency: lambda e: f"There is no agency “{e}”. `muster agency list` lists the agencies.",
        export.UnknownFilter: str,
        marks.InvalidSource: str,
        file_import.UnknownImport: lambda e: (
            f"There is no import “{e}”. `muster imports --agency SLUG` lists the imports."
        ),
        file_import.KeyTaken: lambda e: (
            f"The idempotency key belongs to import {e}, which has another file or other options. Use another key."
        ),
        file_import.NothingToApply: lambda e: (
            f"Import {e} is not a preview and is not held, so there is nothing to apply."
        ),
        plan_ends.NoPlan: lambda e: f"Import {e} is not a preview and is not held, so there is nothing to discard.",
        plan_ends.PlanEnded: lambda e: f"{e} Its plan cannot be applied or discarded any more.",
        permissions.NotPermitted: lambda e: f"The operator's role does not have a required permission: {e}.",
        migration.NotMigrated: lambda e: f"The database is not up to date ({e}). Run `muster migrate`.",
        backup_encryption.CannotUse: str,
        key_rotation.KeyInEnvironment: str,
        key_rotation.UnknownKey: lambda e: f"There is no old key “{e}” to remove. `muster keys list` lists the keys.",
        selection.UsersGone: lambda e: (
            f"The users who were chosen for {e} are no longer known. Choose them again on the page All Users."
        ),
        import_files.FileGone: lambda e: f"The file of import {e} is no longer kept. Import the file again.",
        snapshot_queries.UnknownOperator: lambda e: f"There is no active user with the external ID “{e}” for --as.",
        formats.TooManyRows: lambda e: (
            f"{e} users are more than one sheet of a workbook can hold. Export them as CSV, or export fewer users."
        ),
        undo.NotApplied: lambda e: f"Import {e} changed nothing, so there is nothing to undo.",
    }
    failed: dict[type[Exception], Sentence] = {
        backups.CannotBackUp: str,
        ImportFailed: str,
        OperationalError: lambda e: (
            f"The database could not be used: {str(e).strip()}. To find the cause, run `muster doctor`."
        ),
    }
    return {
        backups.CannotRestore: (Exit.REFUSED, str),
        approval.NeedsApprover: (
            Exit.HELD,
            lambda e: (
                f"The import was requested by {e if str(e) else 'the system'}, and another user must confirm it. Name that user"
                " with --as. Nothing was changed."
            ),
        ),
        quotas.OverQuota: (Exit.REFUSED, str),
        key_changes.KeyInUse: (Exit.REFUSED, str),
        **{kind: (Exit.WRONG_CALL, sentence) for kind, sentence in wrong.items()},
        **{kind: (Exit.FAILED, sentence) for kind, sentence in failed.items()},
    }
