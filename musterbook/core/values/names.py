"""Names in cells: the role, rank or group that each one means, and suggestions (rules C6, C7)."""

import difflib
from collections.abc import Iterable, Mapping

import polars as pl

from musterbook.core.domain.vocabulary import Rank, Role
from musterbook.core.values.keys import fold
from musterbook.core.values.looks import explain_likeness

_MAX_SUGGESTIONS = 3


def index_roles(known: Iterable[Role]) -> dict[str, int]:
    """Return the key of each role's name → the role's id."""
    return {fold(role.name): role.id for role in known}


def index_ranks(known: Iterable[Rank]) -> dict[str, int]:
    """Return the key of each rank's name and abbreviation → the rank's id.

    Where keys collide, a name takes precedence over an abbreviation, and then the first rank wins.
    """
    ids: dict[str, int] = {}
    ordered = list(known)
    for name in (
        *((fold(r.name), r.id) for r in ordered),
        *((fold(r.abbreviation), r.id) for r in ordered if r.abbreviation),
    ):
        ids.setdefault(*name)
    return ids


def resolve_names(values: pl.Series, ids: Mapping[str, int], *, exact: bool = False) -> pl.Series:
    """Return the id that each of a few values names, null where the value is blank or names none."""
    named = [ids.get(value if exact else fold(value)) if value else None for value in values]
    return pl.Series(values.name, named, dtype=pl.Int64)


def suggest_names(value: str, names: Mapping[str, str]) -> str:
    """Return the question “Did you mean …?” with the closest names, "" where none is close.

    If the value looks like the closest name, the character that differs is named (C13). `names`: what may be written → the name.
    """
    by_key = {fold(text): name for text, name in names.items()}
    close = difflib.get_close_matches(fold(value), by_key, n=_MAX_SUGGESTIONS, cutoff=0.6)
    if not close:
        return ""
    question = f"Did you mean {' or '.join(dict.fromkeys(by_key[key] for key in close))}?"
    return " ".join(filter(None, (question, explain_likeness(value, by_key[close[0]]))))
