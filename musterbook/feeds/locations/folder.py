"""Files in a folder on this machine, below the folders that the installation allows (rule N8).

Someone else may change the folder at any time. So each step uses the folder that was opened and checked, never its path
again, and no symbolic link is followed after that.
"""

import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _

from musterbook.config.home import prepare_folder
from musterbook.feeds.locations import file_names
from musterbook.feeds.locations.location import (
    MARKER_SIZE,
    MOST_FILES,
    FileChanged,
    FoundFile,
    NotAllowed,
    Unreachable,
    Write,
    do_nothing,
)

_PART = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def list_roots() -> list[Path]:
    """Return the folders that the folders of agencies are in."""
    return [*settings.MUSTER_FEED_FOLDERS] or [settings.MUSTER_HOME / "feeds"]


def open_agency_folder(slug: str, path: str) -> "FolderLocation":
    """Return a folder of the agency: the first that exists below one of the roots. Raise LocationError."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or not path.isprintable():
        raise NotAllowed(_("%(path)s is not below the agency's folder.") % {"path": file_names.show(path)})
    if not settings.MUSTER_FEED_FOLDERS:
        prepare_folder(settings.MUSTER_HOME / "feeds" / slug)
    roots = list_roots()
    for root in roots:
        if os.path.lexists(root / slug / path):
            return FolderLocation(root, PurePosixPath(slug, path))
    wanted = ", ".join(str(root / slug / path) for root in roots)
    raise Unreachable(_("There is no folder %(path)s. Make it, or correct the path.") % {"path": wanted})


class FolderLocation:
    """A folder on this machine. `below` is its path below the root. Its first part must not be a link."""

    def __init__(self, root: Path, below: PurePosixPath | None = None) -> None:
        self.left_out: list[str] = []
        self._path = root / (below or "")
        with self._explain_errors():
            self._folder = _open_below(root, below or PurePosixPath())
        is_effective = os.access in os.supports_effective_ids
        self.moves = os.access(".", os.W_OK | os.X_OK, dir_fd=self._folder, effective_ids=is_effective)

    def list_files(self) -> list[FoundFile]:
        """Return all regular files here, without those of subfolders."""
        found: list[FoundFile] = []
        self.left_out = []
        with self._explain_errors(), os.scandir(self._folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_FILES:
                    raise NotAllowed(describe_too_many(str(self._path)))
                status = self._find_status(entry.name)
                if status is None:
                    continue
                if file_names.is_usable(entry.name):
                    found.append(_describe(entry.name, status))
                else:
                    file_names.add_left_out(self.left_out, os.fsencode(entry.name))
        return found

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Pass the content to `write`. Raise FileChanged if it is not the file that was found, or changes meanwhile."""
        with self._open(found.name) as number:
            opened = os.fstat(number)
            if not stat.S_ISREG(opened.st_mode) or _describe(found.name, opened) != found:
                raise _make_changed(found.name)
            size = 0
            while part := self._read_part(number, _PART):
                size += len(part)
                if size > found.size:
                    raise _make_changed(found.name)
                write(part)
            after, named = os.fstat(number), self._find_status(found.name)
            is_same = named is not None and (named.st_dev, named.st_ino) == (after.st_dev, after.st_ino)
            if size != found.size or _describe(found.name, after) != found or not is_same:
                raise _make_changed(found.name)
        return found

    def read_marker(self, name: str) -> bytes:
        """Return the first bytes of a small file."""
        with self._open(name) as number:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise _make_changed(name)
            return self._read_part(number, MARKER_SIZE)

    def _read_part(self, number: int, size: int) -> bytes:
        with self._explain_errors():
            return os.read(number, size)

    def file_away(
        self,
        name: str,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        *,
        modified: float | None = None,
        keep: Callable[[], None] = do_nothing,
    ) -> None:
        """Move the file into the subfolder, after the outputs were written there."""
        if not self.moves:
            return
        with self._explain_errors():
            status = self._find_status(name) if file_names.is_usable(name) else None
            if status is None or (modified is not None and _get_time(status) != modified):
                return
            with suppress(FileExistsError):
                os.mkdir(folder, 0o770, dir_fd=self._folder)
            target = os.open(folder, _FOLDER, dir_fd=self._folder)
            try:
                names = _choose_names(target, name, outputs, _get_time(status))
                for output, ours in outputs.items():
                    keep()
                    _write_output(target, names[output], ours, keep)
                os.rename(name, names[name], src_dir_fd=self._folder, dst_dir_fd=target)
            finally:
                os.close(target)

    def close(self) -> None:
        """Close the folder."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _find_status(self, name: str) -> os.stat_result | None:
        return _find_status(self._folder, name)

    @contextmanager
    def _open(self, name: str) -> Iterator[int]:
        if not file_names.is_usable(name):
            raise _make_changed(name)
        with self._explain_errors():
            try:
                number = os.open(name, _FILE, dir_fd=self._folder)
            except FileNotFoundError:
                raise _make_changed(name) from None
            except PermissionError:
                raise Unreachable(
                    _("%(name)s in %(path)s cannot be read. Let the account %(user)s read it.")
                    % {"name": name, "path": self._path, "user": _find_user()}
                ) from None
        try:
            yield number
        finally:
            os.close(number)

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        try:
            yield
        except PermissionError:
            raise Unreachable(
                _("The folder %(path)s cannot be used. Let the account %(user)s read it and write in it.")
                % {"path": self._path, "user": _find_user()}
            ) from None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            text = _("The folder %(path)s cannot be used: %(reason)s.")
            raise Unreachable(text % {"path": self._path, "reason": reason}) from error


def describe_too_many(path: str) -> str:
    """Return why a folder is refused that has too many entries."""
    text = _("%(path)s has more than %(most)s files and folders. Move those away that were imported already.")
    return text % {"path": path, "most": f"{MOST_FILES:,}"}


def _make_changed(name: str) -> FileChanged:
    return FileChanged(_("%(name)s changed while it was read.") % {"name": file_names.show(name)})


def _find_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _open_below(root: Path, below: PurePosixPath) -> int:
    """Open the folder. Links within the agency's folder are resolved and must stay there. Then they count no more."""
    base = root.resolve(strict=True).joinpath(*below.parts[:1])
    target = base.joinpath(*below.parts[1:]).resolve(strict=True)
    if not target.is_relative_to(base):
        raise NotAllowed(
            _("%(path)s leads to %(target)s, which is not below %(base)s.")
            % {"path": root / below, "target": target, "base": base}
        )
    return _walk(base, target.relative_to(base).parts)


def _walk(base: Path, parts: Sequence[str]) -> int:
    folder = os.open(base, _FOLDER)
    for part in parts:
        try:
            inner = os.open(part, _FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _find_status(folder: int, name: str) -> os.stat_result | None:
    """Return the status of a regular file, None if there is none of that name."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _get_time(status: os.stat_result) -> float:
    return status.st_mtime_ns / 1_000_000_000


def _describe(name: str, status: os.stat_result) -> FoundFile:
    return FoundFile(_get_time(status), name, status.st_size)


def _choose_names(target: int, name: str, outputs: Mapping[str, BinaryIO], modified: float) -> dict[str, str]:
    """Return the names in the subfolder that no other file has. An output that is there already keeps its name."""
    for names in file_names.list_free_names(name, outputs, modified):
        if not _exists(target, names[name]) and all(
            not _exists(target, names[output]) or _has_content(target, names[output], ours)
            for output, ours in outputs.items()
        ):
            return names
    raise Unreachable(_("There are too many files with the name %(name)s.") % {"name": name})


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _has_content(folder: int, name: str, ours: BinaryIO) -> bool:
    """Return whether the file is a regular one with the content of ours."""
    status = _find_status(folder, name)
    if status is None or status.st_size != ours.seek(0, os.SEEK_END):
        return False
    ours.seek(0)
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as there:
        while part := ours.read(_PART):
            if there.read(len(part)) != part:
                return False
        return not there.read(1)


def _write_output(folder: int, name: str, ours: BinaryIO, keep: Callable[[], None]) -> None:
    """Write a copy of the file, which appears whole or not at all."""
    if _exists(folder, name):
        return
    draft = f".{name[:200]}.part"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    ours.seek(0)
    with os.fdopen(os.open(draft, _NEW, 0o640, dir_fd=folder), "wb") as there:
        while part := ours.read(_PART):
            keep()
            there.write(part)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
