"""`muster export`: the users of an agency, in a format that can be imported again."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from musterbook.cli import options
from musterbook.cli.exits import WrongCall
from musterbook.cli.output import check_writable, save, say, write
from musterbook.cli.session import open_installation


def export(
    agency: options.Agency,
    to: options.To = None,
    form: Annotated[
        Literal["csv", "xlsx", "json"] | None,
        typer.Option("--format", help="The format. By default, the file name extension of --to, or csv."),
    ] = None,
    status: Annotated[
        str,
        typer.Option(
            "--status", help="Export only users with this status: Active, Inactive, Invited, Locked or Password reset."
        ),
    ] = "",
    role: Annotated[str, typer.Option("--role", help="Export only users with this role.")] = "",
    query: Annotated[
        str,
        typer.Option(
            "--query",
            metavar="TEXT",
            help="Export only users with this text in a name, email address, username, badge number or id.",
        ),
    ] = "",
) -> None:
    """Export the users of an agency. The file can be imported again.

    The thirteen columns come first. The columns after them begin with X_, and an import ignores them.

    Example: muster export --agency springfield-pd --to users.xlsx
    """
    with open_installation():
        from musterbook.directory.agency import agencies
        from musterbook.directory.users import export as exporting

        file_format = form or _infer_format(to)
        check_writable(to)
        if to is None and file_format == "xlsx" and sys.stdout.isatty():
            raise WrongCall("A terminal cannot show a workbook. Name a file with --to.")
        result = exporting.export_users(
            agencies.find_agency(agency), exporting.ExportFilter(status, role, query), file_format
        )
        if to is None:
            write(result.parts)
        else:
            save(result.parts, to)
            say(f"{result.users:,} users written to {to}.")


def _infer_format(to: Path | None) -> str:
    suffix = to.suffix.lower().lstrip(".") if to else ""
    return suffix if suffix in ("xlsx", "json") else "csv"
