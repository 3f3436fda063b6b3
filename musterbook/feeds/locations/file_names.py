"""Names of files at a location: which can be used, and which names files get in `done` and `failed`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

_LONGEST = 255
"""The most bytes of a name: of file systems, and of the database's column."""
_LONGEST_SHOWN, _MOST_SHOWN = 100, 20
_MOST_SUFFIXES = 100


def is_usable(name: str) -> bool:
    """Return whether a file of this name can be taken.

    It cannot if the name is a path, is not UTF-8, is too long, or has signs that cannot be shown, such as a line break.
    """
    if not name or name in (".", "..") or "/" in name or "\\" in name or not name.isprintable():
        return False
    return len(name.encode()) <= _LONGEST


def show(name: str | bytes) -> str:
    """Return the name of a file that cannot be taken, so that it can be shown."""
    text = name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:_LONGEST_SHOWN])


def add_left_out(left_out: list[str], name: str | bytes) -> None:
    """Add a name to the list, unless the list is long already."""
    if len(left_out) < _MOST_SHOWN:
        left_out.append(show(name))


def list_free_names(name: str, outputs: Iterable[str], modified: float) -> Iterator[dict[str, str]]:
    """Yield the names that a file and its outputs can get in a subfolder, best first: the same, or with the file's time.

    Each is a dictionary of the wanted names to those that they get. All of them have the same addition.
    """
    try:
        stamp = datetime.fromtimestamp(modified, UTC).strftime("%Y%m%d-%H%M%S")
    except (OverflowError, ValueError, OSError):
        stamp = "0"
    stem = PurePosixPath(name).stem
    wanted = [name, *outputs]
    yield {one: one for one in wanted}
    for number in range(1, _MOST_SUFFIXES):
        addition = f"-{stamp}" if number == 1 else f"-{stamp}-{number}"
        yield {one: _add(one, stem, addition) for one in wanted}


def _add(name: str, stem: str, addition: str) -> str:
    base = stem if name.startswith(stem) else PurePosixPath(name).stem
    rest = name[len(base) :]
    while base and len(f"{base}{addition}{rest}".encode()) > _LONGEST:
        base = base[:-1]
    return f"{base}{addition}{rest}"
