"""The claiming of queued imports by workers, in order for each agency (D3).

Imports of a worker that died are claimed again. An import runs under its agency's lock (`storage.locks`), which is
released when the process or connection that holds it ends. So a process that gets the lock knows that any import still
marked as running has died. Only a session that does not notice its own end (its machine is gone) can keep a lock. That
session is ended if its worker has sent no heartbeat for a long time.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Max, Min, Q

from musterbook.config import log_lines
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import bulk, cancellation, file_import, heartbeats, records, runner, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.runner import Attempt, Failed
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import frames, import_files, locks

_LOG = logging.getLogger(__name__)

_NEVER = datetime.min.replace(tzinfo=UTC)

Now = Callable[[], datetime]
Asked = Callable[[], bool]


def never() -> bool:
    """Return False: no one asks the worker to end."""
    return False


def carry_out_next(worker: str, now: Now, ending: Asked = never) -> bool:
    """Run the next import in the queue. Return False if there is none.

    `worker`: a name that no other worker has. `now`: the clock. `ending`: return whether the worker is asked to
    end; in that case, the current import is requeued for another worker.
    """
    if not _anything():
        return False
    for agency in _in_turn():
        with locks.if_free(agency) as free:
            record = _taken(agency, worker, now) if free else None
            if record:
                with log_lines.numbered(record.number):
                    _carry_out(record, now, ending)
                return True
        if not free:
            _free_from_the_lost(agency)
    return False


def _anything() -> bool:
    """Return whether any import is queued or running. This runs several times a second, so it uses one short query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {frames.table(models.Import)} WHERE finished_at IS NULL LIMIT 1")
        return cursor.fetchone() is not None


def _in_turn() -> Iterator[models.Agency]:
    """Yield the agencies that have work, first the one whose last import began the longest ago."""
    to_do = models.Import.objects.filter(Q(state="waiting") | Q(state="running"), finished_at=None)
    first = dict(to_do.order_by().values_list("agency").annotate(Min("pk")))
    begun = models.Import.objects.filter(agency__in=first).exclude(state="waiting").order_by()
    last = dict(begun.values_list("agency").annotate(Max("started_at")))
    agencies = models.Agency.objects.in_bulk(first)
    yield from sorted(agencies.values(), key=lambda one: (last.get(one.pk, _NEVER), first[one.pk]))


def _taken(agency: models.Agency, worker: str, now: Now) -> models.Import | None:
    """Claim the agency's next import for this worker. The caller holds the agency's lock."""
    with locks.writing(lambda: None):
        records.bury(agency)
        waiting = models.Import.objects.select_related("agency", "undoes").filter(
            agency=agency, finished_at=None, state="waiting"
        )
        record = waiting.order_by("pk").first()
        return record if record and records.take_up(record, worker, now()) else None


def _free_from_the_lost(agency: models.Agency) -> None:
    record = models.Import.objects.filter(agency=agency, state="running").exclude(worker="").first()
    if record and record.worker not in {sign.worker for sign in heartbeats.seen()}:
        _LOG.warning("Import %s was taken from worker %s, which sends no heartbeats", record.number, record.worker)
        locks.end_holder(agency)


def _carry_out(record: models.Import, now: Now, ending: Asked) -> None:
    with heartbeats.told(record.worker, record.number) as tell:

        def progress(stage: str, done: int = 0, total: int = 0) -> None:
            tell(stage, done, total)
            if ending():
                raise cancellation.Interrupted

        try:
            runner.carry_out_taken(_attempt(record, now(), progress))
        except (Failed, NotPermitted, snapshot_queries.UnknownOperator):
            pass  # the record has the error
        except records.Superseded:
            _LOG.warning("Import %s was claimed by another worker", record.number)
        except cancellation.Interrupted:
            records.put_back(record)
            return
        except cancellation.Lost:
            # The lock was lost with the connection: the next process that looks requeues the import.
            connection.close()
            return
    cancellation.forget(record)


def _attempt(record: models.Import, at: datetime, progress: Progress) -> Attempt:
    context = AuditContext(at, record.actor, record.through, record.address, record.agent)
    expected = record.expected or None
    if record.kind == ImportKind.UNDO:
        return undo.attempt(record, context, expected, progress)
    if record.kind == ImportKind.BULK:
        return bulk.attempt(record, context, expected, progress)
    with runner.told(record):
        upload = Upload(import_files.content(record.number), record.file_name)
    return file_import.attempt(record, upload, context, expected, progress)
