"""`muster groups import`, `muster roles import` and `muster ranks import`: import groups, members, roles and ranks."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musterbook.cli import import_results, imports, options
from musterbook.cli.import_results import OutputOptions
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.runner import ImportResult

groups_app = typer.Typer(no_args_is_help=True, help="Import groups, and their members and monitors.")
roles_app = typer.Typer(no_args_is_help=True, help="Import roles.")
ranks_app = typer.Typer(no_args_is_help=True, help="Import ranks.")


@groups_app.callback()
def _groups() -> None:
    """Import groups, and their members and monitors."""


@roles_app.callback()
def _roles() -> None:
    """Import roles."""


@ranks_app.callback()
def _ranks() -> None:
    """Import ranks."""


@groups_app.command("import")
def import_groups(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    file: options.File,
    agency: options.Agency,
    members: Annotated[
        bool, typer.Option("--members", help="The file lists members and monitors of groups, instead of groups.")
    ] = False,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync",
            help="Synchronize the groups that the file names: they become exactly as it says. Other groups stay as they are.",
        ),
    ] = False,
    preview: options.Preview = False,
    confirm: options.Confirm = None,
    strict: options.Strict = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Import groups, or the members and monitors of groups, from a file.

    A file of groups has the columns EXTERNAL_ID and NAME, and may have STATUS and PARENT_EXT_ID. A file of members has
    GROUP_EXT_ID, MEMBER_TYPE, MEMBER_EXT_ID and RELATION. The output and the exit status are those of `muster import`.

    Example: muster groups import members.csv --agency springfield-pd --members --sync --preview
    """
    given: dict[str, Any] = {
        "confirmed": options.parse_confirmed(confirm, None), "preview": preview, "strict": strict,
        "mapping": imports.parse_mapping(mapping or []), "encoding": encoding, "delimiter": delimiter, "sheet": sheet,
        "header_row": header_row, "expect_rows": expect_rows, "what": "members" if members else "groups",
    }  # fmt: skip
    _run(file, agency, given, act_as, idempotency_key, OutputOptions(output, rows, results, errors), sync=sync)


@roles_app.command("import")
def import_roles(  # noqa: PLR0913, PLR0917  (as above)
    file: options.File,
    agency: options.Agency,
    preview: options.Preview = False,
    confirm: options.Confirm = None,
    strict: options.Strict = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Import roles from a file with the column NAME, and with PERMISSIONS and SECOND_FACTOR if it has them.

    Roles that the file does not name stay as they are. The output and the exit status are those of `muster import`.

    Example: muster roles import roles.csv --agency springfield-pd --preview
    """
    given: dict[str, Any] = {
        "confirmed": options.parse_confirmed(confirm, None), "preview": preview, "strict": strict,
        "mapping": imports.parse_mapping(mapping or []), "encoding": encoding, "delimiter": delimiter, "sheet": sheet,
        "header_row": header_row, "expect_rows": expect_rows, "what": "roles",
    }  # fmt: skip
    _run(file, agency, given, act_as, idempotency_key, OutputOptions(output, rows, results, errors))


@ranks_app.command("import")
def import_ranks(  # noqa: PLR0913, PLR0917  (as above)
    file: options.File,
    agency: options.Agency,
    preview: options.Preview = False,
    strict: options.Strict = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Import ranks from a file with the column NAME, and with ABBREVIATION and ORDER if it has them.

    Ranks that the file does not name stay as they are. The output and the exit status are those of `muster import`.

    Example: muster ranks import ranks.csv --agency springfield-pd --preview
    """
    given: dict[str, Any] = {
        "preview": preview, "strict": strict, "mapping": imports.parse_mapping(mapping or []), "encoding": encoding,
        "delimiter": delimiter, "sheet": sheet, "header_row": header_row, "expect_rows": expect_rows, "what": "ranks",
    }  # fmt: skip
    _run(file, agency, given, act_as, idempotency_key, OutputOptions(output, rows, results, errors))


def _run(
    file: str, agency: str, given: dict[str, Any], act_as: str, key: str | None, output: OutputOptions, *, sync: bool = False
) -> None:  # fmt: skip
    with open_installation():
        from musterbook.core.domain.policy import Mode
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import file_import
        from musterbook.directory.imports.options import Options

        output.check(file)
        import_options = Options(mode=Mode.SYNC if sync else Mode.UPDATE, **given)
        agency_record, upload = find_agency(agency), imports.read_upload(file)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return file_import.run_import(
                agency_record, upload, import_options, context=context, key=key or None, progress=progress
            )

        import_results.run_import(work, output)
