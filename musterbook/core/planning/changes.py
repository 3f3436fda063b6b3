"""The changes of a row, field by field, as text before and after.

The report, the audit trail and the undo use them.
"""

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning.unchanged import name_ids

LINK = "X_SUPERVISOR_EXTERNAL_ID"
"""An entry next to SUPERVISOR_EMAIL in a user's changes.

It holds the supervisors' external IDs, which do not change when an address changes later.
"""

NAMES = {column.heading: column.field for column in columns.COLUMNS if column is not columns.EXTERNAL_ID} | {
    LINK: "supervisor_external_id"
}
"""Heading → the name under which `render_texts` returns the text of the column."""

DEACTIVATED = '{"STATUS":["Active","Inactive"]}'


def render_texts(vocabulary: Vocabulary, prefix: str = "") -> list[pl.Expr]:
    """Return every column of a user as text, named by its field with the prefix.

    The source is the users' columns with that prefix.
    """
    active = pl.when(pl.col(f"{prefix}active")).then(pl.lit("Active")).otherwise(pl.lit("Inactive"))
    special = {
        "status": active,
        "role": name_ids(f"{prefix}role_id", {role.id: role.name for role in vocabulary.roles}),
        "rank": name_ids(f"{prefix}rank_id", {rank.id: rank.name for rank in vocabulary.ranks}),
        "evidence_group_ext_id": name_ids(f"{prefix}group_id", {g.id: g.external_id for g in vocabulary.groups}),
    }
    return [
        special.get(name, pl.col(f"{prefix}{name}")).fill_null("").alias(f"{prefix}{name}") for name in NAMES.values()
    ]


def render_shown(vocabulary: Vocabulary, prefix: str = "") -> list[pl.Expr]:
    """Return the same as changes show them: a supervisor by address and external ID.

    The address alone can be the same before and after, if it moves to another person (M9).
    """
    supervisor = pl.format("{} ({})", f"{prefix}supervisor_email", f"{prefix}supervisor_external_id").fill_null("")
    name = f"{prefix}supervisor_email"
    others = [text for text in render_texts(vocabulary, prefix) if text.meta.output_name() != name]
    return [*others, supervisor.alias(name)]


def describe_added(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.Series:
    """Return the changes of added users, as JSON text: every column that is not blank, from ""."""
    after = _escape_texts(rows.select(render_shown(vocabulary)))
    return _render_json(after, {heading: (pl.lit(""), pl.col(name)) for heading, name in NAMES.items()})


def describe_updated(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.Series:
    """Return the changes of users, as JSON text `{"RANK": ["Officer", "Sergeant"]}`.

    It holds the columns that differ; "{}" for none.
    """
    both = _escape_texts(rows.select(*render_shown(vocabulary), *render_shown(vocabulary, "was_")))
    return _render_json(both, {heading: (pl.col(f"was_{name}"), pl.col(name)) for heading, name in NAMES.items()})


def describe_rekeyed(rows: pl.DataFrame) -> pl.Series:
    """Return the changes of users who get a new external ID, as JSON text."""
    both = _escape_texts(rows.select("external_id", "new_external_id"))
    return _render_json(both, {columns.EXTERNAL_ID.heading: (pl.col("external_id"), pl.col("new_external_id"))})


def describe_released(users: pl.DataFrame) -> pl.Series:
    """Return the changes of users whose badge was released (`badge_number`, `was_badge_number`, `leaves`), as JSON text.

    `leaves`: whether the user becomes Inactive too.
    """
    both = _escape_texts(users.select("badge_number", "was_badge_number"))
    badges = both.select(
        pl.format('"{}":["{}","{}"]', pl.lit(columns.BADGE_NUMBER.heading), "was_badge_number", "badge_number")
    ).to_series()
    status = pl.when(users["leaves"]).then(pl.lit(',"STATUS":["Active","Inactive"]')).otherwise(pl.lit(""))
    return pl.select(pl.lit("{") + pl.lit(badges) + status + pl.lit("}")).to_series()


def _escape_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the texts escaped for a JSON string.

    Control characters, the only others that need an escape, are never stored (C1).
    """
    special = (pl.all().str.contains(sign, literal=True).any() for sign in ('"', "\\"))
    found = rows.select(*(flag.name.suffix(str(place)) for place, flag in enumerate(special))).row(0)
    odd = [
        name for name, *signs in zip(rows.columns, found[: rows.width], found[rows.width :], strict=True) if any(signs)
    ]
    slashes = pl.col(odd).str.replace_all("\\", "\\\\", literal=True)
    return rows.with_columns(slashes.str.replace_all('"', '\\"', literal=True)) if odd else rows


def _render_json(rows: pl.DataFrame, pairs: dict[str, tuple[pl.Expr, pl.Expr]]) -> pl.Series:
    members = [
        pl.when(before != after).then(
            pl.concat_str(pl.lit(f'"{heading}":["'), before, pl.lit('","'), after, pl.lit('"]'))
        )
        for heading, (before, after) in pairs.items()
    ]
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    return rows.select(pl.lit("{") + joined + pl.lit("}")).to_series()
