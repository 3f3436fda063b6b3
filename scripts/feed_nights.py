"""Three nights of a feed, with a clock of their own, for `./run --feed`: `python -m scripts.feed_nights`.

They are made in the installation of MUSTER_HOME, which must be new. Everything that a person or a worker does in three days is
done here at once, by the same functions. Each step is printed in a sentence.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import django

from scripts import program, setup

if TYPE_CHECKING:
    from musterbook.core.planning.holds import Hold
    from musterbook.directory import models

AGENCY, ADMINISTRATOR, FEED = "riverton-pd", "000117", "hr"
_EXAMPLES = setup.ROOT / "examples"
_ARRIVAL, _MORNING, _EVENING = time(2, 30), time(8, 15), time(20, 0)
_SHRUNK = 140
"""The rows of the file of the third night: fewer than 80% of those of the second."""
_ZONE = re.compile(r"zoneinfo/(.+)$")


class NightFailed(Exception):
    """Something did not happen that the sentence says."""


@dataclass
class Nights:
    """The three nights: the last ones that are over, in the zone of this machine. `at`: the time by their clock."""

    folder: Path
    zone: ZoneInfo
    last: datetime
    at: datetime = field(init=False)

    def now(self) -> datetime:
        """Return the time by the clock of the nights. Each look takes a moment, so that no two steps have one time."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def go_to(self, night: int, clock: time) -> None:
        """Let it be that time of the day of a night: 1, 2 or 3. The evening before the first is that of night 0."""
        day = self.last.date() - timedelta(days=3 - night)
        self.at = datetime.combine(day, clock, self.zone).astimezone(UTC)

    def put(self, rows: Sequence[str]) -> str:
        """Put a complete file there, of the time that it is. Return its name."""
        path = self.folder / f"hr-{self.at.astimezone(self.zone):%Y-%m-%d}.csv"
        path.write_text("\n".join([*rows, ""]), encoding="utf-8")
        marker = path.with_name(f"{path.name}.done")
        marker.touch()
        for one in (path, marker):
            os.utime(one, (self.at.timestamp(), self.at.timestamp()))
        return path.name


def main() -> int:
    """Make the nights. Return the status of the process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.config.settings")
    django.setup()
    from musterbook.directory.installation import migration
    from musterbook.directory.storage import isolation

    isolation.open_process()

    migration.prepare_database()
    zone = find_zone()
    home = Path(os.environ["MUSTER_HOME"])
    nights = Nights(home / "feeds" / AGENCY / FEED, zone, find_last(datetime.now(zone)))
    try:
        make(nights)
    except NightFailed as error:
        sys.stderr.write(f"The three nights went otherwise than they should: {error}\n")
        return 1
    return 0


def find_zone() -> ZoneInfo:
    """Return the time zone of this machine, or UTC if it is not known by a name."""
    match = _ZONE.search(os.path.realpath("/etc/localtime"))
    for name in (os.environ.get("TZ", ""), match[1] if match else ""):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def find_last(now: datetime) -> datetime:
    """Return the last moment at which a file of these nights would have arrived, and its import would be over."""
    today = datetime.combine(now.date(), _ARRIVAL, now.tzinfo)
    return today if now >= today + timedelta(minutes=10) else today - timedelta(days=1)


def make(nights: Nights) -> None:
    """Do what is done in the three nights, and print it."""
    from musterbook.directory.imports import records

    class NightClock(datetime):
        """The time at which imports are finished."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # the usual one returns its class
            return nights.now().astimezone(tz)

    setattr(records, "datetime", NightClock)  # noqa: B010  (only here, where days pass in seconds)
    begin(nights)
    first, second = (_read(name) for name in ("first-night.csv", "second-night.csv"))
    show_first(nights, first)
    show_second(nights, second)
    show_third(nights, second[: _SHRUNK + 1])


def begin(nights: Nights) -> None:
    """Make the agency with its administrator, and the feed."""
    from musterbook.directory.agency import agencies, agency_file, feeds
    from musterbook.directory.audit.trail import AuditContext
    from musterbook.directory.imports.file_import import Upload, run_import
    from musterbook.directory.imports.options import Options

    nights.go_to(0, _EVENING)
    text = (_EXAMPLES / "agency.toml").read_text(encoding="utf-8")
    settings = agency_file.read_agency_file(f'time_zone = "{nights.zone.key}"\n{text}'.encode())
    agencies.apply_file(settings, AuditContext(nights.now(), "", "cli"))
    agency = agencies.find_agency(AGENCY)
    head, *rows = _read("first-night.csv")
    chief = "\n".join([head, *(row for row in rows if row.startswith(f"{ADMINISTRATOR},"))])
    context = AuditContext(nights.now(), "", "cli")
    run_import(agency, Upload(chief.encode(), "administrator.csv"), Options(), context=context)
    values = {
        "name": FEED,
        "mode": "sync",
        "location": {"kind": "folder", "path": FEED, "pattern": "*.csv"},
        "every_minutes": 1,
        "expected_by": [{"at": "06:00"}],
        "notify": {"held": [ADMINISTRATOR], "failed": [ADMINISTRATOR], "late": [ADMINISTRATOR]},
    }
    feeds.add(agency, values, AuditContext(nights.now(), "", "cli"), None)
    nights.folder.mkdir(parents=True)
    say(
        nights,
        f"The agency {AGENCY} has one user, its administrator, and the feed {FEED}: a folder in which HR's file arrives each"
        " night, and is synchronized.",
    )


def show_first(nights: Nights, rows: Sequence[str]) -> None:
    """Let the first file arrive and wait, and apply it as a person would."""
    from musterbook.directory.audit.trail import AuditContext
    from musterbook.directory.imports import queue

    nights.go_to(1, _ARRIVAL)
    name = nights.put(rows)
    work(nights)
    record = find_last_import("previewed")
    say(
        nights,
        f"Night 1. {name} arrives. It is the first file of the feed, so it is only previewed: {summarize(record)}.",
        "The feed waits for a person, who sees how the file is read before anything changes.",
    )
    nights.go_to(1, _MORNING)
    context = AuditContext(nights.now(), ADMINISTRATOR, "page")
    confirmed = {hold.key: hold.number for hold in list_holds(record)}
    queue.submit_apply(record.agency, record.number, context=context, confirmed=confirmed)
    work(nights)
    applied = find_last_import("applied")
    say(
        nights,
        f"In the morning, the administrator applies it: {summarize(applied)}. The feed has learned how to read the file, and"
        " runs by itself from now on.",
        "The first mark of the strip is “applied”, and leads to this import.",
    )


def show_second(nights: Nights, rows: Sequence[str]) -> None:
    """Let a file arrive that is imported without a person."""
    nights.go_to(2, _ARRIVAL)
    name = nights.put(rows)
    work(nights)
    record = find_last_import("applied", name)
    say(
        nights,
        f"Night 2. {name} has hires and leavers. It is within the limits, so it is applied while everybody sleeps:"
        f" {summarize(record)}.",
        f"The second mark is “applied” too. The file is in the folder {FEED}/done, next to its results and its rows with"
        " problems.",
    )


def show_third(nights: Nights, rows: Sequence[str]) -> None:
    """Let a file arrive that has far too few rows."""
    from musterbook.core.reporting.summary import describe_hold

    nights.go_to(3, _ARRIVAL)
    name = nights.put(rows)
    work(nights)
    record = find_last_import("held", name)
    reasons = " ".join(describe_hold(hold) for hold in list_holds(record))
    if "shrunk" not in {hold.code for hold in list_holds(record)}:
        raise NightFailed(reasons)
    say(
        nights,
        f"Night 3. {name} has shrunk, so it is held and nothing changes. {reasons}",
        "The third mark is “held”, the feed waits for you, and so does Home. The administrator has a notice. Confirm the import"
        " or discard it. Then its file leaves the folder.",
    )


def work(nights: Nights) -> None:
    """Do what a worker does with feeds and imports, until nothing is due."""
    from musterbook.directory.imports.worker import run_next_import
    from musterbook.feeds import lateness, rounds

    lateness.correct_times(nights.now())
    while rounds.settle_next("nights", nights.now) or rounds.check_folders("nights", nights.now):
        pass
    while run_next_import("nights", nights.now):
        pass
    while rounds.settle_next("nights", nights.now):
        pass


def find_last_import(state: str, name: str = "") -> "models.Import":
    """Return the last import. Raise NightFailed if it has another state or file."""
    from musterbook.directory import models

    record = models.Import.objects.select_related("agency").order_by("-pk")[0]
    if record.state != state or (name and record.file_name != name):
        raise NightFailed(f"import {record.number} of {record.file_name} is {record.state}. {record.message}")
    return record


def list_holds(record: "models.Import") -> "list[Hold]":
    """Return the reasons for which an import waits."""
    from musterbook.directory.imports import history

    return history.list_unconfirmed(record, {})


def summarize(record: "models.Import") -> str:
    """Return what the import did or will do, in one sentence."""
    from musterbook.core.reporting import summary

    return summary.summarize(record.counts, record.mails, done=record.state == "applied")


def say(nights: Nights, what: str, page: str = "") -> None:
    """Print what was done, and what to look at on the page."""
    when = f"{nights.at.astimezone(nights.zone):%a %b %d, %H:%M}"
    sys.stdout.write(f"\n{when}\n  {what}\n" + (f"  On the page Feeds: {page}\n" if page else ""))
    sys.stdout.flush()


def _read(name: str) -> list[str]:
    return (_EXAMPLES / name).read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    with program.run(__doc__):
        sys.exit(main())
