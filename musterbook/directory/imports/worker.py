"""The claiming of queued imports by workers, in order for each agency (D3).

Imports of a worker that died are claimed again. An import runs under its agency's lock (`storage.locks`), which is
released when the process or connection that holds it ends. So a process that gets the lock knows that any import still
marked as running has died. Only a session that does not notice its own end (its machine is gone) can keep a lock. That
session is ended if its worker has sent no heartbeat for a long time.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery

from musterbook.config import log_lines
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import approval, bulk, cancellation, file_import, heartbeats, records, runner, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.runner import Attempt, ImportFailed
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import import_files, isolation, locks, looks

_LOG = logging.getLogger(__name__)

Clock = Callable[[], datetime]
EndCheck = Callable[[], bool]


SMALL_FILE = 1_000_000
"""The most bytes of a small file: about 5,000 rows of CSV, whose import takes about a second."""


def is_small(record: models.Import) -> bool:
    """Return whether the import is that of a small file. A bulk action and an undo may be large, and have no file."""
    return record.kind == ImportKind.FILE and record.file_size <= SMALL_FILE


def never_end() -> bool:
    """Return False: no one asks the worker to end."""
    return False


class Turns:
    """The agencies that have work, first the one whose last import began the longest ago.

    Their order is made by a query that takes longer the more of them have work. So it is remembered for a while, which
    is a small multiple of the time that the query took: however many agencies wait, most of the time is left for imports,
    and the turns of a few agencies are never remembered for long. `small`: only agencies whose next import is that of a
    small file.
    """

    def __init__(self, multiple: float = 20, *, small: bool = False) -> None:
        self._multiple, self._until, self.small = multiple, 0.0, small
        self._remembered: list[int] = []

    def list_agencies(self) -> Iterator[models.Agency]:
        """Yield the agencies whose turn it is. One that has no import in the queue any more may be among them."""
        if time.monotonic() < self._until:
            yield from self._take()
        since = time.monotonic()
        self._remembered = [*_query_turns(small=self.small)][::-1]
        now = time.monotonic()
        self._until = now + self._multiple * (now - since)
        yield from self._take()

    def _take(self) -> Iterator[models.Agency]:
        while self._remembered:
            # Usually the first is free, so the others are not loaded. It may have been paused meanwhile.
            yield from models.Agency.objects.filter(pk=self._remembered.pop(), paused_at=None)


def run_next_import(worker: str, now: Clock, ending: EndCheck = never_end, turns: Turns | None = None) -> bool:
    """Run the next import in the queue. Return False if there is none.

    `worker`: a name that no other worker has. `now`: the clock. `ending`: return whether the worker is asked to
    end; in that case, the current import is requeued for another worker. `turns`: what the worker remembers, and whether
    only the import of a small file is run.
    """
    if not _has_work():
        return False
    small = bool(turns and turns.small)
    for agency in (turns or Turns()).list_agencies():
        if turns and not _has_work(agency):
            continue
        with isolation.limit_to(agency.pk), locks.try_import_lock(agency) as free:
            is_open = free and models.Agency.objects.filter(pk=agency.pk, paused_at=None).exists()
            record = _claim_next(agency, worker, now, small=small) if is_open else None
            if record:
                with log_lines.use_import(record.number):
                    _run_import(record, now, ending)
                return True
        if not free:
            _end_lost_holder(agency)
    return False


def _has_work(agency: models.Agency | None = None) -> bool:
    """Return whether any import, or any of an agency, is queued or running.

    This runs several times a second.
    """
    if agency:
        return looks.has_any(models.Import, "agency_id = %s AND finished_at IS NULL", agency.pk)
    return looks.has_any(models.Import, "finished_at IS NULL")


def _query_turns(*, small: bool = False) -> "QuerySet[models.Agency, int]":
    """Return the ids of the agencies that have work, first that of the one whose last import began the longest ago."""
    queued = models.Import.objects.filter(finished_at=None, state__in=("waiting", "running"))
    own = queued.filter(agency=OuterRef("pk")).order_by("pk").values("pk")
    # The index by time gives the last one at once, however many imports there are.
    begun = models.Import.objects.filter(agency=OuterRef("pk")).exclude(state="waiting")
    last = begun.order_by(F("started_at").desc()).values("started_at")
    agencies = models.Agency.objects.filter(pk__in=queued.values("agency"), paused_at=None)
    turns = agencies.annotate(first=Subquery(own[:1]), last=Subquery(last[:1]))
    if small:
        next_size = own.filter(kind=ImportKind.FILE).values("file_size")
        turns = turns.annotate(size=Subquery(next_size[:1])).filter(size__lte=SMALL_FILE)
    return turns.order_by(F("last").asc(nulls_first=True), "first").values_list("pk", flat=True)


def _claim_next(agency: models.Agency, worker: str, now: Clock, *, small: bool) -> models.Import | None:
    """Claim the agency's next import for this worker. The caller holds the agency's lock.

    `small`: claim none if the next one is not that of a small file.
    """
    with locks.write_transaction(lambda: None):
        records.reap_with_lock(agency)
        waiting = models.Import.objects.select_related("agency", "undoes").filter(
            agency=agency, finished_at=None, state="waiting"
        )
        record = waiting.order_by("pk").first()
        if record and small and not is_small(record):
            return None
        return record if record and records.claim_import(record, worker, now()) else None


def _end_lost_holder(agency: models.Agency) -> None:
    record = models.Import.objects.filter(agency=agency, state="running").exclude(worker="").first()
    if not record or record.worker in {heartbeat.worker for heartbeat in heartbeats.list_heartbeats()}:
        return
    if locks.end_holder(agency, heartbeats.TIMEOUT):
        _LOG.warning("Import %s was taken from worker %s, which sends no heartbeats", record.number, record.worker)


def _run_import(record: models.Import, now: Clock, ending: EndCheck) -> None:
    with heartbeats.report_progress(record.worker, record.number) as report:

        def progress(stage: str, done: int = 0, total: int = 0) -> None:
            report(stage, done, total)
            if ending():
                raise cancellation.Interrupted

        try:
            # A row that another program wrote may have what no import has: it fails, and the worker goes on.
            with runner.record_errors(record):
                runner.run_claimed(_make_attempt(record, now(), progress))
        except (ImportFailed, NotPermitted, snapshot_queries.UnknownOperator):
            pass  # the record has the error
        except records.Superseded:
            _LOG.warning("Import %s was claimed by another worker", record.number)
        except cancellation.Interrupted:
            records.requeue_import(record)
            return
        except cancellation.ConnectionLost:
            # The lock was lost with the connection: the next process that looks requeues the import.
            connection.close()
            return
    cancellation.delete_request(record)


def _make_attempt(record: models.Import, at: datetime, progress: Progress) -> Attempt:
    granted = approval.read_authority(record, "actor").granted
    context = AuditContext(at, record.actor, record.through, record.address, record.agent, granted=granted)
    expected = record.expected or None
    if record.kind == ImportKind.UNDO:
        return undo.make_attempt(record, context, expected, progress)
    if record.kind == ImportKind.BULK:
        return bulk.make_attempt(record, context, expected, progress)
    upload = Upload(import_files.read_content(record.number), record.file_name)
    return file_import.make_attempt(record, upload, context, expected, progress)
