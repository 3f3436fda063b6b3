"""Parsers for the numbers, ids, days, and times in addresses and forms.

They accept only values that can be looked up.
"""

from datetime import date, datetime
from typing import Any, TypeVar

from django import forms

MOST = 2**63 - 1
"""The largest id."""
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""The range of years that is accepted.

A day outside it overflows in some time zone, and nothing in the directory happened then.
"""
_Moment = TypeVar("_Moment", date, datetime)
_NO_YEAR = f"Choose a year from {FIRST_YEAR} to {LAST_YEAR}."


def parse_number(text: object, most: int = MOST) -> int | None:
    """Return the whole number that the text contains, or None if the text is anything else.

    A number consists of ASCII digits and is from 0 to `most`.
    """
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(most))):
        return None
    value = int(digits)
    return value if value <= most else None


class DayField(forms.DateField):
    """A day within the accepted years."""

    def to_python(self, value: Any) -> date | None:
        """Return the day. Raise ValidationError if it is outside the accepted years or not a day."""
        return _check_year(super().to_python(value))


class TimeField(forms.DateTimeField):
    """A time within the accepted years."""

    def to_python(self, value: Any) -> datetime | None:
        """Return the time. Raise ValidationError if it is outside the accepted years or not a time."""
        return _check_year(super().to_python(value))


def _check_year(day: _Moment | None) -> _Moment | None:
    if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise forms.ValidationError(_NO_YEAR)
    return day
