"""Exit statuses of commands, and the status and message of each expected exception."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from musterbook.cli.language import gettext as _

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
    return _("The import is held. To confirm it, add %(options)s. Nothing was changed.") % {
        "options": format_confirmed(holds).strip()
    }


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
    from musterbook.directory.agency import agencies, feeds, pausing, vocabularies, webhook_values, webhooks
    from musterbook.directory.apply import snapshot_queries
    from musterbook.directory.imports import approval, file_import, plan_ends, quotas, selection, undo
    from musterbook.directory.imports.runner import ImportFailed
    from musterbook.directory.installation import (
        agency_archive,
        backup_encryption,
        backups,
        key_changes,
        migration,
        sealed_values,
    )
    from musterbook.directory.storage import formats, import_files, locks
    from musterbook.directory.users import export, marks
    from musterbook.feeds.locations.location import LocationError
    from musterbook.feeds.taking import FeedPaused
    from musterbook.feeds.watched_folder import FolderBusy
    from musterbook.feeds.watching import FolderOfFeed

    wrong: dict[type[Exception], Sentence] = {
        credentials.UnknownUser: lambda e: (
            _("There is no user with the external ID “%(what)s” in this agency.") % {"what": e}
        ),
        credentials.NotAllowed: str,
        vocabularies.NotAllowed: str,
        feeds.UnknownFeed: lambda e: (
            _("There is no feed “%(what)s”. `muster feed list --agency SLUG` lists the feeds.") % {"what": e}
        ),
        webhooks.UnknownWebhook: lambda e: (
            _("There is no webhook “%(what)s”. `muster webhook list --agency SLUG` lists the webhooks.") % {"what": e}
        ),
        webhooks.UnknownMessage: lambda e: (
            _("The webhook has no message “%(what)s”. `muster webhook show NAME --agency SLUG` lists the latest.")
            % {"what": e}
        ),
        registration.CannotInvite: str,
        agencies.UnknownAgency: lambda e: (
            _("There is no agency “%(what)s”. `muster agency list` lists the agencies.") % {"what": e}
        ),
        export.UnknownFilter: str,
        marks.InvalidSource: str,
        file_import.UnknownImport: lambda e: (
            _("There is no import “%(what)s”. `muster imports --agency SLUG` lists the imports.") % {"what": e}
        ),
        file_import.KeyTaken: lambda e: (
            _(
                "The idempotency key belongs to import %(what)s, which has another file or other options. "
                "Use another key."
            )
            % {"what": e}
        ),
        file_import.NothingToApply: lambda e: (
            _("Import %(what)s is not a preview and is not held, so there is nothing to apply.") % {"what": e}
        ),
        plan_ends.NoPlan: lambda e: (
            _("Import %(what)s is not a preview and is not held, so there is nothing to discard.") % {"what": e}
        ),
        plan_ends.PlanEnded: lambda e: _("%(what)s Its plan cannot be applied or discarded any more.") % {"what": e},
        permissions.NotPermitted: lambda e: (
            _("The operator's role does not have a required permission: %(what)s.") % {"what": e}
        ),
        migration.NotMigrated: lambda e: (
            _("The database is not up to date (%(what)s). Run `muster migrate`.") % {"what": e}
        ),
        backup_encryption.CannotUse: str,
        key_rotation.KeyInEnvironment: str,
        key_rotation.UnknownKey: lambda e: (
            _("There is no old key “%(what)s” to remove. `muster keys list` lists the keys.") % {"what": e}
        ),
        selection.UsersGone: lambda e: (
            _("The users who were chosen for %(what)s are no longer known. Choose them again on the page All Users.")
            % {"what": e}
        ),
        import_files.FileGone: lambda e: (
            _("The file of import %(what)s is no longer kept. Import the file again.") % {"what": e}
        ),
        snapshot_queries.UnknownOperator: lambda e: (
            _("There is no active user with the external ID “%(what)s” for --as.") % {"what": e}
        ),
        formats.TooManyRows: lambda e: (
            _(
                "%(what)s users are more than one sheet of a workbook can hold. Export them as CSV, or "
                "export fewer users."
            )
            % {"what": e}
        ),
        undo.NotApplied: lambda e: _("Import %(what)s changed nothing, so there is nothing to undo.") % {"what": e},
    }
    failed: dict[type[Exception], Sentence] = {
        LocationError: str,
        backups.CannotBackUp: str,
        agency_archive.CannotExport: str,
        ImportFailed: str,
        sealed_values.Unfinished: str,
        OperationalError: lambda e: (
            _("The database could not be used: %(what)s. To find the cause, run `muster doctor`.")
            % {"what": str(e).strip()}
        ),
    }
    return {
        backups.CannotRestore: (Exit.REFUSED, str),
        agency_archive.CannotImport: (Exit.REFUSED, str),
        pausing.CannotPause: (Exit.REFUSED, str),
        locks.AgencyPaused: (
            Exit.REFUSED,
            lambda e: (
                _("%(slug)s is paused. Nothing was changed. `muster agency resume %(slug)s` ends the pause.")
                % {"slug": e}
            ),
        ),
        FolderBusy: (Exit.REFUSED, str),
        FolderOfFeed: (Exit.WRONG_CALL, str),
        approval.NeedsApprover: (
            Exit.HELD,
            lambda e: (
                _(
                    "The import was requested by %(user)s, and another user must confirm it. Name that user with --as."
                    " Nothing was changed."
                )
                % {"user": e if str(e) else _("the system")}
            ),
        ),
        quotas.OverQuota: (Exit.REFUSED, str),
        feeds.InvalidFeed: (
            Exit.REFUSED,
            lambda e: "\n".join(
                [_("The feed cannot be saved. Nothing was changed. Problems:")]
                + [f"- {name}: {sentence}" for name, sentence in e.errors]
            ),
        ),
        webhook_values.InvalidWebhook: (
            Exit.REFUSED,
            lambda e: "\n".join(
                [_("The webhook cannot be saved. Nothing was changed. Problems:")]
                + [f"- {name}: {sentence}" for name, sentence in e.errors]
            ),
        ),
        FeedPaused: (
            Exit.REFUSED,
            lambda e: (_("The feed is paused. Nothing was changed. %(why)s") % {"why": e}).strip(),
        ),
        feeds.StaleFeed: (
            Exit.REFUSED,
            lambda _e: _("The feed has changed meanwhile. Nothing was changed. Run the command again."),
        ),
        vocabularies.InvalidValue: (Exit.REFUSED, lambda e: f"{e.field}: {e.sentence}"),
        key_changes.KeyInUse: (Exit.REFUSED, str),
        **{kind: (Exit.WRONG_CALL, sentence) for kind, sentence in wrong.items()},
        **{kind: (Exit.FAILED, sentence) for kind, sentence in failed.items()},
    }
