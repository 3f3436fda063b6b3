"""The totals over all imports since the beginning: by state, rows by outcome, seconds by stage. The metrics show them.

The worker adds each import once, after its end, and marks it in the same transaction. So a total counts imports of every
process, survives a restart, and never counts twice. Reading the totals reads a few rows, however many imports there are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from django.db import connection
from django.db.models import QuerySet

from musterbook.directory import models
from musterbook.directory.imports import cancellation, records
from musterbook.directory.imports.stage_times import STAGES
from musterbook.directory.storage import frames, locks

OUTCOMES = ("added", "updated", "unchanged", "errored", "skipped")
"""The outcomes of a row that are counted. The counts of an import have more names: not each is of a row."""
END_STATES = ("applied", "previewed", "held", "refused", "failed", "canceled")
"""The states in which an import ends. “canceled”: it failed because a user canceled it."""
BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
"""The upper bounds in seconds by which stages are counted."""
QUEUED = "queued"
"""The stage before a worker claims an import."""
_BATCH, _MOST_BATCHES = 500, 20
_TABLE = frames.table(models.ImportTotal)
_ADD = f"""
INSERT INTO {_TABLE} (key, value) VALUES (%s, %s)
ON CONFLICT (key) DO UPDATE SET value = {_TABLE}.value + excluded.value
"""

# The condition of the index `import_plan_open`, with constants: SQLite does not compare it with parameters.
_COUNT_HELD = f"""
SELECT COUNT(*) FROM {frames.table(models.Import)}
WHERE ended = '' AND state IN ({", ".join(f"'{state}'" for state in models.SHOWING)}) AND state = 'held'
AND agency_id NOT IN (SELECT id FROM {frames.table(models.Agency)} WHERE paused_at IS NOT NULL)
"""


def add_finished(_: datetime) -> int:
    """Add the imports that have ended since the last time to the totals. Return their number."""
    added = 0
    for _round in range(_MOST_BATCHES):
        if not (batch := _add_batch()):
            break
        added += batch
    return added


def _add_batch() -> int:
    if not _select_finished().exists():
        return 0
    with locks.write_transaction(lambda: None):
        ended = _select_finished().order_by("pk")
        if connection.features.has_select_for_update_skip_locked:
            ended = ended.select_for_update(skip_locked=True, of=("self",))
        batch = list(
            ended.only("number", "state", "stop", "counts", "stages", "started_at", "attempts", "options")[:_BATCH]
        )
        models.Import.objects.filter(pk__in=[record.pk for record in batch]).update(in_totals=True)
        sums = defaultdict[str, float](float)
        for record in batch:
            for key, value in _describe(record):
                sums[key] += value
        with connection.cursor() as cursor:
            # In one order, so that two workers never wait for each other.
            cursor.executemany(_ADD, sorted(sums.items()))
    return len(batch)


def _select_finished() -> "QuerySet[models.Import]":
    return models.Import.objects.filter(finished_at__isnull=False, in_totals=False)


def _describe(record: models.Import) -> Iterator[tuple[str, float]]:
    """Yield what one import adds, as keys and numbers."""
    yield f"imports/{cancellation.get_shown_state(record)}", 1
    if record.state == "applied":
        yield from ((f"rows/{outcome}", record.counts.get(outcome, 0)) for outcome in OUTCOMES)
    stages: Mapping[str, float] = record.stages
    if record.attempts:
        waited = (record.started_at - records.read_time(record.number)).total_seconds()
        stages = {QUEUED: max(waited, 0), **stages}
    for stage, seconds in stages.items():
        yield f"seconds/{stage}", seconds
        bucket = next((str(bound) for bound in BUCKETS if seconds <= bound), "+Inf")
        yield f"stages/{stage}/{bucket}", 1


class Totals:
    """The totals as they are now."""

    def __init__(self) -> None:
        self._values = dict(models.ImportTotal.objects.values_list("key", "value"))

    def count_imports(self, state: str) -> float:
        """Return the number of imports that ended in this state. “canceled” is a state of its own."""
        return self._values.get(f"imports/{state}", 0)

    def count_rows(self, outcome: str) -> float:
        """Return the number of rows of applied imports with this outcome."""
        return self._values.get(f"rows/{outcome}", 0)

    def sum_seconds(self, stage: str) -> float:
        """Return the seconds that all imports spent in this stage."""
        return self._values.get(f"seconds/{stage}", 0)

    def list_buckets(self, stage: str) -> list[tuple[str, float]]:
        """Return for each bound, as text, how many imports spent at most that many seconds in this stage."""
        buckets, below = [], 0.0
        for bound in (*map(str, BUCKETS), "+Inf"):
            below += self._values.get(f"stages/{stage}/{bound}", 0)
            buckets.append((bound, below))
        return buckets


def list_stages() -> tuple[str, ...]:
    """Return the stages that are measured, in their order."""
    return (QUEUED, *STAGES)


def read_queue() -> tuple[dict[str, int], float]:
    """Return how many imports wait and run, and the age in seconds of the one that waits the longest (0: none waits).

    Those of paused agencies wait for no worker.
    """
    open_ones = models.Import.objects.filter(finished_at=None, agency__paused_at=None)
    states, oldest, now = Counter[str](), 0.0, datetime.now(UTC)
    for state, since in open_ones.values_list("state", "started_at"):
        states[state] += 1
        if state == "waiting":
            oldest = max(oldest, (now - since).total_seconds())
    return {state: states[state] for state in ("waiting", "running")}, oldest


def count_held() -> int:
    """Return the number of imports that wait for a person to confirm them. Nobody can, in a paused agency."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_HELD)
        return int(cursor.fetchone()[0])
