"""`muster migrate`, `doctor`, `backup` and `restore`: the installation looked after."""

from pathlib import Path
from typing import Annotated

import typer

from musterbook.cli.exits import Exit
from musterbook.cli.output import console, say, shown
from musterbook.cli.session import opened


def migrate() -> None:
    """Bring the database up to date. The embedded one does that by itself.

    Example: muster migrate
    """
    with opened(migrated=False):
        from musterbook.directory import installation

        made = installation.migrate()
        console().print(
            f"{len(made)} changes made; the database is up to date." if made else "The database is up to date."
        )


def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it.

    Exit status: 0 nothing is wrong; 1 something is.

    Example: muster doctor
    """
    with opened(migrated=False):
        from rich.text import Text

        from musterbook.directory import doctor

        out, wrong = console(), 0
        for finding in doctor.findings():
            wrong += bool(finding.remedy)
            line = Text("✗ " if finding.remedy else "✓ ", style="red" if finding.remedy else "green")
            line.append(f"{finding.about}: {shown(finding.found)}", style="not bold default")
            out.print(line, soft_wrap=True)
            if finding.remedy:
                out.print(Text(f"  {finding.remedy}", style="bold"), soft_wrap=True)
        if wrong:
            raise typer.Exit(Exit.SOME_ERRORED)


def backup(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write; it must not be there yet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a consistent copy of everything into one file.

    It holds the database, the kept files and the secret key. Nobody need stop meanwhile. Keep it where
    nobody else can read it: whoever has it has everything.

    Example: muster backup /srv/backups/muster.tar
    """
    with opened():
        from musterbook.directory import backups

        backups.backup(path, overwrite=overwrite)
        say(f"Written to {path}.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="What muster backup wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace what is there now.")] = False,
) -> None:
    """Bring a backup back, in place of what is there now. Stop the other processes first.

    Example: muster restore /srv/backups/muster.tar
    """
    with opened(migrated=False):
        from musterbook.directory import backups

        restored = backups.restore(path, replace=yes)
        say(f"Restored what Musterbook {restored.version} wrote on {restored.at}.")
