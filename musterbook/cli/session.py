"""One command on one installation: Django and the database made ready, and every exception turned into a clear end."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import typer

from musterbook.cli import exits
from musterbook.cli.exits import Exit
from musterbook.cli.output import say


@contextmanager
def opened(*, migrated: bool = True) -> Iterator[None]:
    """Makes the installation ready (unless `migrated` is False: its settings alone), and ends the command clearly."""
    _stop_as_if_interrupted()
    with _clear_end():
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.settings")
        django.setup()
        if migrated:
            from musterbook.directory import installation

            installation.ready()
        yield


@contextmanager
def _clear_end() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        say("Cancelled. Nothing was changed.")
        raise typer.Exit(Exit.FAILED) from None
    except Exception as error:
        status, sentence = exits.of(error) or (Exit.FAILED, unexpected(error))
        say(sentence)
        raise typer.Exit(status) from None


def unexpected(error: Exception) -> str:
    """What to say of an error that nobody expected; its trace goes into a file, for whoever will look into it."""
    from musterbook import environment

    told = f"It failed: {type(error).__name__}: {error}".strip()
    path = environment.home() / "failures.log"
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat()} muster {' '.join(sys.argv[1:2])}\n")
            log.writelines(traceback.format_exception(error))
    except OSError:
        return f"{told}\nRun it again; if it fails again, run `muster doctor`."
    return f"{told}\nRun it again; if it fails again, run `muster doctor`. The details are in {path}."


def _stop_as_if_interrupted() -> None:
    """A request to end, as a scheduler sends it, rolls back and says so, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Only the main thread may say what a signal does.
    if hasattr(signal, "SIGTERM") and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        try:
            signal.signal(signal.SIGTERM, interrupt)
        except ValueError:
            pass
