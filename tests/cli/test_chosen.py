"""Acts on chosen users, by command: a plan that waits is shown, done as it was seen, and never by mistake."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import expiry, queue
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.worker import run_next_import
from tests.cli.conftest import Muster, build_directory, row

NAMES = ("ann", "bob", "cat", "dan")


@pytest.fixture
def staffed(muster: Muster) -> Muster:
    """The agency with an administrator and four officers; two deactivations need somebody's word."""
    build_directory((row("boss", role="Admin"), row("cy", role="Clerk"), *map(row, NAMES)))
    return muster


def make_preview(change: BulkChange, *names: str, name: str = "") -> models.Import:
    """A preview of it, made as a page or the worker makes it."""
    agency, context = models.Agency.objects.get(), AuditContext(datetime.now(UTC), "", "page")
    users = models.User.objects.filter(external_id__in=[f"E-{one}" for one in names]).order_by("pk")
    ids = list(users.values_list("pk", flat=True))
    record = queue.submit_bulk(agency, ids, change, context=context, preview=True, name=name)
    work()
    record.refresh_from_db()
    assert record.state == "previewed", record.message
    return record


def work() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def plain(text: str) -> str:
    """The text without what puts it into columns."""
    return " ".join(text.split())


def inactive() -> list[str]:
    return sorted(models.User.objects.filter(active=False).values_list("external_id", flat=True))


def test_the_plan_of_unused_accounts_is_shown_and_done_by_the_commands_that_it_names(staffed: Muster) -> None:
    at = datetime.now(UTC)
    models.User.objects.exclude(external_id="E-boss").update(registered_at=at - timedelta(days=100))
    models.Agency.objects.update(unused_days=90)
    expiry.submit_due(at)
    work()
    record = models.Import.objects.latest("pk")
    assert record.state == "held"
    shown = staffed("imports", "show", record.number)
    assert "On hold, nothing has changed: springfield-pd, Deactivate (No sign-in for 90 days)" in shown.text
    assert "5 deactivated" in plain(shown.text) and "updated" not in shown.text
    assert f"To see the users: muster imports show {record.number} --rows changed" in shown.text
    do = f"muster apply {record.number} --confirm deactivations=5"
    assert f"To apply it: {do}" in shown.text
    listed = staffed("imports", "show", record.number, "--rows", "changed")
    assert all(f"E-{name}" in listed.text for name in NAMES) and "STATUS: Active → Inactive" in listed.text
    assert "To see the users" not in listed.text
    rows = staffed("imports", "show", record.number, "--rows", "all", "--output", "json").json["rows"]
    assert [one["changes"] for one in rows] == [{"STATUS": ["Active", "Inactive"]}] * 5
    done = staffed(*do.split()[1:])
    assert (done.status, "Applied" in done.text) == (0, True), done.err
    assert "5 deactivated" in plain(done.text)
    assert inactive() == ["E-ann", "E-bob", "E-cat", "E-cy", "E-dan"]
    assert staffed("audit", "verify").status == 0
    again = staffed("apply", done.text.split("import ")[1].split()[0])
    assert (again.status, "is not a preview" in again.err) == (2, True)
    table = staffed("imports", "--agency", "springfield-pd").text
    assert [line.split()[-4:] for line in table.splitlines() if "No sign-in" in line] == [["0", "0", "0", "5"]] * 2


@pytest.mark.parametrize("given", [[], ["--confirm-deactivations", "3"]])
def test_more_deactivations_than_allowed_need_their_exact_number(staffed: Muster, given: list[str]) -> None:
    record = make_preview(BulkChange("deactivate"), "ann", "bob")
    done = staffed("apply", record.number, *given)
    assert (done.status, done.text, inactive()) == (4, "", [])
    assert "add --confirm deactivations=2. Nothing was changed." in done.err


def test_a_rank_is_set_without_a_number_and_by_who_may_alone(staffed: Muster) -> None:
    record = make_preview(BulkChange("rank", "Sergeant"), "ann", "bob")
    refused = staffed("apply", record.number, "--as", "E-cy")
    assert (refused.status, "users.edit" in refused.err) == (2, True)
    shown = staffed("imports", "show", record.number).text
    assert f"To apply it: muster apply {record.number}\n" in shown and "2 changed" in plain(shown)
    done = staffed("apply", record.number, "--as", "E-boss", "--rows", "changed")
    assert (done.status, "RANK: (blank) → Sergeant" in done.text) == (0, True), done.err
    assert models.User.objects.filter(rank__name="Sergeant").count() == 2
    event = models.Event.objects.filter(kind="user.updated").latest("id")
    assert (event.actor, event.through) == ("E-boss", "cli")


def test_who_is_left_out_is_shown_with_the_reason(staffed: Muster) -> None:
    models.User.objects.filter(external_id="E-boss").update(registered_at=datetime.now(UTC))
    record = make_preview(BulkChange("invite"), "boss")
    shown = staffed("imports", "show", record.number)
    assert shown.status == 1
    assert "Left out: these users do not change" in shown.text and "1 left out" in plain(shown.text)
    assert "No chosen user will change." in shown.text and "muster apply" not in shown.text


def test_a_plan_that_has_become_another_is_not_done(staffed: Muster) -> None:
    record = make_preview(BulkChange("rank", "Sergeant"), "ann", "bob")
    staffed.imported(row("ann", rank="Sergeant"))
    done = staffed("apply", record.number)
    assert (done.status, "Since the plan was made, the directory" in done.text) == (3, True)
    assert models.User.objects.filter(rank__name="Sergeant").count() == 1


def test_files_of_results_are_refused_for_chosen_users(staffed: Muster) -> None:
    record = make_preview(BulkChange("rank", "Sergeant"), "ann")
    done = staffed("apply", record.number, "--results", staffed.folder / "results.csv")
    assert (done.status, "--results and --errors are only for imports of files" in done.err) == (2, True)


def test_an_expired_selection_must_be_chosen_again(staffed: Muster) -> None:
    record = make_preview(BulkChange("rank", "Sergeant"), "ann")
    (settings.MUSTER_HOME / "files" / f"{record.number}.users").unlink()
    done = staffed("apply", record.number)
    assert (done.status, "Choose them again on the page All Users." in done.err) == (2, True)
    assert record.number in done.err and ".users" not in done.err


def test_a_preview_shows_its_rows_and_the_command_that_does_it_also_later(staffed: Muster) -> None:
    first = staffed.imported(row("ann", rank="Sergeant"))
    preview = staffed.imported(row("bob", rank="Sergeant"), row("ann", rank="Sergeant"), also=("--preview",))
    number = preview.json["import"]
    rows = staffed("imports", "show", number, "--rows", "all", "--output", "json").json["rows"]
    assert [(one["external_id"], one["outcome"]) for one in rows] == [("E-bob", "updated"), ("E-ann", "unchanged")]
    assert f"To apply it: muster apply {number}\n" in staffed("imports", "show", number).text
    undo = staffed("undo", first.json["import"], "--preview", "--output", "json").json["import"]
    assert f"To apply it: muster apply {undo}\n" in staffed("imports", "show", undo).text


def test_a_held_import_names_the_command_that_goes_through_with_it(staffed: Muster) -> None:
    held = staffed.imported(row("boss", role="Admin"), row("cy", role="Clerk"), row("ann"), mode="sync")
    assert held.status == 4
    number = held.json["import"]
    assert f"muster apply {number} --confirm deactivations=3\n" in staffed("imports", "show", number).text
