"""`muster agency`: create or change an agency from a file, and list the agencies."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import console, say, shown, write_json
from musterbook.cli.session import opened

if TYPE_CHECKING:
    from musterbook.directory.agency.agencies import Brought

app = typer.Typer(help="Create or change an agency from a file, and list the agencies.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The agency file.")],
    output: options.Output = "text",
) -> None:
    """Create the agency, or change it to match the file.

    Settings that are not in the file stay as they are. Roles, ranks and groups that are not in the file are deleted,
    unless users have them.

    Example: muster agency apply examples/agency.toml
    """
    with opened():
        from musterbook.directory.agency import agencies, agency_file
        from musterbook.directory.audit.trail import AuditContext

        try:
            told = agency_file.read(_content(file))
            brought = agencies.apply(told, AuditContext(datetime.now(UTC), "", "cli"))
        except agency_file.Faulty as faulty:
            say(f"{file} cannot be applied. Nothing was changed. Problems:")
            for problem in faulty.problems:
                say(f"- {problem}")
            raise typer.Exit(Exit.REFUSED) from None
        if output == "json":
            changes = {name: list(pair) for name, pair in brought.changes.items()}
            write_json(
                {"agency": told.slug, "created": brought.created, "changes": changes, "kept": list(brought.kept)}
            )
        else:
            _print(told.slug, brought)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongCall(f"{file} cannot be read: {error.strerror}.") from None


def _print(slug: str, brought: "Brought") -> None:
    out = console()
    if brought.created:
        out.print(f"Agency {slug} was created.")
    elif brought.changes:
        out.print(f"Agency {slug} was changed:")
        for name, (was, now) in brought.changes.items():
            out.print(f"  {shown(name)}: {shown(was) or '(none)'} → {shown(now) or '(deleted)'}", markup=False)
    else:
        out.print(f"Agency {slug} already matches the file. Nothing was changed.")
    for kept in brought.kept:
        out.print(f"Not in the file, but kept: {shown(kept)}.", markup=False)


@app.command("list")
def list_(output: options.Output = "text") -> None:
    """List the agencies with their numbers of users.

    Example: muster agency list
    """
    with opened():
        from dataclasses import asdict

        from musterbook.directory.agency import agencies

        listed = agencies.listed()
        if output == "json":
            write_json([asdict(agency) for agency in listed])
            return
        if not listed:
            say("There is no agency yet. Create one with `muster agency apply FILE.toml`.")
        for agency in listed:
            console().print(
                f"{agency.slug}  {shown(agency.name)}  users: {agency.users:,} (active: {agency.active:,})",
                markup=False, soft_wrap=True,
            )  # fmt: skip
