"""Names in cells: the role, rank or group that each one means, and suggestions (rules C6, C7)."""

import difflib
from collections.abc import Iterable, Mapping

import polars as pl

from musterbook.core.domain.vocabulary import Rank, Role
from musterbook.core.values.keys import fold

_SUGGESTED = 3


def roles(known: Iterable[Role]) -> dict[str, int]:
    """Return the key of each role's name → the role's id."""
    return {fold(role.name): role.id for role in known}


def ranks(known: Iterable[Rank]) -> dict[str, int]:
    """Return the key of each rank's name and abbreviation → the rank's id.

    Where keys collide, a name takes precedence over an abbreviation, and then the first rank wins.
    """
    found: dict[str, int] = {}
    ordered = list(known)
    for name in (
        *((fold(r.name), r.id) for r in ordered),
        *((fold(r.abbreviation), r.id) for r in ordered if r.abbreviation),
    ):
        found.setdefault(*name)
    return found


def resolved(values: pl.Series, ids: Mapping[str, int], *, exact: bool = False) -> pl.Series:
    """Return the id that each value names, null where the value is blank or names none."""
    distinct = values.unique().to_list()
    named = {value: ids.get(value if exact else fold(value)) for value in distinct if value}
    return values.replace_strict(named, default=None, return_dtype=pl.Int64)


def suggestion(value: str, names: Mapping[str, str]) -> str:
    """Return the question “Did you mean …?” with the closest names, "" where none is close.

    `names`: what may be written → the name.
    """
    by_key = {fold(written): name for written, name in names.items()}
    close = difflib.get_close_matches(fold(value), by_key, n=_SUGGESTED, cutoff=0.6)
    return f"Did you mean {' or '.join(dict.fromkeys(by_key[key] for key in close))}?" if close else ""
