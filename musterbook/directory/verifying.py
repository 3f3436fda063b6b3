"""Whether a trail still is what was sealed: read from its beginning to its end, in one go or in steps."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from musterbook.directory import frames, models, passages, seals

_PART = 100_000
_LINKS = 5_000
BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of an agency's trail came to: its links and events, and what is wrong ("" for nothing).

    `digest` covers all that was checked: written down elsewhere, it shows later whether that still stands.
    """

    agency: str
    links: int
    events: int
    wrong: str = ""
    digest: str = seals.START


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check has come: so many links and events, the last event, and the digest there."""

    links: int = 0
    events: int = 0
    last: int = BEFORE_ALL
    digest: str = seals.START


def verify(agency: models.Agency) -> Finding:
    """Reads the agency's whole trail and compares it with its seals and its end.

    Found is any event that was changed, removed or inserted, any link or passage, and a lost end. Not found is a trail that
    was forged whole, seals and all, by one who may write to the database: for that, compare `digest` with one noted before.
    """
    found: Progress | Finding = Progress()
    while isinstance(found, Progress):
        found = step(agency, found, lambda: False)
    return found


def step(agency: models.Agency, so_far: Progress, enough: Callable[[], bool]) -> Progress | Finding:
    """Goes on with a check until it is done, or `enough` says so, which is asked every now and then."""
    while True:
        end = seals.end(agency)
        for links in _batches(agency, so_far.links):
            so_far, wrong = _Check(agency, so_far).checked(links)
            if wrong:
                return Finding(agency.slug, so_far.links, so_far.events, wrong, so_far.digest)
            if enough():
                return so_far
        wrong = _wrong_end(agency, end, so_far)
        # What was appended meanwhile is not wrong: look again.
        if not wrong or end == seals.end(agency):
            return Finding(agency.slug, so_far.links, so_far.events, wrong, so_far.digest)


def _batches(agency: models.Agency, after: int) -> Iterator[list[models.TrailLink]]:
    while True:
        links = models.TrailLink.objects.filter(agency=agency, number__gt=after)
        batch = list(links.order_by("number")[:_LINKS])
        if not batch:
            return
        yield batch
        after = batch[-1].number


def _wrong_end(agency: models.Agency, end: tuple[int, str], found: Progress) -> str:
    if end != (found.links, found.digest):
        return f"the trail should have {end[0]} links and ends after link {found.links}, or its end was changed"
    if models.Event.objects.filter(agency=agency, id__gt=found.last).exists():
        return "events that nothing seals stand after the last link"
    if models.Passage.objects.filter(agency=agency, first__gt=found.last).exists():
        return "passages that have no events stand after the last link"
    return ""


class _Check:
    """Some links that follow each other, their events and their passages."""

    def __init__(self, agency: models.Agency, so_far: Progress) -> None:
        self._agency, self._so_far = agency, so_far
        self._ids: list[int] = []
        self._lines: list[str] = []
        self._runs: list[pl.DataFrame] = []
        self._at = 0

    def checked(self, links: list[models.TrailLink]) -> tuple[Progress, str]:
        """How far the check has come with these links, and what is wrong with the next."""
        so_far, until = self._so_far, links[-1].last
        self._parts = self._read(so_far.last, until)
        self._starts = pl.Series([link.first for link in links], dtype=pl.Int64)
        for link in links:
            number = so_far.links + 1
            if link.number != number:
                return so_far, f"link {number} is missing"
            following = self._following()
            if following is not None and following < link.first:
                return so_far, f"events that nothing seals stand before link {number}"
            events, digest = self._digest(so_far.digest, link.last)
            if digest != link.digest:
                return so_far, f"the events of link {number} are not those that were sealed"
            so_far = Progress(number, so_far.events + events, link.last, digest)
        return so_far, self._wrong_passages(links, until)

    def _following(self) -> int | None:
        """The id of the next event that has not been looked at."""
        while self._at == len(self._ids):
            part = next(self._parts, None)
            if part is None:
                return None
            self._ids, self._lines, self._at = part["id"].to_list(), seals.lines(part).to_list(), 0
            link = self._starts.search_sorted(part["id"], side="right").alias("link")
            self._runs.append(passages.runs(part.with_columns(link), "link"))
        return self._ids[self._at]

    def _digest(self, before: str, last: int) -> tuple[int, str]:
        """How many events there are up to that one, and their digest."""
        digest, events = hashlib.sha256(before.encode()), 0
        while (following := self._following()) is not None and following <= last:
            end = bisect_right(self._ids, last, self._at)
            digest.update("".join(f"{line}\n" for line in self._lines[self._at : end]).encode())
            events += end - self._at
            self._at = end
        return events, digest.hexdigest()

    def _wrong_passages(self, links: list[models.TrailLink], until: int) -> str:
        """What is wrong with the passages of these links, whose events are as they were sealed."""
        stored = passages.stored(self._agency, self._so_far.last, until)
        if passages.joined(self._runs, "link").equals(stored):
            return ""
        return f"the passages of links {links[0].number} to {links[-1].number} are not those of their events"

    def _read(self, after: int, until: int) -> Iterator[pl.DataFrame]:
        columns = seals.SEALED | seals.ALSO
        listed = ", ".join(passages.at() if name == "at" else f'"{name}"' for name in columns)
        sql = (
            f"SELECT {listed} FROM {frames.table(models.Event)}"
            f" WHERE agency_id = %s AND id > %s AND id <= %s ORDER BY id LIMIT {_PART}"
        )
        while True:
            part = frames.read(sql, [self._agency.pk, after, until], columns)
            if part.is_empty():
                return
            yield part
            after = part["id"][-1]
