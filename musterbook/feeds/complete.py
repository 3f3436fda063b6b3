"""Which of the files at a location are complete, so that they can be taken (rule N1).

A file is complete if its size and time have not changed for a minute in two observations, if it was renamed into place,
or if its marker is there. This is a pure function of what was found, of what earlier checks saw, and of the time.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from musterbook.feeds.locations.location import FoundFile

UNCHANGED_FOR = timedelta(minutes=1)
MISSED_FOR = timedelta(hours=1)
"""How long a snapshot of fewer files than the last one waits for the others."""
_TEMPORARY_ENDINGS = (".tmp", ".part", ".filepart")
_TEMPORARY_STARTS = (".", "~$")
DONE, CHECKSUM = ".done", ".sha256"
_MOST = 2_000
"""The most waiting files that are remembered. The oldest are taken first, so the others get their turn."""


class Reason(StrEnum):
    """Why a file is not taken."""

    TEMPORARY = "temporary"
    """It is still being sent, or belongs to another program."""
    MARKER = "marker"
    """It only says that another file is complete."""
    PATTERN = "pattern"
    """It does not match the pattern of the feed."""
    TAKEN = "taken"
    """It was taken before, and stays where it is."""
    CHANGING = "changing"
    """It has not been unchanged for a minute yet."""
    CHECKSUM = "checksum"
    """It does not have the checksum of its marker yet."""
    OTHERS = "others"
    """An older file, or another file of its snapshot, is not complete or has not come yet."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Complete files that are one import, in the order of their names.

    `markers`: the files that say that they are complete. They leave together with them. `checksums`: the name of a file →
    the name of the marker that has its checksum. `unchanged`: whether nothing has changed for a minute, so that a wrong
    checksum stays wrong.
    """

    files: tuple[FoundFile, ...]
    markers: tuple[FoundFile, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    unchanged: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """What a check finds: what can be taken, oldest first, and why each other file is not taken.

    `seen`: what the next check needs to know, as JSON.
    """

    arrivals: tuple[Arrival, ...]
    others: tuple[tuple[FoundFile, Reason], ...]
    seen: Mapping[str, Any]

    @property
    def waits(self) -> bool:
        """Return whether a file is here that a check in a minute may find complete."""
        return any(reason in (Reason.CHANGING, Reason.CHECKSUM, Reason.OTHERS) for _, reason in self.others)


def identify(found: FoundFile) -> str:
    """Return what identifies the content of a file at its place: its size, its time and its tag."""
    return f"{found.size} {found.modified!r} {found.tag}"


def is_temporary(name: str) -> bool:
    """Return whether a file of this name is left alone: it is being sent, hidden, or the lock file of a program."""
    return name.startswith(_TEMPORARY_STARTS) or name.casefold().endswith(_TEMPORARY_ENDINGS)


def choose(
    found: Sequence[FoundFile],
    before: Mapping[str, Any],
    at: datetime,
    *,
    pattern: str = "*",
    together: bool = False,
    usual: int = 0,
) -> Look:
    """Return which files are complete.

    `before`: `Look.seen` of the last check, {} for the first. `pattern`: of the names of the feed's files. `together`:
    whether all files are one snapshot. `usual`: the number of files of the last snapshot.
    """
    view = _View(found, before, at, pattern)
    reasons = [(one, view.find_reason(one)) for one in sorted(found)]
    others = [(one, reason) for one, reason in reasons if reason]
    # A snapshot is never cut: what is left out would be missing in it.
    candidates = [one for one, reason in reasons if not reason][: None if together else _MOST]
    since = {one.name: view.find_since(one) for one in candidates}
    seen: dict[str, Any] = {
        "files": {one.name: [identify(one), since[one.name].isoformat()] for one in candidates},
        "temporary": {one.name: [identify(one), view.find_since(one).isoformat()] for one in view.temporary},
        "taken": {name: key for name, key in view.taken.items() if name in view.by_name},
        "tried": {name: key for name, key in before.get("tried", {}).items() if name in since},
    }
    single = [(one, view.find_arrival(one, since[one.name])) for one in candidates]
    if together:
        arrivals, waiting = _join(single, view, seen, usual)
    else:
        arrivals, waiting = _queue(single)
    return Look(
        tuple(arrivals), tuple(sorted([*others, *waiting])), {name: part for name, part in seen.items() if part}
    )


def _queue(
    single: Sequence[tuple[FoundFile, Arrival | Reason]],
) -> tuple[list[Arrival], list[tuple[FoundFile, Reason]]]:
    """Return the files that can be taken one after the other. A newer one never overtakes one that is not complete."""
    arrivals, waiting = list[Arrival](), list[tuple[FoundFile, Reason]]()
    for one, result in single:
        if isinstance(result, Reason):
            waiting.append((one, result))
        elif waiting:
            waiting.append((one, Reason.OTHERS))
        else:
            arrivals.append(result)
    return arrivals, waiting


def _join(
    single: Sequence[tuple[FoundFile, Arrival | Reason]], view: "_View", seen: dict[str, Any], usual: int
) -> tuple[list[Arrival], list[tuple[FoundFile, Reason]]]:
    """Return all files as one arrival, or why each waits.

    One that is not complete holds up all others. So does one that has just come, because more may follow.
    """
    if not single:
        return [], []
    key = hashlib.sha256("\n".join(f"{one.name} {identify(one)}" for one, _ in single).encode()).hexdigest()
    since = view.find_earlier(view.before.get("together", ()), key)
    seen["together"] = [key, since.isoformat()]
    patience = UNCHANGED_FOR if len(single) >= usual else MISSED_FOR
    arrivals = [arrival for _, arrival in single if isinstance(arrival, Arrival)]
    if len(arrivals) == len(single) and view.at - since >= patience and not view.is_arriving():
        files = sorted((one for one, _ in single), key=lambda one: one.name)
        markers = tuple(marker for arrival in arrivals for marker in arrival.markers)
        checksums = {name: marker for arrival in arrivals for name, marker in arrival.checksums.items()}
        return [Arrival(tuple(files), markers, checksums)], []
    return [], [(one, one_is if isinstance(one_is, Reason) else Reason.OTHERS) for one, one_is in single]


class _View:
    """The files at a location, and what earlier checks saw there."""

    def __init__(self, found: Iterable[FoundFile], before: Mapping[str, Any], at: datetime, pattern: str) -> None:
        self.by_name = {one.name: one for one in found}
        self.before, self.at, self._pattern = before, at, pattern.casefold()
        self.taken: Mapping[str, str] = before.get("taken", {})
        self.temporary = [one for one in self.by_name.values() if is_temporary(one.name)][:_MOST]
        self._earlier: Mapping[str, Sequence[str]] = {**before.get("files", {}), **before.get("temporary", {})}
        # They are found by what identifies them, because a folder can have thousands of each kind.
        self._gone = defaultdict[str, list[str]](list)
        for name, (key, _) in before.get("temporary", {}).items():
            if name not in self.by_name:
                self._gone[key].append(name)

    def find_reason(self, one: FoundFile) -> Reason | None:
        """Return why the file is left alone, or None if it is for the feed."""
        name = one.name.casefold()
        if is_temporary(name):
            return Reason.TEMPORARY
        if name.endswith((DONE, CHECKSUM)):
            return Reason.MARKER
        if not fnmatchcase(name, self._pattern):
            return Reason.PATTERN
        return Reason.TAKEN if self._is_taken(one) else None

    def _is_taken(self, one: FoundFile) -> bool:
        return self.taken.get(one.name) == identify(one)

    def find_since(self, one: FoundFile) -> datetime:
        """Return since when the file has been as it is."""
        return self.find_earlier(self._earlier.get(one.name, ()), identify(one))

    def find_earlier(self, entry: Sequence[str], key: str) -> datetime:
        """Return the time of the entry if it has this key. It counts from now if the clock was set back since."""
        if not entry or entry[0] != key:
            return self.at
        return min(datetime.fromisoformat(entry[1]), self.at)

    def find_arrival(self, one: FoundFile, since: datetime) -> Arrival | Reason:
        """Return the file as an arrival if it is complete, otherwise the reason."""
        unchanged = one.is_complete or self.at - since >= UNCHANGED_FOR
        markers = tuple(marker for marker in self._list_markers(one) if not self._is_taken(marker))
        checksum = next((marker for marker in markers if marker.name.casefold().endswith(CHECKSUM)), None)
        if checksum:
            tried = self.before.get("tried", {}).get(one.name) == key_of_try(one, checksum)
            if tried and not unchanged:
                return Reason.CHECKSUM
            return Arrival((one,), markers, {one.name: checksum.name}, unchanged)
        is_marked = any(marker.modified >= one.modified for marker in markers)
        if is_marked or unchanged or self._was_renamed(one):
            return Arrival((one,), markers, unchanged=unchanged)
        return Reason.CHANGING

    def _list_markers(self, one: FoundFile) -> list[FoundFile]:
        """Return the markers of the file: `roster.csv.done` or `roster.done`, and the same with checksums."""
        names = [f"{base}{ending}" for ending in (DONE, CHECKSUM) for base in _list_bases(one.name)]
        return [self.by_name[name] for name in names if name in self.by_name]

    def _was_renamed(self, one: FoundFile) -> bool:
        """Return whether the file had a temporary name at the last check, which is gone."""
        return any(_is_temporary_of(name, one.name) for name in self._gone.get(identify(one), ()))

    def is_arriving(self) -> bool:
        """Return whether a file of the feed is still being sent. One that has not changed for an hour was given up."""
        return any(
            self.at - self.find_since(one) < MISSED_FOR
            for one in self.temporary
            if any(fnmatchcase(name.casefold(), self._pattern) for name in _list_finals(one.name))
        )


def key_of_try(one: FoundFile, marker: FoundFile) -> str:
    """Return what identifies a file and its marker, so that a wrong checksum is not computed again and again."""
    return f"{identify(one)} {identify(marker)}"


def _list_bases(name: str) -> list[str]:
    stem = PurePosixPath(name).stem
    return [name] if stem == name else [name, stem]


def _is_temporary_of(temporary: str, name: str) -> bool:
    """Return whether a program sends the file under this temporary name: `x.csv.part`, `x.tmp`, `.x.csv`, `.x.csv.Ab1`."""
    finals = _list_finals(temporary)
    return name in finals or PurePosixPath(name).stem in finals


def _list_finals(temporary: str) -> set[str]:
    """Return the names that a file of this temporary name may get."""
    name = temporary.lstrip(".")
    names = {name}
    if name != temporary:
        names.add(name.rpartition(".")[0])
    names |= {one[: -len(end)] for one in names for end in _TEMPORARY_ENDINGS if one.casefold().endswith(end)}
    return names - {"", temporary}


_DIGEST = re.compile(r"\b[0-9a-f]{64}\b", re.IGNORECASE)


def read_checksum(marker: bytes, name: str) -> str:
    """Return the SHA-256 that a marker says of the file, "" if it says none.

    Its lines are as `sha256sum` writes them, or it has the checksum alone. A line that names the file counts first.
    """
    lines = marker.decode("utf-8", errors="replace").splitlines()
    named = [line for line in lines if name in line]
    found = (match for line in (*named, *lines) if (match := _DIGEST.search(line)))
    match = next(found, None)
    return match[0].lower() if match else ""
