"""Synchronize: whom the file mentions, who becomes Inactive, who is protected, and when the import is held (S1–S6)."""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.columns import KEYED
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import authority

_NOBODY = {"id": pl.Int64, "external_id": pl.String, "email": pl.String, "registered": pl.Boolean}


@dataclass(frozen=True, slots=True)
class Held:
    """Why an import waits for the operator: too many deactivations, or rows that cannot be tied to anybody (S3, S4)."""

    code: str
    deactivations: int
    active: int
    limit: int


@dataclass(frozen=True, slots=True)
class Leavers:
    """The users whom the file does not mention: those who become Inactive, and those who are kept, with the reason.

    `deactivated`: `id`, `external_id`, `email`, `registered`; `protected`: also `code`. Both by external id.
    """

    deactivated: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_NOBODY))
    protected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={**_NOBODY, "code": pl.String}))
    held: Held | None = None


def leavers(
    users: pl.DataFrame, settled: pl.DataFrame, rows: pl.DataFrame, policy: Policy, vocabulary: Vocabulary
) -> Leavers:
    """Who leaves, judged on the final state of the rows.

    `settled`: `id`; `rows`: the checked rows with `id`, `ok`, `shifted` (cells may stand in the wrong columns) and
    what they make of their users; `users`: all users of the agency, with keys.
    """
    mentioned = _mentioned(users, settled, rows)
    gone = users.select("id").filter(users["active"]).join(mentioned, on="id", how="anti")
    missing = users.join(gone, on="id", how="semi", maintain_order="left")
    codes = _protections(users, missing, rows, policy, vocabulary)
    judged = missing.select(_NOBODY.keys()).join(codes, on="id", how="left").sort("external_id")
    deactivated = judged.filter(pl.col("code").is_null()).select(_NOBODY.keys())
    held = _held(users, rows, deactivated.height, policy)
    return Leavers(deactivated, judged.filter(pl.col("code").is_not_null()), held)


def _mentioned(users: pl.DataFrame, settled: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    by_id = [settled.select("id"), rows.filter(pl.col("id").is_not_null()).select("id")]
    errored = rows.filter(~pl.col("ok"))
    by_key = [users.join(_keys(errored, c.key), on=c.key, how="semi").select("id") for c in KEYED]
    return pl.concat([*by_id, *by_key])


def _keys(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.filter(pl.col(key).is_not_null(), pl.col(key) != "").select(key)


def _protections(
    users: pl.DataFrame, missing: pl.DataFrame, rows: pl.DataFrame, policy: Policy, vocabulary: Vocabulary
) -> pl.DataFrame:
    """`id`, `code` of the missing users who are kept; each by the first reason that holds."""
    above = authority.roles_above(policy.operator, vocabulary)
    own = policy.operator.id if policy.operator else None
    kept = missing.select(
        "id",
        code=pl.when("exempt").then(pl.lit("exempt"))
        .when(pl.col("id") == pl.lit(own, pl.Int64)).then(pl.lit("own-account"))
        .when(pl.col("role_id").is_in(above)).then(pl.lit("above-your-role")),
    )  # fmt: skip
    leaving = kept.filter(pl.col("code").is_null()).select("id")
    last = _last_administrators(users, leaving, rows, vocabulary)
    return pl.concat([kept.filter(pl.col("code").is_not_null()), last.with_columns(code=pl.lit("last-administrator"))])


def _last_administrators(
    users: pl.DataFrame, leaving: pl.DataFrame, rows: pl.DataFrame, vocabulary: Vocabulary
) -> pl.DataFrame:
    roles = [role.id for role in vocabulary.roles if role.administrator]
    sound = rows.filter("ok", pl.col("id").is_not_null())
    by_row = sound.filter("active", "was_registered", pl.col("role_id").is_in(roles)).select("id")
    others = authority.administrators(users, vocabulary).join(sound, on="id", how="anti")
    remaining = pl.concat([by_row, others.join(leaving, on="id", how="anti")])
    return others.join(leaving, on="id", how="semi") if remaining.is_empty() else leaving.clear()


def _held(users: pl.DataFrame, rows: pl.DataFrame, deactivations: int, policy: Policy) -> Held | None:
    """Why the import waits. A number that was confirmed, and is not the number, is no word to go on (S4)."""
    active = int(users["active"].sum())
    allowed = policy.limit.allowed(active)
    if policy.confirmed == deactivations:
        return None
    if deactivations > allowed or policy.confirmed is not None:
        return Held("deactivation-limit", deactivations, active, allowed)
    if _unreadable(users, rows):
        return Held("unreadable-rows", deactivations, active, allowed)
    return None


def _unreadable(users: pl.DataFrame, rows: pl.DataFrame) -> bool:
    """Whether some errored row is neither somebody's nor clearly a new user's (S3)."""
    unread = pl.col("external_id").is_null() | (pl.col("external_id") == "") | pl.col("shifted")
    lost = rows.filter(~pl.col("ok"), pl.col("id").is_null(), unread)
    for column in KEYED:
        borne = users.select(column.key).join(lost, on=column.key, how="semi")
        lost = lost.join(borne, on=column.key, how="anti")
    return not lost.is_empty()
