"""The import as a use case: read, plan, and do it or not, in one transaction; each import kept (rules D1–D8, A4)."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.db import transaction

from musterbook.core import intake
from musterbook.core import plan as planning
from musterbook.core import problems
from musterbook.core.plan import Plan
from musterbook.core.policy import Mode, Policy
from musterbook.core.problems import Problem
from musterbook.core.table import Table
from musterbook.directory import apply, frames, kept_files, locks, models, queries, trail
from musterbook.directory.trail import Act


class Progress(Protocol):
    """Told of each stage of an import, with rows done and rows in all (0: not known)."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None: ...


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Progress that nobody watches."""


class Failed(Exception):
    """The import could not be carried out, and nothing was changed; the record says why."""

    def __init__(self, record: models.Import) -> None:
        super().__init__(record.message)
        self.record = record


class KeyTaken(Exception):
    """The idempotency key belongs to an import of another file or of other options."""

    def __init__(self, number: str) -> None:
        super().__init__(f"The idempotency key belongs to another file or other options: import {number}.")


class NotPermitted(Exception):
    """The operator's role lacks the permission to import in this mode."""

    def __init__(self, lacking: str) -> None:
        super().__init__(f"The operator's role lacks the permission {lacking}.")


@dataclass(frozen=True, slots=True)
class Options:
    """How an import is to be done. `mails` None: as the agency has it."""

    mode: Mode = Mode.UPDATE
    preview: bool = False
    strict: bool = False
    confirmed: int | None = None
    mails: bool | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    def as_json(self) -> dict[str, object]:
        """The options as they are kept with the import."""
        return {**asdict(self), "mode": self.mode.value, "mapping": dict(self.mapping)}

    @classmethod
    def of_json(cls, kept: Mapping[str, object]) -> "Options":
        """The options as `as_json` gave them."""
        return cls(**{**kept, "mode": Mode(str(kept["mode"]))})  # type: ignore[arg-type]  # JSON that as_json wrote


@dataclass(frozen=True, slots=True)
class Upload:
    """A file: its bytes and the name it came under."""

    content: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Done:
    """An import that was carried out or looked at: its record, and its plan (None where it was done before)."""

    record: models.Import
    plan: Plan | None


def run(
    agency: models.Agency,
    upload: Upload,
    options: Options,
    *,
    at: datetime,
    by: str = "",
    through: str,
    key: str | None = None,
    expected: str | None = None,
    progress: Progress = silent,
) -> Done:
    """Imports a file, or previews it.

    `by`: the operator's external id, "" for the system; `key`: the idempotency key (D6); `expected`: the digest of the
    plan as it was seen, without which nothing is written (D2). Raises UnknownOperator, NotPermitted, KeyTaken, Failed.
    """
    sha256 = hashlib.sha256(upload.content).hexdigest()
    earlier = _earlier(agency, key, sha256, options)
    if earlier:
        return Done(earlier, None)
    operator = permitted(agency, by, options.mode)
    progress("reading")
    table = _read(agency, upload, options)
    record = models.Import(
        number=new_number(at), agency=agency, mode=options.mode.value, state="running", actor=by, through=through,
        options=options.as_json(), started_at=at, file_name=upload.name[:255], file_size=len(upload.content),
        file_sha256=sha256, file_facts=_facts(table), idempotency_key=key,
    )  # fmt: skip
    policy = Policy(options.mode, options.strict, operator, queries.limit(agency), options.confirmed)

    def plan() -> Plan:
        return planning.make(table, queries.snapshot(agency, table, options.mode), policy)

    kept_files.keep(record.number, upload.content)
    done = carry_out(record, plan, Act(at, by, through), expected=expected, progress=progress)
    if options.mapping and done.record.state == "applied":
        models.Agency.objects.filter(pk=agency.pk).update(mapping={**agency.mapping, **options.mapping})
    return done


def apply_previewed(record: models.Import, *, at: datetime, by: str = "", through: str, progress: Progress = silent) -> Done:
    """Does what a preview showed; if the directory has moved so that the plan differs, nothing (D2).

    Raises FileGone if the file is kept no longer, and what `run` raises.
    """
    upload = Upload(kept_files.content(record.number), record.file_name)
    held = record.held or {}
    options = replace(Options.of_json(record.options), preview=False)
    confirmed = held.get("deactivations", options.confirmed)
    return run(
        record.agency, upload, replace(options, confirmed=confirmed), at=at, by=by, through=through,
        expected=record.digest, progress=progress,
    )  # fmt: skip


def read_again(record: models.Import) -> Table:
    """The table of an import's kept file. Raises FileGone if it is kept no longer."""
    upload = Upload(kept_files.content(record.number), record.file_name)
    return _read(record.agency, upload, Options.of_json(record.options))


def _earlier(agency: models.Agency, key: str | None, sha256: str, options: Options) -> models.Import | None:
    """The import that was sent with this key before (D6)."""
    earlier = models.Import.objects.filter(agency=agency, idempotency_key=key).first() if key else None
    if earlier is None:
        return None
    if earlier.file_sha256 != sha256 or earlier.options != options.as_json():
        raise KeyTaken(earlier.number)
    return None if _retried(earlier) else earlier


def _retried(earlier: models.Import) -> bool:
    """An import that failed, or died, may be sent again under its key."""
    settle_dead(earlier.agency)
    earlier.refresh_from_db()
    if earlier.state == "failed":
        models.Import.objects.filter(pk=earlier.pk).update(idempotency_key=None)
        return True
    return False


def permitted(agency: models.Agency, by: str, mode: Mode) -> "queries.Operator | None":
    if not by:
        return None
    operator = queries.operator(agency, by)
    needed = {"users.import"} | ({"users.synchronize"} if mode is Mode.SYNC else set())
    if not needed <= operator.permissions:
        raise NotPermitted(", ".join(sorted(needed - operator.permissions)))
    return operator


def _read(agency: models.Agency, upload: Upload, options: Options) -> Table:
    limits = intake.Limits(
        settings.MUSTER_MAX_FILE_MB * 1_000_000, settings.MUSTER_MAX_ROWS, settings.MUSTER_MAX_CELL_CHARACTERS
    )
    return intake.read(
        upload.content,
        intake.ReadOptions(
            encoding=options.encoding,
            delimiter=options.delimiter,
            sheet=options.sheet,
            mapping=options.mapping or agency.mapping,
            strict_mapping=bool(options.mapping),
            limits=limits,
        ),
    )


def _facts(table: Table) -> dict[str, object]:
    file = table.file
    return {
        "format": file.format, "encoding": file.encoding, "delimiter": file.delimiter, "sheet": file.sheet,
        "columns": [column.heading for column in table.present], "ignored": list(file.ignored), "mapped": dict(file.mapped),
    }  # fmt: skip


def carry_out(
    record: models.Import, make: Callable[[], Plan], act: Act, *, expected: str | None = None, progress: Progress = silent
) -> Done:
    """Plans under the agency's lock and writes, or not, in one transaction; the record says how it ended.

    `make` gives the plan from the directory as it is then. Raises Failed, with nothing changed, if it cannot be done.
    """
    agency = record.agency
    with locks.import_of(agency, lambda: progress(_waiting(agency))):
        _bury(agency)
        record.save()
        try:
            with transaction.atomic():
                locks.row(agency)
                progress("planning")
                plan = make()
                _conclude(record, plan, expected)
                if record.state == "applied":
                    progress("writing", 0, plan.added.height + plan.updated.height)
                    apply.apply(plan, agency, act, of=record.pk, mails=_mails(record))
                _keep_problems(record, plan)
                record.finished_at = datetime.now(UTC)
                record.save()
                progress("committing")
        except BaseException as error:
            _fail(record, error)
            raise
    return Done(record, plan)


def _waiting(agency: models.Agency) -> str:
    ahead = models.Import.objects.filter(agency=agency, state="running").order_by("started_at").first()
    whose = f" by {ahead.actor or 'the system'}, import {ahead.number}" if ahead else ""
    return f"waiting for another import{whose}"


def _mails(record: models.Import) -> bool:
    wanted = record.options.get("mails")
    return record.agency.sends_mail if wanted is None else bool(wanted)


def _conclude(record: models.Import, plan: Plan, expected: str | None) -> None:
    """Sets the record's state and counts from the plan."""
    record.digest = plan.digest
    record.counts = dict(plan.counts)
    record.held = asdict(plan.held) if plan.held else None
    record.leavers = {
        "deactivated": plan.leavers.deactivated["external_id"].to_list(),
        "protected": plan.leavers.protected.select("external_id", "code").to_dicts(),
    }
    if plan.refusals or (expected is not None and expected != plan.digest):
        record.state = "refused"
    elif record.options["preview"]:
        record.state = "previewed"
    else:
        record.state = "held" if plan.held else "applied"
    if expected is not None and expected != plan.digest:
        _insert_problems(record, [Problem("plan-changed")], note=False)


def _insert_problems(record: models.Import, found: list[Problem], *, note: bool) -> None:
    models.ImportProblem.objects.bulk_create(
        models.ImportProblem(of=record, external_id="", note=note, **asdict(problem)) for problem in found
    )


def _keep_problems(record: models.Import, plan: Plan) -> None:
    _insert_problems(record, list(plan.refusals), note=False)
    _insert_problems(record, list(plan.table.notes), note=True)
    for found, note in ((plan.problems, False), (plan.notes, True)):
        if not found.is_empty():
            named = found.join(plan.rows.select("row", "external_id"), on="row", how="left", maintain_order="left")
            rows = named.with_columns(
                planning.pl.col("external_id").fill_null(""), of_id=planning.pl.lit(record.pk), note=planning.pl.lit(note)
            )
            ids = frames.new_ids(models.ImportProblem, rows.height)
            frames.insert(models.ImportProblem, rows.with_columns(id=ids))


def _fail(record: models.Import, error: BaseException) -> None:
    """Records that the import failed; its transaction has been rolled back."""
    record.state = "failed"
    record.message = "It was cancelled." if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"[:500]
    record.counts, record.held, record.leavers, record.digest = {}, None, {}, ""
    record.finished_at = datetime.now(UTC)
    record.save()


def settle_dead(agency: models.Agency) -> None:
    """Reports as failed the imports whose process ended before they were done (D3)."""
    if models.Import.objects.filter(agency=agency, state="running").exists():
        with locks.if_free(agency) as free:
            if free:
                _bury(agency)


def _bury(agency: models.Agency) -> None:
    """The caller holds the agency's turn, so whatever still says that it is running has died."""
    models.Import.objects.filter(agency=agency, state="running").update(
        state="failed", finished_at=datetime.now(UTC), message="Its process ended before it was done. Nothing was changed."
    )


COUNTS = ("rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected")
"""The counts of rule A1, in their order."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_number(at: datetime) -> str:
    """A new import's number: a ULID, 26 characters that sort by time (https://github.com/ulid/spec)."""
    value = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))
