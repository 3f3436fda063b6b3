"""The use case of an import: a file is read and planned, then applied or shown (rules D1, D2, D6)."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from django.conf import settings

from musterbook.core.domain.columns import REQUIRED, SUPERVISOR_EMAIL, Layout
from musterbook.core.domain.file_values import FileValues
from musterbook.core.domain.policy import Confirmed, Mode, Operator, Policy
from musterbook.core.domain.table import Table
from musterbook.core.planning import plan as planning
from musterbook.core.planning import rekeys
from musterbook.core.reading import headings, intake
from musterbook.core.reading.budget import FileLimits
from musterbook.core.reading.file_type import detect_type
from musterbook.core.reading.grid import Refusal
from musterbook.directory import models
from musterbook.directory.agency import feeds, limits
from musterbook.directory.apply import import_marks, snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    approval,
    cancellation,
    entry_files,
    file_ends,
    plan_ends,
    provisioned_values,
    quotas,
    records,
    runner,
    sandbox,
    virus_scan,
)
from musterbook.directory.imports.heartbeats import Progress, ignore_progress
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.records import DuplicateKey
from musterbook.directory.imports.runner import Attempt, ImportResult, run_attempt
from musterbook.directory.imports.stage_times import StageTimes
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import Authority, NotPermitted
from musterbook.directory.storage import import_files
from musterbook.directory.storage.background import BackgroundTask

_LONG_BYTES = 1 << 22
_PAUSE = 0.1


class KeyTaken(Exception):
    """The idempotency key belongs to an import of another file or with other options."""


class UnknownImport(Exception):
    """The agency has no import of that number."""


class NothingToApply(Exception):
    """The import is neither a preview nor held for confirmation, so it cannot be applied as it was shown."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file: its bytes and its name as uploaded."""

    content: bytes
    name: str

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        return len(self.content)

    def keep(self, number: str) -> None:
        """Keep it as the file of the import of that number. Raise what `import_files.store_file` raises."""
        import_files.store_file(number, self.content)

    def digest(self) -> str:
        """Return its SHA-256."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """A file that waits on the disk, with the size and SHA-256 that it arrived with. It is never loaded into memory."""

    path: Path
    name: str
    size: int
    sha256: str

    def keep(self, number: str) -> None:
        """Keep it as the file of the import of that number. Raise what `import_files.adopt_file` raises."""
        import_files.adopt_file(number, self.path)

    def digest(self) -> str:
        """Return its SHA-256."""
        return self.sha256


def run_import(  # noqa: PLR0913  (what is imported, how, by which act, and for which feed: each has a name)
    agency: models.Agency,
    upload: Upload,
    options: Options,
    *,
    context: AuditContext,
    key: str | None = None,
    shown: models.Import | None = None,
    feed: models.Feed | None = None,
    progress: Progress = ignore_progress,
) -> ImportResult:
    """Import a file, or preview it.

    `key`: the idempotency key (D6). `feed`: the feed whose limits hold (S4, N7). `shown`: the preview or held import that
    showed the plan; nothing is written if the plan is another one (D2).

    Raise UnknownOperator, NotPermitted, KeyTaken, OverQuota, ImportFailed.
    """
    authorize_import(agency, context.authority, options.mode, options.what)
    record = records.make_record(
        agency, get_kind(options), options.as_json(), context, state="running", key=key, shown=shown,
        **describe_file(upload), **({"feed": feed} if feed else {}),
    )  # fmt: skip
    while True:
        earlier = _find_ended(record)
        if earlier:
            return ImportResult(earlier, None)
        if not shown:
            _check_quota(agency, context, upload)
        try:
            return run_attempt(make_attempt(record, upload, context, record.expected or None, progress))
        except DuplicateKey:
            # The other import arrived while this one waited for the lock. It is done, it
            # is queued, or it has failed and released the key.
            progress("waiting for the same import, sent before")
            time.sleep(_PAUSE)


def get_kind(options: Options) -> ImportKind:
    """Return the kind of an import of a file with these options."""
    if options.what:
        return entry_files.get_kind(options.what)
    return ImportKind.REKEY if options.mode is Mode.REKEY else ImportKind.FILE


def describe_file(upload: Upload | FileOnDisk) -> dict[str, Any]:
    """Return the fields of an import's record that identify its file."""
    return {"file_name": upload.name[:255], "file_size": upload.size, "file_sha256": upload.digest()}


def _find_ended(record: models.Import) -> models.Import | None:
    """Return the import that was applied with this key, if any (D6). Raise KeyTaken if its request was different."""
    earlier = find_same_key(record)
    return earlier if earlier and earlier.finished_at else None


def find_same_key(record: models.Import) -> models.Import | None:
    """Return the import that uses up the key of this one (D6). Raise KeyTaken if its request was different."""
    earlier = records.find_key_holder(record.agency, record.idempotency_key)
    if earlier is None:
        return None
    if _request_content(earlier) != _request_content(record):
        raise KeyTaken(earlier.number)
    return earlier


def find_same_preview(record: models.Import) -> models.Import | None:
    """Return the preview that the same request with the same key has made, if any: a form that is sent twice."""
    if not record.idempotency_key or not record.options["preview"]:
        return None
    previews = models.Import.objects.filter(
        agency=record.agency, actor=record.actor, idempotency_key=record.idempotency_key, state="previewed", ended=""
    )
    same = (one for one in previews.order_by("-pk") if _request_content(one) == _request_content(record))
    return next(same, None)


def _request_content(record: models.Import) -> tuple[object, ...]:
    """Return the content of the request. It must be the same in two requests with one key.

    A request does not differ by what it confirms: a retry of one that was held is the import that was confirmed since.
    """
    options = {name: value for name, value in record.options.items() if name != "confirmed"}
    return record.file_sha256, options, record.undoes_id


def make_attempt(
    record: models.Import, upload: Upload, context: AuditContext, expected: str | None, progress: Progress
) -> Attempt:
    """Return the attempt for the record of an import and its file. Raise ImportFailed for a file that cannot be read."""
    options = Options.of_json(record.options)
    stages = StageTimes()
    stages.enter("reading")
    with runner.record_errors(record):
        reading = _start_reading(record, upload, options, progress)

    def plan(agency: models.Agency) -> planning.Plan:
        authorize_import(agency, context.authority, options.mode, options.what)
        operator = authorize_import(agency, approval.find_authority(record), options.mode, options.what)
        users = None if options.what else _read_all_users(agency, upload, options.mode)
        table = file_ends.note_line_end(record, reading(), options.source)
        record.file_facts = _describe_table(table)
        feed = models.Feed.objects.filter(pk=record.feed_id).first() if record.feed_id else None
        remembered = {} if options.exact else agency.values
        file_values = FileValues(options.values, remembered, options.defaults, agency.defaults)
        policy = Policy(
            options.mode,
            options.strict,
            operator,
            limits.read_limits(agency, feed),
            approval.list_valid(agency, record, options.confirmed),
            file_values=file_values,
            source=options.source,
            grace_days=agency.grace_days,
            today=context.at.date(),
            decisions=options.make_decisions(agency),
            expect_rows=options.expect_rows,
            last_rows=feeds.count_last_rows(feed) if feed else None,
            least_percent=feed.least_percent if feed else 0,
        )
        if options.what:
            return entry_files.make_plan(agency, options.what, table, policy, operator)
        if options.mode is Mode.REKEY:
            known = snapshot_queries.read_rekey_snapshot(agency, table)
            marks = import_marks.read_marks(agency, known.users, "")
            return rekeys.make_plan(table, replace(known, marks=marks), policy)
        supervisor = {**agency.defaults, **options.defaults}.get(SUPERVISOR_EMAIL.heading, "")
        released_on = policy.today if policy.decisions.releases else None
        snapshot = snapshot_queries.read_snapshot(
            agency, table, options.mode, users, snapshot_queries.Needs(context.at, supervisor, released_on=released_on)
        )
        marks = import_marks.read_marks(agency, snapshot.users, options.source)
        return planning.make_plan(table, replace(snapshot, marks=marks), policy)

    apply = entry_files.make_writer(record, context) if options.what else None
    attempt = Attempt(
        record, context, plan, upload.content, expected, progress, apply_override=apply, stages=stages
    )  # fmt: skip
    return provisioned_values.confirm(attempt, options.provisioned) if options.provisioned else attempt


def _start_reading(record: models.Import, upload: Upload, options: Options, progress: Progress) -> Callable[[], Table]:
    """Begin to read the file. Return a function that waits for the table.

    Raise ImportCancelled if a user cancels the import in the meantime.
    """

    def check_stop() -> None:
        progress("reading")
        cancellation.raise_if_cancelled(record)

    progress("reading")
    remembered: Mapping[str, str] | None = {} if approval.reads_alone(record) else None
    refusal = virus_scan.scan_file(upload.content, check_stop)
    if refusal:
        refused_table = Table.refused([refusal])
        return lambda: refused_table
    if _is_long(upload):
        task = BackgroundTask(partial(read_upload, record.agency, upload, options, remembered=remembered))
        return partial(task.result, check_stop)
    table = read_upload(record.agency, upload, options, remembered=remembered, check_stop=check_stop)
    return lambda: table


def _is_long(upload: Upload) -> bool:
    """Return whether it saves time to read the file in parallel with the directory.

    Python itself reads workbooks, and it does only one thing at a time.
    """
    if len(upload.content) <= _LONG_BYTES:
        return False
    try:
        return detect_type(upload.content) == "csv"
    except Refusal:  # reading the file reports the reason
        return False


def _read_all_users(agency: models.Agency, upload: Upload, mode: Mode) -> pl.DataFrame | None:
    """Return the agency's users, if it is clear before the file is read that the plan needs all of them."""
    lines = upload.content.count(b"\n")
    return (
        snapshot_queries.read_all_users(agency)
        if _is_long(upload) and mode is not Mode.REKEY and snapshot_queries.needs_all_users(agency, lines, mode)
        else None
    )


def authorize_import(agency: models.Agency, authority: Authority, mode: Mode, what: str = "") -> Operator | None:
    """Return the operator of an import in this mode, or None for the system. Raise UnknownOperator, NotPermitted.

    `what`: the layout of a file of groups, members, roles or ranks, "" for users.
    """
    operator = snapshot_queries.find_operator(agency, authority)
    if operator is None:
        return None
    needed = list_needed(mode, what)
    if not needed <= operator.permissions:
        raise NotPermitted(", ".join(sorted(needed - operator.permissions)))
    return operator


def list_needed(mode: Mode, what: str = "") -> frozenset[str]:
    """Return the permissions that an import in this mode needs, or that of a file of groups, members, roles or ranks."""
    if what:
        return frozenset({entry_files.PERMISSIONS[what]})
    return frozenset({"users.import"} | ({"users.synchronize"} if mode is Mode.SYNC else set()))


def read_upload(
    agency: models.Agency, upload: Upload, options: Options, *,
    remembered: Mapping[str, str] | None = None, check_stop: sandbox.StopCheck = sandbox.never_stop,
) -> Table:  # fmt: skip
    """Return the table of a file, with the corrections of the options.

    `remembered`: the mapping of other files, None for that of the agency. `check_stop` raises an error to stop the reading.
    """
    if options.what:  # its headings are others than those of users
        how = make_read_options(options, {})
    else:
        mapping = {} if options.exact else agency.mapping if remembered is None else remembered
        defaults = [column.heading for column in REQUIRED if column.heading in {**agency.defaults, **options.defaults}]
        how = make_read_options(options, mapping, defaults, {} if options.mode is Mode.REKEY else agency.reading)
    return sandbox.read_table(upload.content, replace(how, name=upload.name), options.corrections, check_stop)


def make_read_options(
    options: Options,
    remembered: Mapping[str, str],
    defaults: Sequence[str] = (),
    reading: Mapping[str, Any] = MappingProxyType({}),
) -> intake.ReadOptions:
    """Return how to read a file, with the remembered mapping.

    `defaults`: the required columns that it may lack. `reading`: the remembered encoding and header row.
    """
    limits = FileLimits(
        settings.MUSTER_MAX_FILE_MB * 1024 * 1024, settings.MUSTER_MAX_ROWS, settings.MUSTER_MAX_CELL_CHARACTERS
    )
    return intake.ReadOptions(
        encoding=options.encoding,
        delimiter=options.delimiter,
        sheet=options.sheet,
        mapping=options.mapping,
        header_row=options.header_row,
        remembered=_fit_mapping(remembered, options.layout),
        remembered_encoding=reading.get("encoding"),
        remembered_header_row=reading.get("header_row"),
        limits=limits,
        defaults=defaults,
        layout=options.layout.name,
        exact=options.exact,
    )


def _fit_mapping(remembered: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Return what a remembered mapping says of the columns that this kind of file has."""
    return {
        heading: joined
        for heading, joined in remembered.items()
        if all(column in layout.by_heading for column in headings.split_columns(joined))
    }


def _describe_table(table: Table) -> dict[str, object]:
    file = table.file
    return {
        "format": file.format, "encoding": file.encoding, "delimiter": file.delimiter, "sheet": file.sheet,
        "columns": [column.heading for column in table.present], "ignored": list(file.ignored), "mapped": dict(file.mapped),
        "header_row": file.header_row, "final_line_end": file.final_line_end,
    }  # fmt: skip


def find_import(agency: models.Agency, number: str) -> models.Import:
    """Return the agency's import of that number. Raise UnknownImport, even for an import of another agency."""
    record = models.Import.objects.select_related("agency").filter(agency=agency, number=number).first()
    if record is None:
        raise UnknownImport(number)
    return record


def _check_quota(agency: models.Agency, context: AuditContext, upload: Upload) -> None:
    """Raise OverQuota for a file that exceeds a quota, and record this in the audit trail."""
    try:
        quotas.check_quotas(agency, context, upload.size)
    except quotas.OverQuota as error:
        trail.record_refused_file(agency, context, upload.name, error.problem.in_english()[0])
        raise


def apply_previewed(
    agency: models.Agency,
    number: str,
    *,
    context: AuditContext,
    confirmed: Confirmed | None = None,
    mails: bool | None = None,
    key: str | None = None,
    progress: Progress = ignore_progress,
) -> ImportResult:
    """Apply the plan of a preview, or of a held import. If the plan has changed since, apply nothing (D2).

    `confirmed`: what the operator confirms, if the import is held (S4). `mails`: as in `make_apply_options`. Raise
    UnknownImport, NothingToApply, FileGone if the file is no longer kept, NeedsApprover, and the errors of `run_import`.
    """
    record = find_applicable(agency, number, context.at)
    approval.check_approver(record, context.actor)
    upload = Upload(import_files.read_content(number), record.file_name)
    options = make_apply_options(record, confirmed, mails)
    return run_import(agency, upload, options, context=context, key=key, shown=record, progress=progress)


def make_apply_options(shown: models.Import, confirmed: Confirmed | None, mails: bool | None) -> Options:
    """Return the options that apply the plan which this import showed.

    `confirmed`: what the operator confirms now. What was confirmed when the import was held stays confirmed, unless
    another user must confirm (S8). `mails`: whether emails are sent, or None to decide as the import that showed the
    plan did (D8).
    """
    stored = Options.of_json(shown.options)
    earlier = {} if shown.agency.second_approver else stored.confirmed
    approves = shown.agency.second_approver and (stored.approves or shown.state == "held")
    options = replace(stored, preview=False, confirmed={**earlier, **(confirmed or {})}, approves=approves)
    return options if mails is None else replace(options, mails=mails)


def find_applicable(agency: models.Agency, number: str, at: datetime) -> models.Import:
    """Return the agency's import of that number, if its plan can be applied as it was shown.

    Raise UnknownImport, NothingToApply, PlanEnded.
    """
    record = find_import(agency, number)
    if not plan_ends.shows_plan(record):
        raise NothingToApply(number)
    plan_ends.raise_if_ended(record, at)
    return record
