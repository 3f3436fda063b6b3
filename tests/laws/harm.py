"""Files as accidents make them, and files as a usual night makes them, about the people of an ordinary agency.

What an import did to the people is measured here from the directory before and after it, without the product's own counts.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from musterbook.core.values import keys
from tests.laws.world import HEADINGS, WORDS, Person, Row

_FIRST = (
    "Ada",
    "Bo",
    "Cy",
    "Dana",
    "Eli",
    "Fay",
    "Gus",
    "Hana",
    "Ivo",
    "Jia",
    "Kai",
    "Lea",
    "Max",
    "Nia",
    "Oli",
    "Pia",
)
_LAST = (
    "Abbott",
    "Brandt",
    "Castro",
    "Dietz",
    "Egan",
    "Farrow",
    "Grant",
    "Hale",
    "Ibarra",
    "Jones",
    "Kemp",
    "Núñez",
    "Munro",
)
_PERMISSIONS = {role.name: role.permissions for role in WORDS.roles}
_FILLED = ("STATUS", "ROLE", "RANK", "LOCATION", "EVIDENCE_GROUP_EXT_ID", "SUPERVISOR_EMAIL")
_SORTED = (
    "EXTERNAL_ID",
    "EMAIL",
    "BADGE_NUMBER",
    "FIRST_NAME",
    "LAST_NAME",
    "USERNAME",
    "ROLE",
    "STATUS",
    "PHONE",
    "RANK",
)
_BLANKED = ("LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE", "SUPERVISOR_EMAIL")


def make_people(many: int, retired: frozenset[int] = frozenset()) -> tuple[Person, ...]:
    """The users of an agency: two administrators, a chief for each ten, officers. Everybody but the `retired` is Active."""
    return tuple(_make_person(number, number in retired) for number in range(many))


def _make_person(number: int, retired: bool) -> Person:
    first, last = _FIRST[number % len(_FIRST)], _LAST[(number * 7) % len(_LAST)]
    name = f"{first}.{last}{number}".lower().replace("ú", "u").replace("ñ", "n")
    role = "Admin" if number < 2 else "Chief" if number % 10 == 2 else "Officer"
    values = {
        "EXTERNAL_ID": f"{number + 1:05}", "EMAIL": f"{name}@oak.example", "BADGE_NUMBER": f"0{number + 300}",
        "FIRST_NAME": first, "LAST_NAME": last, "STATUS": "Inactive" if retired else "Active", "USERNAME": name, "ROLE": role,
        "LOCATION": ("HQ", "North")[number % 2], "RANK": ("", "Captain", "Sergeant")[number % 3],
        "EVIDENCE_GROUP_EXT_ID": ("", "G-1")[number % 2], "PHONE": f"+1202555{number:04}" if number % 3 else "",
    }  # fmt: skip
    return Person(number + 1, values, "00001" if number else "", registered=number % 4 != 3)


def export_rows(people: Sequence[Person]) -> list[Row]:
    """The rows of a file that repeats the directory."""
    emails = {person.external_id: person.values["EMAIL"] for person in people}
    return [{**person.values, "SUPERVISOR_EMAIL": emails.get(person.boss, "")} for person in people]


def write_csv(rows: Sequence[Row]) -> bytes:
    """The rows as a CSV file with all columns."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HEADINGS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# Accidents

Accident = Callable[[list[Row], int, int], None]
"""Spoils the rows of a file; the two numbers choose how, whatever they are."""


def _fill_down(rows: list[Row], i: int, j: int) -> None:
    heading, start = _FILLED[i % len(_FILLED)], j % len(rows)
    for row in rows[start:]:
        row[heading] = rows[start][heading]


def _fill_status(rows: list[Row], i: int, j: int) -> None:
    for row in rows[j % len(rows) :]:
        row["STATUS"] = ("Inactive", "Active")[i % 2]


def _fill_role(rows: list[Row], i: int, j: int) -> None:
    for row in rows[j % len(rows) :]:
        row["ROLE"] = WORDS.roles[i % len(WORDS.roles)].name


def _sort_alone(rows: list[Row], i: int, _j: int) -> None:
    heading = _SORTED[i % len(_SORTED)]
    for row, value in zip(rows, sorted((row[heading] for row in rows), reverse=True), strict=True):
        row[heading] = value


def _shift(rows: list[Row], i: int, j: int) -> None:
    heading, by = _SORTED[i % len(_SORTED)], 1 + j % max(1, len(rows) - 1)
    values = [row[heading] for row in rows]
    for row, value in zip(rows, [*values[by:], *values[:by]], strict=True):
        row[heading] = value


def _blank(rows: list[Row], i: int, _j: int) -> None:
    for row in rows:
        row[_BLANKED[i % len(_BLANKED)]] = ""


def _damage(rows: list[Row], i: int, j: int) -> None:
    """What spreadsheets and programs do to ids, numbers and names."""
    heading = ("BADGE_NUMBER", "EXTERNAL_ID", "FIRST_NAME", "LAST_NAME", "PHONE", "LOCATION")[i % 6]
    spoil: tuple[Callable[[str], str], ...] = (
        lambda text: text.lstrip("0"),
        lambda text: f"{text}.0",
        lambda text: text.encode().decode("cp1252", "replace"),
        lambda text: f"“{text}”",
        lambda _: "NULL",
        lambda text: "?" * len(text),
    )
    for row in rows:
        row[heading] = spoil[j % len(spoil)](row[heading])


def _swap_ids(rows: list[Row], i: int, j: int) -> None:
    one, other = rows[i % len(rows)], rows[j % len(rows)]
    one["EXTERNAL_ID"], other["EXTERNAL_ID"] = other["EXTERNAL_ID"], one["EXTERNAL_ID"]


def _swap_addresses(rows: list[Row], i: int, j: int) -> None:
    one, other = rows[i % len(rows)], rows[j % len(rows)]
    one["EMAIL"], other["EMAIL"] = other["EMAIL"], one["EMAIL"]


def _lose_rows(rows: list[Row], i: int, j: int) -> None:
    start = 1 + i % len(rows)
    del rows[start : start + j % 9]


def _promote(rows: list[Row], i: int, j: int) -> None:
    for number in range(j % 7):
        rows[(i + number) % len(rows)]["ROLE"] = "Admin"


def _add_strangers(rows: list[Row], i: int, j: int) -> None:
    for number in range(j % 6):
        values = _make_person(700 + number, False).values
        rows.append({**values, "ROLE": WORDS.roles[i % len(WORDS.roles)].name, "SUPERVISOR_EMAIL": ""})


_ACCIDENTS: tuple[Accident, ...] = (
    _fill_down, _fill_status, _fill_role, _sort_alone, _sort_alone, _shift, _blank, _damage, _damage, _swap_ids, _swap_addresses,
    _lose_rows, _promote, _add_strangers,
)  # fmt: skip


@dataclass(frozen=True)
class Night:
    """The people of an agency, and the file that arrives."""

    people: tuple[Person, ...]
    content: bytes


@st.composite
def accidents(draw: st.DrawFn) -> Night:
    """A night with a spoiled file: some accidents, and sometimes the file breaks off."""
    people = make_people(draw(st.sampled_from((4, 6, 12, 24, 60))), draw(st.frozensets(st.integers(3, 9), max_size=3)))
    rows = export_rows(people)
    steps = st.tuples(st.sampled_from(_ACCIDENTS), st.integers(0, 59), st.integers(0, 59))
    for accident, i, j in draw(st.lists(steps, min_size=1, max_size=3)):
        if rows:
            accident(rows, i, j)
    content = write_csv(rows)
    cut = draw(st.sampled_from((0, 0, 0, 7, 40, 300)))
    return Night(people, content[: len(content) - cut])


# A usual night

Happening = Callable[[Row, int], None]
"""Changes the row of one person as life does."""


def _marry(row: Row, number: int) -> None:
    row["LAST_NAME"] = f"{row['LAST_NAME']}-Ortiz"
    row["EMAIL"] = f"{row['FIRST_NAME'].lower()}.ortiz{number}{row['EXTERNAL_ID']}@oak.example"


def _get_badge(row: Row, number: int) -> None:
    row["BADGE_NUMBER"] = f"09{number}{row['EXTERNAL_ID']}"


def _move(row: Row, _number: int) -> None:
    row["LOCATION"] = "South"


def _rise(row: Row, _number: int) -> None:
    row["RANK"] = "Captain"


def _call_elsewhere(row: Row, _number: int) -> None:
    row["PHONE"] = f"+1303555{row['EXTERNAL_ID'][-4:]}"


def _go_by(row: Row, _number: int) -> None:
    row["FIRST_NAME"] = f"{row['FIRST_NAME']} Lee"


_HAPPENINGS: tuple[Happening, ...] = (_marry, _get_badge, _move, _rise, _call_elsewhere, _go_by)


@st.composite
def usual_nights(draw: st.DrawFn) -> Night:
    """A night with marriages, new badges, moved offices, promotions in rank; sometimes all addresses have a new domain."""
    people = make_people(draw(st.sampled_from((6, 12, 40))))
    rows = export_rows(people)
    steps = st.tuples(st.sampled_from(_HAPPENINGS), st.integers(0, 39))
    for number, (happening, place) in enumerate(draw(st.lists(steps, max_size=6, unique_by=lambda step: step[1] % 6))):
        happening(rows[place % len(rows)], number)
    if draw(st.booleans()):
        for row in rows:
            for heading in ("EMAIL", "SUPERVISOR_EMAIL"):
                row[heading] = row[heading].replace("@oak.example", "@city.oak.example")
    for number in range(draw(st.integers(0, 2))):
        rows.append(
            {**_make_person(800 + number, False).values, "ROLE": "Officer", "SUPERVISOR_EMAIL": rows[0]["EMAIL"]}
        )
    return Night(people, write_csv(rows))


# What was done

Users = dict[str, Row]
"""External id → heading → text, of all users of an agency."""


def count_lost(before: Users, after: Users) -> int:
    """How many users lost their access."""
    return sum(row["STATUS"] == "Active" and after[who]["STATUS"] == "Inactive" for who, row in before.items())


def count_privileged(before: Users, after: Users) -> int:
    """How many users have a permission that they did not have. An Inactive user has none."""
    return sum(not _list_permissions(row) <= _list_permissions(before.get(who)) for who, row in after.items())


def _list_permissions(row: Row | None) -> frozenset[str]:
    return _PERMISSIONS[row["ROLE"]] if row and row["STATUS"] == "Active" else frozenset()


def count_handovers(before: Users, after: Users) -> int:
    """How many users sign in with an address or a username that was another user's."""
    return sum(
        any(keys.fold(row[heading]) in _list_names(before, but=who) for heading in ("EMAIL", "USERNAME"))
        for who, row in after.items()
    )


def _list_names(users: Users, but: str) -> set[str]:
    return {keys.fold(row[h]) for who, row in users.items() if who != but for h in ("EMAIL", "USERNAME")}


def list_replaced(before: Users, after: Users) -> list[str]:
    """The accounts that have become another person's (M12)."""
    return [
        who
        for who, row in before.items()
        if all(row[heading] != after[who][heading] for heading in ("FIRST_NAME", "LAST_NAME"))
        and sum(keys.fold(row[h]) != keys.fold(after[who][h]) for h in ("EMAIL", "USERNAME", "BADGE_NUMBER")) >= 2
    ]
