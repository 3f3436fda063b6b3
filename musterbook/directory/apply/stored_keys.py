"""The stored keys of users, by which the database finds them and keeps their values unique (rule M4).

Two users of an older version may have values that today have one key. Then one of them has that key, and the other keeps
the key of the older version until their value changes. No new value gets a key of that form, so no other value can have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.storage import frames

_PART = 100_000
_VALUES = {column.key: column.field for column in columns.KEYED}
_READ = {"id": pl.Int64, **dict.fromkeys(("external_id", "external_id_key", *_VALUES, *_VALUES.values()), pl.String)}


@dataclass(frozen=True, slots=True)
class LikeValues:
    """Two users whose values look the same. The first has the key of the values."""

    column: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class KeyCorrections:
    """The result of correcting keys: the number of corrected ones, and the values that look the same."""

    corrected: int = 0
    alike: tuple[LikeValues, ...] = ()


def build_id_keys(ids: pl.Series) -> pl.Series:
    """Return the stored keys of external IDs: "" for an id that is its own key."""
    id_keys = keys.make_id_keys(ids)
    return id_keys.set(id_keys == ids, "").alias("external_id_key")


def correct_keys(agency_id: int) -> KeyCorrections:
    """Correct the stored keys that are not those of the values, in a transaction.

    The keys of values that look like those of another user stay as they are.
    """
    wrong = _collect_wrong(agency_id)
    right = wrong.pop("external_id_key")
    frames.update(models.User, right)
    corrected, alike = right.height, list[LikeValues]()
    for key, users in wrong.items():
        free = users.join(_find_holders(agency_id, key, users), on=key, how="anti")
        right = free.sort("id").unique(key, keep="first", maintain_order=True)
        frames.update(models.User, right)
        corrected += right.height
        alike += _list_alike(agency_id, key, users.join(right, on="id", how="anti"))
    return KeyCorrections(corrected, tuple(alike))


def _list_alike(agency_id: int, key: str, users: pl.DataFrame) -> list[LikeValues]:
    if users.is_empty():
        return []
    named = users.join(_read_ids(users["id"]), on="id").join(_find_holders(agency_id, key, users), on=key)
    pairs = named.sort("id").select("holder", "external_id").iter_rows()
    return [LikeValues(_VALUES[key].upper(), *pair) for pair in pairs]


def _collect_wrong(agency_id: int) -> dict[str, pl.DataFrame]:
    """Return the users whose key is not that of their value, with the right key, for each column of keys."""
    parts: dict[str, list[pl.DataFrame]] = {
        key: [pl.DataFrame(schema={"id": pl.Int64, key: pl.String})] for key in ("external_id_key", *_VALUES)
    }
    for users in _read_parts(agency_id):
        right = {"external_id_key": build_id_keys(users["external_id"])}
        right |= {key: keys.make_keys(users[field]).alias(key) for key, field in _VALUES.items()}
        for key, values in right.items():
            parts[key].append(pl.DataFrame([users["id"], values]).filter(values != users[key]))
    return {key: pl.concat(some) for key, some in parts.items()}


def _read_parts(agency_id: int) -> Iterator[pl.DataFrame]:
    sql = f"SELECT {', '.join(_READ)} FROM {frames.table(models.User)} WHERE agency_id = %s AND id > %s ORDER BY id LIMIT {_PART}"
    last = -(2**63)
    while not (part := frames.read_frame(sql, [agency_id, last], _READ)).is_empty():
        yield part
        last = part["id"][-1]


def _find_holders(agency_id: int, key: str, wrong: pl.DataFrame) -> pl.DataFrame:
    """Return who has the keys: `holder` (an external ID) and the key."""
    condition, parameter = frames.match_any(key, wrong[key].unique().to_list())
    return frames.read_frame(
        f"SELECT external_id, {key} FROM {frames.table(models.User)} WHERE agency_id = %s AND {condition}",
        [agency_id, parameter],
        {"holder": pl.String, key: pl.String},
    )


def _read_ids(numbers: pl.Series) -> pl.DataFrame:
    condition, parameter = frames.match_any("id", numbers.to_list())
    return frames.read_frame(
        f"SELECT id, external_id FROM {frames.table(models.User)} WHERE {condition}",
        [parameter],
        {"id": pl.Int64, "external_id": pl.String},
    )


def correct_released_names() -> None:
    """Correct the keys of the names that users gave up."""
    names = frames.read_frame(
        f"SELECT id, key FROM {frames.table(models.ReleasedName)}", [], {"id": pl.Int64, "key": pl.String}
    )
    right = names.with_columns(keys.make_keys(names["key"]).alias("key"))
    frames.update(models.ReleasedName, right.filter(right["key"] != names["key"]))
