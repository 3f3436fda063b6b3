"""Phone numbers: possible numbers with a leading country code, stored as E.164 (rule C8)."""

import re

import polars as pl

from musterbook.core.values import phone_plans

_SEPARATORS = r"[ .()\-\x{a0}\x{2010}-\x{2015}\x{202f}/]"
_WRITTEN = re.compile(
    r"\(?\+?[\d\s.()\-\u2010-\u2015/]+(?:(?:\s*[,;]?\s*(?:ext(?:ension)?\.?|x|#)|;ext=)\s*[:.=]?\s*\d{1,7})?",
    re.IGNORECASE,
)


def parse_numbers(values: pl.Series, country: str = "") -> pl.Series:
    """Return each value as E.164 (`;ext=` kept), "" for blank, null for an impossible number.

    `country`: the ISO code of the country of numbers without a country code, "" for none.
    """
    results = parse_quickly(values, country)
    left = values.filter(results.is_null()).unique()
    if left.is_empty():
        return results
    rest = pl.Series([parse_number(value, country) for value in left], dtype=pl.String)
    return results.fill_null(values.replace_strict(left, rest, default=None))


def parse_quickly(values: pl.Series, country: str = "") -> pl.Series:
    """Return the values that can be read as whole columns.

    The result is what `parse_number` returns (tested), "" for blank. It is null where `parse_number` must decide.
    """
    digits, marked = _extract_digits(values)
    storable = phone_plans.is_storable(digits.set(~marked, None), in_use=False)
    result = pl.select(pl.when(values == "").then(pl.lit("")).when(storable).then("+" + digits)).to_series()
    bare = result.is_null() & ~marked & digits.is_not_null()
    return result.fill_null(_parse_bare(values, digits.set(~bare, None), country)) if bare.any() else result


def _extract_digits(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the digits of each value, and whether `+` or `00` marked them.

    The digits are null for a value that holds anything other than digits and separators.
    """
    marked = values.str.contains(r"^(?:\+|00)")
    candidates = values.set(~marked & ~values.str.contains("^[(1-9]"), None)
    bare = candidates.str.replace_all(_SEPARATORS, "") if values.str.contains("[^+0-9]").any() else candidates
    # `parse_number` decides about a mark behind a bracket.
    misplaced = ~marked & bare.str.contains("^[+0]")
    return bare.set(misplaced, None).str.extract(r"^(?:\+|00)?([1-9][0-9]+)$"), marked


def _parse_bare(values: pl.Series, digits: pl.Series, country: str) -> pl.Series:
    """Return the E.164 form of digits without `+` or `00` that are in use.

    They are numbers of the country, or else of another one.
    """
    abroad = digits.set(values.str.starts_with("("), None)
    if not country:
        return _format_in_use(abroad)
    code = phone_plans.get_calling_code(country)
    own = digits.str.starts_with(code)
    dialled = digits.str.contains(phone_plans.get_exit_prefix(country))
    prefixed = digits.str.contains(phone_plans.get_national_prefix(country))
    here = _format_in_use(code + digits.set(dialled | own | prefixed, None))
    # A number with another length than the country's own numbers cannot be one of them.
    national = dialled | prefixed | digits.str.len_bytes().is_in(phone_plans.get_lengths(country))
    return here.fill_null(_format_in_use(abroad.set(national & ~own, None)))


def _format_in_use(full: pl.Series) -> pl.Series:
    return ("+" + full).set(~phone_plans.is_storable(full, in_use=True), None)


def parse_number(value: str, country: str = "") -> str | None:
    """Return one phone number as E.164 (`+12025550143;ext=12`).

    Return None if it has no country code or is impossible.

    A number without `+` or `00` must be in use, so that a national number is not read as a foreign one. A country code
    without `+` or `00` cannot be alone in brackets. If `country` is given, the order is: numbers with its own calling
    code, its national numbers in use, foreign numbers in use, its possible national numbers.
    """
    text = value.removeprefix("tel:")
    if not _WRITTEN.fullmatch(text):
        return None
    international = re.sub(r"^\(?(?:00|\+)", "+", text)
    if international.startswith("+"):
        return _parse_value(international)
    abroad = None if text.startswith("(") else _parse_value(f"+{text}", in_use=True)
    if not country or (abroad and abroad.startswith(f"+{phone_plans.get_calling_code(country)}")):
        return abroad
    return _parse_value(text, country, in_use=True) or abroad or _parse_value(text, country)


def explain_fault(value: str) -> str:
    """Return why one value is not a phone number, as a sentence; "" if the reason is not known."""
    text = value.removeprefix("tel:")
    if not _WRITTEN.fullmatch(text):
        return "It contains letters or signs that are not part of a phone number."
    if re.match(r"\(?(?:00|\+)", text):
        return "Check the country code and the number of digits."
    return ""


def _parse_value(value: str, country: str | None = None, *, in_use: bool = False) -> str | None:
    # The import is slow, and files without phone numbers do not need it.
    import phonenumbers

    try:
        parsed = phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or (in_use and not phonenumbers.is_valid_number(parsed)):
        return None
    text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return f"{text};ext={parsed.extension}" if parsed.extension else text
