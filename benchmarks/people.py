"""Makes the files: an invented department of any size, and the same a day later; the same seed makes the same files."""

import random
import unicodedata
from pathlib import Path

import polars as pl

from examples.names import FIRST, LAST, OTHER_SCRIPTS

ROLES = {"Officer": 80, "Supervisor": 12, "Records Clerk": 5, "Auditor": 3}
RANKS = {
    "Police Officer": 55, "Detective": 15, "Corporal": 10, "Sergeant": 8, "Lieutenant": 4, "Captain": 2, "Recruit": 4, "": 2,
}  # fmt: skip
GROUPS = tuple(f"UNIT-{number:02}" for number in range(60))

_LOCATIONS = tuple(
    f"{place} {number}" for place in ("Station", "Annex", "Court, floor", "Bureau") for number in range(1, 16)
)
_PHONES = {"+1{}": 84, "": 8, "+44207946{}": 4, "+1 {}": 2, "+4930{}": 2}
_REPORTS = 8
"""How many users report to one; with a million users the chain of command is seven links long."""
_LATIN = str.maketrans("łŁøØđĐðßı", "lLoOdDdsi")
_SHARE = 100
"""One user in so many is changed the day after, and one is faulty."""


def make(folder: Path, users: int, seed: int = 1) -> None:
    """Writes `all.csv`, `changed.csv` (1 % of the users changed, 1 % of the rows faulty) and `empty.csv`."""
    chance = random.Random(seed)
    people = _people(users, chance)
    people.write_csv(folder / "all.csv")
    _changed(people, chance).write_csv(folder / "changed.csv")
    people.clear().write_csv(folder / "empty.csv")


def _people(users: int, chance: random.Random) -> pl.DataFrame:
    numbers = list(range(users))
    chance.shuffle(numbers)
    names = _names()
    frame = pl.DataFrame({"i": range(users), "number": numbers, "n": chance.choices(range(len(names)), k=users)})
    picked = frame.join(
        names.with_row_index("n").with_columns(pl.col("n").cast(pl.Int64)), on="n", how="left", maintain_order="left"
    )
    made = picked.select(
        "i",
        EXTERNAL_ID=pl.format("{}", pl.col("number") + 1).str.zfill(8),
        EMAIL=pl.format("{}.{}{}@{}.example", "given", "family", "number", pl.col("i").mod(7).replace_strict(_DOMAINS)),
        BADGE_NUMBER=pl.format("B{}", pl.col("number").mul(7).mod(users) * 10 + pl.col("number").mod(10))
        + pl.format("-{}", "i"),
        FIRST_NAME="first",
        LAST_NAME="last",
        STATUS=_chosen({"Active": 96, "Inactive": 4}, users, chance),
        USERNAME=pl.format("{}{}{}", pl.col("given").str.slice(0, 1), "family", "number"),
        ROLE=_chosen(ROLES, users, chance),
        LOCATION=_chosen(dict.fromkeys(_LOCATIONS, 1), users, chance),
        RANK=_chosen(RANKS, users, chance),
        EVIDENCE_GROUP_EXT_ID=_chosen(dict.fromkeys(GROUPS, 1), users, chance),
        PHONE=_phones(users, chance),
    )
    bosses = made.select(boss="i", SUPERVISOR_EMAIL="EMAIL")
    led = made.with_columns(boss=pl.when(pl.col("i") > 0).then((pl.col("i") - 1) // _REPORTS))
    joined = led.join(bosses, on="boss", how="left", maintain_order="left").with_columns(
        pl.col("SUPERVISOR_EMAIL").fill_null("")
    )
    return joined.drop("i", "boss").select(pl.all().gather(chance.sample(range(users), users)))


_DOMAINS = dict(enumerate(("metro", "metro", "metro", "metro", "harbor", "county", "courts")))


def _names() -> pl.DataFrame:
    """Pairs of names, one in twelve not in the Latin script, beside what addresses make of them."""
    latin = [(first, last.replace("_", " "), _plain(first), _plain(last)) for first in FIRST for last in LAST]
    others = list(OTHER_SCRIPTS) * (len(latin) // 12 // len(OTHER_SCRIPTS))
    return pl.DataFrame([*latin, *others], schema=["first", "last", "given", "family"], orient="row")


def _plain(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return "".join(c for c in bare if c.isascii() and c.isalpha()).lower()


def _chosen(weights: dict[str, int], users: int, chance: random.Random) -> pl.Series:
    return pl.Series(chance.choices(list(weights), list(weights.values()), k=users))


def _phones(users: int, chance: random.Random) -> pl.Series:
    forms = _chosen(_PHONES, users, chance)
    digits = pl.Series([chance.randrange(10**6) for _ in range(users)])
    written = {
        "+1{}": pl.format("+1202555{}", pl.col("digits").mod(10**4).cast(pl.String).str.zfill(4)),
        "+1 {}": pl.format("+1 (312) 555-{}", pl.col("digits").mod(10**4).cast(pl.String).str.zfill(4)),
        "+44207946{}": pl.format("+44207946{}", pl.col("digits").mod(10**4).cast(pl.String).str.zfill(4)),
        "+4930{}": pl.format("+493023{}", pl.col("digits").cast(pl.String).str.zfill(6)),
    }
    text: pl.Expr = pl.lit("")
    for form, expression in written.items():
        text = pl.when(pl.col("form") == form).then(expression).otherwise(text)
    return pl.DataFrame({"form": forms, "digits": digits}).select(text).to_series()


def _changed(people: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    """The people a day later; changes and faults of five kinds each, on users picked by chance."""
    share = max(people.height // _SHARE, 5)
    picked = chance.sample(range(people.height), 2 * share)
    kinds = pl.DataFrame({"at": picked, "kind": [(i % 5) + (0 if i < share else 5) for i in range(2 * share)]})
    kind = pl.col("kind")
    taken = people["BADGE_NUMBER"][0]
    return (
        people.with_row_index("at")
        .with_columns(pl.col("at").cast(pl.Int64))
        .join(kinds, on="at", how="left", maintain_order="left")
        .with_columns(kind.fill_null(-1))
        .with_columns(
            RANK=pl.when(kind == 0).then(pl.lit("Sergeant")).otherwise("RANK"),
            LOCATION=pl.when(kind.is_in([1, 4])).then(pl.lit("New building")).otherwise("LOCATION"),
            PHONE=pl.when(kind == 2).then(pl.lit("+12025550199")).when(kind == 5).then(pl.lit("ask Jo")).otherwise("PHONE"),
            LAST_NAME=pl.when(kind == 3).then(pl.lit("Newlywed")).when(kind == 6).then(pl.lit("")).otherwise("LAST_NAME"),
            EMAIL=pl.when(kind == 3).then(pl.format("new.{}", "EMAIL")).when(kind == 7).then(pl.format("{}@twice", "EMAIL"))
            .otherwise("EMAIL"),
            ROLE=pl.when(kind == 8).then(pl.lit("Oficer")).otherwise("ROLE"),
            BADGE_NUMBER=pl.when(kind == 9).then(pl.lit(taken)).otherwise("BADGE_NUMBER"),
        )
        .drop("at", "kind")
    )  # fmt: skip
