"""The parts of an agency's trail that other installations sealed, before the agency moved here.

Such a part stays as it was sealed: the same digests, by the keys of that installation, over the ids that rows had there. This
installation keeps those keys, sealed with its own, and the numbers that it added to the ids. The link after such a part is of
this installation, and covers all of it: the old keys alone replace nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import polars as pl
from cryptography.fernet import InvalidToken

from musterbook.config import encryption
from musterbook.directory import models

_COLUMNS = {"id": "events", "subject_id": "users", "of_id": "imports"}
"""Column of an event → the number that was added to it."""


@dataclass(frozen=True, slots=True)
class MovedPart:
    """The links `first` to `until`: the keys that sealed them, the agency's id there, and what was added to ids since."""

    first: int
    until: int
    last_event: int
    """The id that the last event of the part has here."""
    agency: int
    events: int
    users: int
    imports: int
    keys: dict[str, bytes] = field(repr=False)

    def restore_link(self, link: models.TrailLink) -> models.TrailLink:
        """Return the link with the ids that were sealed."""
        return models.TrailLink(
            agency_id=self.agency, number=link.number, first=link.first - self.events, last=link.last - self.events,
            digest=link.digest, key=link.key,
        )  # fmt: skip


def read_parts(agency: models.Agency) -> tuple[MovedPart, ...]:
    """Return the parts of the agency's trail that other installations sealed, in their order."""
    parts: list[MovedPart] = []
    for stored in models.MovedTrail.objects.filter(agency=agency).order_by("until"):
        last = (
            models.TrailLink.objects.filter(agency=agency, number=stored.until).values_list("last", flat=True).first()
        )
        first = parts[-1].until + 1 if parts else 1
        parts.append(
            MovedPart(
                first, stored.until, -1 if last is None else last, stored.agency_there, stored.events, stored.users,
                stored.imports, dict(_read_key(entry) for entry in stored.keys),
            )
        )  # fmt: skip
    return tuple(parts)


def _read_key(entry: dict[str, str]) -> tuple[str, bytes]:
    try:
        return entry["name"], bytes.fromhex(encryption.unseal(entry["secret"]))
    except (InvalidToken, ValueError):
        return "", b""


def find_part(parts: Sequence[MovedPart], number: int) -> MovedPart | None:
    """Return the part that has the link of this number; None if this installation sealed it."""
    return next((part for part in parts if part.first <= number <= part.until), None)


def restore_events(events: pl.DataFrame, parts: Sequence[MovedPart]) -> pl.DataFrame:
    """Return the events with the ids that were sealed."""
    if not parts:
        return events

    def choose(column: str, name: str) -> pl.Expr:
        value = pl.col(column)
        return reduce(
            lambda rest, part: (
                pl.when(pl.col("id") <= part.last_event).then(value - getattr(part, name)).otherwise(rest)
            ),
            reversed(parts),
            value,
        ).alias(column)

    agency = reduce(
        lambda rest, part: pl.when(pl.col("id") <= part.last_event).then(pl.lit(part.agency, pl.Int64)).otherwise(rest),
        reversed(parts),
        pl.col("agency_id"),
    ).alias("agency_id")
    return events.with_columns(agency, *(choose(column, name) for column, name in _COLUMNS.items()))
