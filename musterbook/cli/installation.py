"""`muster migrate`, `doctor`, `backup` and `restore`: the installation looked after."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import console, say, shown
from musterbook.cli.session import opened

if TYPE_CHECKING:
    from musterbook.directory.installation.backup_encryption import Lock, Opener

_LONGEST = 1000


def migrate(
    app_role: Annotated[
        str,
        typer.Option(
            "--app-role",
            metavar="NAME",
            help="On PostgreSQL: let that role run Musterbook, and only add to the audit trail.",
        ),
    ] = "",
) -> None:
    """Bring the database up to date. The embedded one does that by itself.

    Example: muster migrate --app-role muster_app
    """
    with opened(migrated=False):
        from musterbook.directory.audit import triggers
        from musterbook.directory.installation import migration
        from musterbook.directory.storage import frames

        if app_role and not frames.on_postgres():
            raise WrongCall("--app-role is for PostgreSQL: the embedded database has no roles.")
        made = migration.migrate()
        if app_role:
            _grant(triggers, app_role)
        console().print(
            f"{len(made)} changes made; the database is up to date." if made else "The database is up to date."
        )


def _grant(triggers: Any, role: str) -> None:
    try:
        triggers.grant(role)
    except triggers.UnknownRole:
        raise WrongCall(f"PostgreSQL has no role {role}. Make it first: createuser --pwprompt {role}") from None


def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it.

    Each line begins with ✓ (all is well), ! (you should know it) or ✗ (it is wrong; the next line says what to do).

    Exit status: 0 nothing is wrong; 1 something is.

    Example: muster doctor
    """
    with opened(migrated=False):
        from rich.text import Text

        from musterbook.directory.installation import doctor

        out, wrong = console(), 0
        for finding in doctor.findings():
            wrong += bool(finding.remedy)
            sign, style = ("✗ ", "red") if finding.remedy else ("! ", "yellow") if finding.notice else ("✓ ", "green")
            line = Text(sign, style=style)
            line.append(f"{finding.about}: {shown(finding.found)}", style="not bold default")
            out.print(line, soft_wrap=True)
            if finding.remedy:
                out.print(Text(f"  {finding.remedy}", style="bold"), soft_wrap=True)
        if wrong:
            raise typer.Exit(Exit.SOME_ERRORED)


_PassphraseFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE",
        help="A file whose first line is the passphrase; - reads standard input. Or set MUSTER_BACKUP_PASSPHRASE.",
    ),
]  # fmt: skip


def backup(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write; it must not be there yet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", metavar="AGE1…", help="Encrypt for this age recipient. Can be repeated."),
    ] = None,
    passphrase_file: _PassphraseFile = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Do not encrypt, and say nothing about it.")
    ] = False,
) -> None:
    """Write a consistent copy of everything but the secret key into one file. Nothing needs to be stopped.

    The file holds the database and the kept files. Encrypt it for one or more age recipients, or with a passphrase. The
    secret key is never in it: keep a copy of the key elsewhere.

    Example: muster backup /srv/backups/muster.age --recipient age1…
    """
    with opened():
        from musterbook.config import secret_keys
        from musterbook.directory.installation import backups

        lock = _lock(recipient or [], passphrase_file, unencrypted=unencrypted)
        backups.backup(path, overwrite=overwrite, lock=lock)
        say(f"Written to {path}.")
        if lock is None and not unencrypted:
            say(
                "It is not encrypted: whoever has it can read the directory. Encrypt it with --recipient or --passphrase-file."
            )
        say(f"The secret key {secret_keys.ring()[0].name} is not in it. A restore needs it: keep a copy elsewhere.")


def _lock(recipients: list[str], passphrase_file: Path | None, *, unencrypted: bool) -> "Lock | None":
    from musterbook.directory.installation import backup_encryption

    # A passphrase of the environment gives way to what the command says.
    secret = _passphrase(passphrase_file) if passphrase_file or not (recipients or unencrypted) else ""
    if bool(recipients) + bool(secret) + unencrypted > 1:
        raise WrongCall("Choose one of --recipient, --passphrase-file and --unencrypted.")
    if secret and len(secret) < backup_encryption.SHORTEST:
        raise WrongCall(
            f"The passphrase has {len(secret)} characters, and needs at least {backup_encryption.SHORTEST}."
        )
    if not (recipients or secret):
        return None
    return backup_encryption.Lock(tuple(backup_encryption.recipient(text) for text in recipients), secret)


def _passphrase(file: Path | None) -> str:
    if file is None:
        from musterbook.config import environment

        return environment.text("MUSTER_BACKUP_PASSPHRASE")
    told = _line(file)
    if not told:
        raise WrongCall(f"There is no passphrase in {file}.")
    return told


def _line(file: Path) -> str:
    """Return the first line of a file that holds a secret, or of standard input."""
    try:
        with open(0, encoding="utf-8", closefd=False) if str(file) == "-" else file.open(encoding="utf-8") as lines:
            return lines.readline(_LONGEST).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WrongCall(f"{file} cannot be read: {why}.") from None


def restore(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="What muster backup wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace what is there now.")] = False,
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="The age identity that decrypts it.")
    ] = None,
    passphrase_file: _PassphraseFile = None,
    without_key: Annotated[
        bool,
        typer.Option("--without-key", help="Although the backup's secret key is lost, and with it what it sealed."),
    ] = False,
    unsealed: Annotated[
        bool,
        typer.Option("--unsealed", help="Although it is of an old version, and nothing shows who wrote it."),
    ] = False,
) -> None:
    """Bring a backup back, in place of what is there now. Stop the other processes first.

    It needs the secret key that the installation had, and says which by its name. All sessions end.

    Example: muster restore /srv/backups/muster.age --identity backup-key.txt
    """
    with opened(migrated=False):
        from musterbook.directory.installation import backups

        opener = _opener(identity, passphrase_file)
        restored = backups.restore(path, replace=yes, opener=opener, without_key=without_key, unsealed=unsealed)
        say(f"Restored what Musterbook {restored.version} wrote on {restored.at}.")
        say("Everyone signs in again. Users, links in mails and API tokens are those of that time: look through them.")
        if restored.format == 1:
            say(
                "It is of an older version, so nothing shows that it was not changed, and it holds a secret key: delete it."
            )
        _say_what_is_lost()


def _opener(identity: Path | None, passphrase_file: Path | None) -> "Opener":
    from musterbook.directory.installation import backup_encryption

    if identity is None:
        return backup_encryption.Opener((), _passphrase(passphrase_file))
    try:
        text = identity.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WrongCall(f"{identity} cannot be read: {why}.") from None
    return backup_encryption.Opener(backup_encryption.identities(text))


def _say_what_is_lost() -> None:
    from musterbook.config import secret_keys
    from musterbook.directory.installation import sealed_values

    known = {key.name for key in secret_keys.ring()}
    for use in sealed_values.uses():
        if use.key not in known:
            say(
                f"{use.about}: {use.values:,} need the secret key {use.key or 'of an older version'}, which is not here."
            )
