"""The check that a trail is still as it was sealed: it reads the trail from beginning to end, at once or in steps."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
from django.db.models import Exists, OuterRef

from musterbook.directory import models
from musterbook.directory.audit import anchors, cross_checks, hash_chain, moved_trails, runs
from musterbook.directory.audit.anchors import KnownAnchors
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import frames

_PART = 100_000
_LINKS = 5_000
BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """The result of a check of an agency's trail: its links and events, and an error ("" for none).

    `digest` covers all that was checked. Noted elsewhere, it shows later whether that is still unchanged (`--expect`).
    """

    agency: str
    links: int
    events: int
    error: str = ""
    digest: str = hash_chain.START


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """The progress of a check: the number of links and events, the last event, the digest there, and the key names."""

    links: int = 0
    events: int = 0
    last: int = BEFORE_ALL
    digest: str = hash_chain.START
    keys: tuple[str, ...] = ()


def verify_trail(agency: models.Agency, known: KnownAnchors | None = None) -> TrailFinding:
    """Read the agency's whole trail, and compare it with its seals, its chain head, the anchors and the directory.

    `known`: the anchors, or None to read them. `docs/explanation/security.md` lists what is found, and what is not.
    """
    result: CheckProgress | TrailFinding = CheckProgress()
    while isinstance(result, CheckProgress):
        result = continue_check(agency, result, lambda: False, known)
    return result


def continue_check(
    agency: models.Agency, so_far: CheckProgress, enough: Callable[[], bool], known: KnownAnchors | None = None
) -> CheckProgress | TrailFinding:
    """Continue a check until it is done, or until `enough`, which is called regularly, returns true.

    It checks each link, then the end of the trail, the anchors, and what the rest of the database says.
    """
    while True:
        end = hash_chain.read_head(agency)
        for links in _read_batches(agency, so_far.links):
            so_far, error = _LinkCheck(agency, so_far).checked(links)
            if error:
                return TrailFinding(agency.slug, so_far.links, so_far.events, error, so_far.digest)
            if enough():
                return so_far
        error = (
            _find_end_error(agency, end, so_far)
            or _find_anchor_error(agency, so_far, known)
            or cross_checks.find_error(agency)
        )
        # An event appended meanwhile is no error: check again.
        if not error or end == hash_chain.read_head(agency):
            return TrailFinding(agency.slug, so_far.links, so_far.events, error, so_far.digest)


def _find_anchor_error(agency: models.Agency, progress: CheckProgress, known: KnownAnchors | None) -> str:
    """Return what the anchors know that the trail lacks."""
    known = anchors.read_anchors(agency) if known is None else known
    for anchor in known.anchors.get(agency.pk, ()):
        if anchor.links > progress.links:
            return f"the trail has {progress.links} links, and {anchor.description} knows {anchor.links}: its end was removed"
        if not anchors.has_link(agency.pk, anchor):
            which = f"link {anchor.links}" if anchor.links else "no link"
            return f"{which} is {'not ' if anchor.links else ''}the one that {anchor.description} knows: the trail was made anew"
    if agency.pk in known.headless:
        message = f"the newest head is missing from the folder {anchors.HEADS}"
        return f"{message}: links may have been removed since the last daily anchor"
    return known.error


def _read_batches(agency: models.Agency, after: int) -> Iterator[list[models.TrailLink]]:
    while True:
        links = models.TrailLink.objects.filter(agency=agency, number__gt=after)
        batch = list(links.order_by("number")[:_LINKS])
        if not batch:
            return
        yield batch
        after = batch[-1].number


def _find_end_error(agency: models.Agency, end: tuple[int, str], progress: CheckProgress) -> str:
    if end != (progress.links, progress.digest):
        return f"the trail should have {end[0]} links and ends after link {progress.links}, or its end was changed"
    if models.Event.objects.filter(agency=agency, id__gt=progress.last).exists():
        return "events that nothing seals stand after the last link"
    if models.Passage.objects.filter(agency=agency, first__gt=progress.last).exists():
        return "passages that have no events stand after the last link"
    if progress.keys[-1:] == ("",):
        return f"no key seals the last links, up to link {progress.links}, though this version seals every trail with a key"
    if models.MovedTrail.objects.filter(agency=agency, until__gte=progress.links).exists():
        return "the link is missing that records the move from another installation"
    return _find_head_error(agency)


def _find_head_error(agency: models.Agency) -> str:
    """Return an error in the heads before the current one.

    Each head must match a link, and each link that a key seals must have a head.
    """
    heads = models.TrailEnd.objects.filter(agency=agency, links=OuterRef("number"), digest=OuterRef("digest"))
    links = models.TrailLink.objects.filter(agency=agency, number=OuterRef("links"), digest=OuterRef("digest"))
    headless = models.TrailLink.objects.filter(~Exists(heads), agency=agency).exclude(key="")
    without = models.TrailEnd.objects.filter(~Exists(links), agency=agency)
    return "heads that came before the end were changed or removed" if headless.exists() or without.exists() else ""


def _find_number_error(link: models.TrailLink, so_far: CheckProgress) -> str:
    return "" if link.number == so_far.links + 1 else f"link {so_far.links + 1} is missing"


def _describe_key(key: str) -> str:
    return f"the key {key}" if key else "no key"


class _LinkCheck:
    """A check of some consecutive links, their events and their passages."""

    def __init__(self, agency: models.Agency, so_far: CheckProgress) -> None:
        self._agency, self._so_far, self._ring = agency, so_far, hash_chain.derive_keys()
        self._parts_moved = moved_trails.read_parts(agency)
        self._ids: list[int] = []
        self._lines: list[str] = []
        self._runs: list[pl.DataFrame] = []
        self._at = 0

    def checked(self, links: list[models.TrailLink]) -> tuple[CheckProgress, str]:
        """Return the progress of the check after these links, and an error in the next link."""
        so_far, until = self._so_far, links[-1].last
        self._parts = self._read(so_far.last, until)
        self._starts = pl.Series([link.first for link in links], dtype=pl.Int64)
        for link in links:
            error = (
                _find_number_error(link, so_far) or self._find_key_error(link, so_far) or self._find_start_error(link)
            )
            if error:
                return so_far, error
            progress = self._sealed(so_far, link)
            if progress is None:
                return so_far, f"the events of link {link.number} are not those that were sealed"
            so_far = progress
        return so_far, self._find_passage_error(links, until)

    def _find_key_error(self, link: models.TrailLink, so_far: CheckProgress) -> str:
        """Return an error in the key that a link names.

        A key replaces another only once, and no key is ever replaced by none.
        """
        if self._follows_move(link):
            # The keys of one installation say nothing about those of the next.
            return self._find_arrival_error(link)
        if so_far.keys[-1:] == (link.key,):
            return ""
        if link.key not in self._find_keys(link) and link.key:
            return f"link {link.number} names the key {link.key}, which this installation does not have"
        if so_far.keys == ("",) and not self._begins_keys(link):
            return f"link {link.number} is not the one with which keys began, and the links before it have none"
        if link.key in so_far.keys or (so_far.keys and not link.key):
            return f"link {link.number} is sealed by {_describe_key(link.key)}, which another key had replaced before"
        return ""

    def _find_keys(self, link: models.TrailLink) -> dict[str, bytes]:
        """Return the keys that may have sealed the link: those of the installation where the agency was then."""
        part = moved_trails.find_part(self._parts_moved, link.number)
        return part.keys if part else self._ring

    def _follows_move(self, link: models.TrailLink) -> bool:
        """Return whether the link is the first one after those of another installation."""
        return any(part.until == link.number - 1 for part in self._parts_moved)

    def _find_arrival_error(self, link: models.TrailLink) -> str:
        """Return an error in the link with which an installation records that the agency has moved to it."""
        arrives = (
            self._find_next_event() == link.last and f"\x1f{EventKind.AGENCY_IMPORTED}\x1f" in self._lines[self._at]
        )
        if not arrives or link.key not in self._find_keys(link):
            return f"link {link.number} is not the one that records the move to another installation"
        return ""

    def _begins_keys(self, link: models.TrailLink) -> bool:
        """Return whether the link is the one event with which `trail.seal_unkeyed_trails` begins to seal a trail with a key."""
        return self._find_next_event() == link.last and f"\x1f{EventKind.AUDIT_KEYED}\x1f" in self._lines[self._at]

    def _find_start_error(self, link: models.TrailLink) -> str:
        next_event = self._find_next_event()
        if next_event is not None and next_event < link.first:
            return f"events that nothing seals stand before link {link.number}"
        return ""

    def _sealed(self, so_far: CheckProgress, link: models.TrailLink) -> CheckProgress | None:
        """Return the progress of the check after this link.

        Return None if its events, or its own columns, are not as they were sealed.
        """
        digest = hash_chain.begin_digest(so_far.digest, self._find_keys(link)[link.key] if link.key else None)
        part = moved_trails.find_part(self._parts_moved, link.number)
        first = self._find_next_event()
        events, last = self._add(digest, link.last)
        if (first, last) != (link.first, link.last):
            return None
        if hash_chain.finish_digest(digest, part.restore_link(link) if part else link) != link.digest:
            return None
        before = () if self._follows_move(link) else so_far.keys
        keys = before if before[-1:] == (link.key,) else (*before, link.key)
        return CheckProgress(link.number, so_far.events + events, link.last, link.digest, keys)

    def _find_next_event(self) -> int | None:
        """Return the id of the next event that has not been checked."""
        while self._at == len(self._ids):
            part = next(self._parts, None)
            if part is None:
                return None
            sealed = moved_trails.restore_events(part, self._parts_moved)
            self._ids, self._lines, self._at = part["id"].to_list(), hash_chain.build_lines(sealed).to_list(), 0
            link = self._starts.search_sorted(part["id"], side="right").alias("link")
            self._runs.append(runs.find_passages(part.with_columns(link), "link"))
        return self._ids[self._at]

    def _add(self, digest: hash_chain.Digest, last: int) -> tuple[int, int | None]:
        """Add the events up to this one; return how many there are, and the last of them."""
        events, last_id = 0, None
        while (next_event := self._find_next_event()) is not None and next_event <= last:
            end = bisect_right(self._ids, last, self._at)
            digest.update("".join(f"{line}\n" for line in self._lines[self._at : end]).encode())
            events, last_id = events + end - self._at, self._ids[end - 1]
            self._at = end
        return events, last_id

    def _find_passage_error(self, links: list[models.TrailLink], until: int) -> str:
        """Return an error in the passages of these links, whose events are as they were sealed."""
        stored = runs.read_passages(self._agency, self._so_far.last, until)
        if runs.join_passages(self._runs, "link").equals(stored):
            return ""
        return f"the passages of links {links[0].number} to {links[-1].number} are not those of their events"

    def _read(self, after: int, until: int) -> Iterator[pl.DataFrame]:
        columns = hash_chain.SEALED | hash_chain.ALSO | hash_chain.LATER
        selected = ", ".join(runs.select_time() if name == "at" else f'"{name}"' for name in columns)
        sql = (
            f"SELECT {selected} FROM {frames.table(models.Event)}"
            f" WHERE agency_id = %s AND id > %s AND id <= %s ORDER BY id LIMIT {_PART}"
        )
        while True:
            part = frames.read_frame(sql, [self._agency.pk, after, until], columns)
            if part.is_empty():
                return
            yield part
            after = part["id"][-1]
