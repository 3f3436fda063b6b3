"""Supervisors in the final state: the user that each address means, and cycles (M9).

A link that cannot be made stays as it was, with a note. A person is a number: the id of a user, or, for a user that
this file adds, the negated row number.
"""

from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import SUPERVISOR_EMAIL
from musterbook.core.planning import cycles
from musterbook.core.planning.cycles import BrokenCycles

PERSON = pl.coalesce(pl.col("id"), -pl.col("row").cast(pl.Int64))
"""The person that a row means or adds."""

_CHOSEN_SCHEMA = {"row": pl.UInt32, "was": pl.Int64, "boss": pl.Int64}


@dataclass(frozen=True, slots=True)
class FinalState:
    """The directory in its final state.

    - `users`: the users of the snapshot, with keys.
    - `valid`: the rows without problems, with `id` (null: an added user), `external_id`, `email`, `email_key`,
      `active`, `was_email_key` and `was_supervisor_id`.
    - `deactivated`: `id` of the users who are deactivated.
    """

    users: pl.DataFrame
    valid: pl.DataFrame
    deactivated: pl.DataFrame

    def list_people(self, persons: pl.Series) -> pl.DataFrame:
        """Return `person`, `external_id`, `email` of the given people."""
        targets = pl.DataFrame({"person": persons.drop_nulls().unique()})
        from_rows = self.valid.select("external_id", "email", person=PERSON).join(targets, on="person", how="semi")
        from_users = self.users.select("external_id", "email", person="id").join(targets, on="person", how="semi")
        return pl.concat([from_rows, from_users.join(from_rows, on="person", how="anti")]).select(
            "person", "external_id", "email"
        )

    def list_inactive(self) -> pl.DataFrame:
        """Return everyone who is Inactive in the final state, as `person`."""
        rows = self.valid.select("active", person=PERSON)
        off = self.users.filter(~pl.col("active")).select(person="id").join(rows, on="person", how="anti")
        return pl.concat([off, self.deactivated.select(person="id"), rows.filter(~pl.col("active")).select("person")])

    def resolve_emails(self, keys: pl.Series) -> pl.DataFrame:
        """Return the person that each email key means.

        The columns are `key`, `by_final` (the person who has the key in the final state) and `by_old` (the person whose
        address this file replaces).
        """
        lookup = pl.DataFrame({"key": keys.unique()})
        rows = self.valid.select("was_email_key", key="email_key", person=PERSON)
        users = self.users.select(key="email_key", by_final="id").join(lookup, on="key", how="semi")
        others = users.join(rows, left_on="by_final", right_on="person", how="anti")
        # An older version allowed two addresses of one key.
        final = pl.concat([others, rows.select("key", by_final="person")]).unique(
            "key", keep="first", maintain_order=True
        )
        old = rows.filter(pl.col("was_email_key") != pl.col("key")).select(key="was_email_key", by_old="person")
        return lookup.join(final, on="key", how="left").join(old, on="key", how="left")


@dataclass(frozen=True, slots=True)
class SupervisorLinks:
    """The supervisors of the final state.

    - `chosen`: `row`, `was` and `boss` (the supervisor now and in the final state, null for none), for every row that
      asks for a supervisor.
    - `notes`: notes (problems.SCHEMA).
    - `forbidden`: the rows that ask for another supervisor of a user that the operator may not change.
    """

    chosen: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_CHOSEN_SCHEMA))
    notes: pl.DataFrame = field(default_factory=problems.build_frame)
    forbidden: pl.Series = field(default_factory=lambda: pl.Series("row", [], dtype=pl.UInt32))


def link_supervisors(state: FinalState, repeats: pl.DataFrame, above: list[int]) -> SupervisorLinks:
    """Return the supervisor that each valid row gets in the final state.

    The valid rows have `supervisor_email` and its key ("" to clear).

    - `repeats`: `row`, `id`, `supervisor_id` of the rows that repeat the stored link.
    - `above`: the roles whose users the operator may not change.
    """
    rows = _resolve_rows(state)
    other = ~pl.col("stays") & pl.col("target").ne_missing(pl.col("was"))
    barred = rows.filter(other, pl.col("was_role_id").is_in(above))["row"]
    rows = rows.filter(~pl.col("row").is_in(barred.implode()))
    requests = rows.select("row", "person", "was", boss=pl.when("stays").then("was").otherwise("target"))
    broken, numbers = _find_cycles(state, requests)
    back = pl.col("person").is_in(numbers.gather(broken.restored).implode())
    final = requests.with_columns(boss=pl.when(back).then("was").otherwise("boss"))
    link_rows = rows.filter(~pl.col("stays"), pl.col("target").is_not_null())
    repeated = _find_repeated(state, repeats, broken, numbers)
    notes = [
        _note_addresses(state, rows),
        _note_cycles(state, broken, numbers, pl.concat([link_rows.select(_LINK_COLUMNS), repeated])),
        _note_inactive(state, pl.concat([link_rows.filter(~back).select(_LINK_COLUMNS), repeated])),
    ]
    return SupervisorLinks(final.select(_CHOSEN_SCHEMA.keys()), pl.concat(notes), barred)


_LINK_COLUMNS = ("row", "person", "was", "target", "supervisor_email")
"""A row that asks for a link: its person, their current supervisor, the requested supervisor, and the cell."""


def _resolve_rows(state: FinalState) -> pl.DataFrame:
    """Return the valid rows with `person`, `target`, `was`, `stays` and `code`.

    `target` is a person. `code` is the code of the note, null for none.
    """
    target = pl.coalesce("by_final", "by_old")
    # Where the file has no such column, only new users have a supervisor: the default (F14).
    asking = state.valid.filter(pl.col("supervisor_email_key").is_not_null())
    return (
        asking.select(
            "row", "was_role_id", "supervisor_email", person=PERSON, was="was_supervisor_id", key="supervisor_email_key"
        )
        .join(state.resolve_emails(asking["supervisor_email_key"]), on="key", how="left", maintain_order="left")
        .with_columns(
            target=target,
            code=pl.when(pl.col("key") == "").then(None)
            .when(target.is_null()).then(pl.lit("unknown-supervisor"))
            .when(target == pl.col("person")).then(pl.lit("own-supervisor"))
            .when(pl.col("by_final").is_null()).then(pl.lit("replaced-supervisor-address")),
        )
        .with_columns(stays=pl.col("code").is_in(["unknown-supervisor", "own-supervisor"]).fill_null(False))
    )  # fmt: skip


def _find_cycles(state: FinalState, requests: pl.DataFrame) -> tuple[BrokenCycles, pl.Series]:
    """Return the cycles that the requested links would close, and the person behind each number in them."""
    if requests.filter(pl.col("boss").is_not_null(), pl.col("boss").ne_missing(pl.col("was"))).is_empty():
        return BrokenCycles(), pl.Series([], dtype=pl.Int64)
    added = state.valid.filter(pl.col("id").is_null()).select(person=PERSON, supervisor_id=pl.lit(None, pl.Int64))
    people = pl.concat([state.users.select("supervisor_id", person="id").select("person", "supervisor_id"), added])
    graph = people.join(
        requests.select("person", "boss", asks=True), on="person", how="left", maintain_order="left"
    ).select(stored="supervisor_id", asked=pl.when("asks").then("boss").otherwise("supervisor_id"))
    number = people.select("person").with_row_index("number")
    stored, now = (
        graph.select(person=name).join(number, on="person", how="left", maintain_order="left")["number"].cast(pl.Int64)
        for name in ("stored", "asked")
    )
    return cycles.break_cycles(stored, now), people["person"]


def _find_repeated(state: FinalState, repeats: pl.DataFrame, broken: BrokenCycles, numbers: pl.Series) -> pl.DataFrame:
    """Return the rows that repeat the stored link (_ASKED) and need a note."""
    on_cycle = pl.col("id").is_in(numbers.gather(list(broken.paths)).implode())
    off = pl.col("supervisor_id").is_in(state.list_inactive()["person"].implode())
    rows = repeats.filter(on_cycle | off).select("row", person="id", was="supervisor_id", target="supervisor_id")
    # Their cells contain the address that is stored now.
    return rows.join(state.users.select("email", was="id"), on="was", how="left").rename({"email": "supervisor_email"})


def _find_emails(state: FinalState, persons: pl.Series, name: str) -> pl.DataFrame:
    """Return `name`, `name_email`: the addresses of people in the final state."""
    return state.list_people(persons).select(pl.col("person").alias(name), pl.col("email").alias(f"{name}_email"))


def _note_addresses(state: FinalState, rows: pl.DataFrame) -> pl.DataFrame:
    noted = rows.filter(pl.col("code").is_not_null())
    noted = noted.join(_find_emails(state, noted["was"], "was"), on="was", how="left", maintain_order="left")
    noted = noted.join(_find_emails(state, noted["target"], "target"), on="target", how="left", maintain_order="left")
    unknown, own, replaced = "unknown-supervisor", "own-supervisor", "replaced-supervisor-address"
    return pl.concat(
        [
            _note_rows(noted.filter(pl.col("code") == unknown), unknown, kept=_KEPT_SUPERVISOR),
            _note_rows(noted.filter(pl.col("code") == own), own, kept=_KEPT_SUPERVISOR),
            _note_rows(noted.filter(pl.col("code") == replaced), replaced, person=pl.col("target_email")),
        ]
    )


_KEPT_SUPERVISOR = pl.col("was_email").fill_null("blank")
"""The supervisor that a user keeps."""


def _note_rows(rows: pl.DataFrame, code: str, **params: pl.Expr) -> pl.DataFrame:
    """Return notes on SUPERVISOR_EMAIL for rows that have `row` and `supervisor_email`."""
    value = pl.col("supervisor_email")
    return problems.flag_rows(rows, code, column=SUPERVISOR_EMAIL.heading, value=value, **params)


def _note_cycles(state: FinalState, broken: BrokenCycles, numbers: pl.Series, link_rows: pl.DataFrame) -> pl.DataFrame:
    """Return a note for every row that asks for a link of a cycle.

    The note has the cycle, and the supervisor that the user keeps.
    """
    if not broken.paths:
        return problems.build_frame()
    path = _describe_cycles(state, broken, numbers)
    rows = link_rows.join(path, on="person").join(_find_emails(state, link_rows["was"], "was"), on="was", how="left")
    return _note_rows(rows, "supervisor-circle", kept=_KEPT_SUPERVISOR, path=pl.col("path"))


def _describe_cycles(state: FinalState, broken: BrokenCycles, numbers: pl.Series) -> pl.DataFrame:
    """Return `person`, `path`: the cycle as text for each person.

    Example: "E-1 → E-2 → E-1". Long ones are cut.
    """
    people = pl.DataFrame({"number": list(broken.paths), "person": numbers.gather(list(broken.paths))})
    steps = people.with_columns(ahead=pl.Series(list(broken.paths.values()), dtype=pl.List(pl.Int64))).explode("ahead")
    names = state.list_people(people["person"]).join(people, on="person").select("external_id", ahead="number")
    groups = steps.join(names, on="ahead", how="left", maintain_order="left").group_by(
        "number", "person", maintain_order=True
    )
    path = pl.col("external_id").str.join(" → ")
    whole = pl.col("ahead").last() == pl.col("number").first()
    return groups.agg(pl.when(whole).then(path).otherwise(path + " → …").alias("path")).select("person", "path")


def _note_inactive(state: FinalState, link_rows: pl.DataFrame) -> pl.DataFrame:
    """Return a note for every row that names a supervisor who is Inactive in the final state."""
    off = link_rows.join(state.list_inactive(), left_on="target", right_on="person", how="semi")
    return _note_rows(off, "inactive-supervisor")
