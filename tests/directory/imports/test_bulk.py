"""One act on many users: chosen, previewed, done as it was seen, and told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import bulk, file_import, history, plan_pages, queue, selection, undo
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import import_files
from musterbook.directory.users.filters import UserFilters
from tests.directory.cast import (
    NOW,
    agency,
    allow,
    apply_rows,
    assert_whole,
    mails,
    people,
    person,
    read_everything,
    register,
    run,
    user,
)

pytestmark = pytest.mark.django_db

BOSS = AuditContext(NOW + timedelta(hours=1), "E-1", "page", "192.0.2.7", "Browser/1.0")


@pytest.fixture
def made() -> models.Agency:
    """An agency with a registered administrator (1), an inspector who may edit users alone (2), and four officers."""
    one = agency()
    models.Role.objects.create(
        agency=one,
        name="Inspector",
        name_key="inspector",
        permissions=["users.edit", "users.view", "credentials.manage"],
    )
    apply_rows(
        one, [person(1, ROLE="Admin"), person(2, ROLE="Inspector"), *people(3, 4, 5), person(6, STATUS="Inactive")]
    )
    register(one, 1, 2)
    return one


def ids(made: models.Agency, *numbers: int) -> list[int]:
    return [user(made, number).pk for number in numbers]


def work() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def make_preview(made: models.Agency, change: BulkChange, *numbers: int, context: AuditContext = BOSS) -> models.Import:
    """A preview of it."""
    record = queue.submit_bulk(made, ids(made, *numbers), change, context=context, preview=True)
    work()
    record.refresh_from_db()
    assert record.state == "previewed", record.message
    return record


def apply_change(
    made: models.Agency, change: BulkChange, *numbers: int, context: AuditContext = BOSS, **more: Any
) -> models.Import:
    """It is previewed, and done."""
    record = queue.submit_bulk_apply(
        made, make_preview(made, change, *numbers, context=context).number, context=context, **more
    )
    work()
    record.refresh_from_db()
    return record


def wrong(record: models.Import) -> list[tuple[str, str]]:
    found = models.ImportProblem.objects.filter(of=record, row__gt=0, note=False).order_by("pk")
    return list(found.values_list("external_id", "code"))


def kinds(record: models.Import) -> list[tuple[str, str]]:
    return sorted(models.Event.objects.filter(of=record).values_list("kind", "subject_external_id"))


def test_a_rank_is_set_for_the_chosen_and_nobody_else(made: models.Agency) -> None:
    record = apply_change(made, BulkChange("rank", "Captain"), 3, 4)
    assert (record.state, record.counts["updated"], record.file_name) == ("applied", 2, "Set rank: Captain")
    assert [getattr(user(made, n).rank, "name", None) for n in (3, 4, 5)] == ["Captain", "Captain", None]
    assert kinds(record) == [("user.updated", "E-3"), ("user.updated", "E-4")]
    event = models.Event.objects.filter(of=record)[0]
    assert (event.actor, event.through, event.address, event.agent) == ("E-1", "page", "192.0.2.7", "Browser/1.0")
    assert event.changes == '{"RANK":["","Captain"]}'
    assert_whole(made)


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        (BulkChange("role", "Chief"), "role__name", "Chief"),
        (BulkChange("group", "PATROL"), "group__external_id", "PATROL"),
        (BulkChange("deactivate"), "active", False),
    ],
)
def test_each_kind_sets_its_column_alone(made: models.Agency, change: BulkChange, name: str, value: object) -> None:
    before = models.User.objects.filter(agency=made, external_id="E-3").values().get()
    assert apply_change(made, change, 3).counts["updated"] == 1
    found = models.User.objects.filter(agency=made, external_id="E-3")
    assert found.values_list(name, flat=True).get() == value
    after = found.values().get()
    changed = {key for key, value in after.items() if value != dict(before)[key]}
    assert changed - {"access_ended_at"} == {name.replace("__name", "_id").replace("__external_id", "_id")}


def test_its_users_are_rows_as_in_a_file_below_headings(made: models.Agency) -> None:
    done = apply_change(made, BulkChange("rank", "Captain"), 2, 3)
    events = models.Event.objects.filter(of=done, kind="user.updated").order_by("row")
    assert list(events.values_list("row", flat=True)) == [2, 3]


def test_a_rank_and_a_group_can_be_taken_away(made: models.Agency) -> None:
    apply_rows(made, people(3, 4, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL"))
    record = apply_change(made, BulkChange("rank"), 3, 4, 5)
    assert (record.counts["updated"], record.counts["unchanged"], record.file_name) == (2, 1, "Set rank: none")
    apply_change(made, BulkChange("group"), 3)
    assert (user(made, 3).rank, user(made, 3).group, user(made, 4).rank) == (None, None, None)
    assert user(made, 4).group is not None


def test_deactivated_users_lose_access_and_reactivated_ones_are_invited(made: models.Agency) -> None:
    register(made, 3)
    record = apply_change(made, BulkChange("deactivate"), 3, 4, 6)
    assert (record.counts["updated"], record.counts["unchanged"]) == (2, 1)
    assert user(made, 3).access_ended_at == user(made, 4).access_ended_at is not None
    assert [kind for kind, _ in mails(ImportResult(record, None))] == ["deactivated"]
    back = apply_change(made, BulkChange("reactivate"), 3, 4)
    assert mails(ImportResult(back, None)) == [
        ("invitation", "user4@agency.example"), ("reactivated", "user3@agency.example"),
    ]  # fmt: skip


def test_an_invitation_goes_to_those_who_can_register_and_the_others_are_named(made: models.Agency) -> None:
    preview = make_preview(made, BulkChange("invite"), 1, 3, 4, 6)
    assert (preview.counts["updated"], preview.counts["errored"]) == (2, 2)
    page = plan_pages.read_page(preview, "updated")
    assert [(line.external_id, line.name, line.changes) for line in page.lines] == [
        ("E-3", "First 3 Last 3", []), ("E-4", "First 4 Last 4", []),
    ]  # fmt: skip
    assert wrong(preview) == [("E-1", "has-registered"), ("E-6", "inactive-user")]
    record = apply_change(made, BulkChange("invite"), 1, 3, 4, 6)
    assert mails(ImportResult(record, None)) == [(("invitation"), f"user{n}@agency.example") for n in (3, 4)]
    assert kinds(record) == [("user.invitation-asked", "E-3"), ("user.invitation-asked", "E-4")]
    assert_whole(made)


def test_a_reset_goes_to_those_who_have_registered(made: models.Agency) -> None:
    register(made, 3)
    record = apply_change(made, BulkChange("reset"), 3, 4)
    assert mails(ImportResult(record, None)) == [("reset", "user3@agency.example")]
    assert wrong(record) == [("E-4", "not-registered")]
    assert kinds(record) == [("user.reset-asked", "E-3")]


def test_a_user_who_may_edit_changes_no_user_and_gives_no_role_above_their_own(made: models.Agency) -> None:
    inspector = AuditContext(BOSS.at, "E-2", "page")
    assert wrong(make_preview(made, BulkChange("rank", "Captain"), 1, 2, 3, context=inspector)) == [
        ("E-1", "above-your-role")
    ]
    assert wrong(make_preview(made, BulkChange("role", "Admin"), 3, context=inspector)) == [("E-3", "above-your-role")]
    assert wrong(make_preview(made, BulkChange("reset"), 1, 2, context=inspector)) == [("E-1", "above-your-role")]
    assert wrong(make_preview(made, BulkChange("deactivate"), 2, 3, context=inspector)) == [("E-2", "own-account")]
    operator = snapshot_queries.read_operator(made, "E-2")
    assert [value for value, _ in bulk.list_choices(made, "role", operator)] == ["Inspector", "Officer"]
    assert [value for value, _ in bulk.list_choices(made, "role", None)] == ["Admin", "Chief", "Inspector", "Officer"]
    assert bulk.list_choices(made, "rank", operator)[-1] == ("", "No rank")
    assert bulk.list_choices(made, "group", operator) == [("PATROL", "Patrol (PATROL)"), ("", "No group")]


def test_the_last_administrator_stays(made: models.Agency) -> None:
    apply_rows(made, [person(2, ROLE="Admin")])
    boss = AuditContext(BOSS.at, "", "page")
    assert wrong(apply_change(made, BulkChange("deactivate"), 1, 2, context=boss, confirmed={"deactivations": 2})) == [
        ("E-1", "last-administrator"), ("E-2", "last-administrator"),
    ]  # fmt: skip
    assert user(made, 1).active and user(made, 2).active


@pytest.mark.parametrize(
    ("change", "lacking"), [(BulkChange("rank", "Captain"), "users.edit"), (BulkChange("reset"), "credentials.manage")]
)
def test_each_kind_takes_its_permission_also_when_it_is_done(
    made: models.Agency, change: BulkChange, lacking: str
) -> None:
    inspector = AuditContext(BOSS.at, "E-2", "page")
    preview = make_preview(made, change, 3, context=inspector)
    waiting = queue.submit_bulk_apply(made, preview.number, context=inspector)
    role = models.Role.objects.get(name="Inspector")
    role.permissions.remove(lacking)
    role.save()
    with pytest.raises(NotPermitted, match=lacking):
        queue.submit_bulk(made, [1], change, context=inspector, preview=True)
    with pytest.raises(NotPermitted, match=lacking):
        queue.submit_bulk_apply(made, preview.number, context=inspector)
    work()
    waiting.refresh_from_db()
    assert (waiting.state, kinds(waiting)) == ("failed", [])


def test_what_is_done_is_what_was_seen_or_nothing(made: models.Agency) -> None:
    preview = make_preview(made, BulkChange("rank", "Captain"), 3, 4)
    apply_rows(made, [person(4, RANK="Sergeant")])
    before = read_everything(made)
    record = queue.submit_bulk_apply(made, preview.number, context=BOSS)
    work()
    record.refresh_from_db()
    assert record.state == "refused"
    assert [one["code"] for one in read_everything(made)["ImportProblem"]] == ["plan-changed"]
    assert read_everything(made)["User"] == before["User"]


def test_who_is_chosen_is_settled_by_the_preview(made: models.Agency) -> None:
    chosen = selection.find_matching(made, UserFilters(text="agency.example"), NOW)
    preview = queue.submit_bulk(made, chosen, BulkChange("rank", "Captain"), context=BOSS, preview=True)
    work()
    apply_rows(made, [person(7)])
    queue.submit_bulk_apply(made, preview.number, context=BOSS)
    work()
    assert user(made, 5).rank and not user(made, 7).rank


def test_sent_twice_it_is_done_once(made: models.Agency) -> None:
    preview = make_preview(made, BulkChange("invite"), 3)
    records = {queue.submit_bulk_apply(made, preview.number, context=BOSS, key="page 1").pk for _ in range(2)}
    work()
    assert len(records) == 1
    assert queue.submit_bulk_apply(made, preview.number, context=BOSS, key="page 1").pk in records
    assert models.Mail.objects.filter(kind="invitation", of__in=records).count() == 1


def test_many_deactivations_want_their_number(made: models.Agency) -> None:
    made.limits = [allow(1)]
    made.save()
    preview = make_preview(made, BulkChange("deactivate"), 3, 4)
    assert list_holds(preview) == [("deactivations", 2)]
    held = queue.submit_bulk_apply(made, preview.number, context=BOSS, confirmed={"deactivations": 1})
    work()
    held.refresh_from_db()
    assert (held.state, list_holds(held), user(made, 3).active) == ("held", [("deactivations", 2)], True)
    queue.submit_bulk_apply(made, held.number, context=BOSS, confirmed={"deactivations": 2})
    work()
    assert not user(made, 3).active
    assert list_holds(make_preview(made, BulkChange("deactivate"), 5)) == []
    assert list_holds(make_preview(made, BulkChange("reactivate"), 3, 4)) == []


def list_holds(record: models.Import) -> list[tuple[str, int | None]]:
    return [(hold.key, hold.number) for hold in history.list_unconfirmed(record, {})]


def test_a_plan_that_was_refused_wants_the_number_as_well(made: models.Agency) -> None:
    made.limits = [allow(1)]
    made.save()
    apply_rows(made, [person(4, STATUS="Inactive")])
    preview = make_preview(made, BulkChange("deactivate"), 3, 4)
    assert list_holds(preview) == []
    apply_rows(made, [person(4)])
    queue.submit_bulk_apply(made, preview.number, context=BOSS)
    work()
    refused = models.Import.objects.latest("pk")
    assert (refused.state, list_holds(refused)) == ("refused", [("deactivations", 2)])


def test_only_users_that_the_preview_showed_are_invited(made: models.Agency) -> None:
    preview = make_preview(made, BulkChange("invite"), 3, 4)
    register(made, 4)
    record = queue.submit_bulk_apply(made, preview.number, context=BOSS)
    work()
    record.refresh_from_db()
    assert (record.state, kinds(record)) == ("refused", [])


def test_it_is_taken_back_as_an_import_is(made: models.Agency) -> None:
    before = snapshot_queries.read_all_users(made).drop("registered").to_dicts()
    record = apply_change(made, BulkChange("rank", "Captain"), 3, 4)
    assert undo.run_undo(record, context=AuditContext(BOSS.at, "", "cli")).record.state == "applied"
    assert snapshot_queries.read_all_users(made).drop("registered").to_dicts() == before
    with pytest.raises(undo.NotApplied):
        undo.run_undo(apply_change(made, BulkChange("invite"), 3), context=AuditContext(BOSS.at, "", "cli"))


def test_a_file_is_no_choice_of_users_and_the_other_way_round(made: models.Agency) -> None:
    file = run(made, [person(9)], Options(preview=True)).record
    assert bulk.get_change(file) is None
    with pytest.raises(file_import.NothingToApply):
        queue.submit_bulk_apply(made, file.number, context=BOSS)
    preview = make_preview(made, BulkChange("invite"), 3)
    with pytest.raises(import_files.FileGone):
        queue.submit_apply(made, preview.number, context=BOSS)
    with pytest.raises(import_files.FileGone):
        file_import.apply_previewed(made, preview.number, context=AuditContext(BOSS.at, "", "cli"))


def test_it_fails_in_words_if_it_is_kept_no_longer_who_was_chosen(made: models.Agency) -> None:
    preview = queue.submit_bulk(made, ids(made, 3), BulkChange("invite"), context=BOSS, preview=True)
    selection.delete_ids(preview.number)
    work()
    preview.refresh_from_db()
    assert preview.state == "failed" and "no longer kept" in preview.message
    again = make_preview(made, BulkChange("invite"), 3)
    selection.delete_ids(again.number)
    with pytest.raises(import_files.FileGone):
        queue.submit_bulk_apply(made, again.number, context=BOSS)


def test_users_are_chosen_by_search_and_filters_in_their_own_agency_alone(made: models.Agency) -> None:
    other = agency("shelbyville")
    apply_rows(other, people(3))
    captain = models.Rank.objects.get(agency=made, name="Captain")
    apply_rows(made, people(3, 4, RANK="Captain"))
    assert selection.find_matching(made, UserFilters(text="user3"), NOW) == ids(made, 3)
    assert selection.find_matching(made, UserFilters(text="user", rank=captain.pk), NOW) == ids(made, 3, 4)
    assert selection.find_matching(made, UserFilters(status="Inactive"), NOW) == ids(made, 6)
    assert selection.find_matching(made, UserFilters(text="zzz"), NOW) == []
    assert len(selection.find_matching(made, UserFilters(), NOW)) == 6
    assert selection.filter_ids(made, [*ids(made, 3, 4), *ids(other, 3), 1 << 40]) == ids(made, 3, 4)


def test_users_of_another_agency_are_not_acted_on(made: models.Agency) -> None:
    other = agency("shelbyville")
    apply_rows(other, people(3))
    before = read_everything(other)
    record = queue.submit_bulk(made, [*ids(other, 3), *ids(made, 3)], BulkChange("invite"), context=BOSS, preview=True)
    work()
    queue.submit_bulk_apply(made, record.number, context=BOSS)
    with pytest.raises(file_import.UnknownImport):
        queue.submit_bulk_apply(other, record.number, context=BOSS)
    work()
    assert read_everything(other) == before
