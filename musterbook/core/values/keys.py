"""The keys that values are compared by.

They ignore case and the different encodings of one character (rule M4).
"""

import hashlib
import unicodedata

import polars as pl

from musterbook.core.values.text import is_ascii

_LONGEST = 1000
"""A key of more bytes is stored as its hash, because a database index cannot hold longer keys."""


def make_keys(values: pl.Series) -> pl.Series:
    """Return the key of each value. Null stays null."""
    lower = values.str.to_lowercase()
    plain = is_ascii(values) & (values.str.len_bytes() <= _LONGEST)
    if plain.all():
        return lower
    odd = values.filter(~plain).unique()
    mapped = values.replace_strict(
        odd, pl.Series([make_key(value) for value in odd], dtype=pl.String), default=None, return_dtype=pl.String
    )
    picked = pl.when("plain").then("lower").otherwise("mapped").alias(values.name)
    return pl.DataFrame({"plain": plain, "lower": lower, "mapped": mapped}).select(picked).to_series()


def make_key(value: str) -> str:
    """Return the key of one value: NFKC and case folding, until neither changes it."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    while (again := unicodedata.normalize("NFKC", folded).casefold()) != folded:
        folded = again
    return folded if len(folded.encode()) <= _LONGEST else f"\x02{hashlib.sha256(folded.encode()).hexdigest()}"


def make_id_keys(ids: pl.Series) -> pl.Series:
    """Return the key of each external id: NFKC, and nothing else. Null stays null."""
    return ids if is_ascii(ids).all() else ids.str.normalize("NFKC")


def fold(name: str) -> str:
    """Return the key of the name of a role or rank. It also ignores runs of white space (rule C6)."""
    return " ".join(make_key(name).split())
