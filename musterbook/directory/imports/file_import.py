"""The import as a use case: a file read, planned, and done or shown (rules D1, D2, D6)."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl
from django.conf import settings

from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.table import Table
from musterbook.core.planning import plan as planning
from musterbook.core.reading import intake
from musterbook.core.reading.budget import Limits
from musterbook.core.reading.corrections import Mended
from musterbook.core.reading.file_type import kind
from musterbook.core.reading.grid import Refusal
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.imports import cancellation, quotas, runner, sandbox, virus_scan
from musterbook.directory.imports.heartbeats import Progress, silent
from musterbook.directory.imports.records import COUNTS, SentBefore, new_number, settle_dead
from musterbook.directory.imports.runner import Attempt, Done, Failed, carry_out
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import import_files
from musterbook.directory.storage.background import Beside

__all__ = [
    "COUNTS", "Done", "Failed", "KeyTaken", "NotShown", "Options", "Progress", "UnknownImport", "Upload",
    "apply_previewed", "cancel", "find", "permitted", "run", "settle_dead", "silent",
]  # fmt: skip
"""The words of an import, wherever they are said."""


_LONG_BYTES = 1 << 22
_PAUSE = 0.1
_PART = 1 << 20


class KeyTaken(Exception):
    """The idempotency key belongs to an import of another file or of other options."""


class UnknownImport(Exception):
    """The agency has no import of that number."""


class NotShown(Exception):
    """The import is no preview, nor held for the operator's word: it cannot be applied as it was seen."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an import is to be done.

    `mails` None: as the agency has it; `confirmed`: the deactivations agreed to (S4); `mended`: cells that stand in place of
    the file's (A3).
    """

    mode: Mode = Mode.UPDATE
    preview: bool = False
    strict: bool = False
    confirmed: int | None = None
    mails: bool | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    mended: Mended = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The options as they are kept with the import."""
        kept: dict[str, object] = {**asdict(self), "mode": self.mode.value, "mapping": dict(self.mapping)}
        if not self.mended:
            del kept["mended"]
        return kept

    @classmethod
    def of_json(cls, kept: Mapping[str, object]) -> "Options":
        """The options as `as_json` gave them; what else stands there is not the file's."""
        known = {name: value for name, value in kept.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "mode": Mode(str(kept["mode"]))})  # type: ignore[arg-type]  # JSON that as_json wrote


@dataclass(frozen=True, slots=True)
class Upload:
    """A file: its bytes and the name it came under."""

    content: bytes
    name: str

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.content)

    def parts(self) -> bytes:
        """Its bytes, in one part."""
        return self.content

    def digest(self) -> str:
        """Its SHA-256."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file that waits on the disk, behind `start` bytes of something else, and is not taken into memory whole."""

    path: Path
    start: int
    name: str

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.path.stat().st_size - self.start

    def parts(self) -> Iterator[bytes]:
        """Its bytes, part by part."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            yield from iter(partial(file.read, _PART), b"")

    def digest(self) -> str:
        """Its SHA-256."""
        found = hashlib.sha256()
        for part in self.parts():
            found.update(part)
        return found.hexdigest()


def run(  # noqa: PLR0913  (each names one thing of an import; all but three by keyword)
    agency: models.Agency,
    upload: Upload,
    options: Options,
    *,
    at: datetime,
    by: str = "",
    through: str,
    address: str = "",
    agent: str = "",
    key: str | None = None,
    expected: str | None = None,
    progress: Progress = silent,
) -> Done:
    """Imports a file, or previews it.

    `by`: the operator's external id, "" for the system; `address`, `agent`: from where, and by which program; `key`: the
    idempotency key (D6); `expected`: the digest of the plan as it was seen, without which nothing is written (D2). Raises
    UnknownOperator, NotPermitted, KeyTaken, OverQuota, Failed.
    """
    permitted(agency, by, options.mode)
    record, act = (
        _record(agency, upload, options, at=at, by=by, through=through, key=key),
        Act(at, by, through, address, agent),
    )
    while True:
        earlier = _earlier(record)
        if earlier:
            return Done(earlier, None)
        if not expected:
            _check_quota(agency, act, upload)
        try:
            return carry_out(attempt(record, upload, act, expected, progress))
        except SentBefore:
            # It came while this one waited for its turn: it is there now, waits for a worker, or has failed and left the key.
            progress("waiting for the same import, sent before")
            time.sleep(_PAUSE)


def _record(
    agency: models.Agency, upload: Upload, options: Options, *, at: datetime, by: str, through: str, key: str | None
) -> models.Import:
    return models.Import(
        number=new_number(at), agency=agency, mode=options.mode.value, state="running", actor=by, through=through,
        options=options.as_json(), started_at=at, file_name=upload.name[:255], file_size=upload.size,
        file_sha256=upload.digest(), idempotency_key=key or None,
    )  # fmt: skip


def _earlier(record: models.Import) -> models.Import | None:
    """The import that was sent with this key before, and has ended (D6). Raises KeyTaken if it was of something else."""
    earlier = with_key_of(record)
    return earlier if earlier and earlier.finished_at else None


def with_key_of(record: models.Import) -> models.Import | None:
    """The import that was sent with this one's key before (D6). Raises KeyTaken if it was of something else."""
    key = record.idempotency_key
    earlier = models.Import.objects.filter(agency=record.agency, idempotency_key=key).first() if key else None
    if earlier is None:
        return None
    if _of(earlier) != _of(record):
        raise KeyTaken(earlier.number)
    return earlier


def _of(record: models.Import) -> tuple[object, ...]:
    """What is asked for: of two requests with one key this must be the same."""
    return record.file_sha256, record.options, record.undoes_id


def attempt(record: models.Import, upload: Upload, act: Act, expected: str | None, progress: Progress) -> Attempt:
    """What is to be carried out of the record of an import and its file. Raises Failed for a file that cannot be read."""
    options = Options.of_json(record.options)
    with runner.told(record):
        reading = _reading(record, upload, options, progress)

    def plan(agency: models.Agency) -> planning.Plan:
        operator = permitted(agency, act.actor, options.mode)
        users = _everybody(agency, upload, options.mode)
        table = reading()
        record.file_facts = _facts(table)
        policy = Policy(options.mode, options.strict, operator, snapshot_queries.limit(agency), options.confirmed)
        return planning.make(table, snapshot_queries.snapshot(agency, table, options.mode, users), policy)

    return Attempt(record, act, plan, upload.content, expected, progress)


def _reading(record: models.Import, upload: Upload, options: Options, progress: Progress) -> Callable[[], Table]:
    """Begins to read the file; what it gives waits for the end of that. Raises Stopped where somebody asks for that meanwhile."""

    def heed() -> None:
        progress("reading")
        cancellation.heed(record)

    progress("reading")
    refusal = virus_scan.refusal(upload.content, heed)
    if refusal:
        refused = Table.refused([refusal])
        return lambda: refused
    if _long(upload):
        return partial(Beside(partial(read, record.agency, upload, options)).result, heed)
    table = read(record.agency, upload, options, heed=heed)
    return lambda: table


def _long(upload: Upload) -> bool:
    """Whether there is time to win by reading the file beside the directory.

    Workbooks are read by Python itself, which does one thing at a time.
    """
    if len(upload.content) <= _LONG_BYTES:
        return False
    try:
        return kind(upload.content) == "csv"
    except Refusal:  # reading says why
        return False


def _everybody(agency: models.Agency, upload: Upload, mode: Mode) -> pl.DataFrame | None:
    """The agency's users, where it is clear before the file is read that its plan takes all of them."""
    lines = upload.content.count(b"\n")
    return snapshot_queries.everybody(agency) if _long(upload) and snapshot_queries.whole(agency, lines, mode) else None


def permitted(agency: models.Agency, by: str, mode: Mode) -> Operator | None:
    """The operator of an import in this mode, None for the system. Raises UnknownOperator, NotPermitted."""
    if not by:
        return None
    operator = snapshot_queries.operator(agency, by)
    needed = {"users.import"} | ({"users.synchronize"} if mode is Mode.SYNC else set())
    if not needed <= operator.permissions:
        raise NotPermitted(", ".join(sorted(needed - operator.permissions)))
    return operator


def read(agency: models.Agency, upload: Upload, options: Options, *, heed: sandbox.Heed = sandbox.never) -> Table:
    """The table of a file, mended as the options say; `heed` raises what is to stop it."""
    return sandbox.read(upload.content, asked(options, agency.mapping), options.mended, heed)


def asked(options: Options, remembered: Mapping[str, str]) -> intake.ReadOptions:
    """How a file is to be read, by the mapping that is remembered."""
    limits = Limits(
        settings.MUSTER_MAX_FILE_MB * 1024 * 1024, settings.MUSTER_MAX_ROWS, settings.MUSTER_MAX_CELL_CHARACTERS
    )
    return intake.ReadOptions(
        encoding=options.encoding,
        delimiter=options.delimiter,
        sheet=options.sheet,
        mapping=options.mapping,
        remembered=remembered,
        limits=limits,
    )


def _facts(table: Table) -> dict[str, object]:
    file = table.file
    return {
        "format": file.format, "encoding": file.encoding, "delimiter": file.delimiter, "sheet": file.sheet,
        "columns": [column.heading for column in table.present], "ignored": list(file.ignored), "mapped": dict(file.mapped),
    }  # fmt: skip


def find(agency: models.Agency, number: str) -> models.Import:
    """The agency's import of that number. Raises UnknownImport, also for another agency's."""
    record = models.Import.objects.select_related("agency").filter(agency=agency, number=number).first()
    if record is None:
        raise UnknownImport(number)
    return record


def _check_quota(agency: models.Agency, act: Act, upload: Upload) -> None:
    """Raises OverQuota for a file that is one too many; the audit trail has that."""
    try:
        quotas.check(agency, act, upload.size)
    except quotas.OverQuota as over:
        trail.tell_refused_file(agency, act, upload.name, over.problem.message)
        raise


def apply_previewed(  # noqa: PLR0913  (the same)
    agency: models.Agency,
    number: str,
    *,
    at: datetime,
    by: str = "",
    through: str,
    address: str = "",
    agent: str = "",
    confirmed: int | None = None,
    key: str | None = None,
    progress: Progress = silent,
) -> Done:
    """Does what a preview, or an import that is held, showed; if the plan is another by now, nothing (D2).

    `confirmed`: the number of deactivations that the operator agrees to, where it is held (S4). Raises UnknownImport,
    NotShown, FileGone if the file is kept no longer, and what `run` raises.
    """
    seen = shown(agency, number)
    upload = Upload(import_files.content(number), seen.file_name)
    options = replace(Options.of_json(seen.options), preview=False, confirmed=confirmed)
    return run(
        agency, upload, options, at=at, by=by, through=through, address=address, agent=agent, key=key,
        expected=seen.digest, progress=progress,
    )  # fmt: skip


def shown(agency: models.Agency, number: str) -> models.Import:
    """The agency's import of that number, whose plan can be applied as it was seen. Raises UnknownImport, NotShown."""
    seen = find(agency, number)
    if not seen.digest or seen.state not in ("previewed", "held", "refused"):
        raise NotShown(number)
    return seen


def cancel(agency: models.Agency, number: str) -> None:
    """Asks a running import to stop; it does unless it commits first (D7). Raises UnknownImport."""
    cancellation.ask(find(agency, number))
