"""`muster agency`: create or change an agency from a file, and list the agencies."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.output import escape_text, make_console, say, write_json
from musterbook.cli.session import open_installation

if TYPE_CHECKING:
    from musterbook.directory.agency.agencies import ApplyResult

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
    with open_installation():
        from musterbook.directory.agency import agencies, agency_file
        from musterbook.directory.audit.trail import AuditContext

        try:
            settings = agency_file.read_agency_file(_read_file(file))
            result = agencies.apply_file(settings, AuditContext(datetime.now(UTC), "", "cli"))
        except agency_file.InvalidAgencyFile as error:
            say(_("%(file)s cannot be applied. Nothing was changed. Problems:") % {"file": file})
            for problem in error.problems:
                say(f"- {problem}")
            raise typer.Exit(Exit.REFUSED) from None
        if output == "json":
            changes = {name: list(pair) for name, pair in result.changes.items()}
            write_json(
                {
                    "agency": settings.slug,
                    "created": result.created,
                    "changes": changes,
                    "kept": list(result.kept_entries),
                }
            )
        else:
            _print_result(settings.slug, result)


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongCall(
            _("%(file)s cannot be read: %(strerror)s.") % {"file": file, "strerror": error.strerror}
        ) from None


def _print_result(slug: str, result: "ApplyResult") -> None:
    out = make_console()
    if result.created:
        out.print(_("Agency %(slug)s was created.") % {"slug": slug})
    elif result.changes:
        out.print(_("Agency %(slug)s was changed:") % {"slug": slug})
        nothing, gone = _("(none)"), _("(deleted)")
        for name, (was, now) in result.changes.items():
            out.print(
                f"  {escape_text(name)}: {escape_text(was) or nothing} → {escape_text(now) or gone}", markup=False
            )
    else:
        out.print(_("Agency %(slug)s already matches the file. Nothing was changed.") % {"slug": slug})
    for item in result.kept_entries:
        out.print(_("Not in the file, but kept: %(item)s.") % {"item": escape_text(item)}, markup=False)


@app.command("list")
def list_(output: options.Output = "text") -> None:
    """List the agencies with their numbers of users, and say which are paused.

    Example: muster agency list
    """
    with open_installation():
        from dataclasses import asdict

        from musterbook.directory.agency import agencies

        entries = agencies.list_agencies()
        if output == "json":
            write_json([asdict(agency) for agency in entries])
            return
        if not entries:
            say(_("There is no agency yet. Create one with `muster agency apply FILE.toml`."))
        for agency in entries:
            values = {"name": escape_text(agency.name), "users": f"{agency.users:,}", "active": f"{agency.active:,}"}
            text = _("%(slug)s  %(name)s  users: %(users)s (active: %(active)s)") % {"slug": agency.slug, **values}
            if agency.paused_at:
                text = _("%(agency)s  paused since %(day)s") % {"agency": text, "day": agency.paused_at[:10]}
            make_console().print(text, markup=False, soft_wrap=True)
