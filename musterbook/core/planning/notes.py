"""Notes on rows: users who stay in an inactive group (C7), and changed addresses that an identity provider knows."""

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import unchanged
from musterbook.core.values import emails


def check_groups(rows: pl.DataFrame, same: pl.DataFrame, vocabulary: Vocabulary) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the problems of rows that name an inactive group, and the notes of users who stay in one.

    No user may join an inactive group. `rows`: the checked rows with `group_id`, `group_inactive` and `was_group_id`.
    `same`: the rows of the unchanged fast path.
    """
    off = [group.id for group in vocabulary.groups if not group.active]
    if not off:
        return problems.build_frame(), problems.build_frame()
    inactive = rows.filter("group_inactive")
    keeps = pl.col("group_id").eq_missing(pl.col("was_group_id"))
    repeated = same.filter(pl.col("group_id").is_in(off))
    staying = pl.concat([inactive.filter(keeps).select("row", "group_id"), repeated.select("row", "group_id")])
    joining = _flag_groups(inactive.filter(~keeps), "inactive-group", vocabulary)
    return joining, _flag_groups(staying, "inactive-group-kept", vocabulary)


def _flag_groups(rows: pl.DataFrame, code: str, vocabulary: Vocabulary) -> pl.DataFrame:
    names = unchanged.name_ids("group_id", {group.id: group.external_id for group in vocabulary.groups})
    return problems.flag_rows(rows, code, column=columns.EVIDENCE_GROUP_EXT_ID.heading, value=names)


def note_addresses(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the notes of rows that change the address of a registered user.

    There are none unless the identity provider of the agency matches users by address.
    """
    if not vocabulary.matched_by_email:
        return problems.build_frame()
    changed = rows.filter("ok", "was_registered", "active", pl.col("email") != pl.col("was_email"))
    moved = changed.filter(emails.to_mailboxes(changed["email"]) != emails.to_mailboxes(changed["was_email"]))
    return problems.flag_rows(
        moved, "sign-on-address", column=columns.EMAIL.heading, value=pl.col("email"), known_as=pl.col("was_email")
    )
