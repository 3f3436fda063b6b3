"""Which rows a report lists. Apart from the report, so that a face can offer the choice before it needs the rest."""

from enum import StrEnum


class Rows(StrEnum):
    """Which rows a report lists."""

    ERRORED = "errored"
    CHANGED = "changed"
    ALL = "all"
