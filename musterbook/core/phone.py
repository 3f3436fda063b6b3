"""Phone numbers: with leading country code, possible ones, stored as E.164 (rule C8)."""

import re
from functools import cache

import polars as pl

_SEPARATORS = r"[ .()\-\x{a0}\x{2010}-\x{2015}\x{202f}/]"
_WRITTEN = re.compile(
    r"\+?[\d\s.()\-\u2010-\u2015/]+(?:(?:\s*[,;]?\s*(?:ext(?:ension)?\.?|x|#)|;ext=)\s*[:.=]?\s*\d{1,7})?", re.IGNORECASE
)


def numbers(values: pl.Series, country: str = "") -> pl.DataFrame:
    """`phone`: each value as E.164 (`;ext=` kept), "" for blank, null for what is no possible number.

    `country`: the ISO code that numbers without a country code are of, "" for none.
    """
    frame = pl.DataFrame({"value": values}).with_columns(digits=_digits())
    quick = pl.lit("+") + pl.col("digits")
    judged = frame.with_columns(phone=pl.when(pl.col("value") == "").then(pl.lit("")).when(_plain()).then(quick))
    open_ones = judged.filter(pl.col("phone").is_null())["value"].unique().drop_nulls()
    if open_ones.is_empty():
        return judged.select("phone")
    read = pl.DataFrame(
        {"value": open_ones, "read": pl.Series([number(value, country) for value in open_ones], dtype=pl.String)}
    )
    return judged.join(read, on="value", how="left", maintain_order="left").select(phone=pl.coalesce("phone", "read"))


def _digits() -> pl.Expr:
    """The digits after `+` or `00`, where the value is those, digits and separators alone; else null."""
    bare = pl.col("value").str.replace_all(_SEPARATORS, "")
    return bare.str.extract(r"^(?:\+|00)([1-9][0-9]+)$")


def _plain() -> pl.Expr:
    """Whether the digits are, by the library's own tables, a possible number that it would store as it stands (tested)."""
    plain = pl.lit(False)
    for code, (lengths, prefix) in _plans().items():
        national = pl.col("digits").str.slice(len(code))
        ours = pl.col("digits").str.starts_with(code) & national.str.len_bytes().is_in(lengths)
        plain = plain | (ours & national.str.contains("^[1-9]") & ~(national.str.contains(prefix) if prefix else pl.lit(False)))
    return plain.fill_null(False)


_COMMON = ("1", "44", "49", "61", "64", "27", "33", "34", "31", "47", "46", "41", "43", "353")
"""The calling codes that the quick path knows; numbers of others are read one by one, each distinct one once."""


@cache
def _plans() -> dict[str, tuple[list[int], str]]:
    """Calling code → the possible lengths of national numbers, and the pattern of what might be a national prefix."""
    from phonenumbers import PhoneMetadata, region_code_for_country_code  # noqa: PLC0415

    plans = {}
    for code in _COMMON:
        data = PhoneMetadata.metadata_for_region(region_code_for_country_code(int(code)))
        prefix = data.national_prefix_for_parsing
        plans[code] = (list(data.general_desc.possible_length), f"^(?:{prefix})" if prefix else "")
    return plans


def number(value: str, country: str = "") -> str | None:
    """One phone number as E.164 (`+12025550143;ext=12`), or None if it has no country code or is impossible.

    Written without `+` or `00` it must be a number that is in use, lest a national one pass for one of abroad; and no
    country code stands in brackets. Else it is of `country`, if one is given.
    """
    written = value.removeprefix("tel:")
    if not _WRITTEN.fullmatch(written):
        return None
    international = re.sub(r"^\(?00", "+", written)
    if international.startswith(("+", "(+")):
        return _read(international, None)
    national = _read(written, country) if country else None
    return national or (None if written.startswith("(") else _read(f"+{written}", None, in_use=True))


def _read(value: str, country: str | None, *, in_use: bool = False) -> str | None:
    # Heavy, and files without phones, or with plain ones alone, do not need it.
    import phonenumbers  # noqa: PLC0415

    try:
        parsed = phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None
    sound = phonenumbers.is_valid_number if in_use else phonenumbers.is_possible_number
    if not sound(parsed):
        return None
    text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return f"{text};ext={parsed.extension}" if parsed.extension else text
