"""The seven laws of spec/import.md, section 7, by generated directories and files, on the database of the run."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.planning import plan as planning
from musterbook.core.planning.plan import Plan
from musterbook.directory.apply import import_marks, snapshot_queries
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.users import export
from musterbook.directory.users.export import ExportFilter
from tests.examples import examples
from tests.laws import cases, directory, model, world
from tests.laws.model_rows import Expected
from tests.laws.people import people
from tests.laws.world import Case, File, Person, Row

pytestmark = pytest.mark.django_db
"""Every example has an agency of its own, in the one transaction of its test."""

_law = settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))
_STILL_NOTED = ("inactive-group-kept", "inactive-supervisor", "not-by-files")


@st.composite
def _applied(draw: st.DrawFn) -> Case:
    """A case that goes through: not strict, what holds it confirmed, by the system or by one who may import."""
    case = replace(draw(cases.cases()), strict=False)
    may = case.operator is not None and case.people[case.operator].values["ROLE"] in ("Admin", "Chief")
    case = case if may else replace(case, operator=None)
    return replace(case, confirmed=_confirmed(case))


@given(_applied())
@_law
def test_law_1_the_same_file_again_writes_and_mails_nothing(case: Case) -> None:
    agency = directory.agency(case.people, case)
    case = replace(case, operator=None)  # The first import may demote who runs the second.
    first = directory.run(agency, case.file, replace(case, confirmed=_confirmed(case)))
    held, traces = directory.users(agency), directory.traces(agency)
    again = directory.run(agency, case.file, replace(case, confirmed={}))
    assert first.plan
    assert again.plan
    assume(first.record.state != "refused")
    good = first.plan.rows.filter(pl.col("outcome") != "errored")["row"].to_list()
    outcomes = dict(again.plan.rows.select("row", "outcome").iter_rows())
    assert {outcomes[row] for row in good} <= {"unchanged"}
    if again.plan.counts["updated"] == again.plan.counts["added"] == 0:
        assert (directory.users(agency), directory.traces(agency)) == (held, traces)


def _confirmed(case: Case) -> dict[str, int | None]:
    expected = model.expected(case)
    return {**{kind: len(users) for kind, users in expected.harms.items()}, "unreadable-rows": expected.unreadable}


@given(people())
@_law
def test_law_2_an_export_of_all_users_changes_nothing_and_nobody(known: tuple[Person, ...]) -> None:
    agency = directory.agency(known)
    held, traces = directory.users(agency), directory.traces(agency)
    for form in ("csv", "xlsx") if known else ():
        exported = export.export_users(agency, ExportFilter(), form)
        done = directory.run(agency, b"".join(exported.parts), Case((), File({}), Mode.SYNC))
        assert done.plan
        assert done.record.state == "applied"
        assert done.plan.counts["unchanged"] == done.plan.counts["rows"] == len(known) == exported.users
        assert done.plan.counts["deactivated"] == done.plan.counts["protected"] == 0
        assert {note.code for note in problems.list_problems(done.plan.notes)} <= set(_STILL_NOTED)
        assert (directory.users(agency), directory.traces(agency)) == (held, traces)


@given(_applied(), st.data())
@_law
def test_law_3_the_order_of_the_rows_changes_nobodys_outcome(case: Case, data: st.DataObject) -> None:
    order = world.keep_copies_in_order(case, data.draw(st.permutations(sorted(case.file.rows))))
    shuffled = world.shuffle(case, order)
    one, other = directory.agency(case.people, case), directory.agency(case.people, case)
    first = directory.run(one, case.file, case)
    second = directory.run(other, shuffled.file, shuffled)
    assert directory.users(one) == directory.users(other)
    assert first.record.counts == second.record.counts
    assert directory.traces(one) == directory.traces(other)


@given(_applied())
@_law
def test_law_4_rows_are_the_sum_of_their_outcomes_and_what_is_written_is_what_the_rules_say(case: Case) -> None:
    agency = directory.agency(case.people, case)
    before = directory.users(agency)
    done = directory.run(agency, case.file, case)
    assert done.plan
    counts = done.plan.counts
    assert counts["rows"] == sum(counts[name] for name in planning.OUTCOMES)
    expected = model.expected(case)
    assert directory.users(agency) == (expected.final if done.record.state == "applied" else before)
    if done.record.state == "applied":
        assert directory.marks(agency) == _describe_marks(expected)
        assert {name: counts[name] for name in expected.counts} == expected.counts
    assert directory.keys_hold(agency)
    assert verify.verify_trail(agency).error == ""


def _describe_marks(expected: Expected) -> directory.Marks:
    """The marks of the users who are Active in the end, as they are stored."""
    active = {who: expected.marks[who] for who, row in expected.final.items() if row["STATUS"] == "Active"}
    return {
        who: (source, world.TODAY - timedelta(days=missing[0]) if missing else None, missing[1] if missing else 0)
        for who, (source, missing) in active.items()
    }


@given(_applied())
@_law
def test_law_5_what_is_applied_and_undone_is_as_before(case: Case) -> None:
    agency = directory.agency(case.people, case)
    before = directory.users(agency)
    done = directory.run(agency, case.file, case)
    assume(done.record.state == "applied")
    undone = undo.run_undo(done.record, context=AuditContext(world.NOW, "", "cli"))
    assert undone.plan
    after = directory.users(agency)
    stuck = set(undone.plan.rows.filter(pl.col("outcome") == "errored")["external_id"])
    # What cannot go back: a value that an added user holds, for none is ever deleted; who was the first administrator;
    # who left a group that is no longer active; and what depends on those.
    codes = {problem.code for problem in problems.list_problems(undone.plan.problems)}
    assert codes <= {"taken", "last-administrator", "inactive-group"}
    assert "taken" not in codes or after.keys() - before.keys() or codes - {"taken"}
    assert _but(stuck, after, before.keys()) == _but(stuck, before, before.keys())
    for external_id in after.keys() - before.keys():
        assert after[external_id]["STATUS"] == "Inactive"


def _but(left_out: set[str], held: dict[str, Row], who: Iterable[str]) -> dict[str, Row]:
    """What the users hold, but those left out."""
    return {external_id: held[external_id] for external_id in who if external_id not in left_out}


@given(_applied())
@_law
def test_law_6_users_of_other_agencies_change_no_outcome(case: Case) -> None:
    case = replace(case, mode=Mode.UPDATE)
    alone = directory.agency(case.people, case)
    first = directory.run(alone, case.file, case)
    # Another agency that holds every value that the first one does now.
    directory.agency([_again(number, row) for number, row in enumerate(directory.users(alone).values())])
    second = directory.run(directory.agency(case.people, case), case.file, case)
    assert first.plan
    assert second.plan
    assert first.plan.rows.equals(second.plan.rows)
    assert first.record.counts == second.record.counts


def _again(number: int, row: Row) -> Person:
    return Person(number, {heading: text for heading, text in row.items() if heading != "boss"})


@given(_applied())
@_law
def test_law_7_what_a_preview_shows_is_exactly_what_is_written(case: Case) -> None:
    agency = directory.agency(case.people, case)
    before = (directory.users(agency), directory.traces(agency))
    shown = directory.run(agency, case.file, case, preview=True)
    assert (directory.users(agency), directory.traces(agency)) == before
    done = directory.run(agency, case.file, case, shown=shown.record)
    assert shown.plan
    assert done.plan
    assert done.record.counts == shown.record.counts
    assert shown.record.state in ("previewed", "refused")
    assert done.record.state == ("applied" if shown.record.state == "previewed" else "refused")
    assert directory.users(agency) == (_shown(before[0], shown.plan) if done.record.state == "applied" else before[0])


def _shown(before: dict[str, Row], shown: Plan) -> dict[str, Row]:
    """The directory, with what the preview's changes tell."""
    after = {external_id: dict(row) for external_id, row in before.items()}
    blank = {"RANK": "", "LOCATION": "", "EVIDENCE_GROUP_EXT_ID": "", "PHONE": "", "boss": ""}
    for frame in (shown.added, shown.updated):
        for external_id, text in shown.with_changes(frame).select("external_id", "changes").iter_rows():
            pairs = pl.Series([text]).str.json_decode(undo._PAIRS)[0]
            row = after.setdefault(external_id, {**blank, "EXTERNAL_ID": external_id})
            row |= {_NAMES.get(heading, heading): pair[1] for heading, pair in pairs.items() if pair}
            row.pop("SUPERVISOR_EMAIL", None)
    for external_id in shown.leavers.deactivated["external_id"]:
        after[external_id]["STATUS"] = "Inactive"
    for external_id, badge in shown.released.select("external_id", "badge_number").iter_rows():
        after[external_id]["BADGE_NUMBER"] = badge
    return after


_NAMES = {"X_SUPERVISOR_EXTERNAL_ID": "boss"}


@given(_applied(), st.integers(1, 6))
@_law
def test_a_part_of_the_directory_makes_the_same_plan_as_the_whole(case: Case, some: int) -> None:
    """A small file in a large agency reads the users whom its rows name, and those above them, alone."""
    agency = directory.agency(case.people, case)
    rows, decisions = dict(list(case.file.rows.items())[:some]), case.policy.decisions
    table = replace(case.file, rows=rows, short=case.file.short & rows.keys()).table()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_queries, "_WHOLE_FROM", 0)
        released_on = world.TODAY if decisions.releases else None
        needs = snapshot_queries.Needs(world.NOW, released_on=released_on)
        part = snapshot_queries.read_snapshot(agency, table, Mode.UPDATE, needs=needs)
    whole = replace(part, users=snapshot_queries.read_all_users(agency), headcount=None)
    policy = Policy(strict=case.strict, source=case.source, decisions=decisions, today=world.TODAY)
    made = [
        planning.make_plan(
            table, replace(known, marks=import_marks.read_marks(agency, known.users, case.source)), policy
        )
        for known in (part, whole)
    ]
    assert made[0].digest == made[1].digest
    for one, other in zip(
        *((plan.rows, plan.added, plan.updated, plan.problems, plan.notes) for plan in made), strict=True
    ):
        assert one.equals(other)
