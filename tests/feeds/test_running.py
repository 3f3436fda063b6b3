"""A feed that is run by hand, while a worker may be faster."""

from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.feeds import claims, rounds, running
from tests.directory import cast
from tests.directory.cast import NOW

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(NOW, "", "cli")


@pytest.fixture
def feed(tmp_path: Path, settings: Settings) -> models.Feed:
    """A feed with a complete file in its folder."""
    settings.MUSTER_FEED_FOLDERS = (tmp_path,)
    folder = tmp_path / "springfield" / "hr"
    folder.mkdir(parents=True)
    (folder / "roster.csv").write_bytes(cast.file(cast.people(1, 2)))
    (folder / "roster.csv.done").touch()
    values = {"name": "hr", "location": {"kind": "folder", "path": "hr"}, "windows": [{"from": "22:00", "to": "22:01"}]}
    return feeds.add(cast.agency(), values, CONTEXT, None)


def test_a_file_that_a_worker_takes_meanwhile_is_among_those_taken(
    feed: models.Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    [claimed] = claims.claim(models.Feed.objects.filter(pk=feed.pk), "worker", NOW)

    def let_the_worker_go_on(_seconds: float) -> None:
        claims.release(claimed)
        assert rounds.check_next_feed("worker", lambda: NOW)

    monkeypatch.setattr("musterbook.feeds.running.time.sleep", let_the_worker_go_on)
    report, records = running.check_now(feed, CONTEXT, None, lambda: NOW)
    assert (report.taken, [record.file_name for record in records]) == ([], ["roster.csv"])


def test_a_check_that_a_user_asks_for_is_made_by_a_worker_outside_of_the_windows(feed: models.Feed) -> None:
    rounds.check_next_feed("worker", lambda: NOW)
    assert not models.FeedFile.objects.exists()
    feeds.request_check(feed, CONTEXT, None)
    assert rounds.check_next_feed("worker", lambda: NOW)
    assert models.FeedFile.objects.get().name == "roster.csv"
    feed.refresh_from_db()
    assert feed.asked_at is None
    assert not rounds.check_next_feed("worker", lambda: NOW)


def test_an_import_is_run_by_this_process_if_no_worker_runs(feed: models.Feed) -> None:
    _, [record] = running.check_now(feed, CONTEXT, None, lambda: NOW)
    ended = running.finish(record, "this", lambda: NOW)
    assert (ended.state, ended.counts["added"]) == ("previewed", 2)
