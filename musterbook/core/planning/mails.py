"""The emails of a plan: who gets which kind, at which address (rule D8).

The preview counts them, and the writer queues the same frame.
"""

from collections.abc import Collection, Mapping

import polars as pl

from musterbook.core.values import emails

SCHEMA = {"id": pl.Int64, "external_id": pl.String, "kind": pl.String, "to": pl.String}
"""The columns of the emails. `id` is null for a user that the plan adds."""

INVITATION, REACTIVATED, DEACTIVATED, EMAIL_CHANGED = "invitation", "reactivated", "deactivated", "email-changed"
RESET = "reset"


def build_frame() -> pl.DataFrame:
    """Return a frame without emails."""
    return pl.DataFrame(schema=SCHEMA)


def list_mails(added: pl.DataFrame, updated: pl.DataFrame, deactivated: pl.DataFrame) -> pl.DataFrame:
    """Return the emails (SCHEMA) to the users that a plan adds, updates, and deactivates because no row mentions them.

    A user who may register gets an invitation, and a user who has registered gets a notice. A user who has never
    registered is not notified of a deactivation. If their address changes, an invitation goes to the new one, as to
    another person who gets the account. A change of case is not a change of address.
    """
    new = added.filter("active").with_columns(id=pl.lit(None, pl.Int64))
    return pl.concat(
        [
            address_mails(new, INVITATION),
            *_list_to_updated(updated),
            address_mails(deactivated.filter("registered"), DEACTIVATED),
        ]
    )


def _list_to_updated(updated: pl.DataFrame) -> list[pl.DataFrame]:
    concerned = updated.filter(
        (pl.col("active") != pl.col("was_active"))
        | (pl.col("active") & ((pl.col("email") != pl.col("was_email")) | pl.col("replaced")))
    )
    if concerned.is_empty():
        return []
    moved = emails.to_mailboxes(concerned["email"]) != emails.to_mailboxes(concerned["was_email"])
    users = concerned.with_columns(moved=moved)
    registered, lost = pl.col("was_registered"), pl.col("was_active") & ~pl.col("active")
    return [
        address_mails(
            users.filter("active", ~registered, pl.any_horizontal("reactivated", "moved", "replaced")), INVITATION
        ),
        address_mails(users.filter(registered, "reactivated"), REACTIVATED),
        address_mails(users.filter(registered, lost), DEACTIVATED),
        address_mails(users.filter(registered, "active", "moved"), EMAIL_CHANGED, "was_email"),
    ]


def address_mails(users: pl.DataFrame, kind: str, to: str = "email") -> pl.DataFrame:
    """Return an email of that kind (SCHEMA) to each of the users (`id`, `external_id`), at the address in the column `to`."""
    return users.select("id", "external_id", kind=pl.lit(kind), to=to)


def drop_kinds(mails: pl.DataFrame, kinds: Collection[str]) -> pl.DataFrame:
    """Return the emails of all other kinds."""
    return mails.filter(~pl.col("kind").is_in(list(kinds)))


def count_kinds(mails: pl.DataFrame) -> Mapping[str, int]:
    """Return the number of emails of each kind, the kinds in their order."""
    return dict(mails.group_by("kind").len().sort("kind").iter_rows())
