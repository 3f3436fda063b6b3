"""Anchors: the known heads of each trail, kept outside the database.

They reveal a trail that was cut off or replaced whole. There are two kinds. One is a file for each agency with its
newest chain head, written after each link. The other is one file with a line for each head that has moved since the
last time, at least daily, which can be sent elsewhere line by line. All are sealed by a key that is not in the
database, and each line covers the line before. Text that is not a whole line is skipped: a full disk or a power cut leaves
such text.

The file of lines grows for years, so it is read line by line, and mailed in parts.
"""

import fcntl
import hmac
import logging
import mmap
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TypeAlias

from django.conf import settings
from django.db import Error, connection

from musterbook.config import home, secret_keys
from musterbook.directory import models
from musterbook.directory.audit import hash_chain
from musterbook.directory.storage import frames

FILE, HEADS = "audit-anchors.log", "audit-heads"
"""The file of all lines, and the folder of newest heads, both in MUSTER_HOME next to the log."""

SENT = "audit-anchors.sent"
"""The file that records how much of FILE was sent elsewhere, in bytes."""

EVERY = timedelta(days=1)
"""The longest time after which a head that has moved is anchored."""

_SENT_AT_ONCE = 1_000_000
"""The bytes of lines that are sent at once: mail servers refuse a mail of many megabytes."""

_NEWEST, _LONGEST = 1 << 20, 1 << 12
"""The bytes of the newest lines, about 4,500 of them, and more bytes than a few lines have."""

_LOG = logging.getLogger("musterbook.audit")
_PURPOSE = "audit anchors"
_LINE = re.compile(
    r"(?P<at>\S{20}) agency=(?P<agency>\d+) slug=(?P<slug>\S+) links=(?P<links>\d+) head=(?P<head>[0-9a-f]{64})"
    r"(?P<restored> restored)? key=(?P<key>[0-9a-f]+) seal=(?P<seal>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A chain head as it was known outside the database; `at`: when, or "" for a head that a user names."""

    agency: int
    slug: str
    links: int
    head: str
    at: str = ""
    restored: bool = False
    """Whether a backup was restored, so that earlier anchors may know more links."""

    @property
    def description(self) -> str:
        """Return the name of the anchor in a sentence."""
        return f"the anchor of {self.at}" if self.at else "the expected head"


@dataclass(frozen=True, slots=True)
class KnownAnchors:
    """The newest anchors by agency id, at most two for each, and an error in the files ("" for none)."""

    anchors: dict[int, tuple[Anchor, ...]]
    error: str = ""
    headless: frozenset[int] = frozenset()
    """The agencies that have a line but no newest head, although one is written with each link."""


def record_head(agency: models.Agency, links: int, before: str, head: str) -> None:
    """Record an agency's newest head, after the commit of its link.

    A head that the trail has lost is kept as evidence. If the file cannot be written, only log it: the act itself is
    done.
    """
    try:
        path = _head_path(agency.pk)
        old = _read_head(path, _derive_keys())
        if old is not None and not _may_replace(agency, old, links, before):
            return
        new = Anchor(agency.pk, agency.slug, links, head, _format_time(datetime.now(UTC)))
        _replace_file(path, f"{_build_line(new, '', _get_current_key())}\n")
    except (OSError, Error):
        _LOG.critical("The head of the audit trail of %s could not be recorded", agency.slug, exc_info=True)


def _may_replace(agency: models.Agency, old: Anchor, links: int, before: str) -> bool:
    """Return whether the trail still has the head recorded last, so that the new one may replace it."""
    still = old.head == before if old.links == links - 1 else has_link(agency.pk, old)
    if not still:
        _LOG.critical("The audit trail of %s has lost link %s, which is in %s", agency.slug, old.links, old.description)
    return still and old.links < links


def has_link(agency: int, anchor: Anchor) -> bool:
    """Return whether the agency's trail has the link that the anchor knows.

    With `links` 0, look for that digest at any number.
    """
    if anchor.head == hash_chain.START:
        return True
    links = models.TrailLink.objects.filter(agency=agency, digest=anchor.head)
    return (links.filter(number=anchor.links) if anchor.links else links).exists()


def write_lines(at: datetime) -> list[str]:
    """Append a line for each head that has moved, and return the new lines.

    A trail that has lost an anchored link gets no line.
    """
    with _open_locked() as file:
        last, end = _read_newest(file)
        moved = [head for head in _read_heads(at) if _has_moved(head, last.get(head.agency))]
        return _append_lines(file, end, moved)


def record_restore(at: datetime) -> list[str]:
    """Record the current heads after a restore of a backup: older anchors may know more links."""
    heads = {head.agency: head for head in _read_heads(at)}
    with _open_locked() as file:
        last, end = _read_newest(file)
        slugs = {found.agency: found.slug for found in (*last.values(), *_read_noted_heads())}
        empty = [
            Anchor(agency, slug, 0, hash_chain.START, _format_time(at))
            for agency, slug in slugs.items()
            if agency not in heads
        ]
        now = [Anchor(h.agency, h.slug, h.links, h.head, h.at, restored=True) for h in (*heads.values(), *empty)]
        for anchor in now:
            _replace_file(_head_path(anchor.agency), f"{_build_line(anchor, '', _get_current_key())}\n")
        return _append_lines(file, end, now)


def _has_moved(head: Anchor, last: Anchor | None) -> bool:
    if last is None:
        return True
    if not has_link(head.agency, last):
        _LOG.critical("The audit trail of %s has lost link %s, which is in %s", head.slug, last.links, last.description)
        return False
    return head.links > last.links


def _read_heads(at: datetime) -> Iterator[Anchor]:
    """Yield the heads of all agencies that have a trail."""
    ends = frames.table(models.TrailEnd)
    sql = (
        f"SELECT a.id, a.slug, e.links, e.digest FROM {frames.table(models.Agency)} a JOIN {ends} e ON e.agency_id = a.id"
        f" AND e.links = (SELECT max(links) FROM {ends} WHERE agency_id = a.id) ORDER BY a.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        for agency, slug, links, head in cursor.fetchall():
            yield Anchor(agency, slug, links, head, _format_time(at))


def read_anchors(agency: models.Agency | None = None) -> KnownAnchors:
    """Return the anchors of one agency, or of all.

    For all agencies, check every line of the file. For one, see `_read_for_agency`.
    """
    if agency is None:
        heads, (newest, wrong) = list(_read_noted_heads()), _check_lines(_parse_lines(_read_lines()))
    else:
        heads = list(filter(None, [_read_head(_head_path(agency.pk), _derive_keys())]))
        newest, wrong = _read_for_agency(agency.pk)
    known: dict[int, tuple[Anchor, ...]] = {head.agency: (head,) for head in heads}
    lines = {one: last for one, last in newest.items() if agency is None or one == agency.pk}
    headless = frozenset(lines) - frozenset(known)
    known |= {one: (*known.get(one, ()), last) for one, last in lines.items()}
    return KnownAnchors(known, wrong, headless)


def _read_for_agency(agency: int) -> tuple[dict[int, Anchor], str]:
    """Return the newest lines of the file, and the agency's own newest line.

    It reads only parts of the file, because pages call it and the file may have any size.
    """
    try:
        with (settings.MUSTER_HOME / FILE).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return {}, ""
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
                newest, wrong = _check_lines(_read_range(content, size - _NEWEST, size))
                own = content.rfind(f" agency={agency} slug=".encode())
                older, own_error = (
                    _check_lines(_read_range(content, own - _LONGEST, own + _LONGEST)) if own >= 0 else ({}, "")
                )
                return older | newest, wrong or own_error
    except FileNotFoundError:
        return {}, ""


def _read_range(content: mmap.mmap, begin: int, end: int) -> "Iterator[_Parsed]":
    """Return the lines between two positions of the file.

    The first line serves only as the line that the second covers, unless it begins the file.
    """
    begin = content.find(b"\n", begin) + 1 if begin > 0 else 0
    number = sum(content[at : min(at + _NEWEST, begin)].count(b"\n") for at in range(0, begin, _NEWEST))
    lines = content[begin:end].decode(errors="replace").split("\n")[:-1]
    return _parse_lines(lines, number, whole=begin == 0)


def _check_lines(parsed: "Iterable[_Parsed]") -> tuple[dict[int, Anchor], str]:
    """Return the newest anchor of each agency, and an error in the lines."""
    newest: dict[int, Anchor] = {}
    wrong = ""
    for number, anchor, _ in parsed:
        if anchor is None:
            wrong = wrong or f"line {number} of {FILE} was changed, or lines before it were removed"
        else:
            newest[anchor.agency] = anchor
    return newest, wrong


def read_unsent_lines() -> tuple[list[str], int]:
    """Return the next lines to send elsewhere, at most about a megabyte.

    Also return the position to pass to `record_sent` once they are sent.
    """
    try:
        with (settings.MUSTER_HOME / FILE).open("rb") as file:
            file.seek(_find_unsent(os.fstat(file.fileno()).st_size))
            lines = file.readlines(_SENT_AT_ONCE)
            end = file.tell()
    except FileNotFoundError:
        return [], 0
    if lines and not lines[-1].endswith(b"\n"):
        end -= len(lines.pop())
    texts = [line.decode(errors="replace").rstrip("\n") for line in lines]
    return [line for line in texts if _LINE.fullmatch(line)], end


def _find_unsent(size: int) -> int:
    """Return the position of the first line that was not sent.

    Return 0, the beginning, if it is unknown or the file has been replaced.
    """
    try:
        begin = int((settings.MUSTER_HOME / SENT).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0
    return begin if 0 <= begin <= size else 0


def record_sent(end: int) -> None:
    """Record that all lines up to this position were sent."""
    _replace_file(settings.MUSTER_HOME / SENT, str(end))


def is_due(at: datetime) -> bool:
    """Return whether it is time to write anchors."""
    try:
        # The clock may have been set back.
        return abs(at.timestamp() - (settings.MUSTER_HOME / FILE).stat().st_mtime) >= EVERY.total_seconds()
    except FileNotFoundError:
        return True


def find_unanchored(at: datetime) -> list[str]:
    """Return the agencies whose moved head was not anchored for two days, although a worker should have done it."""
    last = {anchor.agency: anchor.links for _, anchor, _ in _parse_lines(_read_lines()) if anchor}
    heads = [(head, last.get(head.agency, 0)) for head in _read_heads(at)]
    return sorted(h.slug for h, links in heads if h.links > links and _find_link_time(h.agency, links) < at - 2 * EVERY)


def _find_link_time(agency: int, links: int) -> datetime:
    """Return when the first link after this number was made."""
    link = models.TrailLink.objects.filter(agency=agency, number__gt=links).order_by("number").first()
    event = link and models.Event.objects.filter(pk=link.first).first()
    return event.at if event else datetime.max.replace(tzinfo=UTC)


def _read_lines() -> Iterator[str]:
    try:
        with (settings.MUSTER_HOME / FILE).open(encoding="utf-8", errors="replace") as file:
            yield from file
    except FileNotFoundError:
        return


def _read_newest(file: Iterable[str]) -> tuple[dict[int, Anchor], str]:
    """Return the newest anchor of each agency in the file of lines, and the last line, which the next one covers."""
    last: dict[int, Anchor] = {}
    end = ""
    for _, anchor, line in _parse_lines(file):
        end = line
        if anchor:
            last[anchor.agency] = anchor
    return last, end


_Parsed: TypeAlias = tuple[int, Anchor | None, str]


def _parse_lines(lines: Iterable[str], after: int = 0, *, whole: bool = True) -> Iterator[_Parsed]:
    """Yield each line, by number, with its anchor, or None if none of our keys sealed it in that place.

    `after`: the number of lines before these; `whole`: the first line is the file's first.
    """
    ring, before = _derive_keys(), "" if whole else None
    for number, text in enumerate(lines, after + 1):
        line = text.rstrip("\n")
        match = _LINE.fullmatch(line)
        if match:
            if before is not None:
                yield number, _parse_anchor(match, before, ring), line
            before = line


def _parse_anchor(match: re.Match[str], before: str, ring: dict[str, bytes]) -> Anchor | None:
    key = ring.get(match["key"])
    content = match.string[: match.start("seal")]
    if key is None or not hmac.compare_digest(_seal_line(content, before, key), match["seal"]):
        return None
    return Anchor(
        int(match["agency"]), match["slug"], int(match["links"]), match["head"], match["at"], bool(match["restored"])
    )


def _derive_keys() -> dict[str, bytes]:
    return {key.name: key.derive(_PURPOSE) for key in secret_keys.ring()}


def _get_current_key() -> tuple[str, bytes]:
    """Return the current sealing key, with its name."""
    return next(iter(_derive_keys().items()))


def _seal_line(text: str, before: str, key: bytes) -> str:
    return hmac.digest(key, f"{before}\n{text}".encode(), "sha256").hex()


def _build_line(anchor: Anchor, before: str, current: tuple[str, bytes]) -> str:
    name, key = current
    text = (
        f"{anchor.at} agency={anchor.agency} slug={anchor.slug} links={anchor.links} head={anchor.head}"
        f"{' restored' if anchor.restored else ''} key={name} seal="
    )
    return text + _seal_line(text, before, key)


def _append_lines(file: IO[str], before: str, anchors: list[Anchor]) -> list[str]:
    """Append a line for each anchor and flush it to the disk. Without any, only update the file's time.

    That time records the last check.
    """
    new_lines, current = [], _get_current_key()
    for anchor in anchors:
        before = _build_line(anchor, before, current)
        new_lines.append(before)
    file.seek(0, os.SEEK_END)
    file.write("".join(f"{line}\n" for line in new_lines))
    file.flush()
    os.fsync(file.fileno())
    os.utime(file.fileno())
    return new_lines


@contextmanager
def _open_locked() -> Iterator[IO[str]]:
    """Open the file of lines, to read from its beginning and to append to, for one process at a time.

    Complete a line that was cut off with a line feed.
    """
    path = home.prepare_folder(settings.MUSTER_HOME) / FILE
    with os.fdopen(
        os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+", encoding="utf-8", errors="replace"
    ) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file.fileno()).st_size
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            os.write(file.fileno(), b"\n")
            file.seek(0)
        yield file


def _head_path(agency: int) -> Path:
    return Path(settings.MUSTER_HOME) / HEADS / str(agency)


def _read_head(path: Path, ring: dict[str, bytes]) -> Anchor | None:
    """Return the head that a file records, or None if there is none or none of our keys sealed it."""
    try:
        line = path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except FileNotFoundError:
        return None
    match = _LINE.fullmatch(line)
    return _parse_anchor(match, "", ring) if match else None


def has_noted_links() -> bool:
    """Return whether a file of newest heads knows a trail with links, without a look at its seal: its key may be lost."""
    folder = Path(settings.MUSTER_HOME) / HEADS
    for path in folder.glob("[0-9]*"):
        match = _LINE.fullmatch(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        if match and int(match["links"]):
            return True
    return False


def _read_noted_heads() -> Iterator[Anchor]:
    folder = Path(settings.MUSTER_HOME) / HEADS
    paths = (path for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else iter(())
    ring = _derive_keys()
    return filter(None, (_read_head(path, ring) for path in paths))


def _replace_file(path: Path, text: str) -> None:
    """Write a small file of our own atomically: it appears whole or not at all."""
    draft = home.prepare_folder(path.parent) / f".{path.name}.{os.getpid()}.{threading.get_ident()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _format_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
