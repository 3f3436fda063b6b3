"""What follows the end of an import of a feed: the feed learns from it, and its file leaves (rules N2, N3).

Every step can be repeated, so a worker that is killed in the middle loses nothing.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO

from django.db import Error
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from musterbook.core.reading import headings
from musterbook.core.reporting.results_file import ResultsKind
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.imports import approval, history, plan_ends
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnd
from musterbook.directory.imports.plan_files import PlanGone
from musterbook.directory.storage import locks
from musterbook.directory.storage.import_files import FileGone
from musterbook.feeds import taking
from musterbook.feeds.locations.location import Location

_LOG = logging.getLogger(__name__)
DONE, FAILED = "done", "failed"
"""The folders that taken files are moved to."""
LEARNED = ("mapping", "values", "defaults", "encoding", "delimiter", "sheet", "header_row")
"""The options that a feed learns: how its files are read, and what they mean."""
_PART = 1 << 20


def select_unsettled() -> "QuerySet[models.FeedFile]":
    """Return the files whose import has ended, and which have not been settled, as a query set.

    The first file of a feed that was refused waits until a newer one is there: a person may still correct how it is read.
    """
    waits = Q(of__finished_at=None) | Q(of__in=models.Import.objects.filter(plan_ends.OPEN))
    newer = models.FeedFile.objects.filter(feed=OuterRef("feed"), pk__gt=OuterRef("pk"))
    first = Q(of__state="refused", of__options__preview=True) & ~Exists(newer)
    files = models.FeedFile.objects.filter(settled_at=None).exclude(Q(of__isnull=False) & (waits | first))
    return files.select_related("of", "of__successor", "of__agency").order_by("feed_id", "pk")


def settle(
    feed: models.Feed,
    files: "list[models.FeedFile] | QuerySet[models.FeedFile]",
    location: Location | None,
    now: Callable[[], datetime],
    keep: Callable[[], None] = lambda: None,
) -> int:
    """Settle each of these files of the feed (`select_unsettled`). Return their number.

    `location`: where the files are, None if they are at no location. `keep`: is called between the steps, and may raise
    an error to stop. Raise the errors of a location.
    """
    number = 0
    for file in files:
        record = taking.follow(file.of) if file.of else None
        keep()
        if record and record.state == "applied":
            learn(feed, file, record)
        if location and location.moves and file.leaving:
            file_away(location, file, record, keep)
        with locks.write_transaction(lambda: None):  # it waits for a large import, which SQLite may write for a minute
            models.FeedFile.objects.filter(pk=file.pk, settled_at=None).update(settled_at=now())
        number += 1
    return number


def learn(feed: models.Feed, file: models.FeedFile, record: models.Import) -> None:
    """Remember the number of rows of an applied file, and what a person has decided about how to read it (N3).

    `record`: the import that was applied. The feed learns how to read its files only from a person who may change it:
    the next file is imported as the system.
    """
    with locks.write_transaction(lambda: None):
        current = taking.lock_feed(feed, "")
        if models.FeedFile.objects.filter(
            feed=feed, pk__gt=file.pk, of__state="applied", settled_at__isnull=False
        ).exists():
            return
        current.last_rows = feeds.count_data_rows(record.counts)
        reading = Options.of_json({**current.reading, "mode": current.mode})
        learned = replace(reading, **_list_learned(current, record))
        if _shows_settings(current, file, record) and (learned == reading or _may_teach(record)):
            current.reading = learned.as_json()
            current.approved = feeds.digest_settings(current)
        current.save(update_fields=["last_rows", "reading", "approved"])


def _shows_settings(feed: models.Feed, file: models.FeedFile, record: models.Import) -> bool:
    """Return whether a person applied a plan that shows what the feed does.

    It applies a plan that was shown, in the mode and for the source of the feed, and nobody has changed the settings
    since the file was taken.
    """
    is_same = (record.mode, record.options.get("source", "")) == (feed.mode, feed.source)
    is_shown = record.origin_id is not None and record.feed_id == feed.pk
    return is_shown and is_same and file.settings == feeds.digest_settings(feed)


def _may_teach(record: models.Import) -> bool:
    """Return whether the operator of the import may decide what a feed does."""
    try:
        operator = snapshot_queries.find_operator(record.agency, approval.read_authority(record, "actor"))
    except UnknownOperator:
        return False
    return operator is None or feeds.may_configure(operator)


def _list_learned(feed: models.Feed, record: models.Import) -> dict[str, Any]:
    """Return the options that a person has applied the file with, and the headings that the agency's mapping has read.

    Another import may change the mapping that the agency remembers. The feed goes on as the person saw it.
    """
    applied, mapped = Options.of_json(record.options), record.file_facts.get("mapped", {})
    learned = {name: getattr(applied, name) for name in LEARNED if getattr(applied, name)}
    remembered = {heading: joined for heading, joined in feed.agency.mapping.items() if joined and heading in mapped}
    return learned | {"mapping": headings.merge_mappings(remembered, applied.mapping)}


def file_away(
    location: Location, file: models.FeedFile, record: models.Import | None, keep: Callable[[], None]
) -> None:
    """Move the files of one import, and what says that they are complete, next to the results of the import.

    The last of them gets the results. The others leave before it, so that no marker is left behind for a later file.
    """
    folder = choose_folder(file, record)
    *others, (last, modified) = file.leaving
    for name, time in others:
        location.file_away(name, folder, {}, modified=time, keep=keep)
    with _make_outputs(file, record) as outputs:
        location.file_away(last, folder, outputs, modified=modified, keep=keep)


def choose_folder(file: models.FeedFile, record: models.Import | None) -> str:
    """Return the folder for a file that has ended: it failed if nothing was or could be applied, and a person should look.

    A file that a newer one has replaced, or that a person has discarded, needs nobody any more.
    """
    if record is None:
        return FAILED if file.problem else DONE
    return FAILED if record.state in ("failed", "refused") or record.ended == PlanEnd.EXPIRED else DONE


@contextmanager
def _make_outputs(file: models.FeedFile, record: models.Import | None) -> Iterator[Mapping[str, BinaryIO]]:
    """Yield what is put next to a file: its results, its rows with problems, and why it failed.

    They are files without names, so nothing of them is left if this process is killed.
    """
    stem = PurePosixPath(file.name).stem
    with ExitStack() as stack:
        outputs: dict[str, BinaryIO] = {}
        which: ResultsKind
        for which in ("results", "errors"):
            wanted = record and (record.counts.get("errored") if which == "errors" else record.state == "applied")
            target = stack.enter_context(tempfile.TemporaryFile()) if wanted else None
            if record and target and _write_rows(record, which, target):
                outputs[f"{stem}.{which}.csv"] = target
        problem = describe_problem(file, record)
        if problem:
            outputs[f"{stem}.problem.txt"] = BytesIO(f"{problem}\n".encode())
        yield outputs


def _write_rows(record: models.Import, which: ResultsKind, target: BinaryIO) -> bool:
    """Write the results file or the errors file of an import. Return False if its rows are no longer kept."""
    try:
        source: IO[bytes]
        with history.open_results_file(record, which, in_worker=True) as source:
            target.writelines(iter(partial(source.read, _PART), b""))
    except (FileGone, PlanGone):
        return False
    except (history.ResultsInProgress, Error):
        raise
    except Exception:  # noqa: BLE001  (it is logged in full, and the file can leave without them)
        _LOG.exception("The %s of import %s could not be written next to the file of its feed", which, record.number)
        return False
    return True


def describe_problem(file: models.FeedFile, record: models.Import | None) -> str:
    """Return why a file was not imported, "" if it was or needed not to be."""
    if record is None or file.problem:
        return file.problem
    if record.state == "refused":
        return "\n".join(" ".join(problem.in_english()) for problem in history.summarize_import(record).problems)
    if record.ended == PlanEnd.EXPIRED:
        return _("Nobody applied import %(number)s in time.") % {"number": record.number}
    return record.message if record.state == "failed" else ""
