"""The marks that imports write: sources (S9), users who are leaving (S10), users that files do not change (S11)."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.apply import import_marks
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, plan_files, plan_pages, undo
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.users import editing, export
from tests.directory.cast import NOW, agency, apply_rows, assert_whole, people, person, register, run, user

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

DAY = NOW.date()
SYNC = Options(mode=Mode.SYNC)
SWORN = Options(source="hr-sworn")


def synchronize(made: models.Agency, *numbers: int, day: int = 0, source: str = "") -> ImportResult:
    return run(made, people(*numbers), Options(mode=Mode.SYNC, source=source), at=NOW + timedelta(days=day))


def marks(made: models.Agency, number: int) -> tuple[Any, ...]:
    now = user(made, number)
    return now.source, now.missing_since, now.missing_imports, now.active


def count_traces(made: models.Agency) -> tuple[int, int]:
    return models.Event.objects.filter(agency=made).count(), models.Mail.objects.filter(agency=made).count()


def test_added_users_and_unmarked_users_of_good_rows_get_the_source_without_an_event() -> None:
    """S9."""
    made = agency()
    apply_rows(made, people(1, 2, 3))
    traces = count_traces(made)
    done = run(made, [person(1), person(2, ROLE="Pope"), person(3)], SWORN)
    assert (done.record.counts["unchanged"], done.record.counts["marked"]) == (2, 2)
    assert [user(made, number).source for number in (1, 2, 3)] == ["hr-sworn", "", "hr-sworn"]
    assert count_traces(made) == traces
    run(made, people(4), SWORN)
    assert user(made, 4).source == "hr-sworn"
    assert run(made, [person(1), person(3), person(4)], SWORN).record.counts["marked"] == 0
    assert_whole(made)


def test_a_synchronize_import_of_a_source_leaves_the_others() -> None:
    """S9."""
    made = agency()
    run(made, people(1, 2), SWORN)
    run(made, people(3), Options(source="hr-civil"))
    apply_rows(made, people(4))
    done = synchronize(made, 1, source="hr-sworn")
    assert done.record.leavers == {
        "deactivated": ["E-2"],
        "protected": [{"external_id": "E-3", "code": "other-source"}, {"external_id": "E-4", "code": "other-source"}],
    }
    assert synchronize(made, 1, 4).record.leavers["deactivated"] == ["E-3"]


def test_the_options_of_an_import_keep_its_source_and_are_otherwise_what_they_were() -> None:
    assert "source" not in Options().as_json()
    assert Options.of_json(SWORN.as_json()) == SWORN
    made = agency()
    preview = run(made, people(1), Options(preview=True, source="hr-sworn"))
    file_import.apply_previewed(made, preview.record.number, context=AuditContext(NOW, "", "cli"))
    assert user(made, 1).source == "hr-sworn"


def test_a_missing_user_leaves_after_the_grace_period() -> None:
    """S10."""
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2))
    first = synchronize(made, 1)
    assert first.record.leavers["protected"] == [{"external_id": "E-2", "code": "leaving", "leaving_on": "2026-03-04"}]
    assert marks(made, 2) == ("", DAY, 1, True)
    assert export.read_user(user(made, 2))["X_LEAVING_ON"] == "2026-03-04"
    synchronize(made, 1, day=1)
    assert marks(made, 2) == ("", DAY, 2, True)
    assert synchronize(made, 1, day=2).record.leavers == {"deactivated": ["E-2"], "protected": []}
    assert marks(made, 2) == ("", None, 0, False)
    assert_whole(made)


def test_a_file_that_mentions_them_again_removes_the_mark() -> None:
    """S10."""
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2))
    synchronize(made, 1)
    traces = count_traces(made)
    assert synchronize(made, 1, 2).record.counts["marked"] == 1
    assert marks(made, 2) == ("", None, 0, True) and count_traces(made) == traces
    assert export.read_user(user(made, 2))["X_LEAVING_ON"] == ""


def test_a_user_who_is_deactivated_by_hand_is_no_longer_leaving() -> None:
    """S10: a user who is made Active again later begins from the start."""
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2))
    synchronize(made, 1)
    editing.deactivate(user(made, 2), AuditContext(NOW, "", "cli"))
    assert marks(made, 2) == ("", None, 0, False)


def test_rows_of_files_leave_a_user_unchanged_but_people_and_undos_do_not() -> None:
    """S11."""
    made = agency()
    apply_rows(made, people(1, 2))
    done = run(made, [person(1, LAST_NAME="New"), person(2, LAST_NAME="New")])
    models.User.objects.filter(external_id="E-2").update(no_files=True)
    left = run(made, [person(1), person(2, LAST_NAME="Other", STATUS="Inactive")])
    assert (left.record.counts["updated"], left.record.counts["unchanged"]) == (1, 1)
    assert list(models.ImportProblem.objects.filter(of=left.record).values_list("external_id", "code")) == [
        ("E-2", "not-by-files")
    ]
    assert (user(made, 2).last_name, user(made, 2).active) == ("New", True)
    assert synchronize(made, 1).record.leavers["protected"] == [{"external_id": "E-2", "code": "not-by-files"}]
    undo.run_undo(done.record, context=AuditContext(NOW, "", "cli"))
    assert user(made, 2).last_name == "Last 2"
    editing.deactivate(user(made, 2), AuditContext(NOW, "", "page"))
    assert not user(made, 2).active


def undo_import(done: ImportResult) -> ImportResult:
    return undo.run_undo(done.record, context=AuditContext(NOW, "", "cli"))


def test_an_undo_takes_the_marks_back_that_nobody_has_changed_since() -> None:
    """A5, S9, S10."""
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2, 3))
    done = synchronize(made, 1, 2, source="hr-swron")
    lost = synchronize(made, 1, source="hr-swron")
    assert marks(made, 2) == ("hr-swron", DAY, 1, True)
    undo_import(lost)
    assert marks(made, 2) == ("hr-swron", None, 0, True)
    models.User.objects.filter(external_id="E-1").update(source="hr-civil")
    back = undo_import(done)
    assert [marks(made, number) for number in (1, 2, 3)] == [("hr-civil", None, 0, True), *[("", None, 0, True)] * 2]
    undo_import(back)
    assert [user(made, number).source for number in (1, 2)] == ["hr-civil", "hr-swron"]


def test_an_undo_gives_no_mark_to_a_user_who_is_inactive_now() -> None:
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2))
    synchronize(made, 1)
    again = synchronize(made, 1, 2)
    editing.deactivate(user(made, 2), AuditContext(NOW, "", "page"))
    undo_import(again)
    assert marks(made, 2) == ("", None, 0, False)


def test_an_undo_of_an_import_whose_plan_is_gone_leaves_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    apply_rows(made, people(1))
    done = run(made, people(1), SWORN)
    monkeypatch.setattr("musterbook.directory.imports.plan_files.find_path", _find_nothing)
    undo_import(done)
    assert user(made, 1).source == "hr-sworn"


def _find_nothing(number: str, _: str) -> None:
    raise plan_files.PlanGone(number)


def test_the_page_of_a_plan_says_why_users_are_kept() -> None:
    """S2, S9, S10."""
    made = agency(grace_days=2)
    apply_rows(made, people(1, 2, 3))
    register(made, 1)
    done = run(made, [person(1), person(9, EMAIL="USER2@agency.example")], SYNC)
    reasons = {line.external_id: line.why for line in plan_pages.read_page(done.record, "protected").lines}
    assert reasons == {
        "E-2": "a row with problems has their email address, username or badge number (row 3)",
        "E-3": "leaving: becomes Inactive on 2026-03-04 or later, unless a file mentions them before",
    }
    assert {line.row for line in plan_pages.read_page(done.record, "protected").lines} == {None}
    stored = done.record.leavers["protected"]
    assert stored[0] == {"external_id": "E-2", "code": "named-by-faulty-row", "row": 3}


@pytest.mark.parametrize("few", [0, 10])
def test_the_marks_of_many_users_are_found_like_those_of_few(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = agency(), agency("riverton")
    for one in (made, other):
        apply_rows(one, people(1, 2, 3))
    models.User.objects.filter(external_id="E-2").update(no_files=True, missing_since=date(2026, 3, 1))
    models.User.objects.filter(external_id="E-3").update(source="hr-sworn")
    monkeypatch.setattr(import_marks, "_FEW", few)
    users = pl.DataFrame({"id": [user(made, number).pk for number in (1, 2, 3)]})
    two = (user(made, 2).pk, "", True, date(2026, 3, 1), 0)
    assert import_marks.read_marks(made, users, "").rows() == [two]
    assert sorted(import_marks.read_marks(made, users, "hr-sworn").rows()) == [
        (user(made, 1).pk, "", False, None, 0),
        two,
    ]
