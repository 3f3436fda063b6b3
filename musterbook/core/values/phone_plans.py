"""The numbering plans of the world as expressions over whole columns.

They find which numbers are possible, and which are in use. They are built from the phone library's own tables, and
decide only the cases where the library decides the same (tested).
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, cast

import polars as pl

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata
    from phonenumbers.phonemetadata import PhoneNumberDesc

_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
)  # fmt: skip

_LONGEST_CODE = 3
_NEVER = "[^0-9]"


def is_storable(full: pl.Series, *, in_use: bool) -> pl.Series:
    """Return whether each number can certainly be stored as it is.

    `full` is all digits, with the calling code first. A settled number is possible (with `in_use`: in use), and its
    digits after the calling code do not begin with what may be a national prefix. A number that is not settled may
    still be valid. Null is not settled.
    """
    codes = _find_codes(full)
    if not codes:
        return pl.repeat(False, len(full), eager=True, dtype=pl.Boolean)
    possible, prefixed = _build_patterns(codes)
    plain = full.str.contains(possible) & ~full.str.contains(prefixed)
    return (plain & _is_in_use(full.set(~plain, None)) if in_use else plain).fill_null(False)


def get_calling_code(country: str) -> str:
    """Return the calling code of a country, given its ISO code."""
    import phonenumbers

    return str(phonenumbers.country_code_for_region(country))


def get_exit_prefix(country: str) -> str:
    """Return the pattern of the prefix that is dialed in the country before a calling code."""
    return f"^(?:{_load_plan(get_calling_code(country)).international_prefix})"


def get_national_prefix(country: str) -> str:
    """Return the pattern of what may be a national prefix in the country."""
    data = _load_plan(get_calling_code(country))
    return f"^(?:{data.national_prefix_for_parsing or _NEVER})"


def get_lengths(country: str) -> list[int]:
    """Return the possible numbers of digits in the country's numbers, without calling code."""
    return list(_get_general(_load_plan(get_calling_code(country))).possible_length)


def _find_codes(full: pl.Series) -> tuple[str, ...]:
    """Return the calling codes that some of the numbers begin with.

    Each table of the library is slow to load.
    """
    prefixes = full.str.slice(0, _LONGEST_CODE).unique().drop_nulls()
    starts = {start[:length] for start in prefixes for length in range(1, _LONGEST_CODE + 1)}
    return tuple(code for code in _list_codes() if code in starts)


@cache
def _list_codes() -> tuple[str, ...]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return tuple(str(code) for code in COUNTRY_CODE_TO_REGION_CODE)


@cache
def _load_plan(code: str) -> "PhoneMetadata":
    """Return the numbering plan that the library uses for the numbers of a calling code."""
    import phonenumbers

    region = phonenumbers.region_code_for_country_code(int(code))
    data = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    return cast("PhoneMetadata", data)


def _get_general(data: "PhoneMetadata") -> "PhoneNumberDesc":
    return cast("PhoneNumberDesc", data.general_desc)


@cache
def _build_patterns(codes: tuple[str, ...]) -> tuple[str, str]:
    """Return the patterns of possible numbers, and of numbers that may have a national prefix.

    Both are for the given calling codes.
    """
    possible, prefixed = [], [_NEVER]
    for code in codes:
        data = _load_plan(code)
        possible.append(
            f"{code}(?:{_join_patterns(f'[0-9]{{{length}}}' for length in _get_general(data).possible_length)})"
        )
        if data.national_prefix_for_parsing:
            prefixed.append(f"{code}(?:{data.national_prefix_for_parsing})")
    return f"^(?:{_join_patterns(possible)})$", f"^(?:{_join_patterns(prefixed)})"


def _is_in_use(full: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"full": full}).with_row_index("at")
    coded = frame.with_columns(code=pl.col("full").str.extract(f"^({_join_patterns(_list_codes())})")).drop_nulls()
    parts = [part.filter(_is_used(str(code))).select("at") for (code,), part in coded.group_by("code")]
    return frame["at"].is_in(pl.concat([coded.select("at").clear(), *parts])["at"].implode())


@cache
def _is_used(code: str) -> pl.Expr:
    """Return whether numbers of the calling code are in use in one of its regions."""
    import phonenumbers

    national = pl.col("full").str.slice(len(code))
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    if len(regions) == 1:
        return _is_used_in(_load_plan(code), national)
    plans = [cast("PhoneMetadata", phonenumbers.PhoneMetadata.metadata_for_region(region)) for region in regions]
    # Leading digits alone assign a number to a region, whether or not it is in use there. The library decides these.
    assigned = _join_patterns(data.leading_digits for data in plans if data.leading_digits)
    used = pl.any_horizontal(pl.lit(False), *(_is_used_in(data, national) for data in plans if not data.leading_digits))
    return used & ~national.str.contains(f"^(?:{assigned})") if assigned else used


def _is_used_in(data: "PhoneMetadata", national: pl.Expr) -> pl.Expr:
    kinds = [desc for kind in _KINDS if (desc := getattr(data, kind)) is not None and desc.national_number_pattern]
    return _matches_desc(_get_general(data), national) & pl.any_horizontal(
        _matches_desc(desc, national) for desc in kinds
    )


def _matches_desc(desc: "PhoneNumberDesc", national: pl.Expr) -> pl.Expr:
    matches = national.str.contains(f"^(?:{desc.national_number_pattern})$")
    return matches & national.str.len_bytes().is_in(list(desc.possible_length)) if desc.possible_length else matches


def _join_patterns(patterns: Iterable[str]) -> str:
    return "|".join(patterns)
