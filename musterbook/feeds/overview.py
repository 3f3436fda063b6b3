"""The feeds of an agency as pages and commands show them: the state, the last file, when the next is due, and 30 nights.

Every function reads any number of feeds with the same few queries.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.planning.holds import Hold
from musterbook.core.reporting import summary
from musterbook.directory import models
from musterbook.directory.agency import feeds as saved_feeds
from musterbook.directory.imports import import_log, plan_ends
from musterbook.directory.imports.import_log import LoggedImport
from musterbook.directory.models import FeedMode
from musterbook.feeds import deadlines, schedule

NIGHTS = 30
PAGE = 50
"""The number of feeds on one page."""
FILES = 10
"""The number of files on one page of a feed."""
SENT_KINDS = frozenset({"sent", "command"})
"""The kinds of locations that are not checked, because files are brought to them."""


class FeedState(StrEnum):
    """What a feed does, or what it needs from a person."""

    FINE = "fine"
    WAITS = "waits"
    FIRST = "first"
    LATE = "late"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    STOPPED = "stopped"
    PAUSED = "paused"


NEEDS_PERSON = (
    FeedState.STOPPED, FeedState.WAITS, FeedState.FIRST, FeedState.UNREACHABLE, FeedState.LATE, FeedState.FAILED,
)  # fmt: skip
"""The states that need a person, the most urgent first. A first file needs one once it has arrived."""


class Mark(StrEnum):
    """What happened to the files of one night."""

    APPLIED = "applied"
    SAME = "same"
    HELD = "held"
    FAILED = "failed"
    RUNNING = "running"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Night:
    """One day of a feed, in the agency's time zone: its last file that was not the same again, and that file's import."""

    day: date
    mark: Mark = Mark.NONE
    number: str = ""
    """The import, or the one that applied its plan; "" for none."""
    name: str = ""
    file: int = field(default=0, compare=False)
    """The id of the file; 0 for none."""


@dataclass(frozen=True, slots=True)
class ArrivedFile:
    """A file that arrived, and what was done with it, in one sentence."""

    pk: int
    name: str
    parts: list[str]
    at: datetime
    mark: Mark
    sentence: str
    entry: LoggedImport | None


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One feed as the list shows it. `waiting`: the number of the import that waits for a person, "" for none.

    `next_at`: when it looks for a file again; None if it does not by itself, or at once (`is_due`).
    """

    feed: models.Feed
    state: FeedState
    waiting: str
    last: ArrivedFile | None
    next_at: datetime | None
    is_due: bool
    nights: list[Night]


@dataclass(frozen=True, slots=True)
class WaitingFeed:
    """A feed and its state. `number`: the import that waits for a person, "" if no import does."""

    feed: models.Feed
    state: FeedState
    number: str

    @property
    def needs_person(self) -> bool:
        """Return whether the feed needs a person."""
        return self.state in NEEDS_PERSON and bool(self.number or self.state != FeedState.FIRST)


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of the files of a feed, the latest first."""

    files: list[ArrivedFile]
    number: int
    first: int
    last: int
    total: int

    @property
    def has_next(self) -> bool:
        """Return whether there is a next page."""
        return self.last < self.total


def count_feeds(agency: models.Agency, *, sync: bool = True) -> int:
    """Return the number of the agency's feeds. `sync`: whether to count those that synchronize."""
    return _select(agency, sync=sync).count()


def list_rows(
    agency: models.Agency, at: datetime, *, sync: bool = True, start: int = 0, most: int | None = None
) -> list[FeedRow]:
    """Return the agency's feeds, each with its state, last file and nights. `sync`: whether to include those that synchronize.

    Those that need a person come first, the most urgent one at the beginning, then the others by name.
    """
    found = sorted(_list_states(agency, at, sync=sync), key=_rank)
    return _make_rows(agency, found[start : None if most is None else start + most], at)


def read_row(feed: models.Feed, at: datetime) -> FeedRow:
    """Return one feed as the list shows it."""
    return _make_rows(feed.agency, [_read_state(feed, at)], at)[0]


def _select(agency: models.Agency, *, sync: bool) -> "QuerySet[models.Feed]":
    feeds = models.Feed.objects.filter(agency=agency).order_by("name")
    return feeds if sync else feeds.exclude(mode=FeedMode.SYNC)


def _list_states(agency: models.Agency, at: datetime, *, sync: bool) -> list[WaitingFeed]:
    """Return the feeds of the agency with their states, by name. An agency has at most 100."""
    feeds = list(_select(agency, sync=sync))
    for feed in feeds:
        feed.agency = agency
    waiting, failed = _find_waiting(agency), _find_failed(feeds)
    return [_find_state(feed, at, waiting.get(feed.pk), is_failed=feed.pk in failed) for feed in feeds]


def _read_state(feed: models.Feed, at: datetime) -> WaitingFeed:
    waiting = _find_waiting(feed.agency).get(feed.pk)
    return _find_state(feed, at, waiting, is_failed=bool(_find_failed([feed])))


def _rank(one: WaitingFeed) -> int:
    return NEEDS_PERSON.index(one.state) if one.needs_person else len(NEEDS_PERSON)


def _make_rows(agency: models.Agency, found: list[WaitingFeed], at: datetime) -> list[FeedRow]:
    feeds = [one.feed for one in found]
    last, nights = _find_last(agency, feeds), list_nights(feeds, at, schedule.get_zone(agency))
    return [_make_row(one, at, last.get(one.feed.pk), nights[one.feed.pk]) for one in found]


def _make_row(one: WaitingFeed, at: datetime, last: ArrivedFile | None, nights: list[Night]) -> FeedRow:
    feed = one.feed
    checked = feed.location.get("kind") not in SENT_KINDS and not feed.paused_at and not feed.stopped
    due = checked and (feed.next_check_at is None or feed.next_check_at <= at)
    next_at = feed.next_check_at if checked and not due else None
    return FeedRow(feed, one.state, one.number, last, next_at, due, nights)


def get_state(feed: models.Feed, at: datetime) -> FeedState:
    """Return the state of one feed."""
    return _read_state(feed, at).state


def _find_state(feed: models.Feed, at: datetime, waiting: models.Import | None, *, is_failed: bool) -> WaitingFeed:
    state = _choose_state(feed, at, waiting, is_failed=is_failed)
    return WaitingFeed(feed, state, waiting.number if waiting else "")


def _choose_state(feed: models.Feed, at: datetime, waiting: models.Import | None, *, is_failed: bool) -> FeedState:
    """Return what matters most: what stops the feed, then what waits for a person, then what is missing."""
    if feed.stopped:
        return FeedState.STOPPED
    if waiting:
        return FeedState.FIRST if waiting.state == "previewed" else FeedState.WAITS
    if feed.paused_at:
        return FeedState.PAUSED
    return _find_trouble(feed, at, is_failed=is_failed) or (
        FeedState.FIRST if saved_feeds.is_new(feed) else FeedState.FINE
    )


def _find_trouble(feed: models.Feed, at: datetime, *, is_failed: bool) -> FeedState | None:
    if feed.unreachable or (feed.failing_since and at - feed.failing_since >= deadlines.UNREACHABLE_AFTER):
        return FeedState.UNREACHABLE
    if deadlines.find_late(feed, at):
        return FeedState.LATE
    return FeedState.FAILED if is_failed else None


def list_waiting(agency: models.Agency, at: datetime, *, sync: bool = True) -> list[WaitingFeed]:
    """Return the feeds that need a person, the most urgent first."""
    return sorted((one for one in _list_states(agency, at, sync=sync) if one.needs_person), key=_rank)


def _find_waiting(agency: models.Agency) -> Mapping[int | None, models.Import]:
    """Return the latest import of each feed whose plan waits to be applied."""
    waiting = models.Import.objects.filter(plan_ends.OPEN, agency=agency, feed__isnull=False)
    return {one.feed_id: one for one in waiting.only("number", "state", "feed_id").order_by("pk")}


def _find_failed(feeds: list[models.Feed]) -> set[int]:
    """Return the keys of the feeds whose last file could not be imported. The same content again changes nothing."""
    news = models.FeedFile.objects.filter(_IS_NEWS, feed=OuterRef("pk")).order_by("-at", "-pk").values("pk")[:1]
    keys = models.Feed.objects.filter(pk__in=[feed.pk for feed in feeds]).annotate(news=Subquery(news))
    last = models.FeedFile.objects.filter(pk__in=keys.values("news"))
    failed = Q(of=None) | Q(of__state__in=("failed", "refused"), of__ended="")
    return set(last.filter(failed).values_list("feed", flat=True))


_IS_NEWS = Q(of__isnull=False) | ~Q(problem="")
"""The files that are not the same again."""


def _find_last(agency: models.Agency, feeds: list[models.Feed]) -> dict[int, ArrivedFile]:
    latest = models.FeedFile.objects.filter(feed=OuterRef("pk")).order_by("-at", "-pk").values("pk")[:1]
    keys = models.Feed.objects.filter(pk__in=[feed.pk for feed in feeds]).annotate(latest=Subquery(latest))
    files = list(_read_files(models.FeedFile.objects.filter(pk__in=keys.values("latest"))))
    return dict(zip([file.feed_id for file in files], _make_files(agency, files), strict=True))


def _read_files(files: "QuerySet[models.FeedFile]") -> "QuerySet[models.FeedFile]":
    return files.select_related("of__undoes", "of__successor__undoes", "of__successor__successor")


def _make_files(agency: models.Agency, files: list[models.FeedFile]) -> list[ArrivedFile]:
    """Return the files with their imports and sentences."""
    records = {record.pk: record for record in filter(None, map(_get_import, files))}
    entries = dict(zip(records, import_log.make_entries(agency, list(records.values())), strict=True))
    return [_make_file(file, entries) for file in files]


def _make_file(file: models.FeedFile, entries: Mapping[int, LoggedImport]) -> ArrivedFile:
    record = _get_import(file)
    entry = entries[record.pk] if record else None
    return ArrivedFile(
        file.pk, file.name, list(file.parts), file.at, _find_mark(file), _describe(file, record, entry), entry
    )


def _describe(file: models.FeedFile, record: models.Import | None, entry: LoggedImport | None) -> str:
    """Return the sentence about a file: what its import did or will do, or why there is none."""
    if file.problem:
        return file.problem
    if record is None or entry is None:
        return _("Nothing new: its content is the same as that of the file before.")
    if record.ended in _ENDS:
        return str(_ENDS[record.ended])
    if entry.outcome:
        holds = record.holds if record.state == "held" else ()
        return " ".join([*(summary.describe_hold(Hold.of_json(hold)) for hold in holds), f"{entry.outcome}."])
    return entry.message or (_("In progress.") if entry.state in ("waiting", "running") else _("Nothing has changed."))


_ENDS: Mapping[str, Any] = {
    plan_ends.PlanEnd.REPLACED: gettext_lazy("A newer file has replaced it. Nothing has changed."),
    plan_ends.PlanEnd.DISCARDED: gettext_lazy("It was discarded. Nothing has changed."),
    plan_ends.PlanEnd.EXPIRED: gettext_lazy("It waited too long and has expired. Nothing has changed."),
}
"""How the plan of a file ended without being applied, in one sentence."""


def _get_import(file: models.FeedFile) -> models.Import | None:
    """Return the import of a file, or the one that has applied its plan."""
    record = file.of
    applied = record is not None and record.ended == plan_ends.PlanEnd.APPLIED
    return record.successor or record if record and applied else record


def _find_mark(file: models.FeedFile) -> Mark:
    record = _get_import(file)
    if record is None:
        return Mark.FAILED if file.problem else Mark.SAME
    return _MARKS.get(record.state, Mark.FAILED)


_MARKS = {
    "applied": Mark.APPLIED,
    "previewed": Mark.HELD,
    "held": Mark.HELD,
    "waiting": Mark.RUNNING,
    "running": Mark.RUNNING,
}
"""The state of an import → its mark. All other states are failures."""


def list_nights(
    feeds: Iterable[models.Feed], at: datetime, zone: tzinfo, number: int = NIGHTS
) -> dict[int, list[Night]]:
    """Return the last nights of each feed, by its key, the oldest first; the last one is today in the zone."""
    today = at.astimezone(zone).date()
    days = [today - timedelta(days=number - 1 - place) for place in range(number)]
    keys = [feed.pk for feed in feeds]
    begin = datetime.combine(days[0], datetime.min.time(), zone)
    found: dict[int, dict[date, Night]] = defaultdict(dict)
    for file in _list_last_of_days(keys, begin, zone):
        day, record = file.at.astimezone(zone).date(), _get_import(file)
        found[file.feed_id][day] = Night(day, _find_mark(file), record.number if record else "", file.name, file.pk)
    return {key: [found[key].get(day) or Night(day) for day in days] for key in keys}


def _list_last_of_days(keys: list[int], begin: datetime, zone: tzinfo) -> "Iterable[models.FeedFile]":
    """Return the last file of each feed and day, if possible one that was not the same as the file before."""
    files = models.FeedFile.objects.filter(feed__in=keys, at__gte=begin)
    by_day = files.annotate(day=TruncDate("at", tzinfo=zone)).values("feed", "day").order_by()
    wanted = by_day.annotate(last=Coalesce(Max("pk", filter=_IS_NEWS), Max("pk"))).values("last")
    return models.FeedFile.objects.filter(pk__in=wanted).select_related("of__successor").defer(
        "of__options", "of__leavers", "of__successor__options", "of__successor__leavers"
    )  # fmt: skip


def read_files(feed: models.Feed, number: int = 1, file: int = 0) -> FilePage:
    """Return a page of the files of a feed, the latest first. A page after the last one is the last one.

    `file`: the id of a file of the feed, whose page is wanted; 0 for none.
    """
    files = models.FeedFile.objects.filter(feed=feed)
    total = files.count()
    wanted = files.filter(pk=file).first() if file else None
    if wanted:
        later = files.filter(Q(at__gt=wanted.at) | Q(at=wanted.at, pk__gt=wanted.pk)).count()
        number = later // FILES + 1
    number = max(1, min(number, (total + FILES - 1) // FILES))
    start = (number - 1) * FILES
    shown = list(_read_files(files).order_by("-at", "-pk")[start : start + FILES])
    return FilePage(_make_files(feed.agency, shown), number, start + 1 if shown else 0, start + len(shown), total)


@dataclass(frozen=True, slots=True)
class Pauser:
    """The user who paused a feed, as the directory has them now. `pk`: the id of their page, 0 if they are not found."""

    pk: int
    name: str


def find_pauser(feed: models.Feed) -> Pauser | None:
    """Return the user who paused the feed; None if it is not paused, or was paused by a command."""
    if feed.paused_at is None or not feed.paused_by:
        return None
    user = models.User.objects.filter(agency=feed.agency_id, external_id=feed.paused_by).first()
    return Pauser(user.pk, f"{user.first_name} {user.last_name}") if user else Pauser(0, feed.paused_by)
