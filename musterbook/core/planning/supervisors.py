"""Supervisors in the final state: the user that each address means, replaced addresses, and cycles (M9).

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

_PEOPLE = {"person": pl.Int64, **dict.fromkeys(("external_id", "email", "first_name", "last_name"), pl.String)}
_CHOSEN_SCHEMA = {"row": pl.UInt32, "was": pl.Int64, "boss": pl.Int64}


@dataclass(frozen=True, slots=True)
class FinalState:
    """The directory in its final state.

    - `users`: the users of the snapshot, with keys.
    - `valid`: the rows without problems, with `id` (null: an added user), `external_id`, `email`, `email_key`,
      `active`, `was_email_key` and `was_supervisor_id`.
    - `deactivated`: `id` of the users who are deactivated.
    - `replaced`: the replaced addresses of the snapshot.
    """

    users: pl.DataFrame
    valid: pl.DataFrame
    deactivated: pl.DataFrame
    replaced: pl.DataFrame | None

    def list_people(self, persons: pl.Series) -> pl.DataFrame:
        """Return `person`, `external_id`, `email`, `first_name`, `last_name` of the given people."""
        targets = pl.DataFrame({"person": persons.drop_nulls().unique()})
        if targets.is_empty():
            return pl.DataFrame(schema=_PEOPLE)
        shown = ("external_id", "email", "first_name", "last_name")
        from_rows = self.valid.select(*shown, person=PERSON).join(targets, on="person", how="semi")
        from_users = self.users.select(*shown, person="id").join(targets, on="person", how="semi")
        return pl.concat([from_rows, from_users.join(from_rows, on="person", how="anti")]).select("person", *shown)

    def list_inactive(self) -> pl.DataFrame:
        """Return everyone who is Inactive in the final state, as `person`."""
        rows = self.valid.select("active", person=PERSON)
        off = self.users.filter(~pl.col("active")).select(person="id").join(rows, on="person", how="anti")
        return pl.concat([off, self.deactivated.select(person="id"), rows.filter(~pl.col("active")).select("person")])

    def resolve_emails(self, keys: pl.Series) -> pl.DataFrame:
        """Return the people that each email key means.

        The columns are `key`, `by_final` (the person who has the key in the final state), `by_old` (the other person
        who had it last: in this file, or in the remembered days) and `by_older` (one more who had it).
        """
        lookup = pl.DataFrame({"key": keys.unique()})
        rows = self.valid.select("was_email_key", key="email_key", person=PERSON)
        users = self.users.select(key="email_key", by_final="id").join(lookup, on="key", how="semi")
        others = users.join(rows, left_on="by_final", right_on="person", how="anti")
        # An older version allowed two addresses of one key.
        final = pl.concat([others, rows.select("key", by_final="person")]).unique(
            "key", keep="first", maintain_order=True
        )
        found = lookup.join(final, on="key", how="left")
        if self.replaced is None and self.valid.filter(pl.col("was_email_key") != pl.col("email_key")).is_empty():
            return found.with_columns(by_old=pl.lit(None, pl.Int64), by_older=pl.lit(None, pl.Int64))
        former = self._list_former(found).group_by("key").agg(
            by_old=pl.col("former").first(), by_older=pl.col("former").get(1, null_on_oob=True)
        )  # fmt: skip
        return found.join(former, on="key", how="left")

    def _list_former(self, found: pl.DataFrame) -> pl.DataFrame:
        """Return `key`, `former`: who gave up each key and does not have it in the final state, the latest first."""
        given_up = self.valid.filter(pl.col("was_email_key") != pl.col("email_key"))
        here = given_up.select(key="was_email_key", former=PERSON)
        before = [] if self.replaced is None else [self.replaced.select("key", former="user_id")]
        joined = pl.concat([here, *before]).join(found, on="key", how="inner", maintain_order="left")
        return joined.filter(pl.col("former").ne_missing(pl.col("by_final"))).unique(
            ["key", "former"], keep="first", maintain_order=True
        )


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
    barred = rows["row"].clear()
    if above:
        other = ~pl.col("stays") & pl.col("target").ne_missing(pl.col("was"))
        barred = rows.filter(other, pl.col("was_role_id").is_in(above))["row"]
        rows = rows.filter(~pl.col("row").is_in(barred.implode()))
    requests = rows.select("row", "person", "was", boss=pl.when("stays").then("was").otherwise("target"))
    broken, numbers = _find_cycles(state, requests)
    back, final = pl.lit(False), requests
    if broken.restored:
        back = pl.col("person").is_in(numbers.gather(broken.restored).implode())
        final = requests.with_columns(boss=pl.when(back).then("was").otherwise("boss"))
    link_rows = rows.filter(~pl.col("stays"), pl.col("target").is_not_null())
    if link_rows.is_empty() and repeats.is_empty():
        return SupervisorLinks(final.select(_CHOSEN_SCHEMA.keys()), _note_addresses(state, rows), barred)
    inactive = state.list_inactive()
    repeated = _find_repeated(state, repeats, broken, numbers, inactive)
    notes = [
        _note_addresses(state, rows),
        _note_cycles(state, broken, numbers, pl.concat([link_rows.select(_LINK_COLUMNS), repeated])),
        _note_inactive(inactive, pl.concat([link_rows.filter(~back).select(_LINK_COLUMNS), repeated])),
    ]
    return SupervisorLinks(final.select(_CHOSEN_SCHEMA.keys()), pl.concat(notes), barred)


_LINK_COLUMNS = ("row", "person", "was", "target", "supervisor_email")
"""A row that asks for a link: its person, their current supervisor, the requested supervisor, and the cell."""


_KEEP_LINK = ("unknown-supervisor", "own-supervisor", "address-changed-hands")
"""The notes on a cell that leave the link as it was."""


def _resolve_rows(state: FinalState) -> pl.DataFrame:
    """Return the valid rows with `person`, `target`, `was`, `stays` and `code`.

    `target` is a person. `code` is the code of the note, null for none. If an address changed hands, `former` is the
    person who had it, and `target` the person who got it.
    """
    target = pl.coalesce("by_final", "by_old")
    # Where the file has no such column, only new users have a supervisor: the default (F14).
    asking = state.valid.filter(pl.col("supervisor_email_key").is_not_null())
    former = pl.when(pl.col("by_final").is_null()).then("by_older").otherwise("by_old")
    # A row that repeats the link is clear.
    changed_hands = former.is_not_null() & target.ne_missing(pl.col("was")) & pl.lit(state.replaced is not None)
    return (
        asking.select(
            "row", "was_role_id", "supervisor_email", person=PERSON, was="was_supervisor_id", key="supervisor_email_key"
        )
        .join(state.resolve_emails(asking["supervisor_email_key"]), on="key", how="left", maintain_order="left")
        .with_columns(
            target=target,
            former=former,
            code=pl.when(pl.col("key") == "").then(None)
            .when(changed_hands).then(pl.lit("address-changed-hands"))
            .when(target.is_null()).then(pl.lit("unknown-supervisor"))
            .when(target == pl.col("person")).then(pl.lit("own-supervisor"))
            .when(pl.col("by_final").is_null()).then(pl.lit("replaced-supervisor-address")),
        )
        .with_columns(stays=pl.col("code").is_in(_KEEP_LINK).fill_null(False))
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


def _find_repeated(
    state: FinalState, repeats: pl.DataFrame, broken: BrokenCycles, numbers: pl.Series, inactive: pl.DataFrame
) -> pl.DataFrame:
    """Return the rows that repeat the stored link (_LINK_COLUMNS) and need a note."""
    on_cycle = pl.col("id").is_in(numbers.gather(list(broken.paths)).implode())
    off = pl.col("supervisor_id").is_in(inactive["person"].implode())
    rows = repeats.filter(on_cycle | off).select("row", person="id", was="supervisor_id", target="supervisor_id")
    # Their cells contain the address that is stored now.
    return rows.join(state.users.select("email", was="id"), on="was", how="left").rename({"email": "supervisor_email"})


def _find_people(state: FinalState, persons: pl.Series, name: str) -> pl.DataFrame:
    """Return `name`, `name_email`, `name_person`: the addresses, and names with ids, of people in the final state."""
    return state.list_people(persons).select(
        pl.col("person").alias(name),
        pl.col("email").alias(f"{name}_email"),
        pl.format("{} {} ({})", "first_name", "last_name", "external_id").alias(f"{name}_person"),
    )


def _note_addresses(state: FinalState, rows: pl.DataFrame) -> pl.DataFrame:
    noted = rows.filter(pl.col("code").is_not_null())
    if noted.is_empty():
        return problems.build_frame()
    for name in ("was", "target", "former"):
        noted = noted.join(_find_people(state, noted[name], name), on=name, how="left", maintain_order="left")
    unknown, own, replaced, changed = (*_KEEP_LINK[:2], "replaced-supervisor-address", _KEEP_LINK[2])
    by_code = {code: noted.filter(pl.col("code") == code) for code in (unknown, own, replaced, changed)}
    people = pl.format("{} to {}", "former_person", "target_person")
    return pl.concat(
        [
            _note_rows(by_code[unknown], unknown, kept=_KEPT_SUPERVISOR),
            _note_rows(by_code[own], own, kept=_KEPT_SUPERVISOR),
            _note_rows(by_code[replaced], replaced, person=pl.col("target_email")),
            _note_rows(by_code[changed], changed, people=people, kept=_KEPT_SUPERVISOR),
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
    rows = link_rows.join(path, on="person").join(_find_people(state, link_rows["was"], "was"), on="was", how="left")
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


def _note_inactive(inactive: pl.DataFrame, link_rows: pl.DataFrame) -> pl.DataFrame:
    """Return a note for every row that names a supervisor who is Inactive in the final state."""
    off = link_rows.join(inactive, left_on="target", right_on="person", how="semi")
    return _note_rows(off, "inactive-supervisor")
