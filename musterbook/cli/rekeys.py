"""`muster rekey`: change external IDs from a file."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import import_results, imports, options
from musterbook.cli.import_results import OutputOptions
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.runner import ImportResult


def rekey(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    file: options.File,
    agency: options.Agency,
    preview: options.Preview = False,
    confirm: options.Confirm = None,
    strict: options.Strict = False,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", metavar="CODE", help="Apply rows with this problem as they are: looks-damaged. Can be repeated."
        ),
    ] = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Change external IDs, from a file with the columns EXTERNAL_ID and NEW_EXTERNAL_ID.

    Everything else about the users stays as it is. Users can exchange IDs, in any order of the rows. The
    options, the output and the exit status are those of `muster import`. `muster undo` gives users their former ids
    back.

    Example: muster rekey new-ids.csv --agency springfield-pd --preview
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.core.domain.policy import Mode
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import file_import
        from musterbook.directory.imports.options import Options

        output_options.check(file)
        import_options = Options(
            mode=Mode.REKEY, preview=preview, confirmed=options.parse_confirmed(confirm, None), strict=strict,
            mails=False if no_mail else None,
            mapping=imports.parse_mapping(mapping or []), encoding=encoding, delimiter=delimiter, sheet=sheet,
            header_row=header_row, expect_rows=expect_rows, accepted=imports.parse_accepted(accept or []),
        )  # fmt: skip
        agency_record, upload = find_agency(agency), imports.read_upload(file)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            return file_import.run_import(
                agency_record,
                upload,
                import_options,
                context=AuditContext(at, act_as, "cli"),
                key=idempotency_key or None,
                progress=progress,
            )

        import_results.run_import(work, output_options)
