"""The plan of new external IDs: each row names a user by EXTERNAL_ID, and the id that they have from now on (M14)."""

from dataclasses import dataclass, replace

import polars as pl

from musterbook.core.checking import check
from musterbook.core.domain import problems
from musterbook.core.domain.columns import EXTERNAL_ID, NEW_EXTERNAL_ID
from musterbook.core.domain.policy import LimitKind, Operator, Policy
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import authority, damage, file_end, holds, matching, plan, uniqueness
from musterbook.core.planning.harms import Harms
from musterbook.core.planning.holds import Hold
from musterbook.core.planning.plan import Plan
from musterbook.core.values import keys

_PERSON = ("email", "badge_number", "first_name", "last_name", "username")
_NAMED = pl.format("{} {} ({})", "first_name", "last_name", "external_id")


@dataclass(frozen=True, slots=True)
class _Judgement:
    """The rows with `outcome` and `vacates`, and their problems and notes."""

    rows: pl.DataFrame
    problems: pl.DataFrame
    notes: pl.DataFrame


def make_plan(table: Table, snapshot: Snapshot, policy: Policy, found: pl.DataFrame | None = None) -> Plan:
    """Return the plan of a table of new external IDs.

    `found`: problems of its rows that are known already. The snapshot has all users whose external ID occurs in the
    table, in either column. Uniqueness is checked on the final state, so swaps and chains succeed in any order.
    """
    if table.problems:
        return Plan(policy.mode, table, refusals=table.problems)
    table = file_end.settle_end(table, snapshot.users)
    wrong = file_end.find_count_problems(table, policy)
    if wrong:
        return Plan(policy.mode, table, refusals=wrong)
    try:
        cells, repeated = matching.drop_repeated(table.cells, table.faults)
        table = file_end.skip_repeated(table, repeated)
        checked = check.check(replace(table, cells=cells), snapshot.vocabulary)
        faults = checked.problems if found is None else pl.concat([checked.problems, found])
        judgement = _judge_rows(_match_users(checked.rows, snapshot), faults, snapshot, policy)
        check.refuse_too_many(judgement.problems, table.file)
    except check.TooManyProblems as error:
        return Plan(policy.mode, table, refusals=(error.problem,))
    rows = judgement.rows
    made = Plan(
        policy.mode,
        table,
        snapshot.vocabulary,
        rows=rows.select("row", pl.col("external_id").fill_null(""), "outcome"),
        rekeyed=rows.filter(pl.col("outcome") == "updated").select(plan.REKEYED.keys()),
        problems=judgement.problems,
        notes=judgement.notes,
    )
    refusals = plan.find_refusals(made, policy)
    return replace(made, refusals=refusals, holds=() if refusals else _find_holds(made, snapshot, policy))


def _find_holds(made: Plan, snapshot: Snapshot, policy: Policy) -> tuple[Hold, ...]:
    users = snapshot.users.select("id", "role_id", "group_id", was_role_id="role_id", was_group_id="group_id")
    rekeyed = made.rekeyed.join(users, on="id", how="left", maintain_order="left")
    return holds.find_holds(made.table, Harms(), {LimitKind.REKEYS: rekeyed}, 0, snapshot, policy)


def _match_users(rows: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    """Return the rows with their users (null for an unknown id), the keys of both ids, and `done`."""
    users = snapshot.users.select("external_id", "id", *_PERSON, "role_id", "registered")
    matched = rows.join(users, on="external_id", how="left", maintain_order="left")
    return _mark_done(
        matched.with_columns(
            keys.make_id_keys(matched["new_external_id"]).alias("key"),
            keys.make_id_keys(matched["external_id"]).alias("was_key"),
        ),
        snapshot,
    )


def _find_kept(rows: pl.DataFrame, marks: pl.DataFrame) -> pl.Series:
    """Return the rows of users that files leave unchanged (S11), unless another row names the same user."""
    theirs = pl.col("id").is_in(marks.filter("no_files")["id"].implode())
    return rows.filter(theirs, ~pl.col("external_id").is_duplicated())["row"]


def _mark_done(rows: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    """Return the rows with `done`: the change that the row asks for was made before, by the same file or another.

    It was, if the user who has the new id now had the old one just before, and this file does not move that user on.
    Without this, a swap that is imported twice would be undone, and a chain would have errors.
    """
    before = snapshot.users.join(snapshot.former.rename({"external_id": "had"}), left_on="id", right_on="user_id")
    done = rows.select("row", "external_id", "new_external_id").join(
        before.select(new_external_id="external_id", external_id="had", holder="id"),
        on=["external_id", "new_external_id"],
    )
    moving = rows.filter(pl.col("external_id") != pl.col("new_external_id"), pl.col("id").is_not_null())
    while True:
        moved = moving.join(done, on="row", how="anti").select(holder="id")
        remaining = done.join(moved, on="holder", how="anti")
        if remaining.height == done.height:
            return rows.with_columns(done=pl.col("row").is_in(done["row"].implode()))
        done = remaining


def _judge_rows(rows: pl.DataFrame, faults: pl.DataFrame, snapshot: Snapshot, policy: Policy) -> _Judgement:
    """Judge each row by itself, then all rows in the final state (M5–M8)."""
    words, kept = snapshot.vocabulary, _find_kept(rows, snapshot.marks)
    left_out = pl.col("done") | _is_among(kept)
    changing = rows.filter(~left_out, pl.col("id").is_not_null(), pl.col("external_id") != pl.col("new_external_id"))
    alone = pl.concat(
        [
            faults,
            uniqueness.find_repeated_ids(rows),
            _flag_unknown(rows, snapshot),
            _flag_forbidden(changing, policy.operator, words),
            damage.find_damaged_ids(changing, policy.decisions),
        ]
    ).filter(~_is_among(kept))
    claims = _collect_claims(changing.with_columns(ok=~_is_among(alone["row"])), snapshot.users)
    failed = uniqueness.cascade_failures(claims, uniqueness.find_refused(claims))
    conflicts = uniqueness.find_conflicts(claims, failed, snapshot.users, rows)
    found = pl.concat([alone, conflicts]).sort("row", "column", "code")
    given_up = claims.filter("ok", ~_is_among(failed))["released_by"].drop_nulls()
    errored, updated = _is_among(found["row"]), _is_among(changing["row"])
    outcome = (
        pl.when(errored).then(pl.lit("errored")).when(updated).then(pl.lit("updated")).otherwise(pl.lit("unchanged"))
    )
    result = rows.with_columns(outcome=outcome.cast(plan.OUTCOME), vacates=_is_among(given_up)).sort("row")
    notes = pl.concat([_make_notes(result, snapshot), problems.flag_rows(kept.to_frame(), "not-by-files")])
    return _Judgement(result, found, notes.sort("row"))


def _is_among(rows: pl.Series) -> pl.Expr:
    return pl.col("row").is_in(rows.implode())


def _flag_unknown(rows: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    """Return the problem of each row whose EXTERNAL_ID no user has, with the user who is probably meant."""
    unknown = rows.filter(pl.col("id").is_null(), ~pl.col("done"), pl.col("external_id") != "").select(
        "row", "external_id", near=_loosen("external_id")
    )
    if unknown.is_empty():
        return problems.build_frame()
    people = snapshot.users.select("id", "external_id", person=_NAMED)
    had = snapshot.former.join(people.select("id", "person"), left_on="user_id", right_on="id")
    formerly = had.group_by("external_id").agg(pl.col("person").first().alias("had_by"))
    alike = people.group_by(near=_loosen("external_id")).agg(pl.col("external_id").min().alias("like"))
    joined = unknown.join(formerly, on="external_id", how="left").join(alike, on="near", how="left")
    advice = pl.coalesce(pl.format("{} had it before.", "had_by"), pl.format("Did you mean {}?", "like"), pl.lit(""))
    return problems.flag_rows(
        joined, "unknown-user", column=EXTERNAL_ID.heading, value=pl.col("external_id"), advice=advice
    )


def _loosen(name: str) -> pl.Expr:
    """Return ids without what spreadsheets change most: leading zeros, and case."""
    return pl.col(name).str.to_lowercase().str.strip_chars_start("0")


def _flag_forbidden(changing: pl.DataFrame, operator: Operator | None, words: Vocabulary) -> pl.DataFrame:
    """Return the problems of rows that the operator may not apply (M10).

    An own external ID may be changed. Where an identity provider knows users by their external IDs, a new id decides
    who signs in as the user, as a new address does otherwise.
    """
    if operator is None:
        return problems.build_frame()
    above = pl.col("role_id").is_in(authority.find_roles_above(operator, words))
    may = authority.CREDENTIALS in operator.permissions or not words.matched_by_id
    theirs = problems.flag_rows(
        changing.filter(above),
        "above-your-role",
        column=EXTERNAL_ID.heading,
        sentence="The user's role has permissions that yours does not, so you cannot change this user.",
    )
    known = changing.filter(pl.lit(not may) & pl.col("registered"))
    return pl.concat(
        [
            theirs,
            problems.flag_rows(
                known, "registered-id", column=NEW_EXTERNAL_ID.heading, permission=authority.CREDENTIALS
            ),
        ]
    )


def _collect_claims(changing: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return the external IDs that rows would newly take, as `uniqueness.collect_claims` returns other values.

    Ids are the same if they are equal after NFKC (M4).
    """
    heading = pl.lit(NEW_EXTERNAL_ID.heading)
    wanted = changing.filter(pl.col("key").is_not_null()).select(
        "row", "ok", "id", "key", column=heading, space=heading, value="new_external_id", shared=pl.col("key").is_duplicated()
    )  # fmt: skip
    holders = users.select(holder="id", key=keys.make_id_keys(users["external_id"]))
    held = wanted.select("row", "key", "id").join(holders, on="key").filter(pl.col("holder") != pl.col("id"))
    moving = changing.filter(pl.col("key") != pl.col("was_key")).select(holder="id", released_by="row")
    return (
        wanted.drop("id")
        .join(held.select("row", "holder"), on="row", how="left")
        .with_columns(held_as=heading)
        .join(moving.unique("holder", keep="any"), on="holder", how="left")
    )


def _make_notes(rows: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    done = rows.filter("done", pl.col("outcome") == "unchanged").select("row", "new_external_id")
    people = snapshot.users.select(new_external_id="external_id", person=_NAMED)
    before = problems.flag_rows(
        done.join(people, on="new_external_id"),
        "already-changed",
        column=NEW_EXTERNAL_ID.heading,
        value=pl.col("new_external_id"),
        person=pl.col("person"),
    )
    known = rows.filter(
        pl.lit(snapshot.vocabulary.matched_by_id) & pl.col("registered") & (pl.col("outcome") == "updated")
    )
    sign_on = problems.flag_rows(
        known,
        "sign-on-id",
        column=NEW_EXTERNAL_ID.heading,
        value=pl.col("new_external_id"),
        known_as=pl.col("external_id"),
    )
    return pl.concat([before, sign_on])
