"""`muster example`: the example file, to fill in."""

import sys
from typing import Annotated, Literal

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import check_writable, save, say, write


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
        check_writable(to)
        if to is None and form == "xlsx" and sys.stdout.isatty():
            raise WrongCall("A terminal cannot show a workbook. Name a file with --to.")
    except WrongCall as error:
        say(str(error))
        raise typer.Exit(Exit.WRONG_CALL) from None
    content = example_file.build_example(form)
    if to is None:
        write([content])
    else:
        save([content], to)
