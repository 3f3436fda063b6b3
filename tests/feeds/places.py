"""Feeds of tests: an agency with one, files that arrive in a folder, and a clock that goes as the test says."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue
from musterbook.directory.imports.worker import run_next_import
from musterbook.feeds import lateness, rounds
from tests.built_once import built_once
from tests.directory import cast

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_OFFICERS = range(1, 11)


@built_once
def build_officers(slug: str = "springfield") -> models.Agency:
    """An agency with ten officers, which holds no import."""
    made = cast.agency(slug, limits=cast.unlimited())
    cast.apply_rows(made, cast.people(*_OFFICERS))
    return made


class Place:
    """An agency with the feed `hr`, the folder that its files arrive in, and the time."""

    def __init__(self, feed: models.Feed, folder: Path) -> None:
        self.feed, self.folder, self.at = feed, folder, NOW
        self._time = 1_000.0

    @classmethod
    def make(cls, home: Path, name: str = "hr", slug: str = "springfield", **given: Any) -> "Place":
        """The place of a new feed, in an agency with ten officers."""
        folder = home / "feeds" / slug / name
        folder.mkdir(parents=True)
        made = models.Agency.objects.filter(slug=slug).first() or build_officers(slug)
        location = {"kind": "folder", "path": name, "pattern": "*.csv"}
        feed = models.Feed.objects.create(
            **{"agency": made, "name": name, "mode": "update", "source": name, "location": location} | given,
            created_at=NOW - 60 * MINUTE,
        )
        return cls(feed, folder)

    @classmethod
    def make_begun(cls, home: Path) -> "Place":
        """The same, after `begin`."""
        feed, at, passed, files = _begin()
        place = cls(feed, home / "feeds" / "springfield" / "hr")
        place.at, place._time = at, passed
        for name, content in files.items():
            (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (place.folder / name).write_bytes(content)
        return place

    @property
    def home(self) -> Path:
        """The folder of the installation."""
        return self.folder.parents[2]

    def now(self) -> datetime:
        """The time, by the clock of the test."""
        return self.at

    def pass_time(self, minutes: float = 2) -> None:
        """Let time go by."""
        self.at += minutes * MINUTE

    def put(self, name: str, content: bytes | list[cast.Row]) -> Path:
        """Put a file into the folder. Each is a second younger than the one before."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else cast.file(content))
        self._time += 1
        os.utime(path, (self._time, self._time))
        return path

    def check(self) -> None:
        """What a worker does with the feeds until nothing is due, and with the imports."""
        lateness.correct_times(self.at)
        while rounds.settle_next("tests", self.now) or rounds.check_folders("tests", self.now):
            pass
        self.work()
        while rounds.settle_next("tests", self.now):
            pass

    def work(self) -> None:
        """What a worker does with the imports."""
        while run_next_import("tests", self.now):
            pass

    def bring(self, name: str, content: bytes | list[cast.Row]) -> models.Import | None:
        """Put a file there, and let a worker find it twice. Return its import, if it has one."""
        self.put(name, content)
        self.pass_time(10)
        self.check()
        self.pass_time()
        self.check()
        file = models.FeedFile.objects.filter(feed=self.feed).order_by("-pk").first()
        return file.of if file else None

    def confirm(self, record: models.Import, **confirmed: int) -> models.Import:
        """What a person does who applies a plan."""
        context = AuditContext(self.at, "", "page")
        applied = queue.submit_apply(record.agency, record.number, context=context, confirmed=confirmed)
        self.check()
        applied.refresh_from_db()
        return applied

    def begin(self) -> None:
        """Let the first file be applied by a person, so that the feed runs by itself."""
        first = self.bring("hr.csv", cast.people(*_OFFICERS))
        assert first is not None
        assert self.confirm(first).state == "applied"

    def files(self) -> list[models.FeedFile]:
        """What is remembered of the files, the oldest first."""
        return list(models.FeedFile.objects.filter(feed=self.feed).select_related("of").order_by("pk"))

    def states(self) -> list[str]:
        """The states of the imports of the feed, the oldest first."""
        return list(models.Import.objects.filter(feed=self.feed).order_by("pk").values_list("state", flat=True))

    def names(self, folder: str = "") -> list[str]:
        """The names of the files in the folder, or in one of its subfolders."""
        return sorted(one.name for one in (self.folder / folder).glob("*") if one.is_file())

    def refresh(self) -> models.Feed:
        """The feed as it is now."""
        self.feed = models.Feed.objects.select_related("agency").get(pk=self.feed.pk)
        return self.feed


@built_once
def _begin() -> tuple[models.Feed, datetime, float, dict[str, bytes]]:
    """Return the feed of a place that has begun, its clocks, and what is in its folder."""
    place = Place.make(settings.MUSTER_HOME)
    place.begin()
    files = {
        str(path.relative_to(place.folder)): path.read_bytes() for path in place.folder.rglob("*") if path.is_file()
    }
    return place.feed, place.at, place._time, files
