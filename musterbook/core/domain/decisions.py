"""The decisions of the operator on rows that are errors until someone says that they are meant (rules C12, M12, M13)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.columns import BADGE_NUMBER

DAMAGE = "looks-damaged"
"""The code of a value that looks like a damaged form of the stored one (C12)."""
IDENTITY = "identity-change"
"""The code of a row that makes an account another person's (M12)."""
TAKEN = "taken"
"""The code of a row that takes another user's value. Only a badge of an Inactive user can be released (M13)."""
SAME, OTHER = "same", "other"
"""The choices for IDENTITY: the same person, or another person."""


class UnknownDecision(Exception):
    """The text is not a decision; the message says how one is written."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions for one file.

    - `accepted`: the code of a problem → the choice for all rows. The choice is "" for DAMAGE, and SAME or OTHER for
      IDENTITY.
    - `by_row`: a row → the code of a problem → the choice for that row. It takes precedence over `accepted`. The choice
      is the columns, joined by commas, for DAMAGE, and BADGE_NUMBER for TAKEN.
    - `release_badges`: whether every row may take the badge of a user who is Inactive in the final state.
    """

    accepted: Mapping[str, str] = field(default_factory=dict)
    by_row: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    release_badges: bool = False

    @property
    def releases(self) -> bool:
        """Return whether some row may take the badge of an Inactive user."""
        return self.release_badges or any(TAKEN in choices for choices in self.by_row.values())

    def filter_releasing(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows (`row`) that may take the badge of an Inactive user."""
        if self.release_badges:
            return rows
        chosen = [row for row, choices in self.by_row.items() if choices.get(TAKEN) == BADGE_NUMBER.heading]
        return rows.filter(pl.col("row").is_in(chosen)) if chosen else rows.clear()

    def remove_kept(self, damage: pl.DataFrame) -> pl.DataFrame:
        """Return the problems of DAMAGE (`row`, `column`) without those of cells that are kept as written."""
        kept = [
            (row, column)
            for row, choices in self.by_row.items()
            for column in filter(None, choices.get(DAMAGE, "").split(","))
        ]
        if not kept or damage.is_empty():
            return damage
        cells = pl.DataFrame(kept, schema={"row": pl.UInt32, "column": pl.String}, orient="row")
        return damage.join(cells, on=["row", "column"], how="anti", maintain_order="left")

    def choose_identities(self, rows: pl.Series) -> pl.Series:
        """Return the choice for each of the rows: SAME, OTHER, or null where nobody has decided."""
        choices = {row: choice for row, by in self.by_row.items() if (choice := by.get(IDENTITY))}
        common = self.accepted.get(IDENTITY)
        chosen = [choices.get(row, common) for row in rows]
        return pl.Series("choice", chosen, dtype=pl.String)


AS_GIVEN = Decisions(accepted={DAMAGE: "", IDENTITY: SAME})
"""The decisions for changes that are not a file: what a person enters in a form, or an undo restores, is meant."""

_CHOICES = {DAMAGE: ("",), IDENTITY: (SAME, OTHER)}


def parse_accepted(texts: Iterable[str]) -> dict[str, str]:
    """Return `accepted` from texts such as `looks-damaged` and `identity-change=same`. Raise UnknownDecision."""
    accepted = dict[str, str]()
    for text in texts:
        code, _, choice = text.partition("=")
        if choice not in _CHOICES.get(code, ()):
            raise UnknownDecision(
                f"“{text}” cannot be accepted. Write looks-damaged, identity-change=same or identity-change=other."
            )
        if accepted.setdefault(code, choice) != choice:
            raise UnknownDecision(f"{code} is accepted as {accepted[code]} and as {choice}. Choose one of them.")
    return accepted


def merge_by_row(
    before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Return the decisions by row of both: the later ones replace the earlier ones, and kept columns add up."""
    merged = {row: dict(choices) for row, choices in before.items()}
    for row, choices in now.items():
        mine = merged.setdefault(row, {})
        columns = [*mine.get(DAMAGE, "").split(","), *choices.get(DAMAGE, "").split(",")]
        kept = ",".join(dict.fromkeys(filter(None, columns)))
        mine.update(choices)
        if kept:
            mine[DAMAGE] = kept
    return merged
