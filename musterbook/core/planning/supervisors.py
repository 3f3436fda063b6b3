"""Supervisors in the final state: the user that each address means, and cycles (M9).

A link that cannot be made stays as it was, with a note. A person is a number: the id of a user, or, for a user that
this file adds, the negated row number.
"""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import SUPERVISOR_EMAIL
from musterbook.core.planning import cycles
from musterbook.core.planning.cycles import Circles

PERSON = pl.coalesce(pl.col("id"), -pl.col("row").cast(pl.Int64))
"""The person that a row means or adds."""

_CHOSEN = {"row": pl.UInt32, "was": pl.Int64, "boss": pl.Int64}


@dataclass(frozen=True, slots=True)
class Ends:
    """The directory in its final state.

    - `users`: the users of the snapshot, with keys.
    - `sound`: the rows without problems, with `id` (null: an added user), `external_id`, `email`, `email_key`,
      `active`, `was_email_key` and `was_supervisor_id`.
    - `leaving`: `id` of the users who are deactivated.
    """

    users: pl.DataFrame
    sound: pl.DataFrame
    leaving: pl.DataFrame

    def people(self, persons: pl.Series) -> pl.DataFrame:
        """Return `person`, `external_id`, `email` of the given people."""
        wanted = pl.DataFrame({"person": persons.drop_nulls().unique()})
        told = self.sound.select("external_id", "email", person=PERSON).join(wanted, on="person", how="semi")
        kept = self.users.select("external_id", "email", person="id").join(wanted, on="person", how="semi")
        return pl.concat([told, kept.join(told, on="person", how="anti")]).select("person", "external_id", "email")

    def inactive(self) -> pl.DataFrame:
        """Return everyone who is Inactive in the final state, as `person`."""
        rows = self.sound.select("active", person=PERSON)
        off = self.users.filter(~pl.col("active")).select(person="id").join(rows, on="person", how="anti")
        return pl.concat([off, self.leaving.select(person="id"), rows.filter(~pl.col("active")).select("person")])

    def bearing(self, keys: pl.Series) -> pl.DataFrame:
        """Return the person that each email key means.

        The columns are `key`, `by_final` (the person who has the key in the final state) and `by_old` (the person whose
        address this file replaces).
        """
        wanted = pl.DataFrame({"key": keys.unique()})
        rows = self.sound.select("was_email_key", key="email_key", person=PERSON)
        users = self.users.select(key="email_key", by_final="id").join(wanted, on="key", how="semi")
        kept = users.join(rows, left_on="by_final", right_on="person", how="anti")
        final = pl.concat([kept, rows.select("key", by_final="person")])
        old = rows.filter(pl.col("was_email_key") != pl.col("key")).select(key="was_email_key", by_old="person")
        return wanted.join(final, on="key", how="left").join(old, on="key", how="left")


@dataclass(frozen=True, slots=True)
class Links:
    """The supervisors of the final state.

    - `chosen`: `row`, `was` and `boss` (the supervisor now and in the final state, null for none), for every row that
      asks for a supervisor.
    - `notes`: notes (problems.SCHEMA).
    - `overstepping`: the rows that ask for another supervisor of a user that the operator may not change.
    """

    chosen: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_CHOSEN))
    notes: pl.DataFrame = field(default_factory=problems.frame)
    overstepping: pl.Series = field(default_factory=lambda: pl.Series("row", [], dtype=pl.UInt32))


def links(ends: Ends, kept: pl.DataFrame, above: list[int]) -> Links:
    """Return the supervisor that each valid row gets in the final state.

    The valid rows have `supervisor_email` and its key ("" to clear).

    - `kept`: `row`, `id`, `supervisor_id` of the rows that repeat the stored link.
    - `above`: the roles whose users the operator may not change.
    """
    read = _read(ends)
    other = ~pl.col("stays") & pl.col("target").ne_missing(pl.col("was"))
    barred = read.filter(other, pl.col("was_role_id").is_in(above))["row"]
    read = read.filter(~pl.col("row").is_in(barred.implode()))
    wanted = read.select("row", "person", "was", boss=pl.when("stays").then("was").otherwise("target"))
    found, numbers = _circles(ends, wanted)
    back = pl.col("person").is_in(numbers.gather(found.back).implode())
    final = wanted.with_columns(boss=pl.when(back).then("was").otherwise("boss"))
    asked = read.filter(~pl.col("stays"), pl.col("target").is_not_null())
    repeated = _repeated(ends, kept, found, numbers)
    notes = [
        _notes(ends, read),
        _circle_notes(ends, found, numbers, pl.concat([asked.select(_ASKED), repeated])),
        _inactive(ends, pl.concat([asked.filter(~back).select(_ASKED), repeated])),
    ]
    return Links(final.select(_CHOSEN.keys()), pl.concat(notes), barred)


_ASKED = ("row", "person", "was", "target", "supervisor_email")
"""A row that asks for a link: its person, their current supervisor, the requested supervisor, and the cell."""


def _read(ends: Ends) -> pl.DataFrame:
    """Return the valid rows with `person`, `target`, `was`, `stays` and `code`.

    `target` is a person. `code` is the code of the note, null for none.
    """
    target = pl.coalesce("by_final", "by_old")
    return (
        ends.sound.select(
            "row", "was_role_id", "supervisor_email", person=PERSON, was="was_supervisor_id", key="supervisor_email_key"
        )
        .join(ends.bearing(ends.sound["supervisor_email_key"]), on="key", how="left", maintain_order="left")
        .with_columns(
            target=target,
            code=pl.when(pl.col("key") == "").then(None)
            .when(target.is_null()).then(pl.lit("unknown-supervisor"))
            .when(target == pl.col("person")).then(pl.lit("own-supervisor"))
            .when(pl.col("by_final").is_null()).then(pl.lit("replaced-supervisor-address")),
        )
        .with_columns(stays=pl.col("code").is_in(["unknown-supervisor", "own-supervisor"]).fill_null(False))
    )  # fmt: skip


def _circles(ends: Ends, wanted: pl.DataFrame) -> tuple[Circles, pl.Series]:
    """Return the cycles that the requested links would close, and the person behind each number in them."""
    if wanted.filter(pl.col("boss").is_not_null(), pl.col("boss").ne_missing(pl.col("was"))).is_empty():
        return Circles(), pl.Series([], dtype=pl.Int64)
    added = ends.sound.filter(pl.col("id").is_null()).select(person=PERSON, supervisor_id=pl.lit(None, pl.Int64))
    people = pl.concat([ends.users.select("supervisor_id", person="id").select("person", "supervisor_id"), added])
    asked = people.join(
        wanted.select("person", "boss", asks=True), on="person", how="left", maintain_order="left"
    ).select(stored="supervisor_id", asked=pl.when("asks").then("boss").otherwise("supervisor_id"))
    number = people.select("person").with_row_index("number")
    stored, now = (
        asked.select(person=name).join(number, on="person", how="left", maintain_order="left")["number"].cast(pl.Int64)
        for name in ("stored", "asked")
    )
    return cycles.broken(stored, now), people["person"]


def _repeated(ends: Ends, kept: pl.DataFrame, found: Circles, numbers: pl.Series) -> pl.DataFrame:
    """Return the rows that repeat the stored link (_ASKED) and need a note."""
    around = pl.col("id").is_in(numbers.gather(list(found.around)).implode())
    off = pl.col("supervisor_id").is_in(ends.inactive()["person"].implode())
    rows = kept.filter(around | off).select("row", person="id", was="supervisor_id", target="supervisor_id")
    # Their cells contain the address that is stored now.
    return rows.join(ends.users.select("email", was="id"), on="was", how="left").rename({"email": "supervisor_email"})


def _emails(ends: Ends, persons: pl.Series, name: str) -> pl.DataFrame:
    """Return `name`, `name_email`: the addresses of people in the final state."""
    return ends.people(persons).select(pl.col("person").alias(name), pl.col("email").alias(f"{name}_email"))


def _notes(ends: Ends, read: pl.DataFrame) -> pl.DataFrame:
    named = read.filter(pl.col("code").is_not_null())
    named = named.join(_emails(ends, named["was"], "was"), on="was", how="left", maintain_order="left")
    named = named.join(_emails(ends, named["target"], "target"), on="target", how="left", maintain_order="left")
    unknown, own, replaced = "unknown-supervisor", "own-supervisor", "replaced-supervisor-address"
    return pl.concat(
        [
            _said(named.filter(pl.col("code") == unknown), unknown, kept=_KEPT),
            _said(named.filter(pl.col("code") == own), own, kept=_KEPT),
            _said(named.filter(pl.col("code") == replaced), replaced, person=pl.col("target_email")),
        ]
    )


_KEPT = pl.col("was_email").fill_null("blank")
"""The supervisor that a user keeps."""


def _said(rows: pl.DataFrame, code: str, **params: pl.Expr) -> pl.DataFrame:
    """Return notes on SUPERVISOR_EMAIL for rows that have `row` and `supervisor_email`."""
    value = pl.col("supervisor_email")
    return problems.of_rows(rows, code, column=SUPERVISOR_EMAIL.heading, value=value, **params)


def _circle_notes(ends: Ends, found: Circles, numbers: pl.Series, asked: pl.DataFrame) -> pl.DataFrame:
    """Return a note for every row that asks for a link of a cycle.

    The note has the cycle, and the supervisor that the user keeps.
    """
    if not found.around:
        return problems.frame()
    path = _paths(ends, found, numbers)
    told = asked.join(path, on="person").join(_emails(ends, asked["was"], "was"), on="was", how="left")
    return _said(told, "supervisor-circle", kept=_KEPT, path=pl.col("path"))


def _paths(ends: Ends, found: Circles, numbers: pl.Series) -> pl.DataFrame:
    """Return `person`, `path`: the cycle as text for each person.

    Example: "E-1 → E-2 → E-1". Long ones are cut.
    """
    people = pl.DataFrame({"number": list(found.around), "person": numbers.gather(list(found.around))})
    steps = people.with_columns(ahead=pl.Series(list(found.around.values()), dtype=pl.List(pl.Int64))).explode("ahead")
    names = ends.people(people["person"]).join(people, on="person").select("external_id", ahead="number")
    told = steps.join(names, on="ahead", how="left", maintain_order="left").group_by(
        "number", "person", maintain_order=True
    )
    path = pl.col("external_id").str.join(" → ")
    whole = pl.col("ahead").last() == pl.col("number").first()
    return told.agg(pl.when(whole).then(path).otherwise(path + " → …").alias("path")).select("person", "path")


def _inactive(ends: Ends, asked: pl.DataFrame) -> pl.DataFrame:
    """Return a note for every row that names a supervisor who is Inactive in the final state."""
    off = asked.join(ends.inactive(), left_on="target", right_on="person", how="semi")
    return _said(off, "inactive-supervisor")
