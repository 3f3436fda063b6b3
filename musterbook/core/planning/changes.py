"""What a row changes, field by field, as text before and after: for the report, the trail and the undo."""

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning.unchanged import named

LINK = "X_SUPERVISOR_EXTERNAL_ID"
"""Beside SUPERVISOR_EMAIL in a user's changes: the supervisors' external ids, which no later change of address alters."""

NAMES = {column.heading: column.field for column in columns.COLUMNS if column is not columns.EXTERNAL_ID} | {
    LINK: "supervisor_external_id"
}
"""Heading → the name under which `texts` gives the column's text."""

DEACTIVATED = '{"STATUS":["Active","Inactive"]}'


def texts(vocabulary: Vocabulary, prefix: str = "") -> list[pl.Expr]:
    """Every column of a user as text, named by its field with the prefix, from the users' columns with that prefix."""
    active = pl.when(pl.col(f"{prefix}active")).then(pl.lit("Active")).otherwise(pl.lit("Inactive"))
    special = {
        "status": active,
        "role": named(f"{prefix}role_id", {role.id: role.name for role in vocabulary.roles}),
        "rank": named(f"{prefix}rank_id", {rank.id: rank.name for rank in vocabulary.ranks}),
        "evidence_group_ext_id": named(f"{prefix}group_id", {g.id: g.external_id for g in vocabulary.groups}),
    }
    return [
        special.get(name, pl.col(f"{prefix}{name}")).fill_null("").alias(f"{prefix}{name}") for name in NAMES.values()
    ]


def of_added(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.Series:
    """The changes of added users, as JSON text: every column that is not blank, from ""."""
    after = _escaped(rows.select(texts(vocabulary)))
    return _json(after, {heading: (pl.lit(""), pl.col(name)) for heading, name in NAMES.items()})


def of_updated(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.Series:
    """The changes of users, as JSON text `{"RANK": ["Officer", "Sergeant"]}`: the columns that differ; "{}" for none."""
    both = _escaped(rows.select(*texts(vocabulary), *texts(vocabulary, "was_")))
    return _json(both, {heading: (pl.col(f"was_{name}"), pl.col(name)) for heading, name in NAMES.items()})


def _escaped(told: pl.DataFrame) -> pl.DataFrame:
    """Texts as they stand inside a JSON string; control characters, the only others to escape, are never stored (C1)."""
    odd = [name for name in told.columns if told[name].str.contains(r'["\\]').any()]
    slashes = pl.col(odd).str.replace_all("\\", "\\\\", literal=True)
    return told.with_columns(slashes.str.replace_all('"', '\\"', literal=True)) if odd else told


def _json(told: pl.DataFrame, pairs: dict[str, tuple[pl.Expr, pl.Expr]]) -> pl.Series:
    members = [
        pl.when(before != after).then(
            pl.concat_str(pl.lit(f'"{heading}":["'), before, pl.lit('","'), after, pl.lit('"]'))
        )
        for heading, (before, after) in pairs.items()
    ]
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    return told.select(pl.lit("{") + joined + pl.lit("}")).to_series()
