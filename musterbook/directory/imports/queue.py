"""The queue of imports: submission and progress (D5, D6, D7). A worker runs the imports (`imports/worker`)."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from musterbook.core.domain.policy import Confirmed, Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    approval,
    bulk,
    cancellation,
    entry_files,
    file_import,
    heartbeats,
    plan_ends,
    quotas,
    records,
    runner,
    selection,
    undo,
)
from musterbook.directory.imports.file_import import FileOnDisk, Upload
from musterbook.directory.imports.heartbeats import Progress, ignore_progress
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.records import DuplicateKey
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.models import ImportKind
from musterbook.directory.storage import database_errors, import_files, locks

_LOOK_EVERY = 0.05


def submit(
    agency: models.Agency,
    upload: Upload | FileOnDisk,
    options: Options,
    *,
    context: AuditContext,
    key: str | None = None,
    feed: models.Feed | None = None,
    write: Callable[[models.Import], None] = records.insert_record,
) -> models.Import:
    """Submit a file for a worker to import or preview. The record and the file are stored when this returns.

    `key`: the idempotency key (D6); a repeated request returns the import of the first one. `feed`: the feed that the
    file arrived by. `write`: writes the record, and what must exist together with it, in one transaction. It may decide
    to write no record: then the file is not kept, and the record that is returned has no id. Raise UnknownOperator,
    NotPermitted, KeyTaken, OverQuota, OSError if the file cannot be kept, and what `write` raises.
    """
    file_import.authorize_import(agency, context.authority, options.mode, options.what)
    file = file_import.describe_file(upload)
    record = records.make_record(
        agency, file_import.get_kind(options), options.as_json(), context, key=key, feed=feed, **file
    )

    def keep() -> None:
        quotas.check_quotas(agency, context, upload.size)
        upload.keep(record.number)

    return _enqueue(record, keep, write)


def submit_again(
    record: models.Import, options: Options, *, context: AuditContext, key: str | None = None
) -> models.Import:
    """Submit another preview of an import's file, with other options. Raise FileGone, and the errors of `submit`."""
    file_import.authorize_import(record.agency, context.authority, options.mode, options.what)
    import_files.find_path(record.number)
    options = replace(options, exact=Options.of_json(record.options).exact)
    new_record = records.make_record(
        record.agency,
        file_import.get_kind(options),
        options.as_json(),
        context,
        key=key,
        origin=record,
        feed_id=record.feed_id,
        **_copy_file_fields(record),
    )

    def keep() -> None:
        quotas.check_quotas(record.agency, context, record.file_size)
        import_files.store_copy(new_record.number, record.number)

    return _enqueue(new_record, keep)


def submit_apply(
    agency: models.Agency, number: str, *,
    context: AuditContext, confirmed: Confirmed | None = None, mails: bool | None = None, key: str | None = None,
) -> models.Import:  # fmt: skip
    """Submit the plan that a preview (including one of an undo) or a held import showed.

    A plan that has changed is not applied (D2). `confirmed`, `mails`: as in `file_import.make_apply_options`. Raise
    UnknownImport, NothingToApply, FileGone, NeedsApprover, and the errors of `submit`.
    """
    done = _find_applied(agency, number, key)
    if done:
        return done
    preview = file_import.find_applicable(agency, number, context.at)
    approval.check_approver(preview, context.actor)
    options = file_import.make_apply_options(preview, confirmed, mails)
    if preview.kind == ImportKind.UNDO:
        undo.authorize_undo(undo.get_undone(preview), context.authority)
    else:
        file_import.authorize_import(agency, context.authority, options.mode, options.what)
    facts: dict[str, Any] = {"undoes": preview.undoes, **_copy_file_fields(preview)}
    record = records.make_record(
        agency, ImportKind(preview.kind), options.as_json(), context, key=key, shown=preview, **facts
    )
    if preview.kind == ImportKind.UNDO:
        return _enqueue(record, lambda: None)
    return _enqueue(record, partial(import_files.store_copy, record.number, number))


def _find_applied(agency: models.Agency, number: str, key: str | None) -> models.Import | None:
    """Return the import that the same request, with the same key, has applied before (D6)."""
    done = file_import.find_import(agency, number).successor
    return done if done and key and done.state == "applied" and done.idempotency_key == key else None


def submit_undo(
    record: models.Import, *, context: AuditContext, preview: bool,
    confirmed: Confirmed | None = None, mails: bool | None = None, key: str | None = None,
) -> models.Import:  # fmt: skip
    """Submit the undo of an applied import, or a preview of it. Raise the errors of `undo.authorize_undo`, and KeyTaken.

    `confirmed`, `mails`: as in `undo.run_undo`.
    """
    undo.authorize_undo(record, context.authority)
    usual = undo.make_options(record, preview=preview, mails=mails)
    options = replace(usual, confirmed=confirmed or {}).as_json()
    new_record = records.make_record(record.agency, ImportKind.UNDO, options, context, key=key, undoes=record)
    return _enqueue(new_record, lambda: None)


def submit_bulk(  # noqa: PLR0913  (who is changed, how, by which act, and what is confirmed: each has a name)
    agency: models.Agency, users: list[int], change: bulk.BulkChange, *,
    context: AuditContext, preview: bool, confirmed: Confirmed | None = None, key: str | None = None, name: str = "",
) -> models.Import:  # fmt: skip
    """Submit a bulk action on these users of the agency (their ids), or a preview of it.

    `confirmed`: what is confirmed beforehand (S4). `name`: its name in the history, by default the label of the action.
    Raise UnknownOperator, NotPermitted, KeyTaken, and OSError if the selection of users cannot be kept.
    """
    bulk.authorize_change(agency, context.authority, change)
    digest = hashlib.sha256(repr(users).encode()).hexdigest()
    facts: dict[str, Any] = {"file_name": (name or change.label)[:255], "file_sha256": digest}
    options = _make_options(change, Options(preview=preview, confirmed=confirmed or {}))
    record = records.make_record(agency, ImportKind.BULK, options, context, key=key, **facts)
    return _enqueue(record, lambda: selection.keep_ids(record.number, users))


def submit_bulk_apply(
    agency: models.Agency, number: str, *,
    context: AuditContext, confirmed: Confirmed | None = None, mails: bool | None = None, key: str | None = None,
) -> models.Import:  # fmt: skip
    """Submit the bulk action that a preview showed or that is held, for the same users.

    A plan that has changed is not applied (D2). `confirmed`, `mails`: as in `submit_apply`. Raise UnknownImport,
    NothingToApply, NeedsApprover, FileGone, and the errors of `submit_bulk`.
    """
    done = _find_applied(agency, number, key)
    if done:
        return done
    record, users = _make_bulk_apply(agency, number, context, confirmed, mails, key=key)
    return _enqueue(record, lambda: selection.keep_ids(record.number, users))


def apply_bulk(
    agency: models.Agency,
    number: str,
    *,
    context: AuditContext,
    confirmed: Confirmed | None = None,
    mails: bool | None = None,
    progress: Progress = ignore_progress,
) -> ImportResult:
    """Do the same at once, without a worker. Raises what `submit_bulk_apply` raises, and ImportFailed."""
    record, users = _make_bulk_apply(agency, number, context, confirmed, mails, state="running")
    selection.keep_ids(record.number, users)
    return runner.run_attempt(bulk.make_attempt(record, context, record.expected, progress))


def _make_bulk_apply(
    agency: models.Agency, number: str, context: AuditContext, confirmed: Confirmed | None, mails: bool | None, *,
    key: str | None = None, state: str = "waiting",
) -> tuple[models.Import, list[int]]:  # fmt: skip
    """Give the record of what is to be done as it was previewed, and the users who were chosen."""
    preview = file_import.find_applicable(agency, number, context.at)
    change = bulk.get_change(preview)
    if change is None:
        raise file_import.NothingToApply(number)
    approval.check_approver(preview, context.actor)
    bulk.authorize_change(agency, context.authority, change)
    options = _make_options(change, file_import.make_apply_options(preview, confirmed, mails))
    facts = _copy_file_fields(preview)
    record = records.make_record(
        agency, ImportKind.BULK, options, context, state=state, key=key, shown=preview, **facts
    )
    return record, selection.read_ids(number)


def _make_options(change: bulk.BulkChange, options: Options) -> dict[str, object]:
    return {**options.as_json(), bulk.OPTION: change.as_json()}


def _copy_file_fields(record: models.Import) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("file_name", "file_size", "file_sha256")}


def _enqueue(
    record: models.Import, keep: Callable[[], None], write: Callable[[models.Import], None] = records.insert_record
) -> models.Import:
    """Keep the file, then write the record. Return the earlier record if the same request came before, by its key."""
    while True:
        earlier = file_import.find_same_key(record) or file_import.find_same_preview(record)
        if earlier:
            return earlier
        keep()
        try:
            with locks.write_transaction(lambda: None):
                write(record)
        except DuplicateKey:
            _delete_kept(record)
        except records.NotWanted:
            _delete_kept(record)
            raise
        else:
            if not record.pk:
                _delete_kept(record)
            return record


def _delete_kept(record: models.Import) -> None:
    """Delete what was kept for an import that is not recorded."""
    import_files.delete_file(record.number)
    selection.delete_ids(record.number)


def discard(record: models.Import, context: AuditContext) -> None:
    """Discard the plan of a preview or held import, so that nobody can apply it (A4).

    It takes the permission to apply the plan. Raise PlanEnded, NoPlan, UnknownOperator, NotPermitted.
    """
    change = bulk.get_change(record)
    if change:
        bulk.authorize_change(record.agency, context.authority, change)
    elif record.kind == ImportKind.UNDO:
        undo.authorize_undo(undo.get_undone(record), context.authority)
    else:
        what = entry_files.get_layout(record)
        file_import.authorize_import(record.agency, context.authority, Mode(record.mode), what)
    plan_ends.discard(record, context)


def cancel(record: models.Import, context: AuditContext) -> None:
    """End a queued import, or ask a running one to stop. A running import stops unless it commits first (D7)."""
    # This comes first, so that a worker that claims the import at this moment also sees it.
    cancellation.request_cancel(record, context.actor)
    try:
        with locks.write_transaction(_raise_busy):
            ended = records.cancel_waiting(record, database_errors.describe_cancel(context.actor), context.actor)
    except _Busy:
        return
    if ended or record.finished_at:
        cancellation.delete_request(record)


class _Busy(Exception):
    """Another import is being written. The canceled import ends when it would begin."""


def _raise_busy() -> None:
    raise _Busy


def wait(record: models.Import, seconds: float) -> models.Import:
    """Return the record when the import has ended, or after that many seconds.

    Return at once if the import is queued and no worker seems to run.
    """
    until = time.monotonic() + seconds
    while True:
        current = models.Import.objects.select_related("agency").get(pk=record.pk)
        if (
            current.finished_at
            or time.monotonic() >= until
            or (current.state == "waiting" and not heartbeats.has_live_worker())
        ):
            return current
        time.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class EarlierImport:
    """The import of the same agency that another one waits for: its number, and its operator ("" for the system)."""

    number: str
    actor: str


@dataclass(frozen=True, slots=True)
class ImportStatus:
    """The state of an import. While it runs: its stage, the rows done and the total (0: not known).

    While it waits: `ahead`, the import that it waits for (None: it waits for a free worker), and whether no worker
    seems to run. `stopping`: a user has asked it to stop.
    """

    state: str
    stage: str = ""
    done: int = 0
    total: int = 0
    ahead: EarlierImport | None = None
    no_worker: bool = False
    stopping: bool = False


def get_status(record: models.Import) -> ImportStatus:
    """Return the current state and progress of the import."""
    current = models.Import.objects.get(pk=record.pk)
    if current.finished_at:
        return ImportStatus(current.state)
    stopping = cancellation.is_requested(current)
    if current.state == "waiting":
        return ImportStatus(
            current.state, ahead=_find_earlier(current), no_worker=not heartbeats.has_live_worker(), stopping=stopping
        )
    heartbeat = next(
        (heartbeat for heartbeat in heartbeats.list_heartbeats() if heartbeat.number == current.number), None
    )
    if heartbeat is None:
        return ImportStatus(current.state, stopping=stopping)
    return ImportStatus(current.state, heartbeat.stage, heartbeat.done, heartbeat.total, stopping=stopping)


def _find_earlier(record: models.Import) -> EarlierImport | None:
    others = models.Import.objects.filter(agency=record.agency_id, finished_at=None).exclude(pk=record.pk)
    first = others.filter(state="running").first() or others.filter(pk__lt=record.pk).order_by("pk").first()
    return EarlierImport(first.number, first.actor) if first else None
