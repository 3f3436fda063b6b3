"""The command `muster`: its version at once, and everything else by the commands."""

import sys

from musterbook import __version__


def main() -> None:
    """Run the command line. Telling the version loads nothing else."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"muster {__version__}\n")
        return
    from musterbook.cli import commands

    commands.run()
