"""The keys that values are compared by.

They ignore case, the different encodings of one character, the kind of a dash, invisible characters and the form of an
internationalized domain (rule M4). Only names of the same key can look the same to a person.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable

import polars as pl

from musterbook.core.values.text import DASH, HIDDEN, is_ascii

_LONGEST = 1000
"""A key of more bytes is stored as its hash, because a database index cannot hold longer keys."""

_HIDDEN_CHARACTER, _DASH = re.compile(HIDDEN), re.compile(DASH)
_PUNYCODE = re.compile(r"(?<=[@.])xn--([a-z0-9-]+)")
_IDEOGRAPHIC_STOP = "\u3002"
"""A dot, for domains (IDNA)."""
_MAY_BE_PUNYCODE = r"(?i)[@.]xn--"

_TEXT = pl.col("text").str
_IS_SHORT = (_TEXT.len_bytes() == _TEXT.len_chars()) & (_TEXT.len_bytes() <= _LONGEST)
_IS_PLAIN = (_IS_SHORT & ~_TEXT.contains(_MAY_BE_PUNYCODE)).alias("plain")
"""Whether the key of a value is the value in lowercase."""
_LOWERCASE = _TEXT.to_lowercase().alias("quick")


def make_keys(values: pl.Series) -> pl.Series:
    """Return the key of each value. Null stays null."""
    read = values.to_frame("text").select(_IS_PLAIN, _LOWERCASE)
    return _map_odd(values, read["quick"].alias(values.name), read["plain"], make_key)


def make_id_keys(ids: pl.Series) -> pl.Series:
    """Return the key of each external ID: the id as it looks. Case counts, unlike in other keys."""
    return _map_odd(ids, ids, is_ascii(ids), make_id_key)


def _map_odd(values: pl.Series, quick: pl.Series, plain: pl.Series, make: Callable[[str], str]) -> pl.Series:
    """Return `quick` for the plain values, and the result of `make` for the few others."""
    if plain.all():
        return quick
    odd = values.filter(~plain).unique()
    mapped = values.replace_strict(
        odd, pl.Series([make(value) for value in odd], dtype=pl.String), default=None, return_dtype=pl.String
    )
    picked = pl.when("plain").then("quick").otherwise("mapped").alias(values.name)
    return pl.DataFrame({"plain": plain, "quick": quick, "mapped": mapped}).select(picked).to_series()


def make_key(value: str) -> str:
    """Return the key of one value: as it looks, without regard to case, and with its domain in one form."""
    return _shorten(_repeat(_fold_look, value))


def make_id_key(external_id: str) -> str:
    """Return the key of one external ID: NFKC, each dash as `-`, and no invisible characters."""
    return external_id if external_id.isascii() else _shorten(_repeat(_normalize_look, external_id))


def fold(name: str) -> str:
    """Return the key of the name of a role or rank: it ignores case, and runs of white space (rule C6)."""
    return " ".join(_shorten(_repeat(_fold_case, name)).split())


def _repeat(step: Callable[[str], str], value: str) -> str:
    """Apply the step until it changes nothing: what folding yields may compose to a character that folds again."""
    while (again := step(value)) != value:
        value = again
    return value


def _fold_case(value: str) -> str:
    return unicodedata.normalize("NFKC", value).casefold()


def _normalize_look(value: str) -> str:
    """Return the value as it looks. A value that is entirely invisible stays as it is, because "" means blank."""
    normal = unicodedata.normalize("NFKC", value)
    return unicodedata.normalize("NFKC", _DASH.sub("-", _HIDDEN_CHARACTER.sub("", normal))) or normal


def _fold_look(value: str) -> str:
    folded = _normalize_look(value).casefold()
    if "@" not in folded:
        return folded
    local, _, domain = folded.rpartition("@")
    return local + _PUNYCODE.sub(_decode_label, "@" + domain.replace(_IDEOGRAPHIC_STOP, "."))


def _decode_label(match: re.Match[str]) -> str:
    """Return the label of a domain as a person reads it; as it is if it encodes nothing."""
    try:
        label = match[1].encode().decode("punycode")
    except UnicodeError:
        return match[0]
    return match[0] if label.isascii() or not label.isprintable() or "." in label or "@" in label else label


def _shorten(key: str) -> str:
    return key if len(key.encode()) <= _LONGEST else f"\x02{hashlib.sha256(key.encode()).hexdigest()}"
