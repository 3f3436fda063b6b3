"""The trail in groups: the events of one import are one entry of the list, however many they are.

Consecutive events of one kind that the system recorded on one day, such as the invitations after an import, are one entry
too. A page reads passages (`audit.runs`) and a few events of each entry, so it costs the same for a million events.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from musterbook.directory import models
from musterbook.directory.audit import browse
from musterbook.directory.audit.browse import ListedEvent, Passage
from musterbook.directory.audit.filters import EventFilters

PAGE = 50
"""The most entries of a page."""
FIRST = 10
"""The number of events of a group that are shown with it."""
_MOST_PASSAGES = 1_000
"""The most passages that a page reads. Longer groups continue on the next page."""


@dataclass(frozen=True, slots=True)
class EventGroup:
    """One entry: some events, the newest first, and the number of all.

    `counts`: kind of event → number; of an import: outcome → number of rows, as its record has them.
    """

    events: list[ListedEvent]
    number: int
    of_import: bool
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """A page of entries, the newest first, with the cursors of the newer and the older page ("" for none)."""

    groups: list[EventGroup]
    newer: str
    older: str


@dataclass(slots=True)
class _Entry:
    """The passages of one entry, the newest first."""

    key: object
    passages: list[Passage] = field(default_factory=list)


def read_page(agency: models.Agency, criteria: EventFilters, cursor: str = "") -> GroupPage:
    """Return the page of entries at the place ("": the newest). Raise UnknownCursor.

    `criteria` may have any filter except `subjects`: passages do not say which users they are about.
    """
    start, back = browse.parse_cursor(cursor)
    passages = browse.read_passages(agency, criteria, start, _MOST_PASSAGES, back=back)
    entries = _fold(passages)
    more = len(entries) > PAGE or len(passages) == _MOST_PASSAGES
    entries = entries[:PAGE]
    if back:
        entries.reverse()
        for entry in entries:
            entry.passages.reverse()
    newer, older = (more, True) if back else (start is not None, more)
    groups = list(_read_groups(agency, entries))
    return GroupPage(groups, *_make_cursors(entries, newer=newer, older=older))


def _fold(passages: Sequence[Passage]) -> list[_Entry]:
    """Return the entries of the passages, in their order."""
    return [_Entry(key, list(some)) for key, some in groupby(passages, _make_key)]


def _make_key(passage: Passage) -> object:
    """Return what the passages of one entry have in common."""
    if passage.of is not None:
        return passage.of
    if passage.actor == "" and passage.through == "system":
        return (str(passage.at)[:10], passage.kind, passage.outcome)
    return (passage.first,)


def _read_groups(agency: models.Agency, entries: Sequence[_Entry]) -> Iterator[EventGroup]:
    """Yield the entries with their first events, and imports with the counts of their records.

    The last event of a passage exists, so each entry has one.
    """
    candidates = [_list_first_ids(entry) for entry in entries]
    existing = set(browse.keep_existing(agency, [number for some in candidates for number in some]))
    events = {
        event.id: event
        for event in browse.read_events(
            agency, [number for some in candidates for number in some if number in existing]
        )
    }
    of_ids = {of for entry in entries if (of := entry.passages[0].of) is not None}
    counts = dict(models.Import.objects.filter(agency=agency, pk__in=of_ids).values_list("pk", "counts"))
    for entry, some in zip(entries, candidates, strict=True):
        numbers = Counter[str]()
        for passage in entry.passages:
            numbers[passage.kind] += passage.last - passage.first + 1
        of = entry.passages[0].of
        shown = [events[number] for number in some if number in events]
        facts = numbers if of is None else counts.get(of, {})
        yield EventGroup(shown, numbers.total(), of is not None, facts)


def _list_first_ids(entry: _Entry) -> list[int]:
    """Return the ids of the first events of the entry. On PostgreSQL, some may be of other agencies."""
    ids: list[int] = []
    for passage in entry.passages:
        ids += range(passage.last, max(passage.last - FIRST, passage.first - 1), -1)
        if len(ids) >= FIRST:
            break
    return ids[:FIRST]


def _make_cursors(entries: Sequence[_Entry], *, newer: bool, older: bool) -> tuple[str, str]:
    """Return the cursors of the newer and the older page: they begin at the ends of the passages of this one."""
    if not entries:
        return "", ""
    first, last = entries[0].passages[0], entries[-1].passages[-1]
    return (
        browse.format_cursor(_parse_time(first.at), first.last, back=True) if newer else "",
        browse.format_cursor(_parse_time(last.at), last.first) if older else "",
    )


def _parse_time(at: object) -> datetime:
    """Return a stored time. It is in UTC; SQLite returns it as text, without an offset."""
    return datetime.fromisoformat(str(at)).replace(tzinfo=UTC)
