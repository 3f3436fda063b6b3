"""Imports that wait are taken up by a worker, each agency's in their turn; those of a worker that died are taken up again (D3).

An import is carried out under its agency's turn (`locks`), which ends with the process or connection that holds it. So whoever
gets the turn knows that whatever still says it is running has died. Only a session that does not know of its end (a machine
that is gone) can keep a turn: if its worker has given no sign of life for long, the session is ended.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Max, Min, Q

from musterbook import log_lines
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import Act
from musterbook.directory.imports import bulk, cancellation, file_import, heartbeats, records, runner, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.runner import Attempt, Failed
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import frames, import_files, locks

_LOG = logging.getLogger(__name__)

_NEVER = datetime.min.replace(tzinfo=UTC)

Now = Callable[[], datetime]
Asked = Callable[[], bool]


def never() -> bool:
    """Nobody asks the worker to end."""
    return False


def carry_out_next(worker: str, now: Now, ending: Asked = never) -> bool:
    """Carries out the import whose turn it is; gives False where there is none.

    `worker`: a name that no other worker has; `now`: the clock; `ending`: whether the worker is asked to end: then the import
    in hand waits again, for another.
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
    """Whether anything waits or runs: asked several times a second, so by the shortest way."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {frames.table(models.Import)} WHERE finished_at IS NULL LIMIT 1")
        return cursor.fetchone() is not None


def _in_turn() -> Iterator[models.Agency]:
    """The agencies that have something to do, first the one whose last import began the longest ago."""
    to_do = models.Import.objects.filter(Q(state="waiting") | Q(state="running"), finished_at=None)
    first = dict(to_do.order_by().values_list("agency").annotate(Min("pk")))
    begun = models.Import.objects.filter(agency__in=first).exclude(state="waiting").order_by()
    last = dict(begun.values_list("agency").annotate(Max("started_at")))
    agencies = models.Agency.objects.in_bulk(first)
    yield from sorted(agencies.values(), key=lambda one: (last.get(one.pk, _NEVER), first[one.pk]))


def _taken(agency: models.Agency, worker: str, now: Now) -> models.Import | None:
    """The agency's next import, from here on this worker's; the caller holds the agency's turn."""
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
        _LOG.warning("Import %s was taken from worker %s, of which nothing is heard", record.number, record.worker)
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
            pass  # its record says so
        except records.Superseded:
            _LOG.warning("Import %s was taken up by another worker", record.number)
        except cancellation.Interrupted:
            records.put_back(record)
            return
        except cancellation.Lost:
            # The turn went with it: whoever looks next has the import wait again.
            connection.close()
            return
    cancellation.forget(record)


def _attempt(record: models.Import, at: datetime, progress: Progress) -> Attempt:
    act = Act(at, record.actor, record.through, record.address, record.agent)
    expected = record.expected or None
    if record.undoes:
        return undo.attempt(record, record.undoes, act, expected, progress)
    if bulk.change_of(record):
        return bulk.attempt(record, act, expected, progress)
    with runner.told(record):
        upload = Upload(import_files.content(record.number), record.file_name)
    return file_import.attempt(record, upload, act, expected, progress)
