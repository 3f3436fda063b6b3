"""The plans of imports, row by row, stored as long as the files of the imports.

Any page of a plan can be read quickly.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl
from django.conf import settings

from musterbook.config.home import prepare_folder
from musterbook.core.planning import changes, identity
from musterbook.core.planning.entries.membership import describe_moves
from musterbook.core.planning.entry_changes import Entries
from musterbook.core.planning.plan import OUTCOME, Plan
from musterbook.directory.storage.background import BackgroundTask
from musterbook.directory.storage.import_files import DAY, NUMBER

_ROWS_AT_ONCE = 20_000
"""The rows in one row group: reading a page of a plan of a million rows reads no more than these."""
_MOST_HEADINGS = 200
_FILE, _DRAFT = "file.json", "."


class PlanGone(Exception):
    """The plan is no longer kept."""


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The header row of an import's file.

    It has the headings, some sample values for each, the mapping from heading to columns as the file was read, and the
    columns that other headings probably mean. `encoding` and `header_row` say how it was read.
    """

    headings: Sequence[str]
    samples: Sequence[Sequence[str]]
    mapped: Mapping[str, str]
    suggested: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    header_row: int | None = None


def _root() -> Path:
    root: Path = settings.MUSTER_HOME / "plans"
    return root


def _find_folder(number: str) -> Path:
    """Return the folder of an import's plan. Raise PlanGone for a number that no import has."""
    if not re.fullmatch(NUMBER, number):
        raise PlanGone(number)
    return _root() / number


@contextmanager
def keep_plan(number: str, plan: Plan) -> Iterator[Callable[[], None]]:
    """Keep a plan, readable only by the owner of the installation, if the yielded function is called before the end.

    The plan is written as a draft in the background. The yielded function waits for that, moves the draft into
    place, and deletes plans past their retention time. It raises OSError.
    """
    folder, draft = _find_folder(number), _root() / f"{_DRAFT}{number}-{secrets.token_hex(4)}"
    task = BackgroundTask(partial(_write, draft, plan))

    def put() -> None:
        task.result()
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        forget_old(datetime.now(UTC))

    try:
        yield put
    finally:
        with suppress(Exception):
            task.result()
        shutil.rmtree(draft, ignore_errors=True)


def _write(folder: Path, plan: Plan) -> None:
    prepare_folder(_root())
    folder.mkdir(mode=0o700)
    for name, rows in make_parts(plan).items():
        path = folder / f"{name}.parquet"
        path.touch(mode=0o600)
        rows.write_parquet(path, compression="lz4", row_group_size=_ROWS_AT_ONCE, statistics=False)
    file = plan.table.file
    header = {
        "headings": file.headings[:_MOST_HEADINGS],
        "samples": file.samples[:_MOST_HEADINGS],
        "mapped": dict(file.mapped),
        "suggested": dict(file.suggested),
        "encoding": file.encoding or None,
        "header_row": file.header_row,
    }
    (folder / _FILE).touch(mode=0o600)
    (folder / _FILE).write_text(json.dumps(header), encoding="utf-8")


def make_parts(plan: Plan) -> dict[str, pl.DataFrame]:
    """Return the plan's rows by outcome, with all columns that a page shows."""
    if plan.entries is not None:
        return _make_entry_parts(plan, plan.entries)
    now, was = changes.render_shown(plan.vocabulary), changes.render_shown(plan.vocabulary, "was_")
    cells = plan.table.cells.rename({"external_id": "cell_external_id"}, strict=False)
    return {
        "rows": pl.concat([plan.rows.select("row", "external_id", "outcome"), _list_skipped(plan)]),
        "added": plan.added.select("row", "external_id", *now) if plan.added.width else _make_empty(),
        "updated": plan.updated.select("row", "external_id", *now, *was)
        if plan.updated.width
        else _select_changed(plan),
        "unchanged": _select_rows(plan, "unchanged"),
        "errored": _select_rows(plan, "errored").join(cells, on="row", how="left", maintain_order="left"),
        "deactivated": plan.leavers.deactivated.select("external_id", "email"),
        "mailed": plan.mailings.select("external_id", "kind", "to"),
        "protected": plan.leavers.protected.select("external_id", "email", "code", "named_by", "leaving_on"),
        "concerned": _list_concerned(plan),
        "marks": plan.marks,
        "problems": pl.concat(
            [plan.problems.with_columns(note=pl.lit(False)), plan.notes.with_columns(note=pl.lit(True))]
        ).sort("row", maintain_order=True),
    }


def _make_entry_parts(plan: Plan, entries: Entries) -> dict[str, pl.DataFrame]:
    """Return the parts of a plan of groups, members, roles or ranks: the same as of users, and what it removes."""
    harmed = {"privileges": plan.harms.privileges, "losses": entries.losses}
    concerned = [users.select("external_id", kind=pl.lit(kind)) for kind, users in harmed.items()]
    return make_parts(replace(plan, entries=None)) | {
        **{name: entries.select_shown(name) for name in ("added", "updated", "removed")},
        "concerned": pl.concat(concerned)
        .unique(maintain_order=True)
        .join(
            entries.moves.select("external_id", changes=describe_moves()),
            on="external_id",
            how="left",
            maintain_order="left",
        ),
    }


def _select_changed(plan: Plan) -> pl.DataFrame:
    """Return the rows that change something besides the thirteen columns: an external ID, or whether an email is sent."""
    if plan.rekeyed.is_empty():
        return _select_rows(plan, "updated")
    names = ("row", "external_id", "email", "first_name", "last_name", "badge_number", "username", "changes")
    return plan.with_changes(plan.rekeyed).select(names)


def _list_concerned(plan: Plan) -> pl.DataFrame:
    """Return the users that the plan harms: `external_id` and the `kind` of harm, or `identities` (M12)."""
    found = plan.harms
    decided = plan.notes.filter(pl.col("code").is_in(identity.DECIDED.values()))
    kinds = {
        "deactivations": found.losing_access, "privileges": found.privileges, "handovers": found.handovers,
        "cleared": found.cleared, "identities": plan.rows.join(decided, on="row", how="semi"),
    }  # fmt: skip
    return pl.concat([users.select("external_id", kind=pl.lit(kind)) for kind, users in kinds.items()])


def _list_skipped(plan: Plan) -> pl.DataFrame:
    """Return the skipped rows. The plan skips some that reading the file again would not: a trailer, repeated rows."""
    return plan.table.skipped.select("row", external_id=pl.lit(""), outcome=pl.lit("skipped").cast(OUTCOME))


def _select_rows(plan: Plan, outcome: str) -> pl.DataFrame:
    return plan.rows.filter(pl.col("outcome") == outcome).select("row", "external_id")


def _make_empty() -> pl.DataFrame:
    return pl.DataFrame(schema={"row": pl.UInt32, "external_id": pl.String})


def forget_old(at: datetime) -> None:
    """Delete plans that are older than MUSTER_KEEP_FILES_DAYS, and drafts after one day."""
    now, lifetime = at.timestamp(), settings.MUSTER_KEEP_FILES_DAYS * DAY
    for folder in prepare_folder(_root()).iterdir():
        # Another import may have deleted it already, which must not fail this one. A draft belongs to another process,
        # unless that process has died.
        with suppress(OSError):
            if now - folder.stat().st_mtime > (DAY if folder.name.startswith(_DRAFT) else lifetime):
                shutil.rmtree(folder, ignore_errors=True)


def scan_part(number: str, name: str) -> pl.LazyFrame:
    """Return one part of a plan as a lazy frame. Raise PlanGone."""
    return pl.scan_parquet(find_path(number, name))


def find_path(number: str, name: str) -> Path:
    """Return the path of one part of a plan. Raise PlanGone."""
    part_file = _find_folder(number) / f"{name}.parquet"
    if not part_file.exists():
        raise PlanGone(number)
    return part_file


def read_header(number: str) -> FileHeader:
    """Return the header row of the import's file. Raise PlanGone."""
    try:
        header = json.loads((_find_folder(number) / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanGone(number) from None
    return FileHeader(**header)
