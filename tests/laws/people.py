"""The people of the invented agency: odd values, marks, and crowds of ordinary users."""

from dataclasses import dataclass

from hypothesis.strategies import SearchStrategy

from tests.laws.choosing import Chooser, strategy
from tests.laws.world import WORDS, Person, Row

NAMES = ("Ana", "Zoë", "李", "محمد", "=cmd", "'=odd", "@home", "-dash", "O'Neil", "İ", "ß", "ﬃ", "'tis", '="x"')
STYLES = len(NAMES)
"""The number of ways in which the values of a person can be odd."""
FORMER_BADGE = " (until 2026-01-02)"
"""The end of a badge that was released on some day before."""


@dataclass(frozen=True)
class _Mark:
    source: str = ""
    no_files: bool = False
    missing: tuple[int, int] | None = None


_MARKS = (
    *(_Mark(),) * 6, _Mark("hr"), _Mark("hr"), _Mark("fire"), _Mark(no_files=True), _Mark(missing=(1, 1)),
    _Mark(missing=(9, 9)), _Mark("hr", missing=(2, 9)), _Mark("fire", no_files=True, missing=(9, 1)),
)  # fmt: skip


def make_person(
    number: int, style: int, role: int, off: bool, boss: int, mark: int = 0, *, padded: bool = False
) -> Person:
    """The person of a number. Their supervisor is below the number, or there is none. `padded`: badges are `0001`, `0002`."""
    values = _make_values(number, style, padded)
    values |= {"STATUS": "Inactive" if off else "Active", "ROLE": WORDS.roles[role].name}
    if off and style in (5, 8, 12):
        values["BADGE_NUMBER"] += FORMER_BADGE
    chosen = _MARKS[mark]
    return Person(
        number + 100, values, f"E{boss}" if boss < number else "", style % 2 == 0, style % 7 == 6, chosen.source,
        chosen.no_files, None if off else chosen.missing,
    )  # fmt: skip


def _make_values(number: int, style: int, padded: bool) -> Row:
    odd = (style % 4) == 3
    return {
        "EXTERNAL_ID": f"E{number}",
        "EMAIL": f"U{number}@A.example"
        if style % 3 == 1
        else f"={number}@a.example"
        if odd
        else f"u{number}@a.example",
        "BADGE_NUMBER": f"{number + 1:04}" if padded else f"=B{number}" if odd else f"B{number}",
        "FIRST_NAME": NAMES[style],
        "LAST_NAME": "Ruiz",
        "USERNAME": f"Straße{number}" if odd else f"u{number}@a.example" if style == 10 else f"name{number}",
        "LOCATION": ("North", "", "0300", "")[style % 4],
        "RANK": ("", "Captain", "Sergeant")[style % 3],
        "EVIDENCE_GROUP_EXT_ID": ("", "G-1", "=G-2", "G-OLD")[style % 4],
        "PHONE": "" if style % 5 == 0 else f"+1202555{number:04}",
    }


def make_people(choose: Chooser, most: int = 9) -> tuple[Person, ...]:
    """The users of an agency: a few odd ones, and sometimes a crowd of ordinary ones."""
    size = choose.number(most)
    crowd = choose.pick((0,) * 16 + (30, 60, 60, 150))
    padded = choose.pick((False, False, False, True))
    odd = [
        make_person(
            number,
            choose.number(STYLES - 1),
            choose.pick((2, 3, 1, 0, 0, 4)),
            choose.pick((False, False, False, True)),
            choose.number(9),
            choose.number(len(_MARKS) - 1),
            padded=padded,
        )
        for number in range(size)
    ]
    ordinary = range(len(odd), len(odd) + crowd)
    plain = [make_person(n, 4 * (n % 3), 2, False, n // 3, padded=padded) for n in ordinary]
    return tuple(odd + plain)


def people() -> SearchStrategy[tuple[Person, ...]]:
    """The users of an agency."""
    return strategy(make_people)
