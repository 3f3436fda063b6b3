"""What a plan needs to know of the directory: the users that the rows name or collide with, and the vocabulary."""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.vocabulary import Vocabulary

SCHEMA = {
    "id": pl.Int64,
    "external_id": pl.String,
    "email": pl.String,
    "badge_number": pl.String,
    "first_name": pl.String,
    "last_name": pl.String,
    "active": pl.Boolean,
    "username": pl.String,
    "role_id": pl.Int64,
    "supervisor_id": pl.Int64,
    "location": pl.String,
    "rank_id": pl.Int64,
    "group_id": pl.Int64,
    "phone": pl.String,
    "registered": pl.Boolean,
    "exempt": pl.Boolean,
}
"""The columns of a snapshot's users: one row each, text without nulls, ids null where there is none."""

RESTING = {"key": pl.String, "user_id": pl.Int64}
"""The columns of a snapshot's resting names: the key, and the user who had it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The directory as one agency's plan sees it.

    `users` (SCHEMA) holds at least: the users whose external id, e-mail, badge, username the rows bear or name as a
    supervisor; everybody above those in the chain of supervisors; registered active administrators, more of them than
    the file has rows (or all); and, to synchronize, every user.
    """

    users: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    resting: pl.DataFrame | None = None
    """The sign-in names that users gave up not long ago (RESTING), which nobody else may have yet; None: any may at once."""
