"""The users that a file mentions: by a row with their external ID, or by a row with problems that names them
(S2).
"""

import polars as pl

from musterbook.core.domain.columns import KEYED
from musterbook.core.planning import uniqueness

BY_KEY = {"id": pl.Int64, "named_by": pl.UInt32}
"""The columns of `find_by_key`."""


def find_by_id(same_users: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the users (`id`) whose external ID is in a row, with or without problems.

    `same_users`: `id` of the users on the unchanged fast path. `rows`: the other rows, with `id` (null for a new user).
    """
    return pl.concat([same_users.select("id"), rows.filter(pl.col("id").is_not_null()).select("id")])


def find_by_key(users: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the users (BY_KEY) that a row with problems names, each with the first such row.

    It has their email, badge or username, or an external ID that looks like theirs (M4).
    `rows`: the checked rows with `id` and `ok`. `users`: the users of the agency, with keys.
    """
    errored = rows.filter(~pl.col("ok"))
    if users.is_empty() or errored.is_empty():
        return pl.DataFrame(schema=BY_KEY)
    matches = [users.join(_select_keys(errored, column.key), on=column.key).select(BY_KEY.keys()) for column in KEYED]
    alike = uniqueness.match_like_ids(errored, users).select(id="holder", named_by="row")
    return pl.concat([*matches, alike]).group_by("id").agg(pl.col("named_by").min())


def _select_keys(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.filter(pl.col(key).is_not_null(), pl.col(key) != "").select(key, named_by="row")
