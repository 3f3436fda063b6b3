"""`muster agency pause`, `resume`, `export` and `import`: one agency moves from one installation to another."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli.exits import WrongCall
from musterbook.cli.installation import PassphraseFile, Recipients, make_lock, make_opener
from musterbook.cli.language import gettext as _
from musterbook.cli.language import ngettext
from musterbook.cli.output import say
from musterbook.cli.session import open_installation

if TYPE_CHECKING:
    from musterbook.directory.audit.trail import AuditContext

_Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The slug of the agency.")]


def pause(slug: _Slug) -> None:
    """Pause an agency: until it is resumed, nobody signs in, nothing is changed or sent, and its feeds wait.

    The command ends when nothing is in progress any more. An import that is running is finished first.

    Example: muster agency pause springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import agencies, pausing

        agency = agencies.find_agency(slug)
        pausing.pause(agency, _make_context())
        say(_("%(slug)s is paused. `muster agency resume %(slug)s` ends the pause.") % {"slug": slug})


def resume(
    slug: _Slug,
    yes: Annotated[
        bool, typer.Option("--yes", help="Resume it although it was exported, because no other installation has it.")
    ] = False,
) -> None:
    """End the pause of an agency: users sign in, its feeds run, and what waits is sent.

    Example: muster agency resume springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import agencies, pausing

        pausing.resume(agencies.find_agency(slug), _make_context(), exported=yes)
        say(_("%(slug)s is resumed.") % {"slug": slug})


def export_(
    slug: _Slug,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write. It must not exist yet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    recipient: Recipients = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write one agency with all that belongs to it to one encrypted file, for `muster agency import` elsewhere.

    To move the agency, pause it first. Otherwise, the archive is a copy of one moment: this installation goes on, and still
    sends and imports all that waits.

    The file has the hashes of passwords, and the secrets of second factors and providers. Anyone who can open it can act as its
    users. Delete it after the move.

    Example: muster agency export springfield-pd springfield.age --recipient age1…
    """
    with open_installation():
        from musterbook.directory.agency import agencies
        from musterbook.directory.installation import agency_archive_export

        agency = agencies.find_agency(slug)
        lock = make_lock(recipient or [], passphrase_file)
        if lock is None:
            raise WrongCall(_("An archive is always encrypted. Add --recipient or --passphrase-file."))
        digest = agency_archive_export.export_agency(agency, file, lock, _make_context(), overwrite=overwrite)
        say(_("%(slug)s was written to %(file)s.") % {"slug": slug, "file": file})
        say(_("Digest: %(digest)s") % {"digest": digest})
        if agency.paused_at is None:
            say(
                _(
                    "The agency is not paused, so this is a copy. To move the agency, run `muster agency pause %(slug)s`, "
                    "and export it again."
                )
                % {"slug": slug}
            )


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `muster agency export` wrote.")],
    slug: Annotated[str, typer.Option("--slug", metavar="NEW", help="Another slug for the agency here.")] = "",
    expect: Annotated[
        str, typer.Option("--expect", metavar="DIGEST", help="The digest that `muster agency export` named.")
    ] = "",
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="The age identity that decrypts the file.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    with_broken_trail: Annotated[
        bool, typer.Option("--with-broken-trail", help="Import it although its audit trail did not verify before.")
    ] = False,
) -> None:
    """Add an agency from the archive of another installation: wholly, or not at all. It stays paused until it is resumed.

    Without --expect, anyone who knows the recipient can have made the file. Its audit trail stays as it was sealed, and
    verifies here. Secrets are sealed with the key of this installation.

    Example: muster agency import springfield.age --identity move-key.txt --expect 5f2b…
    """
    with open_installation():
        from musterbook.directory.installation import agency_archive_import

        result = agency_archive_import.import_agency(
            file, make_opener(identity, passphrase_file), _make_context(), slug=slug, expected=expect,
            broken_trail=with_broken_trail,
        )  # fmt: skip
        users = ngettext("%(users)s user", "%(users)s users", result.users) % {"users": f"{result.users:,}"}
        events = ngettext("%(events)s event", "%(events)s events", result.events) % {"events": f"{result.events:,}"}
        name = result.agency.slug
        say(_("%(slug)s was imported: %(users)s, %(events)s.") % {"slug": name, "users": users, "events": events})
        if result.is_copy:
            say(_("It is a copy. The other installation sends and imports what waited; feeds are paused here."))
        if result.renumbered:
            say(
                _(
                    "Some of its numbers were in use here, so addresses that contain numbers have changed. Connect SCIM "
                    "clients again."
                )
            )
        say(_("It is paused. Check it, then run `muster agency resume %(slug)s`.") % {"slug": name})


def _make_context() -> "AuditContext":
    from musterbook.directory.audit.trail import AuditContext

    return AuditContext(datetime.now(UTC), "", "cli")
