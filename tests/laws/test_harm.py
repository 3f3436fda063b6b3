"""Law 0, and its opposite: no harm goes unseen, and a usual night passes without a question. On the database of the run."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.core.domain.policy import Mode
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from tests.examples import examples
from tests.laws import directory, harm
from tests.laws.harm import Night, Users

pytestmark = pytest.mark.django_db
"""Every example has an agency of its own, in the one transaction of its test."""

_law = settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))


def _run(agency: models.Agency, content: bytes, options: Options) -> ImportResult:
    return file_import.run_import(
        agency, Upload(content, "users.csv"), options, context=AuditContext(directory.NOW, "", "cli")
    )


@given(harm.accidents(), st.sampled_from((Mode.UPDATE, Mode.SYNC)))
@_law
def test_law_0_no_harm_is_done_that_is_not_counted_nor_over_a_limit_without_its_exact_number(
    night: Night, mode: Mode
) -> None:
    agency = directory.agency(night.people)
    before, traces = directory.users(agency), directory.traces(agency)
    options = Options(mode)
    done = _run(agency, night.content, options)
    if done.record.state != "applied":
        assert (directory.users(agency), directory.traces(agency)) == (before, traces)
    if done.record.state == "held":
        numbers = {hold.key: hold.number for hold in history.summarize_import(done.record).holds}
        _check_that_wrong_numbers_hold(agency, night, replace(options, confirmed=numbers), before)
        done = _run(agency, night.content, replace(options, confirmed=numbers))
        assert done.record.state == "applied"
    if done.record.state == "applied":
        after = directory.users(agency)
        _check_counts(done, before, after)
        assert harm.list_replaced(before, after) == []


def _check_that_wrong_numbers_hold(agency: models.Agency, night: Night, options: Options, before: Users) -> None:
    """A number that is one too large or too small confirms nothing."""
    for kind, number in options.confirmed.items():
        if number is not None:
            for other in (number - 1, number + 1):
                wrong = replace(options, confirmed={**options.confirmed, kind: other})
                assert _run(agency, night.content, wrong).record.state == "held"
    assert directory.users(agency) == before


def _check_counts(done: ImportResult, before: Users, after: Users) -> None:
    """What was done to the people has its count in the plan, in the history and in the JSON."""
    measured = {
        "losing_access": harm.count_lost(before, after),
        "privileges": harm.count_privileged(before, after),
        "handovers": harm.count_handovers(before, after),
    }
    assert done.plan
    reported = history.make_report(done.record, None, RowFilter.ERRORED).counts
    for counts in (done.plan.counts, done.record.counts, reported):
        assert {name: counts[name] for name in measured} == measured


@given(harm.usual_nights(), st.sampled_from((Mode.UPDATE, Mode.SYNC)))
@_law
def test_a_usual_night_passes_without_a_question(night: Night, mode: Mode) -> None:
    agency = directory.agency(night.people)
    done = _run(agency, night.content, Options(mode))
    assert done.plan
    assert done.record.state == "applied"
    assert done.plan.counts["errored"] == 0
