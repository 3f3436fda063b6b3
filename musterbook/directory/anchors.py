"""Anchors: what is known of each trail outside the database, so that a trail that was cut off or replaced whole is found.

There are two: a file for each agency with its newest head, written after each link; and one file with a line for each head that
has moved since the last time, at least daily, which can be sent elsewhere line by line. All are sealed by a key that is not in
the database, and each line covers the line before.
"""

import fcntl
import hmac
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import Error, connection

from musterbook import home, keys
from musterbook.directory import frames, models, seals

FILE, HEADS = "audit-anchors.log", "audit-heads"
"""The file of all lines, and the folder of newest heads, both in MUSTER_HOME beside the log."""

SENT = "audit-anchors.sent"
"""How much of the file was sent elsewhere, in bytes."""

EVERY = timedelta(days=1)
"""A head that has moved is anchored after so long at the latest."""

_LOG = logging.getLogger("musterbook.audit")
_PURPOSE = "audit anchors"
_LINE = re.compile(
    r"(?P<at>\S{20}) agency=(?P<agency>\d+) slug=(?P<slug>\S+) links=(?P<links>\d+) head=(?P<head>[0-9a-f]{64})"
    r"(?P<restored> restored)? key=(?P<key>[0-9a-f]+) seal=(?P<seal>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One head of a trail as it was known outside the database; `at`: when, "" for one that somebody names."""

    agency: int
    slug: str
    links: int
    head: str
    at: str = ""
    restored: bool = False
    """Whether a backup was restored, so that earlier anchors may know more links."""

    @property
    def said(self) -> str:
        """What the anchor is called in a sentence."""
        return f"the anchor of {self.at}" if self.at else "the expected head"


@dataclass(frozen=True, slots=True)
class Known:
    """The newest anchors, at most two of an agency, by its id; and what is wrong with the files ("" for nothing)."""

    anchors: dict[int, tuple[Anchor, ...]]
    wrong: str = ""
    headless: frozenset[int] = frozenset()
    """The agencies of which a line is known and no newest head, though one is written with each link."""


def note(agency: models.Agency, links: int, before: str, head: str) -> None:
    """Notes an agency's newest head, after the commit of its link. A head that the trail has lost is kept, as evidence.

    Where it cannot be written that is logged, for the act itself is done.
    """
    try:
        path = _head_path(agency.pk)
        old = _head(path)
        if old is not None and not _follows(agency, old, links, before):
            return
        new = Anchor(agency.pk, agency.slug, links, head, _stamp(datetime.now(UTC)))
        _replace(path, f"{_line(new, '')}\n")
    except (OSError, Error):
        _LOG.critical("The head of the audit trail of %s could not be noted", agency.slug, exc_info=True)


def _follows(agency: models.Agency, old: Anchor, links: int, before: str) -> bool:
    """Whether the trail still has the head that was noted last, so that the new one may take its place."""
    still = old.head == before if old.links == links - 1 else has(agency.pk, old)
    if not still:
        _LOG.critical("The audit trail of %s has lost link %s, which %s knows", agency.slug, old.links, old.said)
    return still and old.links < links


def has(agency: int, anchor: Anchor) -> bool:
    """Whether the agency's trail has the link that the anchor knows. `links` 0: that digest, wherever it is."""
    if anchor.head == seals.START:
        return True
    links = models.TrailLink.objects.filter(agency=agency, digest=anchor.head)
    return (links.filter(number=anchor.links) if anchor.links else links).exists()


def write(at: datetime) -> list[str]:
    """Appends a line for each head that has moved; gives the new lines. A trail that lost what was anchored gets none."""
    with _alone() as file:
        lines = list(_read(file))
        last = {anchor.agency: anchor for anchor, _ in _parsed(lines) if anchor}
        moved = [head for head in _heads(at) if _moved(head, last.get(head.agency))]
        return _append(file, lines, moved)


def restored(at: datetime) -> list[str]:
    """Notes, after a backup was restored, the heads that there are now: older anchors may know more links."""
    heads = {head.agency: head for head in _heads(at)}
    with _alone() as file:
        lines = list(_read(file))
        gone = {anchor.agency: anchor.slug for anchor, _ in _parsed(lines) if anchor}
        gone |= {found.agency: found.slug for found in _noted()}
        empty = [
            Anchor(agency, slug, 0, seals.START, _stamp(at)) for agency, slug in gone.items() if agency not in heads
        ]
        now = [Anchor(h.agency, h.slug, h.links, h.head, h.at, restored=True) for h in (*heads.values(), *empty)]
        for anchor in now:
            _replace(_head_path(anchor.agency), f"{_line(anchor, '')}\n")
        return _append(file, lines, now)


def _moved(head: Anchor, last: Anchor | None) -> bool:
    if last is None:
        return True
    if not has(head.agency, last):
        _LOG.critical("The audit trail of %s has lost link %s, which %s knows", head.slug, last.links, last.said)
        return False
    return head.links > last.links


def _heads(at: datetime) -> Iterator[Anchor]:
    """The heads of all agencies that have a trail."""
    ends = frames.table(models.TrailEnd)
    sql = (
        f"SELECT a.id, a.slug, e.links, e.digest FROM {frames.table(models.Agency)} a JOIN {ends} e ON e.agency_id = a.id"
        f" AND e.links = (SELECT max(links) FROM {ends} WHERE agency_id = a.id) ORDER BY a.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        for agency, slug, links, head in cursor.fetchall():
            yield Anchor(agency, slug, links, head, _stamp(at))


def known(agency: models.Agency | None = None) -> Known:
    """Reads the anchors of one agency, or of all."""
    wanted = None if agency is None else agency.pk
    found: dict[int, list[Anchor]] = {}
    for head in _noted() if wanted is None else filter(None, [_head(_head_path(wanted))]):
        found[head.agency] = [head]
    lines, wrong = _lines(), ""
    newest: dict[int, Anchor] = {}
    for number, (anchor, _) in enumerate(_parsed(lines), 1):
        if anchor is None:
            wrong = wrong or f"line {number} of {FILE} was changed, or lines before it were removed"
        elif wanted in (None, anchor.agency):
            newest[anchor.agency] = anchor
    headless = frozenset(newest) - frozenset(found)
    for number, last in newest.items():
        found.setdefault(number, []).append(last)
    return Known({number: tuple(anchors) for number, anchors in found.items()}, wrong, headless)


def unsent() -> tuple[list[str], int]:
    """The lines that were not sent elsewhere yet, and what to call `sent` with once they are."""
    path = settings.MUSTER_HOME / SENT
    begin = int(path.read_text(encoding="ascii")) if path.exists() else 0
    try:
        content = (settings.MUSTER_HOME / FILE).read_bytes()
    except FileNotFoundError:
        return [], 0
    if begin > len(content):
        begin = 0
    return content[begin:].decode(errors="replace").splitlines(), len(content)


def sent(end: int) -> None:
    """Notes that all lines up to there were sent."""
    _replace(settings.MUSTER_HOME / SENT, str(end))


def due(at: datetime) -> bool:
    """Whether it is time to write anchors."""
    try:
        return at.timestamp() - (settings.MUSTER_HOME / FILE).stat().st_mtime >= EVERY.total_seconds()
    except FileNotFoundError:
        return True


def unwritten(at: datetime) -> list[str]:
    """The agencies whose head has moved and was not anchored for two days, though a worker should have done it."""
    last = {anchor.agency: anchor.links for anchor, _ in _parsed(_lines()) if anchor}
    heads = [(head, last.get(head.agency, 0)) for head in _heads(at)]
    return sorted(h.slug for h, links in heads if h.links > links and _since(h.agency, links) < at - 2 * EVERY)


def _since(agency: int, links: int) -> datetime:
    """When the first link after that one was made."""
    link = models.TrailLink.objects.filter(agency=agency, number__gt=links).order_by("number").first()
    event = link and models.Event.objects.filter(pk=link.first).first()
    return event.at if event else datetime.max.replace(tzinfo=UTC)


def _lines() -> list[str]:
    try:
        with (settings.MUSTER_HOME / FILE).open(encoding="utf-8", errors="replace") as file:
            return list(_read(file))
    except FileNotFoundError:
        return []


def _read(file: IO[str]) -> Iterator[str]:
    for line in file:
        yield line.rstrip("\n")


def _parsed(lines: Iterable[str]) -> Iterator[tuple[Anchor | None, str]]:
    """Each line with its anchor: None for one that no key of ours has sealed in that place."""
    ring, before = _ring(), ""
    for line in lines:
        anchor = _anchor(line, before, ring)
        yield anchor, line
        before = line


def _anchor(line: str, before: str, ring: dict[str, bytes]) -> Anchor | None:
    found = _LINE.fullmatch(line)
    if found is None or found["key"] not in ring:
        return None
    told = line[: found.start("seal")]
    if not hmac.compare_digest(_seal(told, before, ring[found["key"]]), found["seal"]):
        return None
    return Anchor(
        int(found["agency"]), found["slug"], int(found["links"]), found["head"], found["at"], bool(found["restored"])
    )


def _ring() -> dict[str, bytes]:
    return {key.name: key.derive(_PURPOSE) for key in keys.ring()}


def _seal(told: str, before: str, key: bytes) -> str:
    return hmac.new(key, f"{before}\n{told}".encode(), "sha256").hexdigest()


def _line(anchor: Anchor, before: str) -> str:
    name, key = next(iter(_ring().items()))
    told = (
        f"{anchor.at} agency={anchor.agency} slug={anchor.slug} links={anchor.links} head={anchor.head}"
        f"{' restored' if anchor.restored else ''} key={name} seal="
    )
    return told + _seal(told, before, key)


def _append(file: IO[str], lines: list[str], anchors: list[Anchor]) -> list[str]:
    """Appends a line for each anchor, onto the disk itself; without any, only the file's time says that we looked."""
    before, made = lines[-1] if lines else "", []
    for anchor in anchors:
        before = _line(anchor, before)
        made.append(before)
    file.seek(0, os.SEEK_END)
    file.write("".join(f"{line}\n" for line in made))
    file.flush()
    os.fsync(file.fileno())
    os.utime(file.fileno())
    return made


@contextmanager
def _alone() -> Iterator[IO[str]]:
    """The file of lines, to read from its beginning and to append to: one process at a time."""
    path = home.prepare(settings.MUSTER_HOME) / FILE
    with os.fdopen(
        os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+", encoding="utf-8", errors="replace"
    ) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _head_path(agency: int) -> Path:
    return Path(settings.MUSTER_HOME) / HEADS / str(agency)


def _head(path: Path) -> Anchor | None:
    """The head that a file notes; None if there is none, or no key of ours has sealed it."""
    try:
        line = path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except FileNotFoundError:
        return None
    return _anchor(line, "", _ring())


def _noted() -> Iterator[Anchor]:
    folder = Path(settings.MUSTER_HOME) / HEADS
    paths = (path for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else iter(())
    return filter(None, map(_head, paths))


def _replace(path: Path, text: str) -> None:
    """Writes a small file of our own; it appears whole or not at all."""
    draft = home.prepare(path.parent) / f".{path.name}.{os.getpid()}.{threading.get_ident()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
