"""The text that a spreadsheet cell shows for a number: `123` in a cell of format `00000` is `00123`.

Two kinds of values differ from what a spreadsheet shows. A number in scientific form is written out, because the file
has all its digits. A date is written as ISO 8601, because its displayed form depends on the viewer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

Format = Callable[[Decimal], str]

BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 37: "#,##0_);(#,##0)",
    38: "#,##0_);(#,##0)", 39: "#,##0.00_);(#,##0.00)", 40: "#,##0.00_);(#,##0.00)", 48: "##0.0E+0", 49: "@",
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 34, 35, 36, *range(50, 59)), "yyyy-mm-dd"),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 46, 47), "h:mm:ss"), 22: "yyyy-mm-dd h:mm",
}  # fmt: skip
"""The formats that a workbook names only by number. All others are General."""

_DIGITS = Context(prec=15, rounding=ROUND_HALF_UP)
_TOKEN = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]?|general|am/pm|a/p|e[+-]|[ymdhs]+|.', re.IGNORECASE | re.DOTALL)
_PLACES = frozenset("0#?")
_LAST_DAY = 2_958_465
_MOST_PLACES = 30


def parse_number(text: str) -> Decimal | None:
    """Return the number that a cell's text represents, None if no spreadsheet holds such a number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value.adjusted()) < 400 else None


def format_general(value: Decimal) -> str:
    """Return a number as a cell without format shows it: at most 15 digits, whole numbers without `.0`."""
    value = _DIGITS.plus(value)
    if value and value.adjusted() < -10:
        return f"{value.normalize():E}"
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def is_date(code: str) -> bool:
    """Return whether a format shows a date or a time of day."""
    return bool(_find_date_letters(_split_sections(code)[0]))


def build_format(code: str, *, from_1904: bool = False) -> Format:
    """Return how the format `code` shows numbers. An unknown format shows them as General does."""
    sections = _split_sections(code)
    letters = _find_date_letters(sections[0])
    if letters:
        return lambda value: _format_date(value, letters, from_1904)
    patterns = [pattern for section in sections[:3] if (pattern := _parse_pattern(section))]
    if len(patterns) < len(sections[:3]):
        return format_general
    return lambda value: _format_number(value, patterns)


def _split_sections(code: str) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for token in _TOKEN.findall(code):
        if token == ";":
            sections.append([])
        else:
            sections[-1].append(token)
    return sections


def _find_date_letters(tokens: list[str]) -> str:
    """Return the letters of a date format, with minutes distinguished from months.

    The letters are from `ymdhs`; "" for a number format.
    """
    letters = "".join(token[0].lower() for token in tokens if token[0].lower() in "ymdhs")
    if any(re.fullmatch(r"\[[hms]+\]", token, re.IGNORECASE) for token in tokens):
        return ""
    if ("h" in letters or "s" in letters) and not ("y" in letters or "d" in letters):
        return letters.replace("m", "")
    return letters


def _format_date(value: Decimal, letters: str, from_1904: bool) -> str:
    days = float(value) + (1462 if from_1904 else 0)
    if not value >= 0 or days >= _LAST_DAY:
        return format_general(value)
    # The spreadsheet's calendar has a 29 February 1900, which did not exist.
    start = datetime(1899, 12, 30) if days >= 60 else datetime(1899, 12, 31)
    moment = start + timedelta(seconds=round(days * 86_400))
    has_date, has_time = bool(set(letters) & set("ymd")), bool(set(letters) & set("hs"))
    if has_date and has_time:
        return moment.isoformat(" ")
    return moment.date().isoformat() if has_date else moment.time().isoformat()


@dataclass(frozen=True, slots=True)
class _Piece:
    """One symbol of a section.

    It has a `mark` with a meaning (`0 # ? . , %`, or `unknown`), or only `text` to be shown.
    """

    mark: str = ""
    text: str = ""

    @property
    def place(self) -> bool:
        """Return whether the piece is a place for a digit."""
        return self.mark in _PLACES if self.mark else False


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One section of a number format: the pieces before the decimal point, and those from it on."""

    whole: list[_Piece]
    decimals: list[_Piece]
    scale: int
    grouped: bool

    def text(self, value: Decimal) -> str:
        """Return the absolute value of a number, as this section shows it."""
        places = sum(piece.place for piece in self.decimals)
        value = abs(value).scaleb(self.scale, _LONG).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _LONG)
        whole, _, decimals = f"{value:f}".partition(".")
        return self._whole("" if whole == "0" else whole) + self._decimals(decimals)

    def _whole(self, digits: str) -> str:
        """Return the digits before the point, filled in from the right.

        The leftmost place takes all remaining digits.
        """
        characters: list[str] = []
        first = next((i for i, piece in enumerate(self.whole) if piece.place), -1)
        count = 0
        for index in range(len(self.whole) - 1, -1, -1):
            piece = self.whole[index]
            if not piece.place:
                characters.append(piece.text)
                continue
            left = 0 if index == first else max(len(digits) - 1, 0)
            digits, taken = digits[:left], digits[left:]
            for digit in reversed(taken or _EMPTY[piece.mark]):
                characters.append("," if self.grouped and count and count % 3 == 0 else "")
                characters.append(digit)
                count += 1
        return "".join(reversed(characters))

    def _decimals(self, digits: str) -> str:
        places = [piece.mark for piece in self.decimals if piece.place]
        needed = max((i for i, mark in enumerate(places, 1) if mark == "0"), default=0)
        remaining = iter(digits[: max(needed, len(digits.rstrip("0")))])
        return "".join(next(remaining, "") if piece.place else piece.text for piece in self.decimals)


_EMPTY = {"0": "0", "?": " ", "#": ""}
_LONG = Context(prec=900)


def _parse_pattern(tokens: list[str]) -> _Pattern | None:
    """Return the pattern of a section, or None if it has none.

    A section without a pattern is General, scientific, a fraction, conditional or without digits.
    """
    pieces = [piece for token in tokens if (piece := _parse_piece(token))]
    marks = {piece.mark for piece in pieces}
    if not marks & _PLACES or "unknown" in marks:
        return None
    point = next((i for i, piece in enumerate(pieces) if piece.mark == "."), len(pieces))
    last = max((i for i, piece in enumerate(pieces[:point]) if piece.place), default=-1)
    commas = [i for i, piece in enumerate(pieces) if piece.mark == ","]
    scale = 2 * sum(piece.mark == "%" for piece in pieces) - 3 * sum(i > last for i in commas)
    whole = [piece for piece in pieces[:point] if piece.mark != ","]
    if last < 0:  # digits before the point are shown even where the format has no place for them
        whole.append(_Piece("#"))
    decimals = [piece for piece in pieces[point:] if piece.mark != ","]
    if abs(scale) > _MOST_PLACES or len(decimals) > _MOST_PLACES:
        return None
    return _Pattern(whole, decimals, scale, any(i < last for i in commas))


_UNKNOWN = frozenset(("general", "@", "e+", "e-", "/"))


def _parse_piece(token: str) -> _Piece | None:
    """Return the piece that a token means, None if it shows nothing."""
    if token in _PLACES or token in ".,%":
        return _Piece(token, "" if token in _PLACES else token)
    if token.startswith("*"):
        return None
    if token.startswith("[$"):
        return _Piece(text=token[2:].partition("-")[0].rstrip("]"))
    if token.startswith("["):
        return _Piece("unknown") if token[1:2] in "<>=" else None
    if token.lower() in _UNKNOWN:
        return _Piece("unknown")
    return _Piece(text=_unquote_literal(token))


def _unquote_literal(token: str) -> str:
    if token.startswith("_"):
        return " "
    return token.strip('"') if token.startswith('"') else token.removeprefix("\\")


def _format_number(value: Decimal, patterns: list[_Pattern]) -> str:
    value = _DIGITS.plus(value)
    negative = value < 0
    index = 2 if value == 0 and len(patterns) == 3 else 1 if negative and len(patterns) > 1 else 0
    text = patterns[index].text(value)
    # A format that hides a number must not clear its value.
    return f"{'-' if negative and index == 0 else ''}{text}" if text.strip() else format_general(value)
