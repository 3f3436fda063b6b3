"""A worker of feeds in a process of its own, for tests that kill it: `python -m tests.feeds.driver COMMAND …`.

`make SLUG…` makes agencies, each with ten users and a feed that a person has approved. `round TIME` does everything that is due
at that time, with feeds and with imports. `work` is the whole worker, whose leases are short. PAUSE names a step after which it
stands still until it is killed.
"""

import os
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

from django.conf import settings

from musterbook import jobs
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.imports import records
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.storage import import_files
from musterbook.feeds import checks, claims, fetching, lateness, rounds, settling, taking
from musterbook.feeds.locations.folder import FolderLocation
from tests.directory import cast

STEPS: dict[str, tuple[Any, str]] = {
    "claimed": (claims, "claim"),
    "looked": (checks, "look_at"),
    "read": (fetching, "_read"),
    "kept": (import_files, "adopt_file"),
    "recorded": (records, "insert_record"),
    "remembered": (taking, "_remember"),
    "taken": (taking, "submit_file"),
    "released": (checks, "_release"),
    "learned": (settling, "learn"),
    "results": (settling, "_write_rows"),
    "moved": (FolderLocation, "file_away"),
}
"""The steps of taking a file, in their order: the name of each, and the function that does it."""


def main(command: str, *arguments: str) -> None:
    """Do what the test asks for."""
    if command == "make":
        for slug in arguments:
            make(slug)
        return
    for step in STEPS:
        _watch(step)
    if command == "round":
        do_round(datetime.fromisoformat(arguments[0]))
    elif command == "work":
        claims.LEASE = timedelta(seconds=1)
        jobs._FEEDS_EVERY = 0.05
        jobs.work(jobs.stop_on_signals())


def make(slug: str) -> None:
    """Make an agency with a feed of the folder `hr`."""
    made = cast.agency(slug, limits=cast.unlimited())
    cast.apply_rows(made, cast.people(*range(1, 11)))
    (settings.MUSTER_HOME / "feeds" / slug / "hr").mkdir(parents=True)
    location = {"kind": "folder", "path": "hr", "pattern": "*.csv"}
    feed = models.Feed(agency=made, name="hr", mode="update", source="hr", location=location, created_at=cast.NOW)
    feed.schedule, feed.approved = {"every_minutes": 1}, feeds.digest_settings(feed)
    feed.save()


def do_round(at: datetime) -> None:
    """Do everything that is due, until nothing is."""
    name = jobs.make_worker_name()
    lateness.correct_times(at)
    for _ in range(2):
        while rounds.settle_next(name, lambda: at) or rounds.check_folders(name, lambda: at):
            pass
        while run_next_import(name, lambda: at):
            pass


def _watch(step: str) -> None:
    owner, name = STEPS[step]
    usual = getattr(owner, name)

    def watched(*given: Any, **named: Any) -> Any:
        result = usual(*given, **named)
        print(step, flush=True)
        while step == os.environ.get("PAUSE"):
            time.sleep(0.01)
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    main(*sys.argv[1:])
