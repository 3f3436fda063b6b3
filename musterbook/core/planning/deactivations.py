"""Sync: the users that the file mentions, deactivations, protected users, and held imports (S1–S6)."""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.columns import KEYED
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import authority

DEACTIVATED = {"id": pl.Int64, "external_id": pl.String, "email": pl.String, "registered": pl.Boolean}
"""The columns of `Leavers.deactivated`."""
PROTECTED = {**DEACTIVATED, "code": pl.String}
"""The columns of `Leavers.protected`."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The reason why an import waits for the operator.

    There are too many deactivations, or rows that cannot be matched to any user (S3, S4).
    """

    code: str
    deactivations: int
    active: int
    limit: int


@dataclass(frozen=True, slots=True)
class Leavers:
    """The users that the file does not mention.

    - `deactivated` (DEACTIVATED): those who become Inactive.
    - `protected` (PROTECTED): those who are kept, and the reason, `code`.

    Both are sorted by external id.
    """

    deactivated: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DEACTIVATED))
    protected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PROTECTED))
    held: Hold | None = None


def find_leavers(
    users: pl.DataFrame, same_users: pl.DataFrame, rows: pl.DataFrame, policy: Policy, vocabulary: Vocabulary
) -> Leavers:
    """Return the users who leave, based on the final state of the rows.

    - `same_users`: `id` of the users on the unchanged fast path.
    - `rows`: the checked rows with `id`, `ok`, `shifted` (cells may be in the wrong columns) and the final values of
      their users.
    - `users`: all users of the agency, with keys.
    """
    mentioned = _find_mentioned(users, same_users, rows)
    gone = users.select("id").filter(users["active"]).join(mentioned, on="id", how="anti")
    missing = users.join(gone, on="id", how="semi", maintain_order="left")
    codes = _find_protections(users, missing, rows, policy, vocabulary)
    reasons = missing.select(DEACTIVATED.keys()).join(codes, on="id", how="left").sort("external_id")
    deactivated = reasons.filter(pl.col("code").is_null()).select(DEACTIVATED.keys())
    hold = _find_hold(users, rows, deactivated.height, policy)
    return Leavers(deactivated, reasons.filter(pl.col("code").is_not_null()), hold)


def _find_mentioned(users: pl.DataFrame, same_users: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    by_id = [same_users.select("id"), rows.filter(pl.col("id").is_not_null()).select("id")]
    errored = rows.filter(~pl.col("ok"))
    by_key = [users.join(_select_keys(errored, c.key), on=c.key, how="semi").select("id") for c in KEYED]
    return pl.concat([*by_id, *by_key])


def _select_keys(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.filter(pl.col(key).is_not_null(), pl.col(key) != "").select(key)


def _find_protections(
    users: pl.DataFrame, missing: pl.DataFrame, rows: pl.DataFrame, policy: Policy, vocabulary: Vocabulary
) -> pl.DataFrame:
    """Return `id`, `code` of the missing users who are kept, each with the first reason that applies."""
    above = authority.find_roles_above(policy.operator, vocabulary)
    own = policy.operator.id if policy.operator else None
    reasons = missing.select(
        "id",
        code=pl.when("exempt").then(pl.lit("exempt"))
        .when(pl.col("id") == pl.lit(own, pl.Int64)).then(pl.lit("own-account"))
        .when(pl.col("role_id").is_in(above)).then(pl.lit("above-your-role")),
    )  # fmt: skip
    leaving = reasons.filter(pl.col("code").is_null()).select("id")
    last = _find_last_admins(users, leaving, rows, vocabulary)
    return pl.concat(
        [reasons.filter(pl.col("code").is_not_null()), last.with_columns(code=pl.lit("last-administrator"))]
    )


def _find_last_admins(
    users: pl.DataFrame, leaving: pl.DataFrame, rows: pl.DataFrame, vocabulary: Vocabulary
) -> pl.DataFrame:
    roles = [role.id for role in vocabulary.roles if role.administrator]
    sound = rows.filter("ok", pl.col("id").is_not_null())
    by_row = sound.filter("active", "was_registered", pl.col("role_id").is_in(roles)).select("id")
    others = authority.find_administrators(users, vocabulary).join(sound, on="id", how="anti")
    remaining = pl.concat([by_row, others.join(leaving, on="id", how="anti")])
    return others.join(leaving, on="id", how="semi") if remaining.is_empty() else leaving.clear()


def _find_hold(users: pl.DataFrame, rows: pl.DataFrame, deactivations: int, policy: Policy) -> Hold | None:
    """Return why the import waits, or None.

    A confirmed number that differs from the actual number does not count as confirmation (S4).
    """
    active = int(users["active"].sum())
    allowed = policy.limit.allowed(active)
    if policy.confirmed == deactivations:
        return None
    if deactivations > allowed or policy.confirmed is not None:
        return Hold("deactivation-limit", deactivations, active, allowed)
    if _has_unreadable(users, rows):
        return Hold("unreadable-rows", deactivations, active, allowed)
    return None


def _has_unreadable(users: pl.DataFrame, rows: pl.DataFrame) -> bool:
    """Return whether some errored row belongs neither to an existing user nor clearly to a new user (S3)."""
    unread = pl.col("external_id").is_null() | (pl.col("external_id") == "") | pl.col("shifted")
    lost = rows.filter(~pl.col("ok"), pl.col("id").is_null(), unread)
    for column in KEYED:
        matches = users.select(column.key).join(lost, on=column.key, how="semi")
        lost = lost.join(matches, on=column.key, how="anti")
    return not lost.is_empty()
