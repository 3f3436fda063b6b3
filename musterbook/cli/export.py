"""`muster export` and `muster example`: the users of an agency, and the example file, both ready to import."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.language import ngettext
from musterbook.cli.output import check_writable, save, say, write
from musterbook.cli.session import find_agency, open_installation


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
            help="Export only users with this text in a name, email address, username, badge number or external ID.",
        ),
    ] = "",
) -> None:
    """Export the users of an agency. The file can be imported again.

    The thirteen columns come first. The columns after them begin with X_, and an import ignores them.

    Example: muster export --agency springfield-pd --to users.xlsx
    """
    with open_installation():
        from musterbook.directory.users import export as exporting

        file_format = form or _infer_format(to)
        _check_target(to, file_format)
        result = exporting.export_users(find_agency(agency), exporting.ExportFilter(status, role, query), file_format)
        if to is None:
            write(result.parts)
        else:
            save(result.parts, to)
            say(_describe_saved(result.users, to))


def _infer_format(to: Path | None) -> str:
    suffix = to.suffix.lower().lstrip(".") if to else ""
    return suffix if suffix in ("xlsx", "json") else "csv"


def example(
    form: Annotated[
        Literal["csv", "xlsx"], typer.Option("--format", help="The format: CSV, or an Excel workbook.")
    ] = "csv",
    to: options.To = None,
) -> None:
    """Write the example file, to fill in.

    It has the thirteen headings and four example users. An import skips the example users.

    Example: muster example --format xlsx --to users.xlsx
    """
    from musterbook.core.reporting import example_file

    try:
        _check_target(to, form)
    except WrongCall as error:
        say(str(error))
        raise typer.Exit(Exit.WRONG_CALL) from None
    content = example_file.build_example(form)
    if to is None:
        write([content])
    else:
        save([content], to)


def _describe_saved(users: int, path: Path) -> str:
    text = ngettext("%(users)s user was written to %(path)s.", "%(users)s users were written to %(path)s.", users)
    return text % {"users": f"{users:,}", "path": path}


def _check_target(to: Path | None, file_format: str) -> None:
    """Raise WrongCall if the file cannot be written, or if a workbook would be printed on a terminal."""
    check_writable(to)
    if to is None and file_format == "xlsx" and sys.stdout.isatty():
        raise WrongCall(_("A terminal cannot show a workbook. Name a file with --to."))
