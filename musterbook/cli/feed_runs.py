"""`muster feed run` and `check`: check a feed now, or take a file for it, and wait for the imports; or only look."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musterbook.cli import imports, options
from musterbook.cli.exits import Exit
from musterbook.cli.feeds import Name, find_feed, find_operator, make_context
from musterbook.cli.import_results import OutputOptions, print_result
from musterbook.cli.language import gettext as _
from musterbook.cli.output import escape_text, make_console, say, write_json
from musterbook.cli.session import open_installation

if TYPE_CHECKING:
    from musterbook.directory import models
    from musterbook.feeds.checks import CheckReport
    from musterbook.feeds.locations.location import FoundFile


def run(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    name: Name,
    agency: options.Agency,
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE]",
            help="A file to take for the feed. Use - for standard input. By default, look at its location.",
        ),
    ] = "",
    as_: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
) -> None:
    """Run a feed now: take what has arrived, or the file that is named, and wait for its import.

    The exit status is that of `muster import`; 0 if nothing has arrived. If the feed is new or was changed, its file is
    previewed, and waits for a person.

    Example: muster feed run hr-sworn roster.csv --agency springfield-pd
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.directory.agency import feeds

        output_options.check(file or "-")
        feed = find_feed(agency, name)
        feeds.check_runs(feed, find_operator(feed.agency, as_))
        if file:
            _run_file(feed, file, as_, output_options)
        else:
            _run_check(feed, as_, output_options)


def _run_file(feed: "models.Feed", file: str, as_: str, output_options: OutputOptions) -> None:
    from musterbook.directory.audit.trail import AuditContext
    from musterbook.feeds import taking

    upload = imports.read_upload(file)
    # A feed imports as the system. A user who is named keeps the limits of their role.
    context = AuditContext(datetime.now(UTC), as_, "cli" if as_ else "feed")
    taken = taking.submit_file(feed, upload, context)
    if taken.record is None:
        _print_nothing(feed, output_options.output)
        return
    print_result(_finish(taken.record), None, output_options)


def _run_check(feed: "models.Feed", as_: str, output_options: OutputOptions) -> None:
    from musterbook.feeds import running

    report, records = running.check_now(feed, make_context(as_), find_operator(feed.agency, as_), _now)
    if report.problem:
        _print_report(feed, report, output_options.output)
        raise typer.Exit(Exit.FAILED)
    if not records:
        if output_options.output == "text":
            _print_report(feed, report, "text")
        _print_nothing(feed, output_options.output)
        return
    ended = [_finish(record) for record in records]
    for record in ended[:-1]:
        say(_("Import %(number)s: %(state)s.") % {"number": record.number, "state": record.state})
    print_result(ended[-1], None, output_options)


def _print_nothing(feed: "models.Feed", output: str) -> None:
    if output == "json":
        write_json({"feed": feed.name, "agency": feed.agency.slug, "import": None, "state": "nothing-new"})
    else:
        say(_("There is nothing new for the feed %(name)s. Nothing was changed.") % {"name": feed.name})


def _now() -> datetime:
    return datetime.now(UTC)


def _finish(record: "models.Import") -> "models.Import":
    from musterbook import jobs
    from musterbook.feeds import running

    return running.finish(record, jobs.make_worker_name(), _now)


def check(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Try the location of a feed, and say what would be taken. Nothing is taken and nothing is changed.

    Exit status 5 if the location cannot be used.

    Example: muster feed check hr-sworn --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import feeds
        from musterbook.feeds import rounds

        feed = find_feed(agency, name)
        feeds.check_runs(feed, find_operator(feed.agency, as_))
        report = rounds.preview_check(feed, _now)
        _print_report(feed, report, output)
        if report.problem:
            raise typer.Exit(Exit.FAILED)


def _print_report(feed: "models.Feed", report: "CheckReport", output: str) -> None:
    if output == "json":
        write_json(
            {
                "feed": feed.name,
                "agency": feed.agency.slug,
                "problem": report.problem,
                "takes": [[_describe_file(one) for one in arrival.files] for arrival in report.arrivals],
                "leaves": [_describe_file(one) | {"why": str(reason)} for one, reason in report.others],
                "unusable_names": list(report.left_out),
            }
        )
        return
    if report.problem:
        say(_("The location cannot be used: %(why)s") % {"why": report.problem})
        return
    if feed.location["kind"] in {"sent", "command"}:
        say(_("Files of this feed are sent to it, so there is no place to look for them."))
        return
    for arrival in report.arrivals:
        names = ", ".join(one.name for one in arrival.files)
        _print_line(_("Takes %(names)s") % {"names": names})
    for one, reason in report.others:
        _print_line(_("Leaves %(name)s: %(why)s") % {"name": one.name, "why": _explain(str(reason))})
    for left in report.left_out:
        _print_line(_("Leaves %(name)s: %(why)s") % {"name": left, "why": _("its name cannot be used")})
    if not report.arrivals and not report.others and not report.left_out:
        _print_line(_("No file is there."))


def _print_line(text: str) -> None:
    make_console().print(escape_text(text), markup=False, highlight=False, soft_wrap=True)


def _describe_file(found: "FoundFile") -> dict[str, Any]:
    at = datetime.fromtimestamp(found.modified, UTC).isoformat(timespec="seconds")
    return {"name": found.name, "size": None if found.size < 0 else found.size, "modified": at}


def _explain(reason: str) -> str:
    """Return why a file is not taken (`feeds.complete.Reason`), in words."""
    texts: dict[str, str] = {
        "temporary": _("it is still being sent, or belongs to another program"),
        "marker": _("it only says that another file is complete"),
        "pattern": _("its name does not match the pattern"),
        "taken": _("it was taken before"),
        "changing": _("it has not been unchanged for a minute yet"),
        "checksum": _("it does not have the checksum of its marker yet"),
        "others": _("another file of the same snapshot is missing"),
    }
    return texts.get(reason, reason)
