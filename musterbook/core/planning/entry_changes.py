"""What a plan changes in groups, roles and ranks, in who is in a group, and in who monitors one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import polars as pl

from musterbook.core.planning.harms import HARMED


class EntryKind(StrEnum):
    """The kinds of what a file of entries changes, besides users."""

    GROUP = "group"
    ROLE = "role"
    RANK = "rank"
    MONITOR = "monitor"
    """A group whose members monitor another group."""


@dataclass(frozen=True, slots=True)
class EntryChange:
    """One changed entry.

    - `key`: the external ID of a group (also of one that is monitored), or the folded name of a role or rank.
    - `before`, `after`: its values, None where it does not exist. Of a group: `name`, `active`, `parent` (an external ID).
      Of a role: `name`, `permissions` (sorted), `second_factor`. Of a rank: `name`, `abbreviation`, `position`.
    - `other`: the external ID of the group that monitors.
    - `row`: its row in the file, 0 for none.
    """

    kind: EntryKind
    key: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    other: str = ""
    row: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the change as it is stored with its import."""
        return {
            "kind": self.kind.value, "key": self.key, "before": self.before and dict(self.before),
            "after": self.after and dict(self.after), "other": self.other, "row": self.row,
        }  # fmt: skip

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the change from the JSON of `as_json`."""
        return cls(**{**data, "kind": EntryKind(data["kind"])})


MOVES = pl.Schema(
    {
        "row": pl.UInt32,
        "id": pl.Int64,
        **dict.fromkeys(("external_id", "name", "was_group", "group"), pl.String),
        **dict.fromkeys(("role_id", "was_role_id", "group_id", "was_group_id"), pl.Int64),
    }
)
"""The columns of the users whose group changes. `row` is null for a user that the file does not mention; a group is null, and
its external ID "", where there is none."""
MONITORS = pl.Schema(
    {
        "row": pl.UInt32,
        "id": pl.Int64,
        **dict.fromkeys(("external_id", "name", "group"), pl.String),
        "group_id": pl.Int64,
        "added": pl.Boolean,
    }
)
"""The columns of the users who become or no longer are monitors of a group."""
SHOWN = pl.Schema(
    {
        "row": pl.UInt32,
        **dict.fromkeys(("external_id", "name", "outcome", "changes"), pl.String),
        "user_id": pl.Int64,
    }
)
"""The columns of what a plan shows: each change with its outcome (`added`, `updated`, `removed`), what it is called, and its
values before and after as JSON text. `user_id`: the user that it is about, null for a group, role or rank."""


@dataclass(frozen=True, slots=True)
class Entries:
    """What a plan changes.

    - `moves` (MOVES), `monitors` (MONITORS): the users whose group changes, and the monitors.
    - `shown` (SHOWN): all changes as they are shown.
    - `losses` (harms.HARMED): the users who lose a group or a permission.
    """

    changes: tuple[EntryChange, ...] = ()
    moves: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVES))
    monitors: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MONITORS))
    shown: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SHOWN))
    losses: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=HARMED))

    def select_shown(self, outcome: str) -> pl.DataFrame:
        """Return what is shown with that outcome, without the outcome.

        What a row of an undo removes is an update: only what no row names is removed.
        """
        named = pl.col("row").is_not_null()
        shown = pl.when(named).then(pl.col("outcome").replace("removed", "updated")).otherwise("outcome")
        return self.shown.filter(shown == outcome).drop("outcome")

    def describe(self) -> str:
        """Return everything that it changes as one text. It is the same for the same changes."""
        return repr([change.as_json() for change in self.changes]) + self.shown.write_csv()


def build_shown(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return a frame of SHOWN."""
    return pl.DataFrame(list(rows), schema=SHOWN)
