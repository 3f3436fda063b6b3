"""Uniqueness in the final state of the directory (M4–M8).

It depends on who asks for a value, who has it, and who gives it up.
"""

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import BADGE_NUMBER, EMAIL, EXTERNAL_ID, KEYED, NEW_EXTERNAL_ID, USERNAME, Column
from musterbook.core.values import keys
from musterbook.core.values.looks import explain_pairs
from musterbook.core.values.text import is_ascii

_OTHERS_NAMED = 5
_SIGN_IN_NAMES = ((EMAIL, USERNAME), (USERNAME, EMAIL))
"""A user signs in with either one. So a value of one user in one column may not be another user's in the other (M4)."""
_SPACE = "sign-in"
_ALIKE = {"row": pl.UInt32, "value": pl.String, "key": pl.String, "holder": pl.Int64}
"""The columns of `match_like_ids`."""
_CLAIMS = {
    "row": pl.UInt32,
    "ok": pl.Boolean,
    **dict.fromkeys(("column", "space", "value", "key"), pl.String),
    "shared": pl.Boolean,
    "holder": pl.Int64,
    "held_as": pl.String,
    "released_by": pl.UInt32,
}
"""The columns of `collect_claims`."""


def find_repeated_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the problem of every row whose external ID is in another row too (M6).

    Ids of new users also must not look the same. `rows`: `row`, `id`, `external_id` (null where it cannot be read).
    """
    if rows.height < 2:  # one row repeats no other
        return problems.build_frame()
    with_ids = rows.filter(pl.col("external_id").is_not_null(), pl.col("external_id") != "")
    new = pl.col("id").is_null()
    keyed = with_ids.with_columns(
        key=pl.when(new).then(keys.make_id_keys(with_ids["external_id"])).otherwise("external_id"),
        space=pl.when(new).then(pl.lit("new ids")).otherwise(pl.lit("known ids")),
    )
    # The first filter is quick, and leaves few rows.
    likely = keyed.filter(pl.col("key").is_duplicated())
    if likely.is_empty():
        return problems.build_frame()
    repeated = likely.filter(pl.struct("space", "key").is_duplicated())
    claims = repeated.select(
        "row", "space", "key", column=pl.lit(EXTERNAL_ID.heading), value="external_id", ok=True, shared=True
    )
    return _flag_duplicates(claims)


def find_like_ids(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return the problem of every row that would add a user whose external ID looks like that of another user (M4)."""
    alike = match_like_ids(rows, users)
    if alike.is_empty():
        return problems.build_frame()
    heading = pl.lit(EXTERNAL_ID.heading)
    return _flag_taken(alike.with_columns(column=heading, held_as=heading), users, rows)


def match_like_ids(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of new users (`row`, `value`) with the user whose external ID looks the same (`holder`)."""
    new = rows.filter(pl.col("id").is_null(), pl.col("external_id").is_not_null())
    if new.is_empty():
        return pl.DataFrame(schema=_ALIKE)
    plain_users, plain_rows = is_ascii(users["external_id"]), is_ascii(new["external_id"])
    if plain_users.all() and plain_rows.all():
        return pl.DataFrame(schema=_ALIKE)
    asked = new.select("row", value="external_id", key=keys.make_id_keys(new["external_id"]), plain=plain_rows)
    holders = users.select(holder="id", key=keys.make_id_keys(users["external_id"]), holder_plain=plain_users)
    # Two ids that are both plain look the same only if they are the same, and then the row is not new.
    alike = asked.join(holders, on="key").filter(~pl.col("plain") | ~pl.col("holder_plain"))
    return alike.select(_ALIKE.keys())


def collect_claims(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return every value that a row would newly take.

    `rows`: the checked rows with `ok` and the stored values of their users (`id`, `was_…`). `users`: the users of the
    snapshot, with keys. The result has these columns (_CLAIMS):

    - `column`, `row`, `ok`, `value`, `key`.
    - `space`: the space within which the value is unique.
    - `shared`: whether another row asks for the value too.
    - `holder`: the id of the user who has the value now, null for none.
    - `held_as`: the column in which the holder has it.
    - `released_by`: the row with which the holder would give it up, null if they keep it.

    A value that a user holds both as EMAIL and as USERNAME produces two claims.
    """
    moving = {column: _select_moving(rows, column) for column in KEYED}
    asked = [column for column in KEYED if not moving[column].is_empty()]
    crossing = _find_crossing(moving[EMAIL], moving[USERNAME])
    own = [_claim_column(moving[column], users, column, crossing) for column in asked]
    across = [_claim_across(moving, users, *pair) for pair in _SIGN_IN_NAMES if pair[0] in asked]
    return pl.concat([pl.DataFrame(schema=_CLAIMS), *own, *across])


def _select_moving(rows: pl.DataFrame, column: Column) -> pl.DataFrame:
    key = pl.col(column.key)
    return rows.filter(key.is_not_null(), key.ne_missing(pl.col(f"was_{column.key}")))


def _find_crossing(emails: pl.DataFrame, usernames: pl.DataFrame) -> pl.Series:
    """Return the rows that conflict across EMAIL and USERNAME.

    These are the rows that newly ask as EMAIL for what another row newly asks for as USERNAME, and those other rows.
    """
    addresses = _filter_addresses(usernames, USERNAME).select("row", key=USERNAME.key)
    if addresses.is_empty():
        return addresses["row"]
    both = emails.select(other="row", key=EMAIL.key).join(addresses, on="key").filter(pl.col("row") != pl.col("other"))
    return pl.concat([both["row"], both["other"]]).unique()


def _filter_addresses(frame: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return the rows whose value can equal an email address.

    Few usernames can, so few are compared.
    """
    return frame.filter(pl.col(column.key).str.contains("@", literal=True))


def _claim_column(moving: pl.DataFrame, users: pl.DataFrame, column: Column, crossing: pl.Series) -> pl.DataFrame:
    key = pl.col(column.key)
    shared = key.is_duplicated()
    if column in (EMAIL, USERNAME):
        shared |= pl.col("row").is_in(crossing.implode())
    claims = _build_claims(moving, column, shared)
    holders = users.select(key=key, holder="id").join(claims.select("key"), on="key", how="semi")
    held = claims.join(holders, on="key", how="left").with_columns(held_as=pl.lit(column.heading))
    return held.join(_find_releases(moving), on="holder", how="left")


def _build_claims(moving: pl.DataFrame, column: Column, shared: pl.Expr) -> pl.DataFrame:
    space = _SPACE if column in (EMAIL, USERNAME) else column.heading
    return moving.select(
        "row", "ok", column=pl.lit(column.heading), space=pl.lit(space), value=column.field,
        key=pl.col(column.key), shared=shared,
    )  # fmt: skip


def _find_releases(moving: pl.DataFrame) -> pl.DataFrame:
    return moving.filter("ok", pl.col("id").is_not_null()).select(holder="id", released_by="row")


def _claim_across(
    moving: dict[Column, pl.DataFrame], users: pl.DataFrame, column: Column, held_as: Column
) -> pl.DataFrame:
    """Return the claims of one column to values that another user has in the other column.

    `shared` is false here: it is set on the claims to the column itself.
    """
    asking, having = moving[column].with_columns(own="id"), users.select(holder="id", key=held_as.key)
    if column is USERNAME:
        asking = _filter_addresses(asking, USERNAME)
    else:
        having = having.filter(pl.col("key").str.contains("@", literal=True))
    claims = _build_claims(asking, column, pl.lit(False)).with_columns(own=asking["own"])
    held = claims.join(having, on="key").filter(pl.col("own").ne_missing(pl.col("holder"))).drop("own")
    return held.with_columns(held_as=pl.lit(held_as.heading)).join(
        _find_releases(moving[held_as]), on="holder", how="left"
    )


def block_handovers(claims: pl.DataFrame) -> pl.DataFrame:
    """Return the claims of an agency in which sign-in names rest.

    A name that one row gives up does not become free for another row.
    """
    released_by = pl.when(pl.col("space") != _SPACE).then("released_by")
    return claims.with_columns(released_by=released_by)


def find_resting(rows: pl.DataFrame, names: pl.DataFrame | None) -> pl.DataFrame:
    """Return the problem of every row that newly takes a sign-in name which another user gave up recently.

    Source: CJIS Security Policy, IA-4 (identifiers are not reused for a year). `names`: snapshot.RESTING.
    """
    if names is None or names.is_empty():
        return problems.build_frame()
    parts = [_flag_resting(_select_moving(rows, column), names, column) for column in (EMAIL, USERNAME)]
    return pl.concat(parts).unique(["row", "column"], keep="first", maintain_order=True)


def _flag_resting(moving: pl.DataFrame, names: pl.DataFrame, column: Column) -> pl.DataFrame:
    taken = moving.join(names, left_on=column.key, right_on="key").filter(pl.col("id").ne_missing(pl.col("user_id")))
    return problems.flag_rows(taken, "resting-name", column=column.heading, value=pl.col(column.field))


def find_refused(claims: pl.DataFrame) -> pl.Series:
    """Return the rows whose claims fail regardless of the other rows.

    Either the holder keeps the value, or several rows ask for it.
    """
    if claims.is_empty():
        return claims["row"]
    sound = claims.filter("ok")
    held = sound.filter(pl.col("holder").is_not_null(), pl.col("released_by").is_null())
    contested = sound.filter("shared").filter(pl.col("row").n_unique().over("space", "key") > 1)
    return pl.concat([held["row"], contested["row"]]).unique()


def cascade_failures(claims: pl.DataFrame, seeds: pl.Series) -> pl.Series:
    """Return the rows that fail because a row of `seeds` fails, transitively, with `seeds`.

    A failed row does not give up the value that another row asks for.
    """
    if seeds.is_empty():
        return seeds
    edges = claims.filter("ok", pl.col("released_by").is_not_null()).select("released_by", "row")
    if edges.is_empty():
        return seeds
    waiting: dict[int, list[int]] = {}
    for released_by, row in edges.iter_rows():
        waiting.setdefault(released_by, []).append(row)
    failed = frontier = set(seeds)
    while frontier:
        frontier = {row for one in frontier for row in waiting.get(one, ())} - failed
        failed |= frontier
    return pl.Series(sorted(failed), dtype=pl.UInt32)


def find_handovers(claims: pl.DataFrame, failed: pl.Series) -> pl.Series:
    """Return the rows that take a sign-in name which another user has now, and do not fail (M12)."""
    if claims.is_empty():
        return claims["row"]
    taken = claims.filter("ok", pl.col("space") == _SPACE, pl.col("holder").is_not_null())
    return taken.filter(~pl.col("row").is_in(failed.implode()))["row"].unique()


def find_conflicts(claims: pl.DataFrame, failed: pl.Series, users: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the problems of all claims that fail in the final state: `duplicate-in-file` and `taken`."""
    if claims.is_empty():
        return problems.build_frame()
    unreleased = pl.col("released_by").is_null() | pl.col("released_by").is_in(failed.implode())
    taken = claims.filter(pl.col("holder").is_not_null(), unreleased)
    return pl.concat([_flag_duplicates(claims), _flag_taken(taken, users, rows)])


def _flag_duplicates(claims: pl.DataFrame) -> pl.DataFrame:
    """Return the problems of rows that ask for the same value.

    A row without problems conflicts only with other rows without problems. A row that has problems anyway gets every
    conflict.
    """
    clashing = claims.filter("shared")
    if clashing.is_empty():
        return problems.build_frame()
    sound = (pl.col("row").filter("ok").n_unique().over("space", "key") > 1) | ~pl.col("ok")
    groups = clashing.select("space", "key", "row").unique().sort("row").group_by("space", "key").agg(
        pl.col("row").head(_OTHERS_NAMED + 1).alias("rows"), pl.len().alias("many")
    )  # fmt: skip
    others = (
        clashing.filter(sound)
        .join(groups, on=["space", "key"], how="left")
        .filter(pl.col("many") > 1)
        .with_columns(
            others=pl.col("rows").list.set_difference(pl.concat_list("row")).list.sort().list.head(_OTHERS_NAMED)
        )
        .with_columns(more=pl.col("many") - 1 - pl.col("others").list.len().cast(pl.Int64))
    )
    more = pl.when(pl.col("more") > 0).then(pl.format(" and {} more", "more")).otherwise(pl.lit(""))
    row_list = pl.col("others").cast(pl.List(pl.String)).list.join(", ") + more
    return problems.flag_rows(
        others,
        "duplicate-in-file",
        column=pl.col("column"),
        value=pl.col("value"),
        in_rows=row_list,
        advice=pl.lit(_explain_groups(others)),
    )


def _explain_groups(clashing: pl.DataFrame) -> pl.Series:
    """Return what makes each value differ from the first other value of its group that looks like it (C13)."""
    plain = is_ascii(clashing["value"])
    if plain.all():
        return pl.repeat("", clashing.height, eager=True)
    values = clashing.select("value", first=pl.col("value").first().over("space", "key"),
                             last=pl.col("value").last().over("space", "key"))  # fmt: skip
    other = values.select(pl.when(pl.col("value") == pl.col("first")).then("last").otherwise("first")).to_series()
    return explain_pairs(values["value"], other)


def _flag_taken(taken: pl.DataFrame, users: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    if taken.is_empty():
        return problems.build_frame()
    holders = users.join(taken.select(id="holder"), on="id", how="semi").select(
        holder="id", has_id="external_id", has_first="first_name", has_last="last_name", active="active",
        **{f"has_{column.heading}": column.field for column in (EXTERNAL_ID, *KEYED)},
    )  # fmt: skip
    claimants = rows.select(
        "row", asked_id="external_id", asked_first="first_name", asked_last="last_name", new=pl.col("id").is_null()
    )
    pairs = taken.join(holders, on="holder").join(claimants, on="row")
    status = pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive"))
    advice = (
        _advise_on_columns(),
        _advise_on_release(),
        _advise_on_person().fill_null(""),
        pl.lit(_explain_looks(pairs)),
    )
    conflicts = problems.flag_rows(
        pairs.with_columns(keys.make_id_keys(pairs[name]).alias(f"{name}_key") for name in ("asked_id", "has_id")),
        "taken",
        column=pl.col("column"),
        value=pl.col("value"),
        holder=pl.format("{} {} ({}, {})", "has_first", "has_last", "has_id", status),
        advice=_join_sentences(*advice),
    )
    return conflicts.unique(["row", "column"], keep="first", maintain_order=True)


def _join_sentences(*sentences: pl.Expr) -> pl.Expr:
    return pl.concat_str(*sentences, separator=" ").str.replace_all(" +", " ").str.strip_chars()


_HELD = {column.heading: f"has_{column.heading}" for column in (EXTERNAL_ID, *KEYED)} | {
    NEW_EXTERNAL_ID.heading: f"has_{EXTERNAL_ID.heading}"
}
"""Heading → the column with what the holder of a value has."""


def _explain_looks(pairs: pl.DataFrame) -> pl.Series:
    """Return what makes a value differ from the holder's, or the two external IDs, if they look alike (C13)."""
    held = pairs.select(pl.coalesce(pl.when(held_as=heading).then(name) for heading, name in _HELD.items())).to_series()
    about_ids = explain_pairs(pairs["asked_id"], pairs["has_id"])
    about_values = explain_pairs(pairs["value"], held)
    both = pl.DataFrame({"column": pairs["column"], "values": about_values, "ids": about_ids})
    same_subject = pl.col("column") == EXTERNAL_ID.heading
    return both.select(
        pl.when(same_subject).then("ids").otherwise(_join_sentences(pl.col("values"), pl.col("ids")))
    ).to_series()


def _advise_on_columns() -> pl.Expr:
    """Return the advice for a value that the holder has in the other column of sign-in names."""
    sentence = pl.format("It is their {}, and users sign in with either, so two users cannot share one.", "held_as")
    return pl.when(pl.col("column") == pl.col("held_as")).then(pl.lit("")).otherwise(sentence)


def _advise_on_release() -> pl.Expr:
    """Return the advice for a badge of an Inactive user, which can be released (M13)."""
    inactive = (pl.col("column") == BADGE_NUMBER.heading) & ~pl.col("active")
    return pl.when(inactive).then(pl.lit(problems.RELEASE_ADVICE)).otherwise(pl.lit(""))


def _advise_on_person() -> pl.Expr:
    """Return the advice for a holder who may be the person that the row adds (M7).

    The row adds that person under another external ID.
    """
    fixed = "An import cannot change an external ID"
    near_id = _strip_zeros(pl.col("asked_id_key")) == _strip_zeros(pl.col("has_id_key"))
    same_name = (_lowercase("asked_first") == _lowercase("has_first")) & (
        _lowercase("asked_last") == _lowercase("has_last")
    )
    return (
        pl.when(pl.col("new") & near_id)
        .then(pl.format(fixed + ": did you mean {}?", "has_id"))
        .when(pl.col("new") & same_name)
        .then(pl.format(fixed + ": if this is the same person, write {}.", "has_id"))
        .otherwise(pl.lit(""))
    )


def _strip_zeros(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.strip_chars_start("0")


def _lowercase(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase()
