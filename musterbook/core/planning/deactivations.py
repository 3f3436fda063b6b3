"""Sync: the users that the file mentions, deactivations, protected users, and rows that may mean any user (S1–S6)."""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.columns import KEYED
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import authority, mentions

DEACTIVATED = {"id": pl.Int64, "external_id": pl.String, "email": pl.String, "registered": pl.Boolean}
"""The columns of `Leavers.deactivated`."""
PROTECTED = {**DEACTIVATED, "code": pl.String, "named_by": pl.UInt32, "leaving_on": pl.String}
"""The columns of `Leavers.protected`."""
LEAVING = {"id": pl.Int64, "missing_since": pl.Date, "missing_imports": pl.Int64}
"""The columns of `Leavers.leaving`."""


@dataclass(frozen=True, slots=True)
class Leavers:
    """The users that the file does not mention.

    - `deactivated` (DEACTIVATED): those who become Inactive.
    - `protected` (PROTECTED): those who are kept, and the reason, `code`; also `named_by`, the row with problems that names
      the user (`named-by-faulty-row`), and `leaving_on`, the first day on which the user can become Inactive (`leaving`).
    - `leaving` (LEAVING): those who are kept for the grace period, with their new mark.

    The first two are sorted by external ID. `unreadable`: the number of rows that may mean any user (S3).
    """

    deactivated: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DEACTIVATED))
    protected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PROTECTED))
    unreadable: int = 0
    leaving: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEAVING))


def find_leavers(
    users: pl.DataFrame,
    same_users: pl.DataFrame,
    rows: pl.DataFrame,
    policy: Policy,
    vocabulary: Vocabulary,
    marks: pl.DataFrame,
) -> Leavers:
    """Return the users who leave, based on the final state of the rows.

    - `same_users`: `id` of the users on the unchanged fast path.
    - `rows`: the checked rows with `id`, `ok`, `shifted` (cells may be in the wrong columns) and the final values of
      their users.
    - `users`: all users of the agency, with keys.
    - `marks`: the marks of the users (snapshot.MARKS).
    """
    gone = users.select("id").filter(users["active"]).join(mentions.find_by_id(same_users, rows), on="id", how="anti")
    if gone.is_empty():
        return Leavers(unreadable=_count_unreadable(users, rows))
    missing = users.join(gone, on="id", how="semi", maintain_order="left")
    named = mentions.find_by_key(missing, rows)
    reasons = _find_protections(missing.join(named, on="id", how="left"), policy, vocabulary, marks)
    leaving = _find_leaving(reasons.filter(pl.col("code").is_null()).select("id"), marks, policy)
    codes = _add_code(reasons, leaving, "leaving")
    last = _find_last_admins(users, codes.filter(pl.col("code").is_null()).select("id"), rows, vocabulary)
    kept = (
        missing.select(DEACTIVATED.keys())
        .join(_add_code(codes, last, "last-administrator"), on="id", how="left")
        .join(_find_last_days(leaving, policy), on="id", how="left")
        .join(named, on="id", how="left")
        .sort("external_id")
    )
    deactivated = kept.filter(pl.col("code").is_null()).select(DEACTIVATED.keys())
    protected = kept.filter(pl.col("code").is_not_null()).with_columns(
        named_by=pl.when(pl.col("code") == "named-by-faulty-row").then("named_by")
    )
    return Leavers(deactivated, protected.select(PROTECTED.keys()), _count_unreadable(users, rows), leaving)


def _find_protections(
    missing: pl.DataFrame, policy: Policy, vocabulary: Vocabulary, marks: pl.DataFrame
) -> pl.DataFrame:
    """Return `id`, `code` of the missing users: the first reason to keep them that applies, null for none.

    A row with problems that names the user comes last: it is shown only where it alone keeps the user.
    """
    above = authority.find_roles_above(policy.operator, vocabulary)
    own = policy.operator.id if policy.operator else None
    others = marks.filter(pl.col("source") != policy.source) if policy.source else marks.clear()
    return missing.select(
        "id",
        code=pl.when("exempt").then(pl.lit("exempt"))
        .when(pl.col("id") == pl.lit(own, pl.Int64)).then(pl.lit("own-account"))
        .when(pl.col("role_id").is_in(above)).then(pl.lit("above-your-role"))
        .when(pl.col("id").is_in(marks.filter("no_files")["id"].implode())).then(pl.lit("not-by-files"))
        .when(pl.col("id").is_in(others["id"].implode())).then(pl.lit("other-source"))
        .when(pl.col("named_by").is_not_null()).then(pl.lit("named-by-faulty-row")),
    )  # fmt: skip


def _add_code(codes: pl.DataFrame, users: pl.DataFrame, code: str) -> pl.DataFrame:
    """Return the codes with that code for these users (`id`), who have none."""
    is_one = pl.col("id").is_in(users["id"].implode())
    return codes.with_columns(code=pl.when(is_one).then(pl.lit(code)).otherwise("code"))


def _find_leaving(missing: pl.DataFrame, marks: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return the missing users (`id`) whose grace period is not over, with the mark (LEAVING) that they get (S10).

    It is over once a user has been missing for that many days, and in that many imports, of which this is one.
    """
    if not policy.grace_days:
        return pl.DataFrame(schema=LEAVING)
    today = pl.lit(policy.today, pl.Date)
    marked = missing.join(marks.select(LEAVING.keys()), on="id", how="left").select(
        "id",
        missing_since=pl.col("missing_since").fill_null(today),
        missing_imports=pl.col("missing_imports").fill_null(0) + 1,
    )
    days = (today - pl.col("missing_since")).dt.total_days()
    return marked.filter((days < policy.grace_days) | (pl.col("missing_imports") < policy.grace_days))


def _find_last_days(leaving: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return `id`, `leaving_on` of the leaving users: the first day on which they can become Inactive."""
    return leaving.select(
        "id", leaving_on=(pl.col("missing_since") + pl.duration(days=policy.grace_days)).dt.to_string("%Y-%m-%d")
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


def _count_unreadable(users: pl.DataFrame, rows: pl.DataFrame) -> int:
    """Return the number of errored rows that belong neither to an existing user nor clearly to a new user (S3)."""
    unread = pl.col("external_id").is_null() | (pl.col("external_id") == "") | pl.col("shifted")
    lost = rows.filter(~pl.col("ok"), pl.col("id").is_null(), unread)
    for column in KEYED if lost.height else ():
        matches = users.select(column.key).join(lost, on=column.key, how="semi")
        lost = lost.join(matches, on=column.key, how="anti")
    return lost.height
