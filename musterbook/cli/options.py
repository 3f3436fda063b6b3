"""The options that several commands share, so that each is written and explained once."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

Agency: TypeAlias = Annotated[str, typer.Option("--agency", metavar="SLUG", help="The agency, by its slug.")]
As: TypeAlias = Annotated[
    str,
    typer.Option("--as", metavar="EXTERNAL_ID", help="Act as that user, with their permissions; else as the system."),
]
Output: TypeAlias = Annotated[
    Literal["text", "json"], typer.Option("--output", help="Sentences for people, or one JSON object for programs.")
]
Rows: TypeAlias = Annotated[
    Literal["errored", "changed", "all"], typer.Option("--rows", help="Which rows the output lists.")
]
Confirm: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--confirm-deactivations",
        metavar="N",
        min=0,
        help="Go through although held: exactly so many users become Inactive.",
    ),
]
Results: TypeAlias = Annotated[
    Path | None, typer.Option("--results", metavar="PATH", help="Write all rows, each with what became of it, as CSV.")
]
Errors: TypeAlias = Annotated[
    Path | None,
    typer.Option("--errors", metavar="PATH", help="Write the errored rows alone, to be mended and imported again."),
]
To: TypeAlias = Annotated[
    Path | None, typer.Option("--to", metavar="PATH", help="Write into this file; by default to standard output.")
]
