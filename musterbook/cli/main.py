"""The command `muster`. It shows the version without loading the commands."""

import os
import sys

from musterbook import __version__


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    if sys.argv[1:] == ["--version"]:
        from musterbook.cli import output

        output.write([f"muster {__version__}\n".encode()])
        return
    from musterbook.cli import commands

    commands.run()


def _open_closed_streams() -> None:
    """Connect standard streams that the caller closed (`>&-`) with nothing.

    Otherwise the file that is opened next would take the number of such a stream.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
