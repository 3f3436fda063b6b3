"""The files: an invented department of any size, and the same a day later. The same seed makes the same files."""

import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path

import polars as pl

from benchmarks.chance import Chance
from examples.names import FIRST, LAST, OTHER_SCRIPTS

ROLES = {"Officer": 80, "Supervisor": 12, "Records Clerk": 5, "Auditor": 3}
RANKS = {
    "Police Officer": 55, "Detective": 15, "Corporal": 10, "Sergeant": 8, "Lieutenant": 4, "Captain": 2, "Recruit": 4, "": 2,
}  # fmt: skip
GROUPS = tuple(f"UNIT-{number:02}" for number in range(60))

_LOCATIONS = tuple(
    f"{place} {number}" for place in ("Station", "Annex", "Court, floor", "Bureau") for number in range(1, 16)
)
_PHONES = {"+1202555{}": 84, "": 8, "+44207946{}": 4, "+1 (312) 555-{}": 2, "+49302300{}": 2}
_DOMAINS = ("metro", "metro", "metro", "metro", "harbor", "county", "courts")
_REPORTS = 8
"""The number of users who report to one supervisor. With a million users the chain of command has seven links."""
_LATIN = str.maketrans("łŁøØđĐðßı", "lLoOdDdsi")
_ONE_IN = 100
"""One user in this many is changed the day after, and one has a problem."""
_ROUND = (1, 0, 3, 4, 2)
"""The user from whom each of five users gets the value: the first two swap, and the next three rotate."""
_ROTATED = ("EMAIL", "BADGE_NUMBER", "USERNAME")


def make_files(folder: Path, users: int, files: Collection[str] | None = None, seed: int = 1) -> None:
    """Write the named files (None: all) of the department: `all.csv`, `empty.csv`, and the others in FILES.

    `plain.csv` and `plain-changed.csv` are `all.csv` and `day.csv` with phones as they are stored, for programs that do
    not convert them.
    """
    people = _make_people(users, Chance(seed))
    for name, made in FILES.items():
        if files is None or name in files:
            made(people, Chance(seed + 1)).write_csv(folder / name)


def _make_people(users: int, chance: Chance) -> pl.DataFrame:
    names = _make_names()
    draws = {"number": chance.order(), "name": chance.below(names.height)}
    frame = pl.select(i=pl.int_range(users)).with_columns(**draws)
    named = frame.with_columns(pl.lit(names[part]).gather(pl.col("name")).alias(part) for part in names.columns)
    made = named.select(
        "i",
        EXTERNAL_ID=pl.format("{}", pl.col("number") + 1).str.zfill(8),
        EMAIL=pl.format("{}.{}{}@{}.example", "given", "family", "number", _pick_by("i", _DOMAINS)),
        BADGE_NUMBER=pl.format("B{}-{}", pl.col("number").mul(7).mod(users) * 10 + pl.col("number").mod(10), "i"),
        FIRST_NAME="first",
        LAST_NAME="last",
        STATUS=chance.weighted({"Active": 96, "Inactive": 4}),
        USERNAME=pl.format("{}{}{}", pl.col("given").str.slice(0, 1), "family", "number"),
        ROLE=chance.weighted(ROLES),
        LOCATION=chance.one_of(_LOCATIONS),
        RANK=chance.weighted(RANKS),
        EVIDENCE_GROUP_EXT_ID=chance.one_of(GROUPS),
        PHONE=_make_phones(chance),
    )
    boss = pl.col("EMAIL").gather(((pl.col("i") - 1) // _REPORTS).clip(0))
    led = made.with_columns(SUPERVISOR_EMAIL=pl.when(pl.col("i") > 0).then(boss).otherwise(pl.lit("")))
    return led.sort(chance.numbers()).drop("i")


def _pick_by(column: str, values: tuple[str, ...]) -> pl.Expr:
    return pl.lit(pl.Series(values)).gather(pl.col(column).mod(len(values)))


def _make_names() -> pl.DataFrame:
    """Return pairs of names, one in twelve not in the Latin script, and the forms of them that addresses have."""
    latin = [
        (first, last.replace("_", " "), _simplify_name(first), _simplify_name(last)) for first in FIRST for last in LAST
    ]
    others = list(OTHER_SCRIPTS) * (len(latin) // 12 // len(OTHER_SCRIPTS))
    return pl.DataFrame([*latin, *others], schema=["first", "last", "given", "family"], orient="row")


def _simplify_name(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return "".join(c for c in bare if c.isascii() and c.isalpha()).lower()


def _make_phones(chance: Chance) -> pl.Expr:
    digits = chance.below(10**4).cast(pl.String).str.zfill(4)
    form = chance.weighted(_PHONES)
    return form.str.replace("{}", digits, literal=True)


def _keep_people(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    return people


def _drop_people(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    return people.clear()


def _change_with_problems(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """Return the people with 1 % of the users changed, and problems in 1 % of the rows."""
    return _make_next_day(people, chance, faulty=True)


def _change_people(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """Return the people with 1 % of the users changed."""
    return _make_next_day(people, chance, faulty=False)


def _make_next_day(people: pl.DataFrame, chance: Chance, *, faulty: bool) -> pl.DataFrame:
    """Return the people with changes, and problems if requested, of five kinds each, on random users."""
    share = max(people.height // _ONE_IN, 5)
    place = pl.col("place")
    kinds = (
        _pick_users(people, chance, 2 * share if faulty else share)
        .with_columns(kind=place.mod(5) + pl.when(place < share).then(0).otherwise(5))
        .drop("place")
    )
    kind = pl.col("kind")
    later = (
        people.with_row_index("at")
        .join(kinds, on="at", how="left", maintain_order="left")
        .with_columns(kind.fill_null(-1))
        .with_columns(
            RANK=pl.when(kind == 0).then(_choose_other("RANK", "Sergeant", "Corporal")).otherwise("RANK"),
            LOCATION=pl.when(kind.is_in([1, 4])).then(pl.lit("New building")).otherwise("LOCATION"),
            PHONE=pl.when(kind == 2).then(pl.lit("+12125550199")).when(kind == 5).then(pl.lit("ask Jo")).otherwise("PHONE"),
            LAST_NAME=pl.when(kind == 3).then(pl.lit("Newlywed")).when(kind == 6).then(pl.lit("")).otherwise("LAST_NAME"),
            EMAIL=pl.when(kind == 3).then(pl.format("new.{}", "EMAIL")).when(kind == 7).then(pl.format("{}@twice", "EMAIL"))
            .otherwise("EMAIL"),
            ROLE=pl.when(kind == 8).then(pl.lit("Oficer")).otherwise("ROLE"),
            BADGE_NUMBER=pl.when(kind == 9).then(pl.lit(people["BADGE_NUMBER"][0])).otherwise("BADGE_NUMBER"),
        )
    )  # fmt: skip
    return _update_supervisors(people, later, later["kind"] == 3).drop("at", "kind")


def _pick_users(people: pl.DataFrame, chance: Chance, number: int) -> pl.DataFrame:
    """Return the positions (`at`) of that many random users, numbered (`place`). The first user is never among them."""
    others = pl.select(i=pl.int_range(1, people.height)).sort(chance.numbers()).head(number)
    return others.select(pl.col("i").cast(pl.UInt32).alias("at"), pl.int_range(pl.len()).alias("place"))


def _choose_other(column: str, value: str, alternative: str) -> pl.Expr:
    """Return a value that differs from the column's."""
    return pl.when(pl.col(column) == value).then(pl.lit(alternative)).otherwise(pl.lit(value))


def _update_supervisors(before: pl.DataFrame, after: pl.DataFrame, moving: pl.Series) -> pl.DataFrame:
    """Return the people with the new addresses of the chosen supervisors in SUPERVISOR_EMAIL."""
    moved = pl.DataFrame({"SUPERVISOR_EMAIL": before["EMAIL"], "now": after["EMAIL"]}).filter(moving)
    joined = after.join(moved, on="SUPERVISOR_EMAIL", how="left", maintain_order="left")
    named = joined.with_columns(SUPERVISOR_EMAIL=pl.col("now").fill_null(pl.col("SUPERVISOR_EMAIL")))
    return named.select(after.columns)


def _rotate_values(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """Return the people. 1 % of them (at least 15) have swapped in twos, or rotated in threes, addresses, badges or usernames."""
    rounds = max(people.height // _ONE_IN // len(_ROUND), len(_ROTATED))
    picked = _pick_users(people, chance, rounds * len(_ROUND))
    place = pl.col("place")
    source = place // len(_ROUND) * len(_ROUND) + pl.lit(pl.Series(_ROUND)).gather(place.mod(len(_ROUND)))
    given = picked.with_columns(giver=pl.col("at").gather(source), turn=(place // len(_ROUND)).mod(len(_ROTATED)))
    later = (
        people.with_row_index("at")
        .join(given, on="at", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("turn") == turn).then(pl.col(column).gather("giver")).otherwise(column).alias(column)
            for turn, column in enumerate(_ROTATED)
        )
    )
    return _update_supervisors(people, later, (later["turn"] == 0).fill_null(value=False)).select(people.columns)


def _change_everyone(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    """Return the people with every other user in another building, and the rest with another rank."""
    even = pl.col("at").mod(2) == 0
    moved = people.with_row_index("at").with_columns(
        LOCATION=pl.when(even).then(pl.format("Building {}", pl.col("at").mod(40))).otherwise("LOCATION"),
        RANK=pl.when(~even).then(_choose_other("RANK", "Sergeant", "Corporal")).otherwise("RANK"),
    )
    return moved.drop("at")


def _normalize_phones(people: pl.DataFrame) -> pl.DataFrame:
    return people.with_columns(pl.col("PHONE").str.replace_all("[ ()-]", ""))


FILES: dict[str, Callable[[pl.DataFrame, Chance], pl.DataFrame]] = {
    "all.csv": _keep_people,
    "empty.csv": _drop_people,
    "changed.csv": _change_with_problems,
    "rotated.csv": _rotate_values,
    "everybody.csv": _change_everyone,
    "plain.csv": lambda people, _: _normalize_phones(people),
    "plain-changed.csv": lambda people, chance: _normalize_phones(_change_people(people, chance)),
}
"""The function that makes the rows of each file."""
