"""The end of a preview or held import: applied, replaced, discarded, expired (rule A4)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history, import_log, plan_ends, plan_files, queue, undo
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import NoPlan, PlanEnded
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import NotPermitted
from tests.directory.cast import NOW, agency, allow, apply_rows, people, person, run

pytestmark = pytest.mark.django_db(transaction=True)

SYNC = Options(mode=Mode.SYNC)
PREVIEW = Options(preview=True)
CONTEXT = AuditContext(NOW, "", "cli")


def read_end(record: models.Import) -> tuple[str, int | None]:
    """How the plan of an import ended, and the import in its place."""
    record.refresh_from_db()
    return record.ended, record.successor_id


def apply(made: models.Agency, record: models.Import) -> models.Import:
    """The import that applies the plan of another one."""
    return file_import.apply_previewed(made, record.number, context=CONTEXT).record


def hold(made: models.Agency, *numbers: int, options: Options = SYNC) -> models.Import:
    """A held import of these people."""
    record = run(made, people(*numbers), options).record
    assert record.state == "held"
    return record


@pytest.fixture
def strict() -> models.Agency:
    """An agency with three users, in which each deactivation is held."""
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2, 3))
    return made


def test_a_preview_is_applied_once() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    assert read_end(seen) == ("", None)
    done = apply(made, seen)
    assert read_end(seen) == ("applied-as", done.pk)
    assert history.summarize_import(seen).as_json()["ended"] == {"how": "applied-as", "import": done.number}
    with pytest.raises(PlanEnded, match=f"was applied as import {done.number}"):
        apply(made, seen)


def test_a_plan_made_again_from_it_replaces_a_preview_and_a_wrong_reading_does_not() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    queue.submit_again(seen, replace(PREVIEW, delimiter="tab"), context=CONTEXT)
    assert run_next_import("w", lambda: NOW)
    assert read_end(seen) == ("", None)
    again = queue.submit_again(seen, replace(PREVIEW, strict=True), context=CONTEXT)
    assert run_next_import("w", lambda: NOW)
    assert read_end(seen) == ("replaced-by", again.pk)


def test_a_newer_held_import_of_the_same_source_and_mode_replaces_the_older(strict: models.Agency) -> None:
    older = hold(strict, 1)
    seen = run(strict, people(1), replace(SYNC, preview=True)).record
    newer = hold(strict, 2)
    assert (read_end(older), read_end(seen), read_end(newer)) == (("replaced-by", newer.pk), ("", None), ("", None))
    models.Import.objects.filter(pk=newer.pk).update(options={**newer.options, "source": "other"})
    hold(strict, 3)
    assert read_end(newer) == ("", None)


def test_a_held_file_that_is_imported_with_a_confirmation_has_been_applied(strict: models.Agency) -> None:
    held = hold(strict, 1)
    done = run(strict, people(1), replace(SYNC, confirmed={"deactivations": 2})).record
    assert (done.state, read_end(held)) == ("applied", ("applied-as", done.pk))


def test_a_bulk_action_replaces_no_other(strict: models.Agency) -> None:
    users = list(models.User.objects.values_list("pk", flat=True))
    change = BulkChange("rank", "Captain")
    records = [queue.submit_bulk(strict, users[:n], change, context=CONTEXT, preview=True) for n in (2, 3)]
    while run_next_import("w", lambda: NOW):
        pass
    models.Import.objects.filter(kind="bulk").update(state="held")
    plan_ends.end_by(models.Import.objects.get(pk=records[1].pk))
    assert read_end(records[0]) == ("", None)


def test_a_plan_that_has_changed_replaces_the_one_that_was_seen_and_says_what_differs() -> None:
    made = agency()
    apply_rows(made, people(4, 5, 6))
    seen = run(made, [*people(1, 2, 3), *people(4, 5, RANK="Captain")], PREVIEW).record
    apply_rows(made, [person(1), person(3, EMAIL="x@agency.example"), person(4, LAST_NAME="New"), person(5)])
    new = apply(made, seen)
    assert (new.state, read_end(seen)) == ("refused", ("replaced-by", new.pk))
    [problem] = history.summarize_import(new).problems
    assert problem.code == "plan-changed"
    assert problem.message.endswith(
        "Counts: added 3 → 1, updated 2 → 3, unchanged 0 → 1. Users: E-1 (added → unchanged), E-3 (added → updated),"
        " E-4 (updated → updated otherwise)."
    )
    assert apply(made, new).state == "applied"


@pytest.mark.parametrize(("number", "more"), [(10, ""), (11, ", and 1 more"), (15, ", and 5 more")])
def test_of_many_users_that_differ_the_first_are_named(number: int, more: str) -> None:
    made = agency()
    seen = run(made, people(*range(100, 100 + number)), PREVIEW).record
    apply_rows(made, people(*range(100, 100 + number)))
    [problem] = history.summarize_import(apply(made, seen)).problems
    assert problem.message.endswith(f"E-109 (added → unchanged){more}.")


def test_if_the_plan_is_no_longer_kept_the_counts_say_what_differs() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    plan_files.find_path(seen.number, "rows").unlink()
    apply_rows(made, people(1))
    [problem] = history.summarize_import(apply(made, seen)).problems
    assert problem.message.endswith("Counts: added 1 → 0, unchanged 0 → 1.")


def test_a_difference_that_no_count_and_no_user_shows_is_none() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    models.Import.objects.filter(pk=seen.pk).update(digest="of an older version")
    [problem] = history.summarize_import(apply(made, seen)).problems
    assert (problem.code, problem.detail) == ("plan-changed", "")


def test_a_discarded_plan_cannot_be_applied_and_the_trail_says_who_did_it() -> None:
    made = agency()
    apply_rows(made, people(9, ROLE="Chief"))
    seen = run(made, people(1), PREVIEW).record
    queue.discard(seen, AuditContext(NOW, "E-9", "page"))
    assert read_end(seen) == ("discarded", None)
    event = models.Event.objects.get(kind=EventKind.IMPORT_DISCARDED)
    assert (event.actor, seen.number in event.changes) == ("E-9", True)
    with pytest.raises(PlanEnded, match="was discarded"):
        apply(made, seen)
    with pytest.raises(PlanEnded):
        queue.discard(seen, CONTEXT)


def test_only_a_plan_can_be_discarded_and_only_by_a_user_who_may_apply_it() -> None:
    made = agency()
    done = apply_rows(made, [person(8), person(9, ROLE="Chief")]).record
    with pytest.raises(NoPlan):
        queue.discard(done, CONTEXT)
    users = [models.User.objects.latest("pk").pk]
    plans = [
        run(made, people(1), PREVIEW).record,
        undo.run_undo(done, context=CONTEXT, preview=True).record,
        queue.submit_bulk(made, users, BulkChange("deactivate"), context=CONTEXT, preview=True),
    ]
    run_next_import("w", lambda: NOW)
    for record in plans:
        record.refresh_from_db()
        with pytest.raises(NotPermitted):
            queue.discard(record, AuditContext(NOW, "E-8", "page"))
        queue.discard(record, CONTEXT)
        assert read_end(record) == ("discarded", None)


@pytest.mark.parametrize("end", [lambda record: queue.discard(record, CONTEXT), lambda _: None])
def test_a_plan_that_ends_while_it_waits_to_be_applied_is_refused(end: Callable[[models.Import], None]) -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    first, second = (queue.submit_apply(made, seen.number, context=CONTEXT) for _ in range(2))
    end(seen)
    while run_next_import("w", lambda: NOW):
        pass
    second.refresh_from_db()
    first.refresh_from_db()
    assert first.state == ("refused" if read_end(seen)[0] == "discarded" else "applied")
    assert (second.state, second.digest) == ("refused", "")
    assert [problem.code for problem in history.summarize_import(second).problems] == ["plan-ended"]
    with pytest.raises(file_import.NothingToApply):
        apply(made, second)


def test_a_plan_expires_after_the_days_that_the_agency_sets(strict: models.Agency) -> None:
    models.Agency.objects.update(preview_days=2)
    held, seen = hold(strict, 1), run(strict, people(7), PREVIEW).record
    refused = run(strict, b"no file of users").record
    at = datetime.now(UTC) + timedelta(days=1)
    assert (plan_ends.expire_due(at), plan_ends.get_end(models.Import.objects.get(pk=seen.pk), at)) == (0, "")
    at += timedelta(days=2)
    assert plan_ends.get_end(models.Import.objects.get(pk=seen.pk), at) == "expired"
    with pytest.raises(PlanEnded, match="has expired"):
        file_import.apply_previewed(strict, seen.number, context=AuditContext(at, "", "cli"))
    assert plan_ends.expire_due(at) == 2
    assert [read_end(one)[0] for one in (held, seen, refused)] == ["expired", "expired", ""]


def test_the_lists_say_how_a_plan_ended() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    apply(made, seen)
    assert sorted(entry.ended for entry in import_log.read_page(made, import_log.LogFilters()).entries) == [
        "",
        "applied-as",
    ]
    assert sorted(entry.ended for entry in history.list_entries(made, 9)) == ["", "applied-as"]
