"""Makes the files: an invented department of any size, and the same a day later; the same seed makes the same files."""

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
"""How many users report to one; with a million users the chain of command is seven links long."""
_LATIN = str.maketrans("łŁøØđĐðßı", "lLoOdDdsi")
_SHARE = 100
"""One user in so many is changed the day after, and one is faulty."""
_ROUND = (1, 0, 3, 4, 2)
"""Of five users the first two swap, and the next three rotate: from whom each of them gets the value."""
_HANDED_ON = ("EMAIL", "BADGE_NUMBER", "USERNAME")


def make(folder: Path, users: int, files: Collection[str] | None = None, seed: int = 1) -> None:
    """Writes the files named (None: all) of the department: `all.csv`, `empty.csv`, and what FILES has.

    `plain.csv` and `plain-changed.csv` are `all.csv` and `day.csv` with phones as they are stored, for programs that take
    them as they stand.
    """
    people = _people(users, Chance(seed))
    for name, made in FILES.items():
        if files is None or name in files:
            made(people, Chance(seed + 1)).write_csv(folder / name)


def _people(users: int, chance: Chance) -> pl.DataFrame:
    names = _names()
    draws = {"number": chance.order(), "name": chance.below(names.height)}
    frame = pl.select(i=pl.int_range(users)).with_columns(**draws)
    named = frame.with_columns(pl.lit(names[part]).gather(pl.col("name")).alias(part) for part in names.columns)
    made = named.select(
        "i",
        EXTERNAL_ID=pl.format("{}", pl.col("number") + 1).str.zfill(8),
        EMAIL=pl.format("{}.{}{}@{}.example", "given", "family", "number", _by("i", _DOMAINS)),
        BADGE_NUMBER=pl.format("B{}-{}", pl.col("number").mul(7).mod(users) * 10 + pl.col("number").mod(10), "i"),
        FIRST_NAME="first",
        LAST_NAME="last",
        STATUS=chance.weighted({"Active": 96, "Inactive": 4}),
        USERNAME=pl.format("{}{}{}", pl.col("given").str.slice(0, 1), "family", "number"),
        ROLE=chance.weighted(ROLES),
        LOCATION=chance.one_of(_LOCATIONS),
        RANK=chance.weighted(RANKS),
        EVIDENCE_GROUP_EXT_ID=chance.one_of(GROUPS),
        PHONE=_phones(chance),
    )
    boss = pl.col("EMAIL").gather(((pl.col("i") - 1) // _REPORTS).clip(0))
    led = made.with_columns(SUPERVISOR_EMAIL=pl.when(pl.col("i") > 0).then(boss).otherwise(pl.lit("")))
    return led.sort(chance.numbers()).drop("i")


def _by(column: str, values: tuple[str, ...]) -> pl.Expr:
    return pl.lit(pl.Series(values)).gather(pl.col(column).mod(len(values)))


def _names() -> pl.DataFrame:
    """Pairs of names, one in twelve not in the Latin script, beside what addresses make of them."""
    latin = [(first, last.replace("_", " "), _plain(first), _plain(last)) for first in FIRST for last in LAST]
    others = list(OTHER_SCRIPTS) * (len(latin) // 12 // len(OTHER_SCRIPTS))
    return pl.DataFrame([*latin, *others], schema=["first", "last", "given", "family"], orient="row")


def _plain(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return "".join(c for c in bare if c.isascii() and c.isalpha()).lower()


def _phones(chance: Chance) -> pl.Expr:
    digits = chance.below(10**4).cast(pl.String).str.zfill(4)
    form = chance.weighted(_PHONES)
    return form.str.replace("{}", digits, literal=True)


def _same(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    return people


def _nobody(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    return people.clear()


def _changed(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """1 % of the users changed, and 1 % of the rows faulty."""
    return _a_day_later(people, chance, faulty=True)


def _day(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """1 % of the users changed."""
    return _a_day_later(people, chance, faulty=False)


def _a_day_later(people: pl.DataFrame, chance: Chance, *, faulty: bool) -> pl.DataFrame:
    """The people with changes, and faults if asked for, of five kinds each, on users picked by chance."""
    share = max(people.height // _SHARE, 5)
    place = pl.col("place")
    kinds = (
        _picked(people, chance, 2 * share if faulty else share)
        .with_columns(kind=place.mod(5) + pl.when(place < share).then(0).otherwise(5))
        .drop("place")
    )
    kind = pl.col("kind")
    later = (
        people.with_row_index("at")
        .join(kinds, on="at", how="left", maintain_order="left")
        .with_columns(kind.fill_null(-1))
        .with_columns(
            RANK=pl.when(kind == 0).then(_other("RANK", "Sergeant", "Corporal")).otherwise("RANK"),
            LOCATION=pl.when(kind.is_in([1, 4])).then(pl.lit("New building")).otherwise("LOCATION"),
            PHONE=pl.when(kind == 2).then(pl.lit("+12125550199")).when(kind == 5).then(pl.lit("ask Jo")).otherwise("PHONE"),
            LAST_NAME=pl.when(kind == 3).then(pl.lit("Newlywed")).when(kind == 6).then(pl.lit("")).otherwise("LAST_NAME"),
            EMAIL=pl.when(kind == 3).then(pl.format("new.{}", "EMAIL")).when(kind == 7).then(pl.format("{}@twice", "EMAIL"))
            .otherwise("EMAIL"),
            ROLE=pl.when(kind == 8).then(pl.lit("Oficer")).otherwise("ROLE"),
            BADGE_NUMBER=pl.when(kind == 9).then(pl.lit(people["BADGE_NUMBER"][0])).otherwise("BADGE_NUMBER"),
        )
    )  # fmt: skip
    return _readdressed(people, later, later["kind"] == 3).drop("at", "kind")


def _picked(people: pl.DataFrame, chance: Chance, number: int) -> pl.DataFrame:
    """The places of so many users (`at`) picked by chance, numbered (`place`); the first user, whose badge is taken, is not."""
    others = pl.select(i=pl.int_range(1, people.height)).sort(chance.numbers()).head(number)
    return others.select(pl.col("i").cast(pl.UInt32).alias("at"), pl.int_range(pl.len()).alias("place"))


def _other(column: str, value: str, instead: str) -> pl.Expr:
    """A value that is not the column's."""
    return pl.when(pl.col(column) == value).then(pl.lit(instead)).otherwise(pl.lit(value))


def _readdressed(before: pl.DataFrame, after: pl.DataFrame, whose: pl.Series) -> pl.DataFrame:
    """Supervisors are named by their addresses as they are afterwards, where those chosen have new ones."""
    moved = pl.DataFrame({"SUPERVISOR_EMAIL": before["EMAIL"], "now": after["EMAIL"]}).filter(whose)
    joined = after.join(moved, on="SUPERVISOR_EMAIL", how="left", maintain_order="left")
    named = joined.with_columns(SUPERVISOR_EMAIL=pl.col("now").fill_null(pl.col("SUPERVISOR_EMAIL")))
    return named.select(after.columns)


def _rotated(people: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """1 % of the users (15 at least) swap addresses, badges or usernames by twos, and rotate them by threes."""
    rounds = max(people.height // _SHARE // len(_ROUND), len(_HANDED_ON))
    picked = _picked(people, chance, rounds * len(_ROUND))
    place = pl.col("place")
    source = place // len(_ROUND) * len(_ROUND) + pl.lit(pl.Series(_ROUND)).gather(place.mod(len(_ROUND)))
    given = picked.with_columns(giver=pl.col("at").gather(source), turn=(place // len(_ROUND)).mod(len(_HANDED_ON)))
    later = (
        people.with_row_index("at")
        .join(given, on="at", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("turn") == turn).then(pl.col(column).gather("giver")).otherwise(column).alias(column)
            for turn, column in enumerate(_HANDED_ON)
        )
    )
    return _readdressed(people, later, (later["turn"] == 0).fill_null(value=False)).select(people.columns)


def _everybody(people: pl.DataFrame, _: Chance) -> pl.DataFrame:
    """Every other user in another building, and the rest of another rank."""
    even = pl.col("at").mod(2) == 0
    moved = people.with_row_index("at").with_columns(
        LOCATION=pl.when(even).then(pl.format("Building {}", pl.col("at").mod(40))).otherwise("LOCATION"),
        RANK=pl.when(~even).then(_other("RANK", "Sergeant", "Corporal")).otherwise("RANK"),
    )
    return moved.drop("at")


def _stored(people: pl.DataFrame) -> pl.DataFrame:
    return people.with_columns(pl.col("PHONE").str.replace_all("[ ()-]", ""))


FILES: dict[str, Callable[[pl.DataFrame, Chance], pl.DataFrame]] = {
    "all.csv": _same,
    "empty.csv": _nobody,
    "changed.csv": _changed,
    "rotated.csv": _rotated,
    "everybody.csv": _everybody,
    "plain.csv": lambda people, _: _stored(people),
    "plain-changed.csv": lambda people, chance: _stored(_day(people, chance)),
}
"""What each file says of the people."""
