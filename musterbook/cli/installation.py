"""`muster migrate`, `doctor`, `backup` and `restore`: maintenance of the installation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.language import ngettext
from musterbook.cli.output import escape_text, make_console, say
from musterbook.cli.session import open_installation

if TYPE_CHECKING:
    from musterbook.directory.installation.backup_encryption import Lock, Opener

_LONGEST = 1000


def migrate(
    app_role: Annotated[
        str,
        typer.Option(
            "--app-role",
            metavar="NAME",
            help="On PostgreSQL, let this role run Musterbook. It can add to the audit trail, but not change it.",
        ),
    ] = "",
) -> None:
    """Bring the database up to date. The embedded database is brought up to date automatically.

    Example: muster migrate --app-role muster_app
    """
    with open_installation(migrated=False):
        from musterbook.directory.audit import triggers
        from musterbook.directory.installation import migration
        from musterbook.directory.storage import frames, policies

        if app_role and not frames.on_postgres():
            raise WrongCall(_("--app-role is only for PostgreSQL. The embedded database has no roles."))
        say(_("Database: %(database)s") % {"database": migration.describe_database()})
        changes = migration.migrate()
        if app_role:
            _grant(triggers, app_role)
        make_console().print(_describe_changes(len(changes)))
        if policies.find_open_tables():
            say(
                _(
                    "Row-level security is not in force yet. When no process of an older version runs any more, run "
                    "`muster migrate` again."
                )
            )


def _describe_changes(number: int) -> str:
    if not number:
        return _("The database is up to date.")
    text = ngettext(
        "%(number)s change made. The database is up to date.",
        "%(number)s changes made. The database is up to date.",
        number,
    )
    return text % {"number": number}


def _grant(triggers: Any, role: str) -> None:
    try:
        triggers.grant(role)
    except triggers.UnknownRole:
        raise WrongCall(
            _("PostgreSQL has no role %(role)s. Create it first: createuser --pwprompt %(role)s") % {"role": role}
        ) from None


def doctor() -> None:
    """Check this installation, and say how to fix what is wrong.

    Each line begins with ✓ (all is well), ! (for your information) or ✗ (a fault; the next line says what to do).

    Exit status: 0 no fault; 1 at least one fault.

    Example: muster doctor
    """
    with open_installation(migrated=False):
        from rich.text import Text

        from musterbook.directory.installation import doctor

        out, faults = make_console(), 0
        for finding in doctor.run_checks():
            faults += bool(finding.remedy)
            symbol, style = ("✗ ", "red") if finding.remedy else ("! ", "yellow") if finding.notice else ("✓ ", "green")
            line = Text(symbol, style=style)
            line.append(
                f"{doctor.ABOUTS.get(finding.about, finding.about)}: {escape_text(finding.found)}",
                style="not bold default",
            )
            out.print(line, soft_wrap=True)
            if finding.remedy:
                out.print(Text(f"  {finding.remedy}", style="bold"), soft_wrap=True)
        if faults:
            raise typer.Exit(Exit.SOME_ERRORED)


PassphraseFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE",
        help="A file with the passphrase in its first line. Use - for standard input. Or set MUSTER_BACKUP_PASSPHRASE.",
    ),
]  # fmt: skip
Recipients = Annotated[
    list[str] | None,
    typer.Option("--recipient", metavar="AGE1…", help="Encrypt for this age recipient. Can be repeated."),
]


def backup(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write. It must not exist yet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    recipient: Recipients = None,
    passphrase_file: PassphraseFile = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Do not encrypt the backup, and do not warn about it.")
    ] = False,
) -> None:
    """Write a consistent copy of everything except the secret key to one file. Musterbook can keep running.

    The file contains the database and the kept files. Encrypt it for one or more age recipients, or with a passphrase.
    It never contains the secret key. Keep a copy of the key elsewhere.

    Example: muster backup /srv/backups/muster.age --recipient age1…
    """
    with open_installation():
        from musterbook.config import secret_keys
        from musterbook.directory.installation import backups

        lock = make_lock(recipient or [], passphrase_file, unencrypted=unencrypted)
        backups.write_backup(path, overwrite=overwrite, lock=lock)
        say(_("The backup was written to %(path)s.") % {"path": path})
        if lock is None and not unencrypted:
            say(
                _(
                    "It is not encrypted. Anyone who has it can read the directory. Encrypt it with "
                    "--recipient or --passphrase-file."
                )
            )
        say(
            _("The secret key %(name)s is not in it. A restore needs the key. Keep a copy of it elsewhere.")
            % {"name": secret_keys.ring()[0].name}
        )


def make_lock(recipients: list[str], passphrase_file: Path | None, *, unencrypted: bool = False) -> "Lock | None":
    """Return the encryption that the options ask for, or None for none. Raise WrongCall."""
    from musterbook.directory.installation import backup_encryption

    # A passphrase of the environment gives way to what the command says.
    secret = _read_passphrase(passphrase_file) if passphrase_file or not (recipients or unencrypted) else ""
    if bool(recipients) + bool(secret) + unencrypted > 1:
        raise WrongCall(_("Choose one of --recipient, --passphrase-file and --unencrypted."))
    if secret and len(secret) < backup_encryption.SHORTEST:
        raise WrongCall(
            _("The passphrase has %(what)s characters. It needs at least %(SHORTEST)s.")
            % {"what": len(secret), "SHORTEST": backup_encryption.SHORTEST}
        )
    if not (recipients or secret):
        return None
    return backup_encryption.Lock(tuple(backup_encryption.parse_recipient(text) for text in recipients), secret)


def _read_passphrase(file: Path | None) -> str:
    if file is None:
        from musterbook.config import environment

        return environment.text("MUSTER_BACKUP_PASSPHRASE")
    passphrase = _read_line(file)
    if not passphrase:
        raise WrongCall(_("There is no passphrase in %(file)s.") % {"file": file})
    return passphrase


def _read_line(file: Path) -> str:
    """Return the first line of a file that holds a secret, or of standard input."""
    try:
        with open(0, encoding="utf-8", closefd=False) if str(file) == "-" else file.open(encoding="utf-8") as lines:
            return lines.readline(_LONGEST).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else _("it is not text")
        raise WrongCall(_("%(file)s cannot be read: %(reason)s.") % {"file": file, "reason": reason}) from None


def restore(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file that `muster backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace the current data.")] = False,
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="The age identity that decrypts the backup.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    without_key: Annotated[
        bool,
        typer.Option(
            "--without-key",
            help="Restore although the secret key of the backup is lost. Values that it sealed are lost too.",
        ),
    ] = False,
    unsealed: Annotated[
        bool,
        typer.Option("--unsealed", help="Restore a backup of an old version although nothing proves who wrote it."),
    ] = False,
) -> None:
    """Restore a backup. It replaces the current data. Stop the other processes first.

    The restore needs the secret key that the installation had. If the key is missing, the message names it. All sessions
    end.

    Example: muster restore /srv/backups/muster.age --identity backup-key.txt
    """
    with open_installation(migrated=False):
        from musterbook.directory.installation import backups

        opener = make_opener(identity, passphrase_file)
        restored = backups.restore_backup(path, replace=yes, opener=opener, without_key=without_key, unsealed=unsealed)
        say(
            _("Restored the backup that Musterbook %(version)s wrote on %(at)s.")
            % {"version": restored.version, "at": restored.at}
        )
        say(_("All users must sign in again. Users, links in emails and API tokens are as they were then. Check them."))
        if restored.format == 1:
            say(
                _(
                    "An older version wrote it. Nothing proves that it was not changed, and it contains a "
                    "secret key. Delete it."
                )
            )
        _warn_moved_agencies()
        _describe_waiting()
        _warn_lost_values()


def recovered() -> None:
    """Say that PostgreSQL was recovered to an earlier time. Run it once, before anything else starts.

    All sessions end, and the audit trail as it is now counts: without this, the files in MUSTER_HOME still know the later
    entries, and report that they were removed. After `muster restore`, it is not needed.

    Example: muster recovered
    """
    with open_installation():
        from datetime import UTC, datetime

        from musterbook.directory.installation import recovery

        recovery.accept_recovery(datetime.now(UTC))
        say(_("All users must sign in again. Users, links in emails and API tokens are as they were then. Check them."))
        _warn_moved_agencies()
        _describe_waiting()


_FEW = 10
"""The largest number of agencies that a message lists."""


def _warn_moved_agencies() -> None:
    """Say what to do about agencies that moved to another installation after the time to which the database went back."""
    from musterbook.directory.installation import recovery

    slugs = recovery.list_active_agencies()
    if slugs:
        names = ", ".join(slugs) if len(slugs) <= _FEW else f"{', '.join(slugs[:_FEW])}, …"
        text = _(
            "If an agency moved to another installation after that time, it is not paused here any more. Before you start "
            "anything, run `muster agency pause SLUG` for each of them. Not paused: %(agencies)s."
        )
        say(text % {"agencies": names})


def _describe_waiting() -> None:
    from musterbook.directory.installation import recovery

    waiting = recovery.count_waiting()
    numbers = {"imports": f"{waiting.imports:,}", "emails": f"{waiting.emails:,}", "messages": f"{waiting.messages:,}"}
    text = _(
        "Workers will do what waited then: imports: %(imports)s, emails: %(emails)s, webhook messages: %(messages)s."
    )
    say(text % numbers)
    if waiting.emails or waiting.messages:
        say(_("Some emails and messages may have been sent after that time. They will be sent again."))


def make_opener(identity: Path | None, passphrase_file: Path | None) -> "Opener":
    """Return the secret that the options name. Raise WrongCall."""
    from musterbook.directory.installation import backup_encryption

    if identity is None:
        return backup_encryption.Opener((), _read_passphrase(passphrase_file))
    try:
        text = identity.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else _("it is not text")
        raise WrongCall(
            _("%(identity)s cannot be read: %(reason)s.") % {"identity": identity, "reason": reason}
        ) from None
    return backup_encryption.Opener(backup_encryption.parse_identities(text))


def _warn_lost_values() -> None:
    from musterbook.config import secret_keys
    from musterbook.directory.installation import sealed_values

    known = {key.name for key in secret_keys.ring()}
    for use in sealed_values.count_uses():
        if use.key not in known:
            say(
                _("%(about)s: %(values)s need the secret key %(what)s, which is missing.")
                % {"about": use.about, "values": f"{use.values:,}", "what": use.key or _("of an older version")}
            )
