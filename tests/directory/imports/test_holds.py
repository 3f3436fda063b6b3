"""Held imports (S4, S8) on every path: files, chosen users, undo, and access that ends by itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history, plan_pages, queue, undo
from musterbook.directory.imports.approval import NeedsApprover
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.file_import import NothingToApply
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import run_next_import
from tests.directory.cast import NOW, agency, allow, apply_rows, people, person, run, user

pytestmark = pytest.mark.django_db(transaction=True)
SYNC = Options(mode=Mode.SYNC)
TWO = {"deactivations": 2}


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def made() -> models.Agency:
    """Two administrators (1, 2) and three officers (3 to 5); nobody may lose access unseen."""
    made = agency(limits=[allow(0)])
    apply_rows(made, [*people(1, 2, ROLE="Admin"), *people(3, 4, 5)])
    return made


def by(actor: str) -> AuditContext:
    return AuditContext(NOW, actor, "page")


def keys(record: models.Import) -> list[tuple[str, int | None]]:
    return [(hold.key, hold.number) for hold in history.list_unconfirmed(record, {})]


def work() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def sync(made: models.Agency, *, actor: str = "", **options: Any) -> models.Import:
    """Synchronize all but the last two officers."""
    rows = [*people(1, 2, ROLE="Admin"), *people(3)]
    return run(made, rows, Options(mode=Mode.SYNC, **options), by=actor).record


def test_an_import_that_is_held_says_why_and_changes_nothing(made: models.Agency) -> None:
    held = sync(made)
    assert (held.state, keys(held)) == ("held", [("deactivations", 2)])
    assert held.held == {"code": "deactivation-limit", "deactivations": 2, "active": 5, "limit": 0}
    assert held.counts["losing_access"] == 2 and user(made, 5).active
    report = history.summarize_import(models.Import.objects.get(pk=held.pk)).as_json()
    assert [hold["users"] for hold in report["holds"]] == [2]  # type: ignore[attr-defined]  # a list of objects


def test_options_of_an_earlier_version_confirm_deactivations() -> None:
    stored = Options(mode=Mode.SYNC).as_json()
    assert Options.of_json(stored | {"confirmed": 12}).confirmed == {"deactivations": 12}
    assert Options.of_json(stored | {"confirmed": None}).confirmed == {}
    assert Options.of_json(Options(confirmed={"cut-off": None}).as_json()).confirmed == {"cut-off": None}


def test_what_was_confirmed_when_it_was_held_stays_confirmed(made: models.Agency) -> None:
    made.limits = [allow(0), allow(0, kind="privileges")]
    made.save()
    rows = [*people(1, 2, ROLE="Admin"), person(3, ROLE="Chief")]
    held = run(made, rows, Options(mode=Mode.SYNC, confirmed=TWO)).record
    assert (held.state, keys(held)) == ("held", [("privileges", 1)])
    done = file_import.apply_previewed(made, held.number, context=by(""), confirmed={"privileges": 1})
    assert done.record.state == "applied"


def test_an_undo_is_held_and_confirmed_under_its_own_number(made: models.Agency) -> None:
    done = apply_rows(made, people(6, 7)).record
    held = undo.run_undo(done, context=by("")).record
    assert (held.state, keys(held), user(made, 6).active) == ("held", [("deactivations", 2)], True)
    held = undo.run_undo(done, context=by(""), confirmed={"deactivations": 1}).record
    assert held.state == "held"
    applied = undo.apply_shown(made, held.number, context=by(""), confirmed=TWO).record
    assert (applied.state, applied.undoes_id, user(made, 6).active) == ("applied", done.pk, False)
    with pytest.raises(NothingToApply):
        undo.apply_shown(made, applied.number, context=by(""))


def test_an_undo_that_is_confirmed_at_once_is_done(made: models.Agency) -> None:
    done = apply_rows(made, people(6, 7)).record
    assert undo.run_undo(done, context=by(""), confirmed=TWO).record.state == "applied"


def test_clearing_the_rank_of_chosen_users_is_held(made: models.Agency) -> None:
    """Rule S4: `cleared` counts on every path."""
    made.limits = [allow(1, kind="cleared")]
    made.save()
    apply_rows(made, people(3, 4, RANK="Captain"))
    chosen = [user(made, number).pk for number in (3, 4, 5)]
    held = queue.submit_bulk(made, chosen, BulkChange("rank"), context=by("E-1"), preview=False)
    work()
    held.refresh_from_db()
    assert (held.state, keys(held)) == ("held", [("cleared", 2)])


# The users whom it concerns


def test_the_users_of_a_hold_are_listed_with_what_changes(made: models.Agency) -> None:
    made.limits = [allow(0), allow(0, kind="privileges"), allow(0, kind="handovers")]
    made.save()
    rows = [
        *people(1, ROLE="Admin"), person(2, ROLE="Officer", STATUS="Inactive"), person(3, ROLE="Chief"),
        person(4, EMAIL="user5@agency.example"), person(6, ROLE="Chief"),
    ]  # fmt: skip
    held = run(made, [*rows, person(5, EMAIL="user4@agency.example")], Options()).record
    assert [key for key, _ in keys(held)] == ["deactivations", "privileges", "handovers"]
    for kind, expected in (
        ("deactivations", {"E-2": ["ROLE", "STATUS"]}),
        ("privileges", {"E-3": ["ROLE"], "E-6": NEW}),
        ("handovers", {"E-4": ["EMAIL"], "E-5": ["EMAIL"]}),
    ):
        page = plan_pages.read_page(held, kind)
        assert {line.external_id: sorted(change.heading for change in line.changes) for line in page.lines} == expected
    assert plan_pages.read_page(held, "privileges", "last 3").total == 1
    assert plan_pages.read_page(held, "cleared").total == 0


NEW = ["BADGE_NUMBER", "EMAIL", "FIRST_NAME", "LAST_NAME", "ROLE", "STATUS", "USERNAME"]


def test_users_who_are_missing_are_listed_with_their_status(made: models.Agency, settings: Settings) -> None:
    held = sync(made)
    page = plan_pages.read_page(held, "deactivations")
    assert [(line.external_id, line.name) for line in page.lines] == [
        ("E-4", "First 4 Last 4"),
        ("E-5", "First 5 Last 5"),
    ]
    assert [(change.before, change.after) for line in page.lines for change in line.changes] == [
        ("Active", "Inactive")
    ] * 2
    settings.MUSTER_HOME = settings.MUSTER_HOME / "elsewhere"
    assert plan_pages.read_page(held, "deactivations").gone


# A second approver (S8)


@pytest.fixture
def strict(made: models.Agency) -> models.Agency:
    made.second_approver = True
    made.save()
    return made


@pytest.mark.parametrize("actor", ["", "E-1"])
def test_who_requests_an_import_cannot_confirm_it_at_once(strict: models.Agency, actor: str) -> None:
    held = sync(strict, actor=actor, confirmed=TWO)
    assert (held.state, keys(held), user(strict, 5).active) == ("held", [("deactivations", 2)], True)


@pytest.mark.parametrize("apply", [file_import.apply_previewed, queue.submit_apply])
def test_another_user_confirms_it(strict: models.Agency, apply: Callable[..., Any]) -> None:
    held = sync(strict, actor="E-1", confirmed=TWO)
    for actor in ("E-1", ""):
        with pytest.raises(NeedsApprover, match="E-1"):
            apply(strict, held.number, context=by(actor), confirmed=TWO)
    assert user(strict, 5).active
    apply(strict, held.number, context=by("E-2"), confirmed=TWO)
    work()
    done = models.Import.objects.latest("pk")
    assert (done.state, done.actor, done.requester, user(strict, 5).active) == ("applied", "E-2", "E-1", False)


def test_what_the_requester_confirmed_does_not_count_for_the_other(strict: models.Agency) -> None:
    held = sync(strict, actor="E-1", confirmed=TWO)
    again = file_import.apply_previewed(strict, held.number, context=by("E-2"))
    assert again.record.state == "held"


def test_a_preview_is_confirmed_by_another_user_than_the_one_who_made_it(strict: models.Agency) -> None:
    seen = sync(strict, actor="E-1", preview=True)
    held = file_import.apply_previewed(strict, seen.number, context=by("E-1"), confirmed=TWO)
    assert held.record.state == "held"
    done = file_import.apply_previewed(strict, held.record.number, context=by("E-2"), confirmed=TWO)
    assert done.record.state == "applied"


@pytest.mark.parametrize("requester", ["", "E-1"])
def test_what_is_confirmed_is_the_plan_of_who_requested_it(strict: models.Agency, requester: str) -> None:
    """The approver may less: by their own permissions it would be another plan."""
    apply_rows(strict, people(6, ROLE="Chief"))
    held = run(strict, people(1, ROLE="Admin"), SYNC, by=requester).record
    assert keys(held) == [("deactivations", 5)]
    wrong = file_import.apply_previewed(strict, held.number, context=by("E-6"), confirmed={"deactivations": 4}).record
    assert (wrong.state, wrong.requester, wrong.digest) == ("held", requester, held.digest)
    done = file_import.apply_previewed(strict, wrong.number, context=by("E-6"), confirmed={"deactivations": 5})
    assert (done.record.state, user(strict, 2).active) == ("applied", False)


def test_what_is_not_held_needs_no_other_user(strict: models.Agency) -> None:
    seen = run(strict, people(6), Options(preview=True), by="E-1").record
    assert file_import.apply_previewed(strict, seen.number, context=by("E-1")).record.state == "applied"


def test_chosen_users_and_an_undo_need_another_user_too(strict: models.Agency) -> None:
    preview = queue.submit_bulk(
        strict, [user(strict, 4).pk, user(strict, 5).pk], BulkChange("deactivate"), context=by("E-1"), preview=True
    )
    work()
    held = queue.apply_bulk(strict, preview.number, context=by("E-1"), confirmed=TWO).record
    assert held.state == "held"
    with pytest.raises(NeedsApprover):
        queue.apply_bulk(strict, held.number, context=by("E-1"), confirmed=TWO)
    assert queue.apply_bulk(strict, held.number, context=by("E-2"), confirmed=TWO).record.state == "applied"
    held = undo.run_undo(apply_rows(strict, people(6, 7)).record, context=by("E-1"), confirmed=TWO).record
    assert held.state == "held"
    with pytest.raises(NeedsApprover):
        undo.apply_shown(strict, held.number, context=by("E-1"), confirmed=TWO)
    assert undo.apply_shown(strict, held.number, context=by("E-2"), confirmed=TWO).record.state == "applied"


def test_a_limit_of_a_role_counts_all_its_users_where_a_small_file_reads_few(made: models.Agency) -> None:
    """S4: the number of active officers is that of the agency, although the plan reads three of them."""
    apply_rows(made, people(*range(10, 30)))
    officer = models.Role.objects.get(agency=made, name="Officer").pk
    models.Agency.objects.update(limits=[{**allow(1, 10), "role": officer}])
    made.refresh_from_db()
    [hold] = run(made, people(3, 4, 5, STATUS="Inactive")).record.holds
    assert (hold["role"], hold["users"], hold["active"], hold["limit"]) == ("Officer", 3, 23, 2)
