"""A folder is watched without any setup: its files are imported in the order of their times, each once.

Nothing is remembered but the imports themselves. The idempotency key of an import names its folder and its file, so that a
process that starts again finds what a killed one has done.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.agency import agencies
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, plan_ends, records
from musterbook.directory.imports.file_import import FileOnDisk, Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.permissions import Authority
from musterbook.directory.storage import database_errors
from musterbook.feeds import complete, fetching, settling, taking
from musterbook.feeds.complete import Arrival
from musterbook.feeds.fetching import CannotTake, WrongChecksum
from musterbook.feeds.locations.folder import list_roots
from musterbook.feeds.locations.location import FileChanged, FoundFile, LocationError, do_nothing
from musterbook.feeds.watched_folder import WatchedFolder, WatchLock

Clock = Callable[[], datetime]


class FolderOfFeed(Exception):
    """A feed takes the files of the folder already. The message names it."""


@dataclass(frozen=True, slots=True)
class HandledFile:
    """What was done with a file.

    `record`: its import, or the one that has applied its plan; None if it cannot be an import, because of `problem`.
    `folder`: where it was moved to, "" if it stays because its import is held. `is_earlier`: whether its import was made
    before, so that nothing was imported now.
    """

    name: str
    at: datetime
    record: models.Import | None
    folder: str
    problem: str = ""
    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about something in the folder that is not imported. `fails`: whether a file cannot be imported for it."""

    sentence: str
    fails: bool = False


@dataclass
class _TakenFile:
    """A file that was taken, as a feed would remember it, and whether its import was made before."""

    file: models.FeedFile
    is_earlier: bool = False


@dataclass
class Watch:
    """A watched folder of an agency. `actor`: the user who imports, "" for the system. `pattern`: of names of files."""

    folder: Path
    agency: str
    options: Options
    actor: str = ""
    pattern: str = "*"
    now: Clock = lambda: datetime.now(UTC)
    _seen: Mapping[str, Any] = field(default_factory=dict)
    _waiting: dict[str, _TakenFile] = field(default_factory=dict)
    """The files whose imports wait for a person, or that could not be moved yet, by name."""
    _said: set[str] = field(default_factory=set)
    _saying: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self._lock = WatchLock(self.folder)

    def begin(self) -> None:
        """Lock the folder, and check that its files may be imported.

        Raise LocationError, FolderOfFeed, and the errors of an import that is not allowed.
        """
        agency = agencies.find_agency(self.agency)
        file_import.authorize_import(agency, Authority(self.actor), self.options.mode)
        self._check_feeds()
        WatchedFolder(self.folder, self._lock.hold()).close()

    def _check_feeds(self) -> None:
        for feed in models.Feed.objects.filter(location__kind="folder").select_related("agency"):
            for root in list_roots():
                if (root / feed.agency.slug / feed.location.get("path", "")).resolve() == self.folder:
                    raise FolderOfFeed(
                        _("The feed %(name)s of %(agency)s takes the files of this folder. Watch another folder.")
                        % {"name": feed.name, "agency": feed.agency.slug}
                    )

    def end(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def check(self, ending: Callable[[], bool] = lambda: False) -> Iterator[HandledFile | Remark]:
        """Import what is complete, and yield what was done. `ending`: whether to end after the current file.

        Raise LocationError and the errors of the database. Then a later check does the rest.
        """
        self._saying = set()
        with closing(WatchedFolder(self.folder, self._lock.hold())) as location:
            found = location.list_files()
            for sentence in location.skipped:
                yield from self._say(sentence)
            self._forget_gone(found)
            yield from self._settle(location)
            look = complete.choose(found, self._make_seen(location, found), self.now(), pattern=self.pattern)
            self._seen = look.seen
            for arrival in look.arrivals:
                if ending():
                    return
                is_done = yield from self._take(location, arrival)
                if not is_done:
                    break  # a newer file must not overtake it
        self._said = self._saying

    def _say(self, sentence: str, *, fails: bool = False) -> Iterator[Remark]:
        """Yield the sentence, unless the last check has said it."""
        if sentence not in self._said | self._saying:
            yield Remark(sentence, fails)
        self._saying.add(sentence)

    def _make_seen(self, location: WatchedFolder, found: list[FoundFile]) -> dict[str, Any]:
        """Return what an earlier check would have seen. So a file that has not changed for long is complete at once."""
        at = self.now()
        since = {one.name: (at - timedelta(seconds=location.find_age(one))).isoformat() for one in found}
        files = {one.name: [complete.identify(one), since[one.name]] for one in found}
        waiting = {name: taken.file.modified for name, taken in self._waiting.items()}
        return {**self._seen, "files": files, "taken": waiting}

    def _forget_gone(self, found: list[FoundFile]) -> None:
        here = {one.name: complete.identify(one) for one in found}
        self._waiting = {name: taken for name, taken in self._waiting.items() if here.get(name) == taken.file.modified}

    def _take(self, location: WatchedFolder, arrival: Arrival) -> Generator[HandledFile | Remark, None, bool]:
        """Import the file. Return whether a newer file may follow."""
        found = arrival.files[0]
        leaving = [[one.name, one.modified] for one in (*arrival.markers, found)]
        taken = _TakenFile(models.FeedFile(name=found.name, modified=complete.identify(found), leaving=leaving))
        try:
            with fetching.fetch(location, arrival, found.name, do_nothing) as fetched:
                taken.file.of, taken.is_earlier = self._import(fetched, found, location)
        except CannotTake as error:
            taken.file.problem = str(error)
        except WrongChecksum:
            self._note_try(arrival)
            return False
        except FileChanged:
            return False
        except (LocationError, OverQuota) as error:
            yield from self._say(str(error), fails=True)
            return isinstance(error, LocationError)
        self._waiting[found.name] = taken
        last = taken.file.of and taking.follow(taken.file.of)
        if last and not _has_ended(last):
            yield HandledFile(found.name, self.now(), last, "", is_earlier=taken.is_earlier)
        yield from self._settle(location)
        return True

    def _note_try(self, arrival: Arrival) -> None:
        """Remember a wrong checksum, so that it is not computed again until something has changed."""
        tried = {**self._seen.get("tried", {})}
        for one in arrival.files:
            marker = next(found for found in arrival.markers if found.name == arrival.checksums[one.name])
            tried[one.name] = complete.key_of_try(one, marker)
        self._seen = {**self._seen, "tried": tried}

    def _import(self, fetched: FileOnDisk, found: FoundFile, location: WatchedFolder) -> tuple[models.Import, bool]:
        """Return the import of the file, and whether it was made before."""
        agency = agencies.find_agency(self.agency)
        records.reap_orphans(agency)
        key = self._make_key(found, fetched.sha256)
        changed = self.now() - timedelta(seconds=location.find_age(found))
        earlier = _find_earlier(agency, key, changed)
        if earlier:
            return earlier, True
        upload = Upload(fetched.path.read_bytes(), fetched.name)
        context = AuditContext(self.now(), self.actor, "cli")
        try:
            return file_import.run_import(agency, upload, self.options, context=context, key=key).record, False
        except ImportFailed as error:
            cause = error.__cause__
            if isinstance(cause, KeyboardInterrupt) or (cause and database_errors.is_lost(cause)):
                raise cause from None  # the file is not the reason, so it stays
            return error.record, False

    def _make_key(self, found: FoundFile, sha256: str) -> str:
        """Return the idempotency key: the folder, and the name, size, time and content of the file."""
        file = json.dumps([found.name, found.size, repr(found.modified), sha256]).encode()
        folder = hashlib.sha256(str(self.folder).encode(errors="surrogateescape"))
        return f"{plan_ends.WATCH_KEY}{folder.hexdigest()[:24]}:{hashlib.sha256(file).hexdigest()}"

    def _settle(self, location: WatchedFolder) -> Iterator[HandledFile | Remark]:
        """Move the files whose imports have ended."""
        for name, taken in list(self._waiting.items()):
            file, record = taken.file, None
            if file.of:
                record = taking.follow(_refresh(file.of))
                if not _has_ended(record):
                    continue
            folder = settling.choose_folder(file, record)
            try:
                settling.file_away(location, file, record, do_nothing)
            except LocationError as error:
                yield from self._say(
                    _("%(name)s cannot be moved to %(folder)s. %(reason)s It is not imported again.")
                    % {"name": name, "folder": folder, "reason": error},
                    fails=True,
                )
                continue
            del self._waiting[name]
            problem = settling.describe_problem(file, record)
            yield HandledFile(name, self.now(), record, folder, problem, taken.is_earlier)


def _refresh(record: models.Import) -> models.Import:
    """Return the import as it is now."""
    return models.Import.objects.select_related("agency", "successor").filter(pk=record.pk).first() or record


def _has_ended(record: models.Import) -> bool:
    """Return whether nothing more is expected of an import: it shows no plan that a person may apply."""
    return not plan_ends.shows_plan(record) or bool(record.ended)


def _find_earlier(agency: models.Agency, key: str, changed: datetime) -> models.Import | None:
    """Return the import of the file, None if it has none that counts.

    `changed`: since when the file is in the folder as it is. One that was refused or not confirmed, and that a person puts
    back, is imported again. One that was applied is not.
    """
    imports = models.Import.objects.filter(agency=agency, idempotency_key=key, through="cli", finished_at__isnull=False)
    record = imports.select_related("agency", "successor").order_by("-pk").first()
    if record is None:
        return None
    last = taking.follow(record)
    if last.state == "applied" or not _has_ended(last):
        return record
    return record if last.finished_at and last.finished_at > changed else None
