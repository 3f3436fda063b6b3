"""Numbers, ids, days and times that an address or a form asks for, read in one place: none is beyond what can be looked for."""

from datetime import date, datetime
from typing import Any, TypeVar

from django import forms

MOST = 2**63 - 1
"""No id is larger."""
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Days outside these years overflow in one time zone or another, and nothing of ours happened then."""
_Moment = TypeVar("_Moment", date, datetime)
_NO_YEAR = f"Choose a year from {FIRST_YEAR} to {LAST_YEAR}."


def number(text: object, most: int = MOST) -> int | None:
    """The whole number that the text is, in plain digits, from 0 to `most`; None for any other text."""
    told = str(text)
    if not (told.isascii() and told.isdigit() and len(told) <= len(str(most))):
        return None
    found = int(told)
    return found if found <= most else None


class Day(forms.DateField):
    """A day within the years that can be looked for."""

    def to_python(self, value: Any) -> date | None:
        """The day. Raises ValidationError."""
        return _within(super().to_python(value))


class Time(forms.DateTimeField):
    """A time within the years that can be looked for."""

    def to_python(self, value: Any) -> datetime | None:
        """The time. Raises ValidationError."""
        return _within(super().to_python(value))


def _within(day: _Moment | None) -> _Moment | None:
    if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise forms.ValidationError(_NO_YEAR)
    return day
