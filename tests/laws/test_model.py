"""The plan against the oracle, a plan against itself with its short cuts switched off, and the laws that need no database."""

import json
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.core.domain import problems
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.planning import changes, plan, unchanged
from musterbook.core.planning.plan import Plan
from tests.examples import examples
from tests.laws import cases, model, world
from tests.laws.world import HEADINGS, TODAY, WORDS, Case, Person, Row

Marks = dict[str, tuple[str, tuple[int, int] | None]]

_thorough = settings(
    max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _made(case: Case) -> Plan:
    return plan.make_plan(case.file.table(), case.snapshot(), case.policy)


def _final(case: Case, made: Plan) -> dict[str, Row]:
    """The directory as the plan's frames would leave it: external ID → heading → text, the supervisor by external ID."""
    final = {person.external_id: {**person.values, "boss": person.boss} for person in case.people}
    ids: dict[int | None, str] = {person.id: person.external_id for person in case.people} | {None: ""}
    rows: dict[int | None, str] = dict(made.rows.select("row", "external_id").iter_rows())
    for frame in (made.added, made.updated) if made.added.width else ():
        texts = frame.with_columns(supervisor_email=pl.lit(""), supervisor_external_id=pl.lit("")).select(
            changes.render_texts(WORDS)
        )
        for written, text in zip(frame.to_dicts(), texts.to_dicts(), strict=True):
            values = {heading: text[heading.lower()] for heading in HEADINGS if heading.lower() in text}
            boss = rows[written["supervisor_row"]] if written["supervisor_row"] else ids[written["supervisor_id"]]
            del values["SUPERVISOR_EMAIL"]
            final[written["external_id"]] = {**values, "EXTERNAL_ID": written["external_id"], "boss": boss}
    for external_id in made.leavers.deactivated["external_id"]:
        final[external_id]["STATUS"] = "Inactive"
    for external_id, badge in made.released.select("external_id", "badge_number").iter_rows():
        final[external_id]["BADGE_NUMBER"] = badge
    return final


def _list_marks(case: Case, made: Plan) -> Marks:
    """The marks that the plan leaves: external ID → (source, for how many days and in how many imports missing)."""
    marks: Marks = {person.external_id: (person.source, person.missing) for person in case.people}
    ids = {person.id: person.external_id for person in case.people}
    for changed in made.marks.to_dicts():
        source, missing = marks[ids[changed["id"]]]
        since = changed["missing_since"]
        if (since, changed["missing_imports"]) != (changed["was_missing_since"], changed["was_missing_imports"]):
            missing = ((TODAY - since).days, changed["missing_imports"]) if since else None
        marks[ids[changed["id"]]] = (
            changed["source"] if changed["source"] != changed["was_source"] else source,
            missing,
        )
    return marks | dict.fromkeys(made.added["external_id"] if made.added.width else (), (made.source, None))


def _list_problems(found: pl.DataFrame) -> set[tuple[int, str, str]]:
    return {(problem.row, problem.code, problem.column) for problem in problems.list_problems(found)}


_FILE_NOTES = ("repeated-row", "blank-column", "most-users-change")
"""The notes about the whole file that the oracle knows."""


@given(cases.cases())
@_thorough
def test_the_plan_is_what_the_rules_say_row_by_row(case: Case) -> None:
    made, expected = _made(case), model.expected(case)
    assert [problem.code for problem in made.refusals] == ([expected.refused] if expected.refused else [])
    assert dict(made.rows.select("row", "outcome").iter_rows()) == expected.outcomes
    assert set(made.table.skipped["row"]) == expected.skipped
    assert _list_problems(made.problems) == expected.problems
    assert {(row, code) for row, code, _ in _list_problems(made.notes)} == expected.notes
    assert set(made.leavers.deactivated["external_id"]) == expected.deactivated
    protected = {external_id: (code, row) for external_id, code, row in _list_protected(made)}
    assert protected == {who: (code, expected.named_by.get(who)) for who, code in expected.protected.items()}
    if expected.refused:
        assert made.holds == ()
        return
    notes = {(note.code, note.column) for note in made.table.notes if note.code in _FILE_NOTES}
    assert notes == expected.file_notes
    harms = made.harms
    found = {
        "deactivations": harms.losing_access, "privileges": harms.privileges, "handovers": harms.handovers,
        "cleared": harms.cleared,
    }  # fmt: skip
    for kind, users in found.items():
        assert set(users["external_id"]) == expected.harms[kind], kind
    assert sorted((hold.key, hold.number, hold.role or hold.group) for hold in made.holds) == expected.holds
    assert {name: number for name, number in made.counts.items() if name in expected.counts} == expected.counts
    assert _final(case, made) == expected.final
    marks = _list_marks(case, made)
    assert {who: marks[who] for who, row in expected.final.items() if row["STATUS"] == "Active"} == {
        who: expected.marks[who] for who, row in expected.final.items() if row["STATUS"] == "Active"
    }


def _list_protected(made: Plan) -> Iterator[tuple[str, str, int | None]]:
    return made.leavers.protected.select("external_id", "code", "named_by").iter_rows()


def _summarize(made: Plan) -> tuple[object, ...]:
    """Everything that a plan says, but the digest and the table."""
    frames = (
        made.rows,
        made.added,
        made.updated,
        made.problems,
        made.notes,
        made.leavers.deactivated,
        made.leavers.protected,
    )
    return (*(frame.to_dicts() for frame in frames), made.held, made.refusals, made.digest)


def _nothing_settled(table: Table, _snapshot: Snapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.DataFrame(schema=unchanged.SCHEMA), table.cells


@pytest.fixture(scope="module")
def unsettled() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@given(case=cases.cases())
@_thorough
def test_what_is_settled_early_changes_nothing(unsettled: pytest.MonkeyPatch, case: Case) -> None:
    quick = _summarize(_made(case))
    with unsettled.context() as patch:
        patch.setattr(unchanged, "split", _nothing_settled)
        assert _summarize(_made(case)) == quick


@given(cases.cases(), st.data())
@_thorough
def test_the_order_of_the_rows_changes_nobodys_outcome(case: Case, data: st.DataObject) -> None:
    order = world.keep_copies_in_order(case, data.draw(st.permutations(sorted(case.file.rows))))
    back = dict(zip(sorted(case.file.rows), order, strict=True))
    one, other = _made(case), _made(world.shuffle(case, order))
    assert {back[row]: outcome for row, outcome in other.rows.select("row", "outcome").iter_rows()} == dict(
        one.rows.select("row", "outcome").iter_rows()
    )
    assert _final(case, other) == _final(case, one)
    # The row that names a protected user is the first such row in the file.
    assert other.leavers.protected.drop("named_by").equals(one.leavers.protected.drop("named_by"))
    assert {(back[row], code, column) for row, code, column in _list_problems(other.problems)} == _list_problems(
        one.problems
    )
    assert {(back[row], code, column) for row, code, column in _list_problems(other.notes)} == _list_problems(one.notes)


@given(cases.cases())
@_thorough
def test_rows_are_the_sum_of_their_outcomes_and_every_user_has_one_fate(case: Case) -> None:
    made = _made(case)
    counts = made.counts
    assert counts["rows"] == sum(counts[outcome] for outcome in plan.OUTCOMES) == len(case.file.rows)
    fates = [*made.leavers.deactivated["external_id"], *made.leavers.protected["external_id"]]
    for outcome in ("added", "updated", "unchanged"):
        fates += made.rows.filter(pl.col("outcome") == outcome)["external_id"].to_list()
    fates += made.rows.filter(pl.col("outcome") == "errored")["external_id"].unique().to_list()
    known = {person.external_id for person in case.people}
    named = [fate for fate in fates if fate in known]
    assert len(named) == len(set(named))
    assert counts["added"] + len(known) == len(_final(case, made))


def _after(case: Case, made: Plan) -> Case:
    """The case with the directory that the plan leaves. The people keep their places, and added ones follow."""
    known = {person.external_id: person for person in case.people}
    marks = _list_marks(case, made)
    others = set(made.updated.filter("replaced")["external_id"]) if made.updated.width else set()
    people = []
    for number, (external_id, values) in enumerate(_final(case, made).items()):
        texts = {heading: text for heading, text in values.items() if heading != "boss"}
        person = known.get(external_id, Person(9000 + number, texts))
        source, missing = marks[external_id]
        marked = replace(person, source=source, missing=missing if texts["STATUS"] == "Active" else None)
        registered = person.registered and external_id not in others
        people.append(replace(marked, values=texts, boss=values["boss"], registered=registered))
    return replace(case, people=tuple(people), memory=(*_remember(case, made), *case.memory))


def _remember(case: Case, made: Plan) -> list[tuple[str, int]]:
    """The addresses that the plan replaces, as the directory remembers them (M9)."""
    places = {person.id: place for place, person in enumerate(case.people)}
    moved = made.updated.filter(pl.col("email_key") != pl.col("was_email_key")) if made.updated.width else made.updated
    return (
        [(key, places[number]) for key, number in moved.select("was_email_key", "id").iter_rows()]
        if moved.width
        else []
    )


@given(cases.cases())
@_thorough
def test_the_same_file_again_changes_nothing(case: Case) -> None:
    calm = replace(case, strict=False, operator=None)
    first = _made(calm)
    again = _made(_after(calm, first))
    good = first.rows.filter(pl.col("outcome") != "errored")["row"]
    outcomes = dict(again.rows.select("row", "outcome").iter_rows())
    assert {outcomes[row] for row in good} <= {"unchanged"}


@given(cases.cases())
@_thorough
def test_changes_are_rendered_as_json_pairs_of_before_and_after(case: Case) -> None:
    made = _made(case)
    known = {person.external_id: person for person in case.people}
    final = _final(case, made)
    pairs = [
        pair
        for f in (made.added, made.updated)
        if f.width
        for pair in made.with_changes(f).select("external_id", "changes").rows()
    ]
    for external_id, text in pairs:
        decoded: dict[str, list[str]] = json.loads(text)
        before = known[external_id].values if external_id in known else {}
        after = final[external_id]
        expected = {h: [before.get(h, ""), after[h]] for h in HEADINGS if h in after and h != "EXTERNAL_ID"}
        expected[changes.LINK] = [known[external_id].boss if external_id in known else "", after["boss"]]
        decoded.pop("SUPERVISOR_EMAIL", None)
        assert decoded == {heading: pair for heading, pair in expected.items() if pair[0] != pair[1]}
        assert decoded
