"""`muster import`, `imports`, `apply`, `discard` and `undo`: run, list, show, apply, discard and undo imports."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musterbook.cli import exits, file_values, options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.import_results import OutputOptions, print_result, run_import, write_held
from musterbook.cli.language import gettext as _
from musterbook.cli.output import say, write_json
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.directory.imports.file_import import Upload
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.options import Options
    from musterbook.directory.imports.runner import ImportResult

app = typer.Typer(invoke_without_command=True)


def import_file(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    file: options.File,
    agency: options.Agency,
    mode: Annotated[
        Literal["update", "sync"] | None,
        typer.Option(
            "--mode",
            help="update: add and update users. sync: also deactivate active users who are not in the file. By default,"
            " update, or the mode of the feed.",
        ),
    ] = None,
    feed: Annotated[
        str,
        typer.Option(
            "--feed",
            metavar="NAME",
            help="Import as this feed does: with its mode, source, limits, and how it reads files. Other options of this"
            " call take precedence.",
        ),
    ] = "",
    preview: options.Preview = False,
    confirm: options.Confirm = None,
    confirm_deactivations: options.ConfirmDeactivations = None,
    strict: options.Strict = False,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    value: Annotated[
        list[str] | None,
        typer.Option(
            "--value",
            metavar="COLUMN:Theirs=Ours",
            help="Read this value of STATUS, ROLE, RANK or EVIDENCE_GROUP_EXT_ID as one of the agency's. It is remembered."
            " Can be repeated.",
        ),
    ] = None,
    default: Annotated[
        list[str] | None,
        typer.Option(
            "--default",
            metavar="COLUMN=VALUE",
            help="The value of new users in a column that the file does not have. Can be repeated.",
        ),
    ] = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="The source of the file, such as hr-sworn. A sync import then looks for missing users among its users only.",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="CODE",
            help="Apply rows with this problem as they are: looks-damaged, identity-change=same (the same person) or"
            " identity-change=other (another person: all access of the former person ends). Can be repeated.",
        ),
    ] = None,
    release_badges: Annotated[
        bool | None,
        typer.Option(
            "--release-badges/--keep-badges",
            help="Whether rows can take the badge of a user who is Inactive. By default, the agency's setting.",
        ),
    ] = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Import a file: add and update users, or synchronize all users.

    Rows with problems are listed and change nothing. All other rows are applied in one transaction. Exit status: 0
    done; 1 done, some rows errored; 2 called incorrectly; 3 refused; 4 held; 5 failed. With status 2 to 5, nothing was
    changed.

    Example: muster import roster.csv --agency springfield-pd --mode sync --preview
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.core.domain.policy import Mode
        from musterbook.core.reading import headings
        from musterbook.directory.agency import feeds
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import file_import
        from musterbook.directory.imports.options import Options
        from musterbook.directory.users import marks

        output_options.check(file)
        given: dict[str, Any] = {
            "mode": Mode(mode) if mode else None, "encoding": encoding, "delimiter": delimiter, "sheet": sheet,
            "header_row": header_row, "expect_rows": expect_rows, "release_badges": release_badges,
            "source": None if source is None else marks.clean_source(source), "mails": False if no_mail else None,
            "strict": strict or None,
            "values": file_values.parse_values(value or []) or None,
            "defaults": file_values.parse_defaults(default or []) or None,
            "accepted": parse_accepted(accept or []) or None,
        }  # fmt: skip
        agency_record = find_agency(agency)
        feed_record = feeds.find_feed(agency_record, feed) if feed else None
        usual = Options.of_json(feed_record.reading) if feed_record else Options()
        import_options = replace(
            usual, preview=preview, mapping=headings.merge_mappings(usual.mapping, parse_mapping(mapping or [])),
            confirmed=options.parse_confirmed(confirm, confirm_deactivations), **_join_options(usual, given),
        )  # fmt: skip
        upload = read_upload(file)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return file_import.run_import(
                agency_record, upload, import_options,
                context=context, key=idempotency_key or None, feed=feed_record, progress=progress,
            )  # fmt: skip

        run_import(work, output_options)


def _join_options(usual: "Options", given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a call gives, those that are tables together with what only the feed has."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return {name: _join(getattr(usual, name), value) for name, value in chosen.items()}


def _join(usual: object, given: object) -> object:
    if not (isinstance(usual, dict) and isinstance(given, dict)):
        return given
    return {**usual, **{name: _join(usual.get(name), value) for name, value in given.items()}}


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """Return the mapping that --map gives: heading → column. Raise WrongCall."""
    parts = [pair.rpartition("=") for pair in pairs]
    for heading, separator, column in parts:
        if not separator or not heading:
            raise WrongCall(
                _('--map is “%(heading)s%(separator)s%(column)s”. Write it like --map "Badge No=BADGE_NUMBER".')
                % {"heading": heading, "separator": separator, "column": column}
            )
    return {heading: column.strip().upper() for heading, _, column in parts}


def parse_accepted(texts: list[str]) -> dict[str, str]:
    """Return what --accept accepts: the code of a problem → the choice. Raise WrongCall."""
    from musterbook.core.domain import decisions

    try:
        return decisions.parse_accepted(texts)
    except decisions.UnknownDecision as error:
        raise WrongCall(f"--accept: {error}") from None


def read_upload(file: str) -> "Upload":
    """Return the file that a command names, or standard input for -. Raise WrongCall."""
    from django.conf import settings

    from musterbook.directory.imports.file_import import Upload

    # One byte over the limit is enough for the refusal.
    limit = settings.MUSTER_MAX_FILE_MB * 1024 * 1024 + 1
    if file == "-":
        return Upload(sys.stdin.buffer.read(limit), "standard input")
    try:
        with Path(file).open("rb") as stream:
            return Upload(stream.read(limit), Path(file).name)
    except OSError as error:
        raise WrongCall(
            _("%(file)s cannot be read: %(strerror)s.") % {"file": file, "strerror": error.strerror}
        ) from None


def apply(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    number: Annotated[str, typer.Argument(metavar="ID", help="The previewed or held import.")],
    confirm: options.Confirm = None,
    confirm_deactivations: options.ConfirmDeactivations = None,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
) -> None:
    """Apply a previewed or held import as it was shown.

    If the directory has changed and the plan is different now, the new plan is shown and nothing is changed. If the plan
    is held, for example because it deactivates more users than the agency allows, confirm each reason with its exact
    number.

    Example: muster apply 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --confirm deactivations=12
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import approval, file_import, history, plan_ends, queue
        from musterbook.directory.imports import undo as undoing
        from musterbook.directory.models import FROM_FILE, ImportKind

        output_options.check()
        confirmed = options.parse_confirmed(confirm, confirm_deactivations)
        record = history.find_import(number)
        if record.kind not in FROM_FILE and (results or errors):
            raise WrongCall(
                _("--results and --errors are only for imports of files. To list the chosen users, use --rows all.")
            )
        plan_ends.raise_if_ended(record, datetime.now(UTC))
        unconfirmed = history.list_unconfirmed(record, confirmed)
        try:
            approval.check_approver(record, act_as)
        except approval.NeedsApprover:
            write_held(record, history.list_unconfirmed(record, {}), output_options)
            raise
        if unconfirmed:
            write_held(record, unconfirmed, output_options)
            say(exits.format_confirmation(unconfirmed))
            raise typer.Exit(Exit.HELD)
        run = {ImportKind.BULK: queue.apply_bulk, ImportKind.UNDO: undoing.apply_shown}.get(
            ImportKind(record.kind), file_import.apply_previewed
        )

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return run(
                record.agency, record.number,
                context=context, confirmed=confirmed, mails=False if no_mail else None, progress=progress,
            )  # fmt: skip

        run_import(work, output_options)


def discard(
    number: Annotated[str, typer.Argument(metavar="ID", help="The previewed or held import.")],
    act_as: options.As = "",
) -> None:
    """Discard a previewed or held import, so that nobody can apply it. It stays in the list of imports.

    Example: muster discard 01J9ZKQ4M5V7N8P2R3S4T5W6X7
    """
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import history, queue

        record = history.find_import(number)
        queue.discard(record, AuditContext(datetime.now(UTC), act_as, "cli"))
        say(_("Import %(number)s is discarded. Nothing was changed.") % {"number": record.number})


def undo(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import to undo.")],
    preview: Annotated[bool, typer.Option("--preview", help="Show the plan, and change nothing.")] = False,
    confirm: options.Confirm = None,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Undo an applied import. The undo is an import too.

    Values that did not change later are restored. Users who were added by the import become Inactive. No user is deleted.

    Example: muster undo 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --preview
    """
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import history
        from musterbook.directory.imports import undo as undoing

        record, confirmed = history.find_import(number), options.parse_confirmed(confirm, None)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return undoing.run_undo(
                record, context=context, preview=preview, confirmed=confirmed, mails=False if no_mail else None,
                progress=progress,
            )  # fmt: skip

        run_import(work, OutputOptions(output, rows))


@app.callback()
def list_(
    context: typer.Context,
    agency: Annotated[str, typer.Option("--agency", metavar="SLUG", help="The slug of the agency.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most this many imports.")] = 50,
    output: options.Output = "text",
) -> None:
    """List the imports of an agency, latest first.

    Example: muster imports --agency springfield-pd
    """
    if context.invoked_subcommand:
        return
    with open_installation():
        from dataclasses import asdict

        from musterbook.cli import import_output
        from musterbook.directory.imports import history

        if not agency:
            raise WrongCall(
                _("Name the agency: `muster imports --agency SLUG`. To show one import, run `muster imports show ID`.")
            )
        entries = history.list_entries(find_agency(agency), limit)
        if output == "json":
            write_json([{"import": entry.number, **asdict(entry), "at": entry.at.isoformat()} for entry in entries])
        else:
            import_output.print_imports(entries)


@app.command()
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import.")],
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Show the result of an import.

    Musterbook keeps the rows that changed a user, and the rows with problems or notes. While a preview is kept, all of
    its rows are kept.

    Example: muster imports show 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --rows changed
    """
    with open_installation():
        from musterbook.directory.imports import history

        print_result(history.find_import(number), None, OutputOptions(output, rows))
