"""Output of commands: results on standard output, and everything else on standard error.

Control characters are escaped, so that a terminal does not obey them.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from musterbook.cli.exits import WrongCall
from musterbook.cli.language import gettext as _

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WIDE = 1000
"""Columns of plain text: lines that nobody folds can be searched."""


def escape_text(text: str) -> str:
    """Text of a file as a terminal may be given it: what it would obey instead of show, as its number."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def say(sentence: str) -> None:
    """Print a note or an error on standard error."""
    with suppress(BrokenPipeError):
        sys.stderr.write(f"{escape_text(sentence)}\n")
        sys.stderr.flush()


def make_console(*, stderr: bool = False) -> "Console":
    """Return a console for people: colors only on a terminal, and never with NO_COLOR."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, emoji=False, width=None if stream.isatty() else _WIDE, soft_wrap=False
    )


def write(parts: Iterable[bytes]) -> None:
    """Bytes to standard output; a reader that has gone ends the writing quietly."""
    try:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def write_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    write([f"{text}\n".encode(errors="replace")])


def save(parts: Iterable[bytes], path: Path) -> None:
    """Bytes into a file, which appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.writelines(parts)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_writable(path: Path | None) -> None:
    """Raise WrongCall unless a file can be written there; asked before anything is done."""
    if path is None:
        return
    folder = path.parent
    if path.is_dir():
        raise WrongCall(_("%(path)s is a folder. Name a file.") % {"path": path})
    if not folder.is_dir():
        raise WrongCall(
            _("The folder %(folder)s of %(name)s does not exist. Create it first.")
            % {"folder": folder, "name": path.name}
        )
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise WrongCall(_("%(path)s cannot be written. Name another file, or make this one writable.") % {"path": path})


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether both paths name the same file: by any link, and even if it does not exist yet."""
    with suppress(OSError):
        return one.samefile(other)
    one, other = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    try:
        same_folder = one.parent.samefile(other.parent)
    except OSError:
        return False
    if same_folder and _ignores_case(one.parent):
        return one.name.casefold() == other.name.casefold()
    return same_folder and os.path.normcase(one.name) == os.path.normcase(other.name)


def _ignores_case(folder: Path) -> bool:
    """Return whether the file system takes the folder's name in other case for the same folder."""
    swapped = folder.with_name(folder.name.swapcase())
    try:
        return swapped != folder and swapped.samefile(folder)
    except OSError:
        return False


@contextmanager
def ignore_closed_pipe() -> Iterator[None]:
    """End quietly when the reader of the output has gone; write a question mark for what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a stream that is not text has it not
    try:
        yield
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    """Python writes what is left at its end; it goes nowhere instead."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
