"""The words that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How a command tells what it did."""

    TEXT = "text"
    JSON = "json"


AgencyOption = Annotated[str, typer.Option("--agency", metavar="SLUG", help="The agency's slug.")]
