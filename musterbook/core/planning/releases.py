"""Released badges: a badge of a user who is Inactive in the final state can be taken by another user (M13).

The former holder's badge becomes `1039 (until 2026-11-28)`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import BADGE_NUMBER
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.values import keys

_FOUND = {"row": pl.UInt32, "holder": pl.Int64, "holder_row": pl.UInt32}

RELEASED = {
    "row": pl.UInt32,
    "holder_row": pl.UInt32,
    "id": pl.Int64,
    **dict.fromkeys(("external_id", "email", "first_name", "last_name", "username"), pl.String),
    **dict.fromkeys(("badge_number", "badge_number_key", "was_badge_number"), pl.String),
}
"""The columns of released badges: the row that takes the badge, the row of the former holder (null: the file does not
mention them), and the former holder (`id` is null for a user that the file adds) with the badge before and after."""

_LONGEST, _LONGEST_ID = 200, 30
"""The most characters of the badge, and of the external ID, in the badge of a former holder."""


def describe_day(today: date) -> str:
    """Return the end of a badge that is released on that day."""
    return f" (until {today.isoformat()})"


@dataclass(frozen=True, slots=True)
class Releases:
    """The claims without those that a release answers, and the releases (`row`, `holder`, `holder_row`)."""

    claims: pl.DataFrame
    found: pl.DataFrame


def find_releases(
    claims: pl.DataFrame,
    rows: pl.DataFrame,
    users: pl.DataFrame,
    policy: Policy,
    kept: Collection[int],
    barred: pl.Series,
) -> Releases:
    """Return the badges that rows may take from Inactive users, among the claims of `uniqueness.collect_claims`.

    - `kept`: the users whose badges are never released, by id.
    - `barred`: the rows that may not take one after all.
    """
    asked = claims.filter("ok", pl.col("column") == BADGE_NUMBER.heading)
    allowed = policy.decisions.filter_releasing(asked).filter(~pl.col("row").is_in(barred.implode()))
    if allowed.is_empty():
        return Releases(claims, pl.DataFrame(schema=_FOUND))
    aside = _find_aside(asked, allowed, rows)
    claims = _set_aside(claims, aside)
    held = _find_held(claims.join(allowed.select("row"), on="row", how="semi"), rows, users, policy, kept)
    by_row = held.select("row", "holder", by="holder_row", released=pl.lit(True))
    joined = claims.join(by_row, on=["row", "holder"], how="left", maintain_order="left")
    # Another claim of the row can be to another value of the same holder.
    is_released = pl.col("released").fill_null(False) & (pl.col("column") == BADGE_NUMBER.heading)
    changed = joined.with_columns(
        released_by=pl.when(is_released).then("by").otherwise("released_by"),
        holder=pl.when(is_released & pl.col("by").is_null()).then(None).otherwise("holder"),
    )
    return Releases(changed.select(claims.columns), pl.concat([aside, held]))


def _find_aside(asked: pl.DataFrame, allowed: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the Inactive users of rows that ask for a badge together with one Active user, who takes it.

    They are users of a first load: none of them has the badge yet.
    """
    states = rows.select("row", "active", holder="id")
    shared = asked.filter("shared").select("row", "key").unique().join(states, on="row")
    active = shared.filter("active").filter(pl.len().over("key") == 1).join(allowed, on="row", how="semi")
    inactive = shared.filter(~pl.col("active")).select("key", "holder", holder_row="row")
    return active.select("row", "key").join(inactive, on="key").select(_FOUND.keys())


def _set_aside(claims: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """Return the claims without those of the users who are set aside. The rows that take their badges ask alone."""
    if aside.is_empty():
        return claims
    is_badge = pl.col("column") == BADGE_NUMBER.heading
    alone = is_badge & pl.col("row").is_in(aside["row"].implode())
    remaining = claims.filter(~(is_badge & pl.col("row").is_in(aside["holder_row"].implode())))
    return remaining.with_columns(shared=pl.col("shared") & ~alone)


def _find_held(
    claims: pl.DataFrame, rows: pl.DataFrame, users: pl.DataFrame, policy: Policy, kept: Collection[int]
) -> pl.DataFrame:
    """Return the claims to badges of users who are Inactive in the final state.

    In a synchronize import, these may be users that the file does not mention: whether they become Inactive is known only
    when all rows have been judged (`find_kept`).
    """
    held = claims.filter(
        "ok", pl.col("column") == BADGE_NUMBER.heading, pl.col("holder").is_not_null(), pl.col("released_by").is_null(),
        ~pl.col("holder").is_in(list(kept)),
    ).select("row", "holder")  # fmt: skip
    mentioned = rows.filter(pl.col("id").is_not_null()).select("ok", "active", holder="id", holder_row="row")
    stored = users.select(holder="id", was_active="active")
    joined = held.join(stored, on="holder").join(mentioned, on="holder", how="left")
    by_row = pl.col("ok") & ~pl.col("active")
    absent = ~pl.col("was_active") | pl.lit(policy.mode is Mode.SYNC)
    releasable = pl.when(pl.col("holder_row").is_null()).then(absent).otherwise(by_row)
    return joined.filter(releasable).select(_FOUND.keys())


def find_kept(found: pl.DataFrame, rows: pl.DataFrame, users: pl.DataFrame, deactivated: pl.DataFrame) -> pl.Series:
    """Return the rows that may not take a badge after all: they fail, or its holder does not become Inactive."""
    if found.is_empty():
        return found["row"]
    fails = pl.col("row").is_in(rows.filter(~pl.col("ok"))["row"].implode())
    active = users.filter("active").join(deactivated, on="id", how="anti")["id"]
    stays = pl.col("holder_row").is_null() & pl.col("holder").is_in(active.implode())
    return found.filter(fails | stays)["row"].unique()


def name_badges(found: pl.DataFrame, rows: pl.DataFrame, users: pl.DataFrame, today: date) -> pl.DataFrame:
    """Return the released badges (RELEASED) with the names that they get."""
    if found.is_empty():
        return pl.DataFrame(schema=RELEASED)
    person = ("external_id", "email", "first_name", "last_name", "username")
    by_row = found.join(
        rows.filter("ok").select(*person, "badge_number", holder_row="row"), on="holder_row"
    ).select("row", "holder_row", "holder", *person, "badge_number")  # fmt: skip
    absent = found.filter(pl.col("holder_row").is_null()).join(
        users.select(*person, "badge_number", holder="id"), on="holder"
    )
    holders = pl.concat([by_row, absent.select(by_row.columns)]).sort("external_id")
    day = holders["badge_number"].str.slice(0, _LONGEST) + describe_day(today)
    # The name of the day is not unique if a badge is released twice on one day.
    sound = rows.filter("ok")
    known = pl.concat([users.join(sound, on="id", how="anti")[BADGE_NUMBER.key], sound[BADGE_NUMBER.key]])
    day_keys = keys.make_keys(day)
    repeats = day_keys.is_in(known.implode()) | ~day_keys.is_first_distinct()
    own = day + ", " + holders["external_id"].str.slice(0, _LONGEST_ID)
    named = holders.with_columns(
        pl.when(repeats).then(pl.lit(own)).otherwise(pl.lit(day)).alias("new"),
        was_badge_number="badge_number",
        id="holder",
    ).with_columns(badge_number="new")
    return named.with_columns(keys.make_keys(named["badge_number"]).alias(BADGE_NUMBER.key)).select(RELEASED.keys())


def apply_releases(rows: pl.DataFrame, released: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the badges that their users get because another user takes theirs.

    A user whose badge was released before may give up the name that it got (`vacates`).
    """
    if released.is_empty():
        return rows
    named = released.filter(pl.col("holder_row").is_not_null()).select(
        row="holder_row", new="badge_number", new_key=BADGE_NUMBER.key
    )
    joined = rows.join(named, on="row", how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce("new", "badge_number").alias("badge_number"),
        pl.coalesce("new_key", BADGE_NUMBER.key).alias(BADGE_NUMBER.key),
        differs=pl.col("differs") | pl.col("new").is_not_null(),
        vacates=pl.col("vacates") | pl.col(f"was_{BADGE_NUMBER.key}").is_in(released[BADGE_NUMBER.key].implode()),
    ).drop("new", "new_key")


def note_releases(released: pl.DataFrame) -> pl.DataFrame:
    """Return a note for each row that takes the badge of an Inactive user."""
    return problems.flag_rows(
        released,
        "badge-released",
        column=BADGE_NUMBER.heading,
        value=pl.col("was_badge_number"),
        holder=pl.format("{} {} ({})", "first_name", "last_name", "external_id"),
        becomes=pl.col("badge_number"),
    )
