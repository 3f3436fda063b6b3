"""The session of one command: prepares Django and the database, and turns each exception into a message and a status."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from musterbook.cli import exits
from musterbook.cli.exits import Exit
from musterbook.cli.language import gettext as _
from musterbook.cli.language import speak
from musterbook.cli.output import say

if TYPE_CHECKING:
    from musterbook.directory import models

_LOG = logging.getLogger(__name__)


@contextmanager
def open_installation(*, migrated: bool = True) -> Iterator[None]:
    """Make the installation ready (with `migrated` False, only its settings), and end the command clearly."""
    with speak(), _handle_errors():
        import django
        from django.core.exceptions import ImproperlyConfigured

        from musterbook.config import logs, process

        # Where the environment is wrong, the settings say so in a moment, and the command ends clearly.
        with suppress(ImproperlyConfigured):
            logs.begin()

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.config.settings")
        with process.load_quickly():
            django.setup()
            if migrated:
                from musterbook.config import secret_keys
                from musterbook.directory.installation import migration
        if migrated:
            secret_keys.ring()  # a key that is weak or cannot be read ends the command before it does anything
            migration.prepare_database()
        from django.utils import translation

        from musterbook.config import languages
        from musterbook.directory.storage import isolation

        with translation.override(languages.find_terminal_language()), isolation.open_to_all():
            yield


def find_agency(slug: str) -> "models.Agency":
    """Return the agency that the command is for. The rest of the command reaches no other. Raise UnknownAgency."""
    from musterbook.directory.agency import agencies
    from musterbook.directory.storage import isolation

    found = agencies.find_agency(slug)
    isolation.limit_rest_to(found.pk)
    return found


@contextmanager
def _handle_errors() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        say(_("Canceled. Nothing was changed."))
        raise typer.Exit(Exit.FAILED) from None
    except Exception as error:  # noqa: BLE001  (whatever it is, a person gets one line, and the log the rest)
        status, sentence = _explain_error(error) or (Exit.FAILED, log_unexpected(error))
        say(sentence)
        raise typer.Exit(status) from None


def _explain_error(error: Exception) -> tuple[Exit, str] | None:
    """Return how a named error ends the command. Failures of the machine or the database leave a line in the log."""
    explained = exits.explain_error(error)
    # Where a file of ours cannot be used, the log may be that file.
    if explained and explained[0] is Exit.FAILED and not isinstance(error, OSError):
        _LOG.warning("The command failed: %s", explained[1])
    return explained


def log_unexpected(error: Exception) -> str:
    """Return the message of an unexpected error. Its trace goes into the log, if the log can be written."""
    from musterbook.config import log_file, logs

    _LOG.error("The command failed", exc_info=error)
    message = _("The command failed: %(error)s") % {"error": f"{type(error).__name__}: {error}".strip()}
    advice = _("Run it again. If it fails again, run `muster doctor`.")
    if not logs.is_file_failing():
        advice += " " + _("The log has the details: %(path)s.") % {"path": log_file.path()}
    return f"{message}\n{advice}"


def handle_signals() -> None:
    """Have a request to end roll back, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, interrupt)
