"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from musterbook.cli.exits import WrongCall
from musterbook.cli.language import gettext as _

Agency: TypeAlias = Annotated[str, typer.Option("--agency", metavar="SLUG", help="The slug of the agency.")]
As: TypeAlias = Annotated[
    str,
    typer.Option(
        "--as", metavar="EXTERNAL_ID", help="Act as this user, with their permissions. By default, the system acts."
    ),
]


def parse_confirmed(pairs: list[str] | None, deactivations: int | None) -> dict[str, int | None]:
    """Return what --confirm and --confirm-deactivations confirm, by kind. Raise WrongCall."""
    from musterbook.core.planning.holds import NUMBERED, UNNUMBERED

    confirmed: dict[str, int | None] = {} if deactivations is None else {"deactivations": deactivations}
    for pair in pairs or ():
        kind, equals, number = pair.partition("=")
        fits = number.isascii() and number.isdecimal() if kind in NUMBERED else kind in UNNUMBERED and not equals
        if not fits:
            kinds = ", ".join((*(f"{name}=N" for name in NUMBERED), *UNNUMBERED))
            raise WrongCall(
                _("--confirm is “%(pair)s”. Write one of these, with its number for N: %(kinds)s.")
                % {"pair": pair, "kinds": kinds}
            )
        if kind in confirmed:
            raise WrongCall(_("%(kind)s is confirmed twice. Confirm it once.") % {"kind": kind})
        confirmed[kind] = int(number) if equals else None
    return confirmed


Output: TypeAlias = Annotated[
    Literal["text", "json"], typer.Option("--output", help="Text for people, or JSON for programs.")
]
Rows: TypeAlias = Annotated[
    Literal["errored", "changed", "all"],
    typer.Option("--rows", help="The rows to list; `changed` and `all` list errored rows too."),
]
Confirm: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--confirm",
        metavar="KIND=N",
        help="Apply the import even if it is held. KIND is what holds it, such as privileges, and N its exact number."
        " Can be repeated.",
    ),
]
ConfirmDeactivations: TypeAlias = Annotated[
    int | None,
    typer.Option("--confirm-deactivations", metavar="N", min=0, help="The same as --confirm deactivations=N."),
]
NoMail: TypeAlias = Annotated[bool, typer.Option("--no-mail", help="Send no invitations and no notices.")]
Results: TypeAlias = Annotated[
    Path | None,
    typer.Option("--results", metavar="PATH", help="Write all rows with their outcomes to this file, CSV or .xlsx."),
]
Errors: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--errors",
        metavar="PATH",
        help="Write the errored rows to this file, CSV or .xlsx, to correct and import again.",
    ),
]
To: TypeAlias = Annotated[
    Path | None, typer.Option("--to", metavar="PATH", help="Write to this file. By default, standard output.")
]
File: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="A CSV file or a workbook (.xlsx, .ods). Use - for standard input.")
]
Preview: TypeAlias = Annotated[bool, typer.Option("--preview", help="Show the plan, and change nothing.")]
Strict: TypeAlias = Annotated[bool, typer.Option("--strict", help="Write nothing if a row has a problem.")]
Map: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="Heading=COLUMN",
        help="Read this heading as this column, or as two (Heading=EMAIL,USERNAME), or leave it out (Heading=)."
        " An import of users remembers it. Can be repeated.",
    ),
]
Encoding: TypeAlias = Annotated[
    str | None, typer.Option("--encoding", help="The encoding, such as windows-1252. By default, it is detected.")
]
Delimiter: TypeAlias = Annotated[
    str | None,
    typer.Option("--delimiter", help="comma, semicolon, tab or pipe. By default, it is detected from the header row."),
]
Sheet: TypeAlias = Annotated[
    str | None, typer.Option("--sheet", help="The sheet to import, if more than one sheet has the required headings.")
]
HeaderRow: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--header-row",
        metavar="N",
        min=1,
        help="The row that has the headings. An import of users remembers it. By default, it is found.",
    ),
]
ExpectRows: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--expect-rows", metavar="N", min=0, help="Refuse the file if it does not have this number of data rows."
    ),
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Import the file only once, even if the command runs again with this key.",
    ),
]
