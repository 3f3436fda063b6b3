"""The command `muster`. It shows the version without loading anything else."""

import sys

from musterbook import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"muster {__version__}\n")
        return
    from musterbook.cli import commands

    commands.run()
