"""Measurements of feeds: many of them due at once, small ones next to a large one, and checks that find nothing.

All of it runs in one process with Django. The imports themselves run in workers, which are processes of their own.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min

from benchmarks import copies
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.imports import heartbeats
from musterbook.feeds import complete, rounds

LARGE = "large"
"""The slug of the agency with the large feed."""
DAY = timedelta(days=1)
_LOOK_EVERY, _PATIENCE, _DUE_AGAIN = 0.05, 3600.0, 5.0
_BEFORE = timedelta(minutes=2)
"""How long before now the files are seen for the first time, so that they are complete now."""


def prepare(agency: models.Agency, number: int) -> Mapping[str, Any]:
    """Copy the agency with its users until there are `number`, each with a feed. Add one without users, for a large feed."""
    small = [agency.slug, *(f"{agency.slug}-{copy}" for copy in range(1, number))]
    copies.copy_agency(agency, small[1:], (models.Role, models.Rank, models.Group, models.User, models.SearchChunk))
    copies.copy_agency(agency, [LARGE], (models.Role, models.Rank, models.Group))
    made = models.Agency.objects.filter(slug__in=[*small, LARGE]).order_by("pk")
    models.Feed.objects.bulk_create([_make_feed(one) for one in made])
    for one in made:
        (find_folder(one.slug) / "done").mkdir(parents=True)
    users = models.User.objects.values("agency").annotate(number=Count("pk"))
    return {"counts": {"feeds": number, "users": sum(one["number"] for one in users)}}


def _make_feed(agency: models.Agency) -> models.Feed:
    feed = models.Feed(agency=agency, name="hr", mode="update", source="", created_at=now() - _BEFORE)
    feed.location, feed.schedule = {"kind": "folder", "path": "hr", "pattern": "*.csv"}, {"every_minutes": 5}
    feed.reading = {"mails": False}
    feed.approved = feeds.digest_settings(feed)
    return feed


def find_folder(slug: str) -> Path:
    """Return the folder of the agency's feed."""
    return Path(settings.MUSTER_HOME) / "feeds" / slug / "hr"


def look(runs: int) -> Mapping[str, Any]:
    """Time the checks of all feeds when nothing has arrived. Return the seconds of one feed in each run."""
    seconds: dict[str, list[float]] = {"looking": [], "looking, processor": []}
    for _ in range(runs):
        models.Feed.objects.update(next_check_at=None)
        since, used = time.perf_counter(), time.process_time()
        checked = check_all(now)
        seconds["looking"].append((time.perf_counter() - since) / checked)
        seconds["looking, processor"].append((time.process_time() - used) / checked)
    return {"seconds": seconds}


def arrive(file: str, name: str) -> Mapping[str, Any]:
    """Put the file into the folder of each small agency, and let a check see it that was made a while ago."""
    content = Path(file).read_bytes()
    models.Feed.objects.filter(agency__slug=LARGE).update(next_check_at=now() + DAY)
    models.Feed.objects.exclude(agency__slug=LARGE).update(next_check_at=None)
    for feed in select_small():
        (find_folder(feed.agency.slug) / name).write_bytes(content)
    before = now() - _BEFORE
    since = time.perf_counter()
    checked = check_all(lambda: before)
    return {"seconds": {"finding": [(time.perf_counter() - since) / checked]}}


def check_all(clock: Callable[[], datetime]) -> int:
    """Check all feeds that are due. Return their number."""
    checked = 0
    while found := rounds.check_folders("bench", clock):
        checked += found
    return checked


def select_small() -> list[models.Feed]:
    """Return the feeds of the small agencies."""
    return list(models.Feed.objects.exclude(agency__slug=LARGE).select_related("agency").order_by("pk"))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a worker used from its start to its end: seconds of the processor, and bytes of memory at its peak."""

    processor: float
    peak: int


@contextmanager
def run_workers(number: int, used: list[Usage]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run that many workers. `used` gets the processor time and the peak memory of each at the end."""
    command = [str(Path(sys.executable).with_name("muster")), "worker"]
    workers = [subprocess.Popen(command) for _ in range(number)]
    try:
        yield workers
    finally:
        peaks = [_read_peak(worker.pid) for worker in workers]
        for worker in workers:
            os.kill(worker.pid, signal.SIGTERM)
        for worker, peak in zip(workers, peaks, strict=True):
            _, _, usage = os.wait4(worker.pid, 0)
            worker.returncode = 0
            used.append(Usage(usage.ru_utime + usage.ru_stime, peak))


def _read_peak(pid: int) -> int:
    """Return the peak memory of a process; 0 if this system does not say."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def wait_until(
    holds: Callable[[], bool], workers: Sequence["subprocess.Popen[bytes]"], every: float = _LOOK_EVERY
) -> None:
    """Wait until the condition holds, which is checked every so many seconds. Exit if a worker ends meanwhile."""
    until = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("The workers of the benchmark do not end their work.")
        if any(_has_ended(worker) for worker in workers):
            raise SystemExit("A worker of the benchmark ended; the lines above say why.")
        time.sleep(every)


def _has_ended(worker: "subprocess.Popen[bytes]") -> bool:
    return os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_for_workers(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Wait until each of the workers has sent a heartbeat."""
    wait_until(lambda: len(heartbeats.list_heartbeats()) == len(workers), workers)


def run_night(workers: int) -> Mapping[str, Any]:
    """Let workers import the files of all feeds that are due. Return the seconds until the last one is applied, and settled."""
    number, used = len(select_small()), list[Usage]()
    with run_workers(workers, used) as processes:
        wait_until(lambda: count_settled() >= number, processes)
    facts = models.FeedFile.objects.aggregate(first=Min("at"), last=Max("at"), end=Max("settled_at"))
    imports = models.Import.objects.filter(feed__isnull=False)
    states = dict(imports.values_list("state").annotate(Count("pk")))
    if states != {"applied": number}:
        raise SystemExit(f"The imports of feeds ended otherwise: {states}")
    finished = sorted(end for end in imports.values_list("finished_at", flat=True) if end)
    label = label_workers(workers)
    seconds = {
        f"all applied, {label}": (finished[-1] - facts["first"]).total_seconds(),
        f"all settled, {label}": (facts["end"] - facts["first"]).total_seconds(),
        f"all taken, {label}": (facts["last"] - facts["first"]).total_seconds(),
        f"processor, {label}": sum(one.processor for one in used),
        **compute_growth(finished, label),
    }
    return {"seconds": {name: [value] for name, value in seconds.items()}, "counts": {"feeds": number}}


def count_settled() -> int:
    """Return the number of files whose import has ended and was settled."""
    return models.FeedFile.objects.filter(settled_at__isnull=False).count()


def compute_growth(finished: Sequence[datetime], label: str) -> dict[str, float]:
    """Return the seconds of an import in the first and in the last quarter of the night."""
    quarter = len(finished) // 4
    if quarter < 2:
        return {}
    first, last = finished[:quarter], finished[-quarter:]
    return {
        f"an import of the first quarter, {label}": (first[-1] - first[0]).total_seconds() / (quarter - 1),
        f"an import of the last quarter, {label}": (last[-1] - last[0]).total_seconds() / (quarter - 1),
    }


def label_workers(workers: int) -> str:
    """Return how the figures of that many workers are named."""
    return f"{workers} worker{'s' if workers > 1 else ''}"


def run_waits(workers: int, small: Sequence[str], large: Sequence[str]) -> Mapping[str, Any]:
    """Measure how long small feeds wait: alone, while the large feed imports its first file, and while it imports the next.

    `small`: the files that the small feeds get in turn. `large`: the first file of the large feed, and the next.
    """
    seconds, used, label = dict[str, list[float]](), list[Usage](), label_workers(workers)
    with run_workers(workers, used) as processes:
        wait_for_workers(processes)
        seconds[f"wait alone, {label}"] = _measure_small(Path(small[0]), "0", processes)
        for number, (name, file) in enumerate(zip(("new", "changed"), large, strict=True), 1):
            put_file(find_folder(LARGE), Path(file), f"{number}.csv")
            wait_while_due(partial(has_begun, number), processes, models.Feed.objects.filter(agency__slug=LARGE))
            seconds[f"wait, {name}, {label}"] = _measure_small(Path(small[number % 2]), f"{number}", processes)
            wait_until(partial(has_applied, number), processes)
            record = select_of_large().latest("pk")
            seconds[f"large, {name}, {label}"] = [(record.finished_at - record.started_at).total_seconds()]
    return {"seconds": seconds | {f"processor of waits, {label}": [sum(one.processor for one in used)]}}


def _measure_small(file: Path, name: str, processes: Sequence["subprocess.Popen[bytes]"]) -> list[float]:
    """Put the file into the folder of each small feed. Return the seconds of each until it is imported."""
    put = {}
    for feed in select_small():
        put_file(find_folder(feed.agency.slug), file, f"{name}.csv")
        put[feed.pk] = now()
    done: Any = models.Import.objects.filter(file_name=f"{name}.csv").exclude(feed__agency__slug=LARGE)
    wait_while_due(lambda: count_applied(done) == len(put), processes, models.Feed.objects.exclude(agency__slug=LARGE))
    return [(record.finished_at - put[record.feed_id]).total_seconds() for record in done]


def select_of_large() -> Any:
    """Return the imports of the large feed, as a query set."""
    return models.Import.objects.filter(feed__agency__slug=LARGE)


def has_begun(number: int) -> bool:
    """Return whether the import of that many files of the large feed has begun. A short one may have ended already."""
    return bool(select_of_large().exclude(state="waiting").count() == number)


def has_applied(number: int) -> bool:
    """Return whether the large feed has applied so many files."""
    return count_applied(select_of_large()) == number


def count_applied(records: Any) -> int:
    """Return how many of the imports are applied. Exit if one ended otherwise."""
    failed = records.filter(finished_at__isnull=False).exclude(state="applied").values_list("state", "message").first()
    if failed:
        raise SystemExit(f"An import of a feed ended otherwise: {failed}")
    return int(records.filter(state="applied").count())


def put_file(folder: Path, file: Path, name: str) -> None:
    """Put a file with the marker that says that it is complete."""
    shutil.copyfile(file, folder / f"{name}.part")
    (folder / f"{name}.part").rename(folder / name)
    (folder / f"{name}{complete.DONE}").touch()


def wait_while_due(holds: Callable[[], bool], workers: Sequence["subprocess.Popen[bytes]"], of: Any) -> None:
    """Make the feeds of a query set due, and wait until the condition holds.

    They are made due again every now and then: a worker that was just looking at one puts off the next look by minutes.
    """
    due = 0.0

    def is_over() -> bool:
        nonlocal due
        if time.monotonic() >= due:
            of.update(next_check_at=None)
            due = time.monotonic() + _DUE_AGAIN
        return holds()

    wait_until(is_over, workers)


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)
