"""Many agencies in one night, while a user visits the pages; and a small agency next to one with a large file.

The installation is that of `benchmarks.feeds`: one agency is imported, and the others are copies of it, each with a feed.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import connection

from benchmarks import feeds
from benchmarks.api_client import read_processor_seconds
from benchmarks.feeds import Usage
from benchmarks.visits import visit_meanwhile
from musterbook.accounts.models import Account
from musterbook.directory import models

_VISITORS = 20
_PASSWORD = "a quiet brown heron"
_EVERY, _EVERY_IDLE = 1.0, 0.25
"""Seconds between the begins of two visits, in a night and on an idle installation."""
_LOOK_EVERY = 0.25
_ALONE, _MOST = 10, 40
"""How often a small file arrives when nothing else does, and at most while a large one is imported."""


def prepare(agency: models.Agency, number: int) -> Mapping[str, Any]:
    """Make that many agencies with feeds, as `feeds.prepare` does. Some users of the first one can sign in and see all users."""
    done = feeds.prepare(agency, number)
    users = list(models.User.objects.filter(agency=agency, active=True).order_by("pk")[:_VISITORS])
    role = models.Role.objects.get(agency=agency, administrator=True)
    at = datetime.now(UTC)
    models.User.objects.filter(pk__in=[user.pk for user in users]).update(role=role, registered_at=at)
    hashed = make_password(_PASSWORD)
    Account.objects.bulk_create(Account(user=user, password=hashed) for user in users)
    return {"counts": {"agencies": number, "users": done["counts"]["users"], "bytes": read_size()}}


def read_size() -> int:
    """Return the bytes of the database, without what SQLite has yet to move from its log (`-wal`)."""
    if connection.vendor == "sqlite":
        return _ask("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
    return _ask("SELECT pg_database_size(current_database())")


def _read_log() -> int:
    """Return how many bytes PostgreSQL's log of writes has had; 0 on SQLite."""
    return 0 if connection.vendor == "sqlite" else _ask("SELECT pg_current_wal_insert_lsn() - '0/0'")


def _ask(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def _list_logins() -> list[str]:
    return list(Account.objects.order_by("pk").values_list("user__username", flat=True)[:_VISITORS])


def visit(port: int, seconds: float, workers: int) -> Mapping[str, Any]:
    """Visit the pages for so many seconds while the workers find nothing to do."""
    models.Feed.objects.update(next_check_at=feeds.now() + feeds.DAY)
    used, label = list[Usage](), feeds.label_workers(workers)
    slug, logins = _read_slug(), _list_logins()
    with feeds.run_workers(workers, used) as processes:
        feeds.wait_for_workers(processes)
        until = feeds.now().timestamp() + seconds
        with visit_meanwhile(port, slug, logins, _PASSWORD, _EVERY_IDLE) as visits:
            feeds.wait_until(lambda: feeds.now().timestamp() > until, processes, _LOOK_EVERY)
    timed = {f"idle: {page}": taken for page, taken in visits.items()}
    return {"seconds": timed | {f"idle processor, {label}": [sum(one.processor for one in used)]}}


def _read_slug() -> str:
    return str(Account.objects.select_related("user__agency").order_by("pk")[0].user.agency.slug)


def arrive(file: str, number: int) -> Mapping[str, Any]:
    """Put a complete file into the folder of each small agency. If the night is measured in part, queue the others' imports.

    `number`: so many agencies have a file that workers find, 0: all. The files of the others are taken here.
    """
    small = feeds.select_small()
    for feed in small:
        feeds.put_file(feeds.find_folder(feed.agency.slug), Path(file), "night.csv")
    models.Feed.objects.update(next_check_at=feeds.now() + feeds.DAY)
    taken = [feed.pk for feed in small[number:]] if number else []
    models.Feed.objects.filter(pk__in=taken).update(next_check_at=None)
    used = time.process_time()
    checked = feeds.check_all(feeds.now)
    return {"seconds": {"taking, processor": [(time.process_time() - used) / checked]} if checked else {}}


def run_night(port: int, workers: int, number: int) -> Mapping[str, Any]:
    """Let workers import the files of all agencies, or of that number (0: all), while a user visits the pages.

    The start of the workers does not count.
    """
    small, used, label = feeds.select_small(), list[Usage](), feeds.label_workers(workers)
    due = [feed.pk for feed in small[: number or None]]
    slug, logins = _read_slug(), _list_logins()
    with (
        visit_meanwhile(port, slug, logins, _PASSWORD, _EVERY) as visits,
        feeds.run_workers(workers, used) as processes,
    ):
        feeds.wait_for_workers(processes)
        since, log, before = time.perf_counter(), _read_log(), _read_processor(processes)
        models.Feed.objects.filter(pk__in=due).update(next_check_at=None)
        feeds.wait_until(lambda: feeds.count_settled() >= len(due), processes, _LOOK_EVERY)
        seconds, log = time.perf_counter() - since, _read_log() - log
        processor, settled = _read_processor(processes) - before, feeds.count_settled()
    imports = models.Import.objects.filter(feed__isnull=False, finished_at__isnull=False)
    feeds.count_applied(imports)
    finished = sorted(end for end in imports.values_list("finished_at", flat=True) if end)
    timed = {f"night, {label}": seconds, f"processor, {label}": processor, **feeds.compute_growth(finished, label)}
    counts = {
        f"settled, {label}": settled,
        f"peak, {label}": max(one.peak for one in used),
        f"bytes after, {label}": read_size(),
        f"log, {label}": log,
        f"changed, {label}": _count_changed(imports),
    }
    return {
        "seconds": {name: [value] for name, value in timed.items()}
        | {f"{page}, {label}": taken for page, taken in visits.items()},
        "counts": counts,
    }


def _read_processor(processes: Sequence["subprocess.Popen[bytes]"]) -> float:
    """Return the processor time of the workers and what they have started; 0 if this system does not say."""
    return sum(read_processor_seconds(process.pid) or 0.0 for process in processes)


def _count_changed(records: Any) -> int:
    counted = records.values_list("counts", flat=True)
    return sum(counts.get(name, 0) for counts in counted for name in ("added", "updated"))


def run_waits(workers: int, small: Sequence[str], large: Sequence[str]) -> Mapping[str, Any]:
    """Measure how long a small agency waits for its import when nothing else arrives, and next to one with a large file.

    The file is put into the folder of one small feed after another, each when the one before was imported. `small`: the
    files that they get in turn. `large`: the first file of the large feed, and the next. It has no users before.
    """
    seconds, counts, used = dict[str, list[float]](), dict[str, int](), list[Usage]()
    label, files = feeds.label_workers(workers), cycle(small)
    with feeds.run_workers(workers, used) as processes:
        feeds.wait_for_workers(processes)
        turns = cycle(feeds.select_small())
        seconds[f"alone, {label}"] = [_arrive(next(turns), next(files), processes) for _ in range(_ALONE)]
        small_imports = models.Import.objects.filter(feed__isnull=False)
        seconds[f"small import, {label}"] = [_get_seconds(one) for one in small_imports]
        for number, (name, file) in enumerate(zip(("new", "changed"), large, strict=True), 1):
            log, size = _read_log(), read_size()
            feeds.put_file(feeds.find_folder(feeds.LARGE), Path(file), f"{number}.csv")
            of_large = models.Feed.objects.filter(agency__slug=feeds.LARGE)
            feeds.wait_while_due(partial(feeds.has_begun, number), processes, of_large)
            waits: list[float] = []
            while feeds.count_applied(feeds.select_of_large()) < number and len(waits) < _MOST:
                waits.append(_arrive(next(turns), next(files), processes))
            feeds.wait_until(partial(feeds.has_applied, number), processes)
            record = feeds.select_of_large().latest("pk")
            seconds[f"next to {name}, {label}"] = waits
            seconds[f"large {name}, {label}"] = [_get_seconds(record)]
            counts[f"log, {name}, {label}"] = _read_log() - log
            counts[f"bytes, {name}, {label}"] = read_size() - size
            counts[f"changed, {name}, {label}"] = _count_changed(models.Import.objects.filter(pk=record.pk))
    counts[f"peak, {label}"] = max(one.peak for one in used)
    return {"seconds": seconds, "counts": counts}


def _arrive(feed: models.Feed, file: str, processes: Any) -> float:
    """Put the file into the folder of the feed. Return the seconds until it is imported."""
    last = models.Import.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    at = feeds.now()
    feeds.put_file(feeds.find_folder(feed.agency.slug), Path(file), f"{at.timestamp()}.csv")
    mine = models.Import.objects.filter(feed=feed, pk__gt=last)
    feeds.wait_while_due(lambda: feeds.count_applied(mine) == 1, processes, models.Feed.objects.filter(pk=feed.pk))
    return _get_seconds(mine.get(), at)


def _get_seconds(record: models.Import, since: datetime | None = None) -> float:
    """Return the seconds of an import that has ended, from its beginning or from another time."""
    return (record.finished_at - (since or record.started_at)).total_seconds() if record.finished_at else 0.0
