"""Attacks on feeds: by users who may import but not decide what a feed does, by hostile folders and servers, and by clocks."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from musterbook.config import outbound_requests
from musterbook.config.outbound_connections import TimeLimit
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue, runner
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.pending_uploads import ArrivingFile
from musterbook.feeds import claims, complete, fetching, lateness, rounds
from musterbook.feeds.locations import https
from musterbook.feeds.locations.location import FoundFile, LocationError
from tests.directory import cast
from tests.feeds.conftest import _home as _home  # noqa: PLC0414  # used by being here, by `place`
from tests.feeds.conftest import place
from tests.feeds.places import Place

__all__ = ["place"]

TEN = cast.people(*range(1, 11))


def make_clerk(place: Place) -> str:
    """A user who may import, and assign the roles that have no more permissions than theirs."""
    role = models.Role.objects.get(agency=place.feed.agency, name="Chief")
    role.permissions = ["users.import"]
    role.save()
    cast.apply_rows(place.feed.agency, [cast.person("clerk", ROLE="Chief")])
    return "E-clerk"


def preview(place: Place, shown: models.Import, by: str, **options: Any) -> models.Import:
    """What a user does who looks at a file of a feed with other options."""
    usual: dict[str, Any] = {"source": "hr", "preview": True}
    made = Options(**(usual | options))
    record = queue.submit_again(shown, made, context=AuditContext(place.at, by, "page"))
    place.check()
    record.refresh_from_db()
    return record


def apply(place: Place, shown: models.Import, by: str) -> models.Import:
    """What a user does who applies a plan."""
    record = queue.submit_apply(shown.agency, shown.number, context=AuditContext(place.at, by, "page"))
    place.check()
    record.refresh_from_db()
    return record


def without_roles(rows: list[cast.Row]) -> bytes:
    """The rows as a file without roles."""
    return cast.file([{name: cell for name, cell in row.items() if name != "ROLE"} for row in rows])


def test_who_may_only_import_teaches_a_feed_no_role_of_new_users(place: Place) -> None:
    """The next file is imported as the system, which may assign any role."""
    clerk = make_clerk(place)
    first = place.bring("hr.csv", without_roles(TEN))
    assert first is not None
    again = preview(place, first, clerk, defaults={"ROLE": "Admin"})
    assert apply(place, again, clerk).state == "applied"
    feed = place.refresh()
    assert "Admin" not in str(feed.reading)
    assert feeds.is_new(feed)
    record = place.bring("hr2.csv", without_roles(cast.people(*range(1, 12))))
    assert record is not None
    assert record.state != "applied"
    assert not models.User.objects.filter(external_id="E-11", role__name="Admin").exists()


def with_title(title: str) -> bytes:
    """A file with a column that says something about each person, and that nobody has mapped yet."""
    keys = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME")
    lines = [",".join([*keys, "Job title"]), *(",".join([*(row[key] for key in keys), title]) for row in TEN)]
    return "\r\n".join([*lines, ""]).encode()


def test_who_may_only_import_teaches_a_feed_no_mapping(place: Place) -> None:
    clerk = make_clerk(place)
    models.Agency.objects.update(defaults={"ROLE": "Officer"})
    first = place.bring("hr.csv", with_title("Officer"))
    assert first is not None
    again = preview(place, first, clerk, mapping={"Job title": "ROLE"})
    assert apply(place, again, clerk).state == "applied"
    assert place.refresh().reading.get("mapping", {}) == {}
    assert feeds.is_new(place.feed)


def test_a_file_applied_in_another_mode_or_for_another_source_approves_no_feed(place: Place) -> None:
    models.Feed.objects.update(mode="sync")
    others: list[dict[str, Any]] = [{"mode": Mode.UPDATE}, {"mode": Mode.SYNC, "source": "other"}]
    for number, options in enumerate(others):
        first = place.bring(f"{number}.csv", [*TEN, cast.person(20 + number)])
        assert first is not None
        assert first.state == "previewed"
        assert apply(place, preview(place, first, "", **options), "").state == "applied"
        assert feeds.is_new(place.refresh())


def test_what_another_import_taught_the_agency_does_not_change_how_a_feed_reads(place: Place) -> None:
    """A user who may import would decide what the system imports."""
    clerk = make_clerk(place)
    models.Agency.objects.update(defaults={"ROLE": "Officer"})
    first = place.bring("1.csv", with_title("Admin"))
    assert first is not None
    assert apply(place, first, "").state == "applied"
    place.feed.agency.refresh_from_db()
    cast.apply_rows(place.feed.agency, with_title("Officer"), Options(mapping={"Job title": "ROLE"}), by=clerk)
    record = place.bring("2.csv", with_title("Admin").replace(b"Last 1,", b"New,"))
    assert record is not None
    assert record.state == "applied", record.state
    assert not models.User.objects.filter(role__name="Admin").exists()


def test_files_that_are_gone_for_a_moment_are_not_imported_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a location where nothing can be moved, as when a network drive is not mounted for a moment."""
    monkeypatch.setattr("musterbook.feeds.locations.folder.os.access", lambda *_, **__: False)
    place.begin()
    place.bring("2.csv", cast.people(*range(1, 11), LAST_NAME="Two"))
    place.bring("3.csv", cast.people(*range(1, 11), LAST_NAME="Three"))
    number = len(place.states())
    names = place.names()
    assert len(names) == 3
    for name in names:
        (place.folder / name).rename(tmp_path / name)
    place.pass_time(10)
    place.check()
    for name in names:
        (tmp_path / name).rename(place.folder / name)
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert len(place.states()) == number
    assert set(models.User.objects.exclude(external_id="E-clerk").values_list("last_name", flat=True)) == {"Three"}


def test_a_snapshot_is_bounded_as_one_file_is(place: Place, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of files of the largest size would fill the disk before they are joined."""
    settings.MUSTER_MAX_FILE_MB = 1
    models.Feed.objects.update(together=True)
    row = cast.file(TEN)
    big = row + row.partition(b"\r\n")[2] * 700
    assert len(big) < 1_000_000
    for number in range(8):
        place.put(f"{number}.csv", big)
    most = [0]
    usual = ArrivingFile.write

    def write(self: ArrivingFile, part: bytes) -> None:
        usual(self, part)
        most[0] = max(most[0], sum(path.stat().st_size for path in (place.home / "arriving").iterdir()))

    monkeypatch.setattr(ArrivingFile, "write", write)
    for _ in range(3):
        place.pass_time()
        place.check()
    assert place.files()[0].problem
    assert most[0] < 3_000_000


def test_a_snapshot_of_many_files_needs_few_open_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    models.Feed.objects.update(together=True)
    for number in range(60):
        place.put(f"{number:03}.csv", cast.file([cast.person(number)]))
    most = [0]
    usual = fetching._read

    def read(*given: Any) -> None:
        most[0] = max(most[0], len(list(Path("/proc/self/fd").iterdir())))
        usual(*given)

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(fetching, "_read", read)
    for _ in range(3):
        place.pass_time()
        place.check()
    assert place.files()[0].of is not None
    assert most[0] - before < 20


def test_a_clock_that_was_a_year_ahead_hides_no_late_file(place: Place) -> None:
    place.begin()
    models.Feed.objects.update(
        schedule={
            "every_minutes": 5,
            "expected_by": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "at": "06:00"}],
        },
        arrived_at=place.at + timedelta(days=365),
        counts_at=place.at + timedelta(days=365),
    )
    place.check()
    place.pass_time(60 * 24 * 3)
    place.check()
    assert lateness.notify_late(place.at) == 1


def test_a_snapshot_of_very_many_files_is_not_cut(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musterbook.feeds.complete._MOST", 3)
    models.Feed.objects.update(together=True)
    for number in range(5):
        place.put(f"{number}.csv", cast.file([cast.person(number + 1)]))
    for _ in range(3):
        place.pass_time()
        place.check()
    (file,) = place.files()
    assert len(file.parts) == 5


def test_who_may_only_import_approves_a_feed_as_it_is(place: Place) -> None:
    clerk = make_clerk(place)
    first = place.bring("hr.csv", cast.people(*range(1, 12)))
    assert first is not None
    assert apply(place, first, clerk).state == "applied"
    assert not feeds.is_new(place.refresh())


def test_a_feed_that_is_removed_while_its_import_runs_fails_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin()
    usual = runner._make_plan

    def remove_then(attempt: runner.Attempt) -> Any:
        plan = usual(attempt)
        models.Feed.objects.all().delete()
        return plan

    monkeypatch.setattr(runner, "_make_plan", remove_then)
    place.put("2.csv", cast.people(*range(1, 12)))
    for _ in range(2):
        place.pass_time(10)
        place.check()
    last = models.Import.objects.latest("pk")
    assert (last.state, last.feed, models.User.objects.count()) == ("applied", None, 11)
    assert not models.Feed.objects.exists()


def test_an_installation_with_many_unfinished_files_is_looked_at_quickly() -> None:
    """A hostile sender can put as many files there as a folder may have."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    found = [FoundFile(1.0 + number, f"{number}.csv", 9) for number in range(5_000)]
    found += [FoundFile(9_000.0 + number, f".{number}.csv.part", 9) for number in range(5_000)]
    before = complete.choose(found, {}, at, together=True).seen
    began = time.process_time()
    look = complete.choose(found[:5_000], before, at + timedelta(seconds=30), together=True)
    assert time.process_time() - began < 2
    assert not look.arrivals


def test_an_address_that_redirects_slowly_is_left_before_the_lease_ends(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Otherwise each worker would lose the feed to the next one, and none would ever say that it cannot be reached."""
    limits: list[float] = []
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Slow:
        status, headers = 302, {"location": "/next"}

        def close(self) -> None:
            """Nothing is open."""

    def respond(_url: str, limit: TimeLimit, **_: Any) -> Slow:
        limits.append(limit.get_remaining())
        now[0] += limits[-1] - 0.1
        return Slow()

    monkeypatch.setattr(outbound_requests, "open_response", respond)
    location = https.HttpsLocation("https://hr.example/x.csv", None, {})
    with pytest.raises(LocationError):
        location.list_files()
    assert now[0] + https.COMPARE_SECONDS < claims.LEASE.total_seconds()


def test_the_feeds_of_one_agency_leave_workers_to_those_of_others(place: Place) -> None:
    """A hundred feeds of slow servers would keep all other agencies waiting for hours."""
    other = cast.agency("shelbyville")
    where = {"kind": "https", "url": "https://hr.example/x.csv", "header": ""}
    for number in range(5):
        models.Feed.objects.create(
            agency=place.feed.agency, name=f"slow-{number}", mode="update", location=where, created_at=place.at,
            schedule={"every_minutes": 1},
        )  # fmt: skip
    waiting = models.Feed.objects.create(
        agency=other, name="hr", mode="update", location=where, created_at=place.at, next_check_at=place.at
    )
    claimed: list[models.Feed] = []
    while rounds.has_remote(place.at):
        claimed += claims.claim(rounds.select_remote(place.at)[:1], "tests", place.at)
    assert waiting in claimed[:3]
    assert len(claimed) == 3


def test_a_look_at_an_older_file_does_not_end_what_waits_of_a_newer_one(place: Place) -> None:
    """A user who looks at last week's import again would silently discard the file of tonight."""
    place.begin()
    first = models.Import.objects.filter(feed=place.feed, state="applied").get()
    held = place.bring("2.csv", cast.people(1, 2))
    assert held is not None
    assert held.state == "held"
    assert preview(place, first, "", strict=True).state == "previewed"
    held.refresh_from_db()
    assert held.ended == ""
    assert place.names() == ["2.csv"]
    assert place.confirm(held, shrunk=2).state == "applied"
