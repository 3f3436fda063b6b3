"""`muster export`: the users of an agency, in a form that can be imported again."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from musterbook.cli import options
from musterbook.cli.exits import WrongCall
from musterbook.cli.output import save, say, writable, write
from musterbook.cli.session import opened


def export(
    agency: options.Agency,
    to: options.To = None,
    form: Annotated[
        Literal["csv", "xlsx", "json"] | None, typer.Option("--format", help="By default as --to ends, else csv.")
    ] = None,
    status: Annotated[str, typer.Option("--status", help="Active, Inactive; or Invited, Locked, Password reset.")] = "",
    role: Annotated[str, typer.Option("--role", help="Only users with that role.")] = "",
    query: Annotated[
        str,
        typer.Option("--query", metavar="TEXT", help="Only users with that in a name, e-mail, username, badge or id."),
    ] = "",
) -> None:
    """Write the users of an agency, to be imported again.

    The thirteen columns come first, then ours, which begin with X_ and which an import ignores.

    Example: muster export --agency springfield-pd --to users.xlsx
    """
    with opened():
        from musterbook.directory.agency import agencies
        from musterbook.directory.users import export as exporting

        chosen = form or _form(to)
        writable(to)
        if to is None and chosen == "xlsx" and sys.stdout.isatty():
            raise WrongCall("A workbook cannot be shown on a terminal. Name a file with --to.")
        exported = exporting.export(agencies.find(agency), exporting.Filter(status, role, query), chosen)
        if to is None:
            write(exported.parts)
        else:
            save(exported.parts, to)
            say(f"{exported.users:,} users written to {to}.")


def _form(to: Path | None) -> str:
    suffix = to.suffix.lower().lstrip(".") if to else ""
    return suffix if suffix in ("xlsx", "json") else "csv"
