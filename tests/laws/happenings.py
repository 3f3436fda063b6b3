"""What happens in the files of the laws: a file repeats the directory, and then things happen to its rows."""

import html
from collections.abc import Callable
from itertools import pairwise

from tests.laws.people import NAMES, make_person
from tests.laws.world import HEADINGS, KEYED, OPTIONAL, WORDS, Person, Row

Happening = Callable[[dict[int, Row], tuple[Person, ...], int, int, int], object]
"""Changes the rows of a file. The three numbers say whose row and what; any number is valid."""

OLD_ADDRESSES = ("old0@a.example", "old1@a.example", "old2@a.example")
"""Addresses that somebody had before."""


def _at(rows: dict[int, Row], place: int) -> Row:
    numbers = list(rows)
    return rows[numbers[place % len(numbers)]]


# Unique values


def _swap(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading, one, other = KEYED[k % 3], _at(rows, i), _at(rows, j)
    one[heading], other[heading] = other[heading], one[heading]


def _rotate(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading = KEYED[k % 3]
    ring = [_at(rows, place) for place in range(i, i + min(2 + j, len(rows)))]
    values = [row[heading] for row in ring]
    for row, value in zip(ring, [*values[1:], values[0]], strict=True):
        row[heading] = value


def _take(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    _at(rows, i)[KEYED[k % 3]] = _at(rows, j)[KEYED[k % 3]]


def _take_stored(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    if people:
        _at(rows, i)[KEYED[k % 3]] = people[j % len(people)].values[KEYED[k % 3]].upper()


def _fresh(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    _at(rows, i)[KEYED[k % 3]] = f"new{j % 3}@a.example"


def _cross(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """One sign-in name as the other: of another row, or of a user of the directory."""
    pair = [("EMAIL", "USERNAME"), ("USERNAME", "EMAIL")][k % 2]
    other = people[j % len(people)].values if people and k % 3 else _at(rows, j)
    _at(rows, i)[pair[0]] = other[pair[1]]


_ALIKE = (
    ("BADGE_NUMBER", "X-1", "X\u20131"), ("BADGE_NUMBER", "X-1", "\uff38\u00ad-\uff11"), ("USERNAME", "a-b", "A\u2212b"),
    ("EMAIL", "i@m\u00fcller.example", "I@xn--mller-kva.example"), ("EXTERNAL_ID", "N-1", "N\u20111"),
    ("USERNAME", "i@m\u00fcller.example", "i@XN--mller-kva.example"),
)  # fmt: skip


def _look_alike(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """Two values that look the same, or the row's own value in another form."""
    heading, value, other = _ALIKE[k % len(_ALIKE)]
    if j % 2:
        _at(rows, i)[heading], _at(rows, i + 1 + j)[heading] = value, other
    else:
        own = ("BADGE_NUMBER", "USERNAME", "EXTERNAL_ID")[k % 3]
        wide = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
        _at(rows, i)[own] = _at(rows, i if k % 2 else i + j)[own].translate(wide)


def _reuse_badge(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """One takes the badge of another who is Inactive, or whom the file does not mention; or both are new to it."""
    one, other = _at(rows, i), _at(rows, i + 1 + j)
    if k % 4 == 3:
        other["BADGE_NUMBER"] = "shared"
    one["BADGE_NUMBER"] = other["BADGE_NUMBER"]
    if k % 4 and one is not other:
        other["STATUS"] = "Inactive"
    if k % 4 == 2:
        one["STATUS"] = "Active"
    if k % 4 == 0 and one is not other:
        del rows[next(number for number, row in rows.items() if row is other)]


# Cells

_WRONG = (
    ("EMAIL", "no address"), ("STATUS", "Away"), ("ROLE", "Pope"), ("RANK", "Pope"), ("EVIDENCE_GROUP_EXT_ID", "g-1"),
    ("PHONE", "12"), ("FIRST_NAME", ""), ("BADGE_NUMBER", "#REF!"), ("USERNAME", ""), ("EXTERNAL_ID", ""),
    ("EXTERNAL_ID", "#N/A"), ("LAST_NAME", "a\tb"), ("EMAIL", " "), ("LOCATION", "#REF!"), ("SUPERVISOR_EMAIL", "#REF!"),
)  # fmt: skip


def _misspell(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    heading, value = _WRONG[j % len(_WRONG)]
    _at(rows, i)[heading] = value


def _lose_id(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """The external ID of a row is lost, or another one: the row has a problem, and may name its user by another value."""
    row = _at(rows, i)
    row["EXTERNAL_ID"] = ("", "#N/A", "0" + row["EXTERNAL_ID"], row["EXTERNAL_ID"].replace("E", "\uff25"))[j % 4]
    if k % 2:
        row |= {"EMAIL": f"lost{j}@a.example", "USERNAME": f"lost{j}"}
    if k % 4 == 1:
        row["BADGE_NUMBER"] = f"lost{j}"


def _lose_letters(value: str) -> str:
    return "".join("?" if not letter.isascii() else letter for letter in value)


def _decode_again(value: str) -> str:
    latin = all(letter.isascii() or "\u00c0" <= letter <= "\u00ff" for letter in value)
    return value.encode().decode("cp1252", "replace") if latin else value


_DAMAGES: tuple[Callable[[str], str], ...] = (
    lambda value: value.lstrip("0") or value,
    lambda value: f"{value}.0" if value.isdigit() else value,
    lambda value: f"{int(value):,}" if value.isdigit() and not value.startswith("0") else value,
    _lose_letters,
    _decode_again,
    lambda value: f"\u201c{value}\u201d",
    html.escape,
    *(lambda _value, word=word: word for word in ("NULL", "nan", "N/A", r"\N")),
)
"""What spreadsheets and programs do to a value (C12)."""
_DAMAGED = ("BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "USERNAME", "LOCATION", "SUPERVISOR_EMAIL", "EXTERNAL_ID")


def _damage(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """A damaged value. An external ID is only replaced by a word: otherwise it is another id."""
    row, heading = _at(rows, i), _DAMAGED[k % len(_DAMAGED)]
    damage = _DAMAGES[j % len(_DAMAGES)] if heading not in ("EXTERNAL_ID", "SUPERVISOR_EMAIL") else _DAMAGES[-1]
    row[heading] = damage(row[heading])


def _damage_column(rows: dict[int, Row], _people: tuple[Person, ...], _i: int, j: int, k: int) -> None:
    """The same damage in every row, as one program does it."""
    heading = ("BADGE_NUMBER", "FIRST_NAME", "LOCATION")[k % 3]
    for row in rows.values():
        row[heading] = _DAMAGES[(0, 3, 4)[j % 3]](row[heading])


def _optional(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading, values = (
        ("LOCATION", ("", "South", "=1+1", "'x")), ("RANK", ("", "sgt", " captain")),
        ("EVIDENCE_GROUP_EXT_ID", ("", "G-1", "G-OLD", "'=G-2", "=G-2")), ("PHONE", ("", "+12025559999", "001 202 555 9998")),
    )[k % 4]  # fmt: skip
    _at(rows, i)[heading] = values[j % len(values)]


def _name(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["FIRST_NAME"] = NAMES[j % len(NAMES)]


def _dressed(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """The same value in another form: other case, space around it, a formula that holds it."""
    heading, row = HEADINGS[k % len(HEADINGS)], _at(rows, i)
    value = row[heading]
    row[heading] = (
        value.upper() if heading != "EXTERNAL_ID" else value,
        f" {value}\u200b",
        f'="{value}"',
        f"'{value}",
    )[j % 4]


# Rows and columns


def _repeat(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    copy = dict(_at(rows, i))
    if j % 3 == 1:
        copy["EXTERNAL_ID"] = f" {copy['EXTERNAL_ID']}\u00a0"
    elif j % 3 == 2:
        copy["EXTERNAL_ID"] = f"0{copy['EXTERNAL_ID']}"
    rows[max(rows) + 1] = copy


def _copy(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    rows[max(rows) + 1] = dict(_at(rows, i))


def _leave_out(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    del rows[list(rows)[i % len(rows)]]


def _leave_most_out(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    for number in list(rows)[1 + i % 3 :]:
        del rows[number]


def _add(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    number = 500 + i % 5
    values = make_person(number, j % len(NAMES), k % 5, i % 2 == 1, number).values
    number_alone = {"BADGE_NUMBER": str(1 + i)} if j % 3 == 0 else {}
    rows[max(rows) + 1] = {**values, **number_alone, "SUPERVISOR_EMAIL": _at(rows, k)["EMAIL"]}


def _blank_column(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    for row in rows.values():
        row[OPTIONAL[i % len(OPTIONAL)]] = ""


def _change_column(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    heading, value = (("LOCATION", "South"), ("RANK", "Captain"), ("ROLE", "Cadet"), ("STATUS", "Inactive"))[i % 4]
    for row in rows.values():
        row[heading] = value


# Persons


def _status(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["STATUS"] = ("Active", "INACTIVE", "Locked", " active")[j % 4]


def _role(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["ROLE"] = WORDS.roles[j % 5].name.upper()


def _another_person(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """Another name in the row, and one, two or three other signs of a person."""
    row = _at(rows, i)
    row |= {"FIRST_NAME": "Kim", "LAST_NAME": ("Adler", "RUÍZ")[j % 5 == 4]}
    for heading in KEYED[k % 2 :]:
        row[heading] = f"kim{i}{heading[0].lower()}@a.example"


def _disarm(rows: dict[int, Row], _people: tuple[Person, ...], _i: int, j: int, _k: int) -> None:
    """No administrator is left among the rows."""
    for row in rows.values():
        if row["ROLE"] == "Admin":
            row[("ROLE", "STATUS")[j % 2]] = ("Officer", "Inactive")[j % 2]


# Supervisors


def _supervisor(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["SUPERVISOR_EMAIL"] = _at(rows, j)["EMAIL"]


def _stored_supervisor(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    if people:
        _at(rows, i)["SUPERVISOR_EMAIL"] = people[j % len(people)].values["EMAIL"].upper()


def _strange_supervisor(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["SUPERVISOR_EMAIL"] = ("", "nobody@a.example", "not an address", "new1@a.example")[j % 4]


def _old_supervisor(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["SUPERVISOR_EMAIL"] = OLD_ADDRESSES[j % len(OLD_ADDRESSES)]


def _move_address(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """One gets a new address, and another row names the old one; sometimes a third takes it."""
    one, report = _at(rows, i), _at(rows, i + 1 + j)
    report["SUPERVISOR_EMAIL"] = one["EMAIL"]
    if k % 2:
        _at(rows, i + 2 + j)["EMAIL"] = one["EMAIL"]
    one["EMAIL"] = f"moved{i}@a.example"


def _round(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    """A line of people, each under the next, that may close to a circle."""
    line = [_at(rows, place) for place in range(i, i + 2 + j % 6)]
    for row, above in pairwise(line):
        row["SUPERVISOR_EMAIL"] = above["EMAIL"]


def _upside_down(rows: dict[int, Row], people: tuple[Person, ...], _i: int, _j: int, _k: int) -> None:
    """Everybody under one who was under them."""
    by_id = {row["EXTERNAL_ID"]: row for row in rows.values()}
    for person in people:
        if person.boss in by_id and person.external_id in by_id:
            by_id[person.boss]["SUPERVISOR_EMAIL"] = by_id[person.external_id]["EMAIL"]


HAPPENINGS: tuple[Happening, ...] = (
    _swap, _rotate, _rotate, _take, _take_stored, _fresh, _cross, _look_alike, _look_alike, _reuse_badge, _reuse_badge,
    _misspell, _lose_id, _lose_id, _damage, _damage, _damage_column, _optional, _name, _dressed, _repeat, _copy, _leave_out,
    _leave_out, _leave_out, _leave_most_out, _leave_most_out, _add, _add, _blank_column, _change_column, _change_column,
    _status, _role, _another_person, _another_person, _disarm, _disarm, _supervisor, _stored_supervisor,
    _strange_supervisor, _old_supervisor, _old_supervisor, _move_address, _move_address, _round, _upside_down,
)  # fmt: skip
