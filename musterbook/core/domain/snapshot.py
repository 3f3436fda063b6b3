"""The part of the directory that a plan needs.

It consists of the users that the rows name or conflict with, and the vocabulary.
"""

from collections.abc import Mapping
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
"""The columns of a snapshot's users: one row each, text without nulls, null for a missing id."""

RESTING = {"key": pl.String, "user_id": pl.Int64}
"""The columns of a snapshot's resting names: the key, and the user who had it."""

HEADCOUNT = {"role_id": pl.Int64, "group_id": pl.Int64, "active": pl.Int64}
"""The columns of a snapshot's headcount: the number of active users of each role and group."""
FORMER = {"user_id": pl.Int64, "external_id": pl.String}
"""The columns of a snapshot's former external IDs: a user, and the external ID that they had before the current one."""

REPLACED = {"key": pl.String, "user_id": pl.Int64}
"""The columns of a snapshot's replaced addresses: the key of the address, and the user who had it."""


MARKS = {
    "id": pl.Int64,
    "source": pl.String,
    "no_files": pl.Boolean,
    "missing_since": pl.Date,
    "missing_imports": pl.Int64,
}
"""The columns of a snapshot's marks: the user, their source ("": none), whether files leave them unchanged, and since which
day and in how many imports they have been missing (null and 0: they are not missing)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The directory as the plan of one agency sees it.

    `users` (SCHEMA) holds at least:

    - the users whose external ID, email address, badge number or username occurs in the rows, and the supervisors that
      the rows name;
    - everyone above those users in the chain of supervisors;
    - registered active administrators, more of them than the file has rows (or all of them);
    - for a sync, every user.
    """

    users: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    resting: pl.DataFrame | None = None
    """The sign-in names that users gave up recently (RESTING), which no other user may take yet.

    None: any user may take a name at once.
    """
    former: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FORMER))
    """The last former external ID of each user whose external ID has changed (FORMER): for rekeys only."""
    marks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MARKS))
    """The marks (MARKS) that matter to an import of a file. A form, a bulk action and an undo have none.

    Of the users above, these are all that files leave unchanged, all that are missing, and, if the import names a source,
    all of other sources or of none. Most users are therefore not among them.
    """
    padded: Mapping[str, int] = field(default_factory=dict)
    """Field → the most digits of a value, for the ids and badges of the agency if all of them begin with a zero."""
    headcount: pl.DataFrame | None = None
    """The number of active users (HEADCOUNT) where `users` are not all users of the agency. None: they are."""
    replaced: pl.DataFrame | None = field(default_factory=lambda: pl.DataFrame(schema=REPLACED))
    """The addresses of supervisors in the rows that users gave up in the last days (REPLACED), the latest first.

    None: the rows do not come from a file, and each address means the user who has it in the final state.
    """
