"""Imports of feeds: fewer rows than last time, limits of the feed itself, and plans of earlier files that a newer one ends."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from musterbook.core.domain.policy import LimitKind, Mode
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import history, plan_ends, queue, records
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import run_next_import
from tests.directory import cast
from tests.directory.cast import NOW, agency, allow, apply_rows, people

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def feed() -> models.Feed:
    """A feed of an agency with ten users, whose last file had ten rows."""
    made = agency(limits=cast.unlimited())
    apply_rows(made, people(*range(1, 11)))
    return models.Feed.objects.create(agency=made, name="hr", mode="update", created_at=NOW, last_rows=10)


def send(feed: models.Feed, rows: list[cast.Row], **options: Any) -> models.Import:
    record = submit(feed, rows, **options)
    work()
    record.refresh_from_db()
    return record


def submit(feed: models.Feed, rows: list[cast.Row], **options: Any) -> models.Import:
    upload, context = Upload(cast.file(rows), "hr.csv"), AuditContext(NOW, "", "feed")
    return queue.submit(feed.agency, upload, Options(**options), context=context, feed=feed)


def confirm(record: models.Import, **confirmed: int) -> models.Import:
    applied = queue.submit_apply(
        record.agency, record.number, context=AuditContext(NOW + timedelta(hours=1), "", "page"), confirmed=confirmed
    )
    work()
    applied.refresh_from_db()
    return applied


def work() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def keys(record: models.Import) -> list[tuple[str, int | None]]:
    return [(hold.key, hold.number) for hold in history.list_unconfirmed(record, {})]


@pytest.mark.parametrize("mode", [Mode.UPDATE, Mode.SYNC])
def test_a_file_with_fewer_rows_than_usual_is_held_in_both_modes_and_confirmed_by_its_rows(
    feed: models.Feed, mode: Mode
) -> None:
    held = send(feed, people(*range(1, 8), LAST_NAME="New"), mode=mode)
    assert (held.state, keys(held)) == ("held", [("shrunk", 7)])
    assert history.summarize_import(held).holds[0].fact == "10"
    assert confirm(held, shrunk=8).state == "held"
    again = models.Import.objects.get(state="held", ended="")
    applied = confirm(again, shrunk=7)
    assert (applied.state, applied.feed) == ("applied", feed)
    assert history.find_import(held.number).ended


def test_a_file_with_just_enough_rows_is_applied(feed: models.Feed) -> None:
    assert send(feed, people(*range(1, 9))).state == "applied"


@pytest.mark.parametrize("changed", [{"least_percent": 0}, {"last_rows": None}])
def test_a_feed_without_an_earlier_file_or_with_a_share_of_nothing_holds_no_shrunk_file(
    feed: models.Feed, changed: dict[str, Any]
) -> None:
    models.Feed.objects.filter(pk=feed.pk).update(**changed)
    assert send(feed, people(1)).state == "applied"


def test_a_preview_of_a_feed_says_that_the_file_has_shrunk(feed: models.Feed) -> None:
    shown = send(feed, people(1), preview=True)
    assert (shown.state, keys(shown)) == ("previewed", [("shrunk", 1)])


def test_another_import_than_that_of_a_feed_may_have_any_number_of_rows(feed: models.Feed) -> None:
    assert cast.run(feed.agency, people(1)).record.state == "applied"


def test_a_feed_may_have_limits_of_its_own_and_keeps_those_of_the_agency_for_the_rest(feed: models.Feed) -> None:
    role = models.Role.objects.get(agency=feed.agency, name="Officer")
    feed.agency.limits = [allow(1), allow(2, kind="handovers"), {**allow(7), "role": role.pk}]
    feed.limits = [allow(4), {**allow(9), "role": -1}]
    found = limits.read_limits(feed.agency, feed)
    assert [(one.kind, one.role, one.users) for one in found if one.users in (1, 2, 4, 7, 9)] == [
        (LimitKind.HANDOVERS, "", 2), (LimitKind.DEACTIVATIONS, "Officer", 7), (LimitKind.DEACTIVATIONS, "", 4),
    ]  # fmt: skip
    assert {one.kind for one in found} == set(LimitKind)
    feed.limits = None
    assert limits.read_limits(feed.agency, feed) == limits.read_limits(feed.agency)


def test_the_limits_of_a_feed_hold_its_imports(feed: models.Feed) -> None:
    models.Feed.objects.filter(pk=feed.pk).update(limits=[allow(0)], least_percent=0)
    held = send(feed, people(*range(1, 10)), mode=Mode.SYNC)
    assert keys(held) == [("deactivations", 1)]


def test_a_newer_file_of_the_feed_ends_the_plan_of_the_one_before_whatever_it_was(feed: models.Feed) -> None:
    first = send(feed, people(*range(1, 11)), preview=True)
    held = send(feed, people(1, 2))
    assert history.find_import(first.number).ended == plan_ends.PlanEnd.REPLACED
    applied = send(feed, people(*range(1, 11), LAST_NAME="New"))
    ended = history.find_import(held.number)
    assert (ended.ended, ended.successor) == (plan_ends.PlanEnd.REPLACED, applied)
    with pytest.raises(plan_ends.PlanEnded, match="was replaced by import"):
        confirm(held, shrunk=2)


def test_a_newer_file_that_fails_leaves_the_plan_of_the_one_before(feed: models.Feed) -> None:
    held = send(feed, people(1, 2))
    assert send(feed, [{"EXTERNAL_ID": "E-1"}]).state == "refused"
    assert confirm(held, shrunk=2).state == "applied"


def test_files_of_other_feeds_and_by_hand_leave_the_plan(feed: models.Feed) -> None:
    held = send(feed, people(1, 2))
    other = models.Feed.objects.create(agency=feed.agency, name="other", mode="update", created_at=NOW)
    assert send(other, people(3)).state == "applied"
    assert cast.run(feed.agency, people(4)).record.state == "applied"
    assert history.find_import(held.number).ended == ""


def test_a_preview_that_is_made_again_and_what_applies_it_belong_to_the_feed(feed: models.Feed) -> None:
    first = send(feed, people(*range(1, 11)), preview=True)
    again = queue.submit_again(first, Options(preview=True, strict=True), context=AuditContext(NOW, "", "page"))
    work()
    applied = confirm(history.find_import(again.number))
    assert (applied.state, again.feed, applied.feed, applied.origin) == ("applied", feed, feed, again)


def test_an_import_that_is_not_wanted_after_all_leaves_no_file(feed: models.Feed, tmp_path: Path) -> None:
    def refuse(record: models.Import) -> None:
        raise records.NotWanted

    upload, context = Upload(cast.file(people(1)), "hr.csv"), AuditContext(NOW, "", "feed")
    kept = sorted((tmp_path / "files").iterdir())
    with pytest.raises(records.NotWanted):
        queue.submit(feed.agency, upload, Options(), context=context, write=refuse)
    record = queue.submit(feed.agency, upload, Options(), context=context, write=lambda record: None)
    assert not record.pk
    assert sorted((tmp_path / "files").iterdir()) == kept
