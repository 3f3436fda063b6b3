"""The queue of imports: submission and progress (D5, D6, D7). A worker runs the imports (`imports/worker`)."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    bulk,
    cancellation,
    file_import,
    heartbeats,
    quotas,
    records,
    runner,
    selection,
    undo,
)
from musterbook.directory.imports.file_import import OnDisk, Options, Upload
from musterbook.directory.imports.heartbeats import Progress, silent
from musterbook.directory.imports.records import SentBefore
from musterbook.directory.imports.runner import Done
from musterbook.directory.models import ImportKind
from musterbook.directory.storage import database_errors, import_files, locks

_LOOK_EVERY = 0.05


def submit(
    agency: models.Agency, upload: Upload | OnDisk, options: Options, *, context: AuditContext, key: str | None = None
) -> models.Import:
    """Submit a file for a worker to import or preview. The record and the file are stored when this returns.

    `key`: the idempotency key (D6); a repeated request returns the import of the first one. Raise UnknownOperator,
    NotPermitted, KeyTaken, OverQuota, and OSError if the file cannot be kept.
    """
    file_import.permitted(agency, context.actor, options.mode)
    file = file_import.facts_of_file(upload)
    asked = records.new(agency, ImportKind.FILE, options.as_json(), context, key=key, **file)

    def keep() -> None:
        quotas.check(agency, context, upload.size)
        upload.keep(asked.number)

    return _put(asked, keep)


def submit_again(
    record: models.Import, options: Options, *, context: AuditContext, key: str | None = None
) -> models.Import:
    """Submit another preview of an import's file, with other options. Raise FileGone, and the errors of `submit`."""
    file_import.permitted(record.agency, context.actor, options.mode)
    import_files.path(record.number)
    asked = records.new(record.agency, ImportKind.FILE, options.as_json(), context, key=key, **_file_of(record))

    def keep() -> None:
        quotas.check(record.agency, context, record.file_size)
        import_files.keep_copy(asked.number, record.number)

    return _put(asked, keep)


def submit_apply(
    agency: models.Agency, number: str, *, context: AuditContext, confirmed: int | None = None, key: str | None = None
) -> models.Import:
    """Submit the plan that a preview (also of an undo) or a held import showed.

    A plan that has changed is not applied (D2). `confirmed`: the number of deactivations that the operator confirms
    (S4). Raise UnknownImport, NotShown, FileGone, and the errors of `submit`.
    """
    seen = file_import.shown(agency, number)
    options = replace(Options.of_json(seen.options), preview=False, confirmed=confirmed)
    if seen.kind == ImportKind.UNDO:
        undo.may_undo(undo.undone(seen), context.actor)
    else:
        file_import.permitted(agency, context.actor, options.mode)
    facts = {"expected": seen.digest, "undoes": seen.undoes, **_file_of(seen)}
    asked = records.new(agency, ImportKind(seen.kind), options.as_json(), context, key=key, **facts)
    if seen.kind == ImportKind.UNDO:
        return _put(asked, lambda: None)
    return _put(asked, partial(import_files.keep_copy, asked.number, number))


def submit_undo(
    record: models.Import, *, context: AuditContext, preview: bool, key: str | None = None
) -> models.Import:
    """Submit the undo of an applied import, or a preview of it. Raise the errors of `undo.may_undo`, and KeyTaken."""
    undo.may_undo(record, context.actor)
    options = Options(preview=preview).as_json()
    asked = records.new(record.agency, ImportKind.UNDO, options, context, key=key, undoes=record)
    return _put(asked, lambda: None)


def submit_bulk(
    agency: models.Agency, users: list[int], change: bulk.Change, *,
    context: AuditContext, preview: bool, key: str | None = None, name: str = "",
) -> models.Import:  # fmt: skip
    """Submit a bulk action on these users of the agency (their ids), or a preview of it.

    `name`: its name in the history, by default the label of the action. Raise UnknownOperator, NotPermitted,
    KeyTaken, and OSError if the selection of users cannot be kept.
    """
    bulk.permitted(agency, context.actor, change)
    digest = hashlib.sha256(repr(users).encode()).hexdigest()
    facts = {"file_name": (name or change.label)[:255], "file_sha256": digest}
    asked = records.new(agency, ImportKind.BULK, _options_of(change, preview=preview), context, key=key, **facts)
    return _put(asked, lambda: selection.keep(asked.number, users))


def submit_bulk_apply(
    agency: models.Agency, number: str, *, context: AuditContext, confirmed: int | None = None, key: str | None = None
) -> models.Import:
    """Submit the bulk action that a preview showed, for the same users.

    A plan that has changed is not applied (D2). `confirmed`: the number of deactivations that the operator
    confirms, if they are many. Raise UnknownImport, NotShown, NotAgreed, FileGone, and the errors of `submit_bulk`.
    """
    asked, users = _bulk_as_seen(agency, number, context, confirmed, key=key)
    return _put(asked, lambda: selection.keep(asked.number, users))


def apply_bulk(
    agency: models.Agency,
    number: str,
    *,
    context: AuditContext,
    confirmed: int | None = None,
    progress: Progress = silent,
) -> Done:
    """Do the same at once, without a worker. Raises what `submit_bulk_apply` raises, and Failed."""
    asked, users = _bulk_as_seen(agency, number, context, confirmed, state="running")
    selection.keep(asked.number, users)
    return runner.carry_out(bulk.attempt(asked, context, asked.expected, progress))


def _bulk_as_seen(
    agency: models.Agency, number: str, context: AuditContext, confirmed: int | None, *,
    key: str | None = None, state: str = "waiting",
) -> tuple[models.Import, list[int]]:  # fmt: skip
    """Give the record of what is to be done as it was previewed, and the users who were chosen."""
    seen = file_import.shown(agency, number)
    change = bulk.change_of(seen)
    if change is None:
        raise file_import.NotShown(number)
    to_agree = bulk.to_agree(seen)
    if to_agree not in (None, confirmed):
        raise bulk.NotAgreed(to_agree)
    bulk.permitted(agency, context.actor, change)
    facts = {"expected": seen.digest, **_file_of(seen)}
    options = _options_of(change, preview=False)
    asked = records.new(agency, ImportKind.BULK, options, context, state=state, key=key, **facts)
    return asked, selection.kept(number)


def _options_of(change: bulk.Change, *, preview: bool) -> dict[str, object]:
    return {**Options(preview=preview).as_json(), bulk.OPTION: change.as_json()}


def _file_of(record: models.Import) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("file_name", "file_size", "file_sha256")}


def _put(asked: models.Import, keep: Callable[[], None]) -> models.Import:
    """Keep the file, then write the record. Return the earlier record if there is one with the same key."""
    while True:
        earlier = file_import.with_key_of(asked)
        if earlier:
            return earlier
        keep()
        try:
            with locks.writing(lambda: None):
                records.begin(asked)
        except SentBefore:
            import_files.let_go(asked.number)
            selection.let_go(asked.number)
        else:
            return asked


def cancel(record: models.Import, context: AuditContext) -> None:
    """End a queued import, or ask a running one to stop. A running import stops unless it commits first (D7)."""
    # This comes first, so that a worker that claims the import at this moment also sees it.
    cancellation.ask(record, context.actor)
    try:
        with locks.writing(_rather_not):
            ended = records.cancel_waiting(record, database_errors.cancelled(context.actor))
    except _Busy:
        return
    if ended or record.finished_at:
        cancellation.forget(record)


class _Busy(Exception):
    """Another import is being written. The cancelled import ends when it would begin."""


def _rather_not() -> None:
    raise _Busy


def wait(record: models.Import, seconds: float) -> models.Import:
    """Return the record when the import has ended, or after that many seconds.

    Return at once if the import is queued and no worker seems to run.
    """
    until = time.monotonic() + seconds
    while True:
        now = models.Import.objects.select_related("agency").get(pk=record.pk)
        if now.finished_at or time.monotonic() >= until or (now.state == "waiting" and not heartbeats.anybody()):
            return now
        time.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class Ahead:
    """The import of the same agency that another one waits for: its number, and its operator ("" for the system)."""

    number: str
    actor: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of an import. While it runs: its stage, the rows done and the total (0: not known).

    While it waits: `ahead`, the import that it waits for (None: it waits for a free worker), and whether no worker
    seems to run. `stopping`: a user has asked it to stop.
    """

    state: str
    stage: str = ""
    done: int = 0
    total: int = 0
    ahead: Ahead | None = None
    no_worker: bool = False
    stopping: bool = False


def progress_of(record: models.Import) -> Standing:
    """Return the current state and progress of the import."""
    now = models.Import.objects.get(pk=record.pk)
    if now.finished_at:
        return Standing(now.state)
    asked = cancellation.is_asked(now)
    if now.state == "waiting":
        return Standing(now.state, ahead=_ahead(now), no_worker=not heartbeats.anybody(), stopping=asked)
    sign = next((sign for sign in heartbeats.seen() if sign.number == now.number), None)
    if sign is None:
        return Standing(now.state, stopping=asked)
    return Standing(now.state, sign.stage, sign.done, sign.total, stopping=asked)


def _ahead(record: models.Import) -> Ahead | None:
    others = models.Import.objects.filter(agency=record.agency_id, finished_at=None).exclude(pk=record.pk)
    first = others.filter(state="running").first() or others.filter(pk__lt=record.pk).order_by("pk").first()
    return Ahead(first.number, first.actor) if first else None
