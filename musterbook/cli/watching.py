"""`muster watch`: import the files of a folder as they arrive, without any setup."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musterbook.cli import exits, feed_options, file_values, options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.output import escape_text, say, write
from musterbook.cli.session import open_installation
from musterbook.config import process

if TYPE_CHECKING:
    from musterbook.directory import models
    from musterbook.feeds.watching import HandledFile, Watch


def watch(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that the files arrive in.")],
    agency: options.Agency,
    mode: Annotated[
        Literal["update", "sync"],
        typer.Option(
            "--mode", help="update: add and update users. sync: also deactivate active users who are not in the file."
        ),
    ] = "update",
    pattern: Annotated[
        str,
        typer.Option("--pattern", metavar="PATTERN", help="The names of the files, such as *.csv. By default, all."),
    ] = "*",
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.1, help="The seconds between two checks.")
    ] = 10,
    once: Annotated[
        bool,
        typer.Option("--once", help="Import what is complete now, and end with the worst status. For a scheduler."),
    ] = False,
    strict: options.Strict = False,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    value: feed_options.Value = None,
    default: feed_options.Default = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="NAME",
            help="The source of the files, such as hr-sworn. A sync import then looks for missing users among its users only.",
        ),
    ] = "",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="CODE",
            help="Apply rows with this problem as they are: looks-damaged, identity-change=same or identity-change=other."
            " Can be repeated.",
        ),
    ] = None,
    release_badges: Annotated[
        bool | None,
        typer.Option(
            "--release-badges/--keep-badges",
            help="Whether rows can take the badge of a user who is Inactive. By default, the agency's setting.",
        ),
    ] = None,
    output: Annotated[
        Literal["text", "json"], typer.Option("--output", help="For each file a line of text, or of JSON.")
    ] = "text",
) -> None:
    """Import the files that arrive in a folder, oldest first, within the limits of the agency.

    A file is imported when it has not changed for a minute, or has its marker (.done, or .sha256 with its checksum). Then it
    is moved to the subfolder done or failed, next to its results. A file whose import is held stays, until the import is
    applied or discarded, or a newer file replaces it.

    It runs until it is ended, and ends after the current file. While the agency is paused, it waits. Nothing needs to be set
    up, and no one is notified: for schedules and notices, use a feed. Exit status: as muster import, with --once of the worst
    file; 3 if another process watches the folder.

    Example: muster watch /srv/hr --agency springfield-pd --mode sync --pattern "*.csv"
    """
    with open_installation():
        from dataclasses import replace

        from musterbook.cli.imports import parse_accepted, parse_mapping
        from musterbook.core.domain.policy import Mode
        from musterbook.directory.imports.options import Options
        from musterbook.directory.users import marks
        from musterbook.feeds.watching import Watch

        import_options = replace(
            Options(Mode(mode)), strict=strict, mails=False if no_mail else None, mapping=parse_mapping(mapping or []),
            values=file_values.parse_values(value or []), defaults=file_values.parse_defaults(default or []),
            encoding=encoding, delimiter=delimiter, sheet=sheet, header_row=header_row,
            source=marks.clean_source(source), accepted=parse_accepted(accept or []), release_badges=release_badges,
        )  # fmt: skip
        if not folder.is_dir():
            raise WrongCall(_("%(path)s is not a folder. Name the folder that the files arrive in.") % {"path": folder})
        watched = Watch(folder, agency, import_options, act_as, pattern)
        watched.begin()
        try:
            with _stop_on_signals() as stop:
                if once:
                    raise typer.Exit(_check(watched, stop, output))
                say(_("Watching %(path)s. Press Ctrl-C to end.") % {"path": watched.folder})
                _check_until(watched, stop, every, output)
        finally:
            watched.end()


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that is set when this process is asked to end. Asked again, it cancels the current import."""
    stop, ask = process.make_stop_event()
    asked: list[bool] = []

    def end(*_: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        ask()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ask()  # the thread that waits for it ends


def _check_until(watched: "Watch", stop: threading.Event, every: float, output: str) -> None:
    """Check again and again. What fails for reasons outside is said once, and tried again."""
    from django.db import Error, close_old_connections

    from musterbook.directory.storage.locks import AgencyPaused
    from musterbook.feeds.locations.location import LocationError
    from musterbook.feeds.watched_folder import FolderBusy

    said = ""
    while not stop.is_set():
        try:
            close_old_connections()
            _check(watched, stop, output)
            said = ""
        except FolderBusy:
            raise
        except (LocationError, AgencyPaused, Error, OSError) as error:
            _status, sentence = (
                _explain_pause(error) or exits.explain_error(error) or (Exit.FAILED, f"{type(error).__name__}: {error}")
            )
            if sentence != said:
                say(sentence)
            said = sentence
        stop.wait(every)


def _explain_pause(error: Exception) -> tuple[Exit, str] | None:
    """Return the status and the sentence if the agency is paused: its files stay, and are imported after the pause."""
    from musterbook.directory.storage.locks import AgencyPaused

    if not isinstance(error, AgencyPaused):
        return None
    return Exit.REFUSED, _("%(slug)s is paused. Its files wait until it is resumed.") % {"slug": error}


def _check(watched: "Watch", stop: threading.Event, output: str) -> Exit:
    """Check once, and print what was done. Return the worst status."""
    from musterbook.feeds.watching import Remark

    worst = Exit.DONE
    for one in watched.check(stop.is_set):
        if isinstance(one, Remark):
            say(one.sentence)
            worst = max(worst, Exit.FAILED if one.fails else Exit.DONE)
            continue
        status = _find_status(one)
        text = json.dumps(_describe_json(one, status), ensure_ascii=False) if output == "json" else _describe(one)
        write([f"{text}\n".encode(errors="replace")])
        worst = max(worst, status)
    return worst


def _find_status(one: "HandledFile") -> Exit:
    if one.record is None:
        return Exit.REFUSED
    if one.folder and one.record.state == "held":  # nobody has applied it
        return Exit.REFUSED if one.problem else Exit.DONE
    return exits.get_import_exit("held" if not one.folder else one.record.state, one.record.counts.get("errored", 0))


def _describe_json(one: "HandledFile", status: Exit) -> dict[str, Any]:
    from musterbook.directory.imports import history

    facts: dict[str, Any] = {"at": one.at.isoformat(timespec="seconds"), "file": one.name, "status": int(status)}
    if one.record is None:
        facts |= {"state": "refused", "import": None, "message": one.problem}
    else:
        report = history.summarize_import(one.record)
        facts |= {
            "state": report.state, "import": report.number, "counts": dict(report.counts),
            "problems": [problem.as_json() for problem in report.problems],
            "holds": [hold.as_json() for hold in report.holds] if not one.folder else [],
            "message": one.problem, "earlier": one.is_earlier,
        }  # fmt: skip
    return facts | {"moved_to": one.folder or None, **({} if one.folder else {"confirm": _make_command(one.record)})}


def _describe(one: "HandledFile") -> str:
    """Return the line about a file."""
    sentence = " ".join(_describe_file(one).split())
    return f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}  {escape_text(sentence)}"


def _describe_file(one: "HandledFile") -> str:
    from musterbook.core.planning.holds import Hold
    from musterbook.core.reporting.summary import describe_hold, summarize
    from musterbook.directory.imports import plan_ends
    from musterbook.directory.storage import database_errors

    record, names = one.record, {"name": one.name, "folder": one.folder}
    if record is None:
        return _("%(name)s was refused: %(problem)s It was moved to %(folder)s.") % {**names, "problem": one.problem}
    names["number"] = record.number
    if not one.folder:
        reasons = " ".join(describe_hold(Hold.of_json(hold)) for hold in record.holds)
        text = _("%(name)s waits as import %(number)s. %(reasons)s To apply it, run `%(command)s`.")
        return text % {**names, "reasons": reasons, "command": _make_command(record)}
    if record.state == "applied":
        outcome = summarize(record.counts, record.mails, done=True)
        if one.is_earlier:
            text = _("%(name)s was imported before, as import %(number)s: %(outcome)s. It was moved to %(folder)s.")
        else:
            text = _("%(name)s was imported as import %(number)s: %(outcome)s. It was moved to %(folder)s.")
        return text % {**names, "outcome": outcome}
    if record.ended:
        text = _("%(name)s was not applied. %(end)s It was moved to %(folder)s.")
        return text % {**names, "end": plan_ends.describe_end(record, record.ended)}
    if record.state == "refused":
        text = _("%(name)s was refused, as import %(number)s: %(problem)s It was moved to %(folder)s.")
    else:
        text = _("%(name)s failed, as import %(number)s: %(problem)s It was moved to %(folder)s.")
    return text % {**names, "problem": database_errors.translate_message(one.problem)}


def _make_command(record: "models.Import | None") -> str:
    """Return the command that applies the plan of a held import."""
    from musterbook.cli.import_results import make_command

    return make_command(record, called=False) if record else ""
