"""The command `muster`: its commands, and which exit status each way of not succeeding has."""

import sys
from typing import NoReturn

from musterbook import __version__


def main() -> NoReturn:
    """Runs the command that the process was called with, and ends the process with its exit status."""
    if sys.argv[1:] == ["--version"]:
        # Scripts ask for it often; nothing else is loaded for it.
        print(f"muster {__version__}")
        sys.exit(0)
    from musterbook.cli import ending
    from musterbook.cli.app import app

    with ending.told():
        app()
    sys.exit(0)


if __name__ == "__main__":
    main()
