"""The log of imports: its pages, its filters, and what it says of each import."""

from datetime import timedelta
from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, import_log, plan_ends
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.import_log import LogFilters
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, file, people, person, run

pytestmark = pytest.mark.django_db

SYNC = Options(mode=Mode.SYNC)
PREVIEW = Options(preview=True)


def import_named(made: models.Agency, name: str, number: int, **more: Any) -> models.Import:
    """The record of an import of one user, at that hour."""
    context = AuditContext(NOW + timedelta(hours=number), more.pop("by", ""), "cli")
    return file_import.run_import(
        made, Upload(file(more.pop("rows", people(number))), name), more.pop("options", Options()), context=context
    ).record


def names(made: models.Agency, **filters: Any) -> list[str]:
    return [entry.name for entry in import_log.read_page(made, LogFilters(**filters)).entries]


def test_the_log_of_an_agency_without_imports_has_one_empty_page() -> None:
    page = import_log.read_page(agency(), LogFilters())
    assert (page.entries, page.number, page.first, page.last, page.total, page.until) == ([], 1, 0, 0, 0, "")
    assert not page.has_next


def test_a_page_has_its_imports_the_latest_first_and_stays_still_while_new_ones_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_log, "PAGE", 2)
    made = agency()
    for number in (1, 2, 3):
        import_named(made, f"{number}.csv", number)
    first = import_log.read_page(made, LogFilters())
    assert [entry.name for entry in first.entries] == ["3.csv", "2.csv"]
    assert (first.number, first.first, first.last, first.total, first.has_next) == (1, 1, 2, 3, True)
    import_named(made, "4.csv", 4)
    second = import_log.read_page(made, LogFilters(), 2, first.until)
    assert [entry.name for entry in second.entries] == ["1.csv"]
    assert (second.number, second.first, second.last, second.total, second.has_next) == (2, 3, 3, 3, False)
    assert import_log.read_page(made, LogFilters(), 9, first.until) == second
    assert import_log.read_page(made, LogFilters(), -1, first.until) == first


def test_an_import_is_found_by_each_filter() -> None:
    made = agency()
    import_named(made, "Morning.csv", 1, rows=[person(1, ROLE="Chief")])
    payroll = Options(mode=Mode.SYNC, source="payroll")
    import_named(made, "evening.csv", 2, rows=people(1, 2), by="E-1", options=payroll)
    import_named(agency("shelbyville"), "morning.csv", 1)
    assert names(made) == ["evening.csv", "Morning.csv"]
    assert names(made, text="MORN") == ["Morning.csv"]
    assert names(made, by="E-1") == names(made, source="payroll") == names(made, mode="sync") == ["evening.csv"]
    assert names(made, by="") == names(made, before=NOW + timedelta(hours=2)) == ["Morning.csv"]
    assert names(made, since=NOW + timedelta(hours=2)) == ["evening.csv"]
    assert names(made, kind="bulk") == []


def test_a_failed_import_that_somebody_ended_is_canceled_and_another_is_not() -> None:
    made = agency()
    for number in (1, 2, 3):
        import_named(made, f"{number}.csv", number)
    models.Import.objects.filter(file_name="2.csv").update(state="failed", stop=True)
    models.Import.objects.filter(file_name="3.csv").update(state="failed")
    models.Import.objects.filter(file_name="1.csv").update(stop=True)  # asked too late
    shown = {entry.name: entry.state for entry in import_log.read_page(made, LogFilters()).entries}
    assert shown == {"1.csv": "applied", "2.csv": "canceled", "3.csv": "failed"}
    assert [names(made, state=state) for state in ("applied", "canceled", "failed")] == [
        ["1.csv"],
        ["2.csv"],
        ["3.csv"],
    ]


def test_a_plan_is_open_until_it_ends_and_an_applied_import_is_not() -> None:
    made = agency()
    apply_rows(made, people(1))
    preview = run(made, people(2), PREVIEW).record

    def is_open() -> list[bool]:
        return [entry.is_open for entry in import_log.read_page(made, LogFilters()).entries]

    assert is_open() == [True, False] and len(names(made, state="open")) == 1
    plan_ends.discard(preview, AuditContext(NOW, "", "cli"))
    assert is_open() == [False, False] and names(made, state="open") == []


def test_what_has_no_column_of_its_own_is_summed_up_and_nothing_is_said_without_it() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    apply_rows(made, people(2), SYNC)
    apply_rows(made, [person(1), person(2, LAST_NAME="New")])
    apply_rows(made, [person(1)])
    nothing, again, _, first = import_log.read_page(made, LogFilters()).entries
    assert [entry.others for entry in (first, again, nothing)] == [
        "2 invitations", "1 user of these reactivated, 1 invitation", "",
    ]  # fmt: skip
    assert [entry.has_changes for entry in (first, again, nothing)] == [True, True, False]


def test_a_program_reads_the_log_after_any_import() -> None:
    made = agency()
    for number in range(5):
        run(made, [person(number + 10)], at=NOW + timedelta(minutes=number // 2))
    filters = LogFilters()
    expected = list(models.Import.objects.order_by("-started_at", "-pk"))
    found = import_log.read_after(made, filters, None, 2)
    while len(found) < len(expected):
        last = found[-1]
        more = import_log.read_after(made, filters, (last.started_at, last.pk), 2)
        assert more
        found += more
    assert found == expected
    assert import_log.read_after(made, LogFilters(state="held"), None, 2) == []
