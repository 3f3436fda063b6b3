"""The limits of the operator's authority (M10), and the protection of the last administrator (M11)."""

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import EMAIL, ROLE, STATUS
from musterbook.core.domain.policy import Operator
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.values import emails

CREDENTIALS = "credentials.manage"
"""The permission to decide how another user signs in.

A reset goes to the user's address, so a new address also decides how they sign in.
"""


def find_roles_above(operator: Operator | None, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of the roles that have a permission which the operator lacks."""
    if operator is None:
        return []
    return [role.id for role in vocabulary.roles if not role.permissions <= operator.permissions]


def find_forbidden(rows: pl.DataFrame, operator: Operator | None, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the problems of rows that do something the operator may not do.

    `rows`: the checked rows with the stored values of their users (`id`, `was_…`) and `differs`, true where the row
    would change anything about the user other than the supervisor.
    """
    if operator is None or rows.is_empty():
        return problems.build_frame()
    others = [_check_addresses(rows, operator), _check_own_account(rows, operator, vocabulary)]
    above = find_roles_above(operator, vocabulary)
    if not above:
        return pl.concat(others)
    theirs = pl.col("was_role_id").is_in(above) & pl.col("differs")
    assigned = pl.col("role_id").is_in(above) & pl.col("role_id").ne_missing(pl.col("was_role_id"))
    return pl.concat(
        [
            flag_above_role(rows.filter(theirs),
                       "The user's role has permissions that yours does not, so you cannot change this user."),
            flag_above_role(rows.filter(assigned & ~theirs.fill_null(False)),
                       "The row assigns a role with permissions that yours does not have."),
            *others,
        ]
    )  # fmt: skip


def flag_above_role(rows: pl.DataFrame, sentence: str) -> pl.DataFrame:
    """Return the problem `above-your-role` for each of the rows."""
    return problems.flag_rows(rows, "above-your-role", column=ROLE.heading, sentence=sentence)


def _check_addresses(rows: pl.DataFrame, operator: Operator) -> pl.DataFrame:
    """Return the problems of rows that change the address of a registered user.

    There are none if the operator may manage credentials.
    """
    if CREDENTIALS in operator.permissions:
        return problems.build_frame()
    differs = pl.col("email").is_not_null() & pl.col("email").ne_missing(pl.col("was_email"))
    changed = rows.filter(pl.col("was_registered").fill_null(False) & differs)
    moved = changed.filter(emails.to_mailboxes(changed["email"]).ne_missing(emails.to_mailboxes(changed["was_email"])))
    return problems.flag_rows(moved, "registered-address", column=EMAIL.heading, permission=CREDENTIALS)


def _check_own_account(rows: pl.DataFrame, operator: Operator, vocabulary: Vocabulary) -> pl.DataFrame:
    own = rows.filter(pl.col("id") == operator.id)
    if own.is_empty():
        return problems.build_frame()
    lesser = [role.id for role in vocabulary.roles if not operator.permissions <= role.permissions]
    off = own.filter(pl.col("was_active"), ~pl.col("active"))
    down = own.filter(pl.col("role_id").is_in(lesser), pl.col("role_id").ne_missing(pl.col("was_role_id")))
    return pl.concat(
        [
            problems.flag_rows(off, "own-account", column=STATUS.heading, act="deactivate"),
            problems.flag_rows(down, "own-account", column=ROLE.heading, act="take permissions from"),
        ]
    )


def find_administrators(users: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the users (`id`) who are registered, active administrators."""
    roles = [role.id for role in vocabulary.roles if role.administrator]
    return users.filter("registered", "active", pl.col("role_id").is_in(roles)).select("id")


def find_last_admins(rows: pl.DataFrame, users: pl.DataFrame, vocabulary: Vocabulary) -> pl.Series:
    """Return the rows that take the last registered, active administrators from the agency.

    Return none while one administrator remains.
    """
    now = find_administrators(users, vocabulary)
    losing = rows.join(now, on="id", how="semi")["row"]
    if losing.is_empty():
        return losing
    roles = [role.id for role in vocabulary.roles if role.administrator]
    remaining = rows.filter("active", "was_registered", pl.col("role_id").is_in(roles))
    untouched = now.join(rows, on="id", how="anti")
    return losing if remaining.is_empty() and untouched.is_empty() else losing.clear()


def flag_last_admins(rows: pl.DataFrame, failed: pl.Series) -> pl.DataFrame:
    """Return the problem `last-administrator` for each row of `failed`."""
    losing = rows.filter(pl.col("row").is_in(failed.implode())) if failed.len() else rows.clear()
    return problems.flag_rows(losing, "last-administrator", column=STATUS.heading)
