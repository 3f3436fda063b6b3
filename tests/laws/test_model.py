"""The plan against the oracle, a plan against itself with its short cuts switched off, and the laws that need no database."""


import polars as pl
from hypothesis import HealthCheck, given, settings

from musterbook.core import changes, plan, problems
from musterbook.core.plan import Plan
from tests.laws import model, world
from tests.laws.world import HEADINGS, WORDS, Case, Row

_thorough = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def _made(case: Case) -> Plan:
    return plan.make(case.file.table(), case.snapshot(), case.policy)


def _final(case: Case, made: Plan) -> dict[str, Row]:
    """The directory as the plan's frames would leave it: external id → heading → text, the supervisor by external id."""
    final = {person.external_id: {**person.values, "boss": person.boss} for person in case.people}
    ids: dict[int | None, str] = {person.id: person.external_id for person in case.people} | {None: ""}
    rows: dict[int | None, str] = dict(made.rows.select("row", "external_id").iter_rows())
    for frame in (made.added, made.updated):
        texts = frame.with_columns(supervisor_email=pl.lit(""), supervisor_external_id=pl.lit("")).select(changes.texts(WORDS))
        for written, text in zip(frame.to_dicts(), texts.to_dicts(), strict=True):
            values = {heading: text[heading.lower()] for heading in HEADINGS if heading.lower() in text}
            boss = rows[written["supervisor_row"]] if written["supervisor_row"] else ids[written["supervisor_id"]]
            del values["SUPERVISOR_EMAIL"]
            final[written["external_id"]] = {**values, "EXTERNAL_ID": written["external_id"], "boss": boss}
    for external_id in made.leavers.deactivated["external_id"]:
        final[external_id]["STATUS"] = "Inactive"
    return final


def _told(found: pl.DataFrame) -> set[tuple[int, str, str]]:
    return {(problem.row, problem.code, problem.column) for problem in problems.of(found)}


@given(world.cases())
@_thorough
def test_the_plan_is_what_the_rules_say_row_by_row(case: Case) -> None:
    made, expected = _made(case), model.expected(case)
    assert [problem.code for problem in made.refusals] == ([expected.refused] if expected.refused else [])
    assert dict(made.rows.select("row", "outcome").iter_rows()) == expected.outcomes
    assert _told(made.problems) == expected.problems
    assert {(row, code) for row, code, _ in _told(made.notes)} == expected.notes
    assert set(made.leavers.deactivated["external_id"]) == expected.deactivated
    assert dict(made.leavers.protected.select("external_id", "code").iter_rows()) == expected.protected
    assert (made.held.code if made.held else "") == expected.held
    if expected.refused != "no-rows":
        assert _final(case, made) == expected.final
