"""`muster feed`: list, show, add, change, pause, resume and remove the feeds of an agency."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import feed_options, options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.feed_options import FeedOptions
from musterbook.cli.feed_output import print_feed, print_list
from musterbook.cli.language import gettext as _
from musterbook.cli.output import make_console, say, write_json
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.core.domain.policy import Operator
    from musterbook.directory import models
    from musterbook.directory.audit.trail import AuditContext

app = typer.Typer(no_args_is_help=True, help="Feeds: files that arrive and are imported without a person.")
_LARGEST = 1 << 20
"""The most bytes of a file of settings or of a secret."""
_YES = ("y", "yes", "s", "si", "sí")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the feed.")]


@app.command("list")
def list_(agency: options.Agency, output: options.Output = "text") -> None:
    """List the feeds of an agency, each with its state: what it waits for, or that it is fine.

    Example: muster feed list --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import feeds

        print_list(feeds.list_feeds(find_agency(agency)), output)


@app.command()
def show(name: Name, agency: options.Agency, output: options.Output = "text") -> None:
    """Show the settings of one feed, and its state. Secrets are never shown.

    Example: muster feed show hr-sworn --agency springfield-pd
    """
    with open_installation():
        print_feed(find_feed(agency, name), output)


@app.command()
def add(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    name: Name,
    agency: options.Agency,
    from_: feed_options.From = "",
    mode: feed_options.Mode = None,
    source: feed_options.Source = None,
    folder: feed_options.Folder = None,
    sftp: feed_options.Sftp = None,
    https: feed_options.Https = None,
    sent: feed_options.Sent = False,
    command: feed_options.Command = False,
    pattern: feed_options.Pattern = None,
    header: feed_options.Header = None,
    every: feed_options.Every = None,
    window: feed_options.Window = None,
    expected_by: feed_options.ExpectedBy = None,
    notify: feed_options.Notify = None,
    mapping: feed_options.Map = None,
    value: feed_options.Value = None,
    default: feed_options.Default = None,
    settings: feed_options.Set = None,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Add a feed: how files are imported, where they are, and when they are looked for.

    Its first file is shown to a person, who applies it. From then on it imports by itself.

    Example: muster feed add hr-sworn --agency springfield-pd --mode sync --folder hr --pattern "*.csv"
    """
    given = FeedOptions(
        mode, source, folder, sftp, https, sent, command, pattern, header, every, window, expected_by, notify, mapping,
        value, default, settings or [],
    )  # fmt: skip
    with open_installation():
        from musterbook.directory.agency import feeds

        agency_record = find_agency(agency)
        values = {**_read_table(from_), **given.make_values({})}
        if values.setdefault("name", name) != name:
            raise WrongCall(
                _("The file names the feed %(other)s. Use that name, or leave the name out of the file.")
                % {"other": values["name"]}
            )
        feed = feeds.add(agency_record, values, make_context(as_), find_operator(agency_record, as_))
        if output == "text":
            say(_("The feed %(name)s was added. Its first file waits for a person.") % {"name": feed.name})
            _say_next(feed)
        print_feed(feed, output)


def _say_next(feed: "models.Feed") -> None:
    """Say what the location of a new feed still needs."""
    call = f"muster feed set {feed.name} --agency {feed.agency.slug}"
    kind = feed.location["kind"]
    if kind == "sftp":
        say(
            _("Set its secret with `%(call)s --secret-from FILE`, and accept its server with --accept-host-key.")
            % {"call": call}
        )
    elif kind == "https" and feed.location["header"]:
        say(_("Set its secret with `%(call)s --secret-from FILE`.") % {"call": call})
    elif kind == "sent":
        say(_("Create its token with `%(call)s --new-token`.") % {"call": call})


@app.command("set")
def set_(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    name: Name,
    agency: options.Agency,
    from_: feed_options.From = "",
    mode: feed_options.Mode = None,
    source: feed_options.Source = None,
    folder: feed_options.Folder = None,
    sftp: feed_options.Sftp = None,
    https: feed_options.Https = None,
    sent: feed_options.Sent = False,
    command: feed_options.Command = False,
    pattern: feed_options.Pattern = None,
    header: feed_options.Header = None,
    every: feed_options.Every = None,
    window: feed_options.Window = None,
    expected_by: feed_options.ExpectedBy = None,
    notify: feed_options.Notify = None,
    mapping: feed_options.Map = None,
    value: feed_options.Value = None,
    default: feed_options.Default = None,
    settings: feed_options.Set = None,
    secret_from: Annotated[
        str,
        typer.Option(
            "--secret-from",
            metavar="FILE",
            help="Set a secret to the content of this file. An empty file removes it. Use - for standard input.",
        ),
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            "--secret",
            metavar="NAME",
            help="Which secret --secret-from sets: password, key, passphrase or header. By default, header for an address;"
            " for a server, key if the file is a private key, and otherwise password.",
        ),
    ] = "",
    accept_host_key: Annotated[
        bool,
        typer.Option("--accept-host-key", help="Show the host key of the SFTP server, and accept it if you confirm."),
    ] = False,
    fingerprint: Annotated[
        str,
        typer.Option(
            "--fingerprint",
            metavar="SHA256:…",
            help="Accept the host key only if it has this fingerprint. Does not ask.",
        ),
    ] = "",
    new_token: Annotated[
        bool,
        typer.Option(
            "--new-token",
            help="Create a token for programs that send files, and print it. The former token stops working.",
        ),
    ] = False,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Change settings of a feed. Settings that are not named stay as they are.

    If a change decides what a file does, the next file is shown to a person first.

    Example: muster feed set hr-sworn --agency springfield-pd --expected-by "mon-fri 06:00" --notify late=hr@example.org
    """
    given = FeedOptions(
        mode, source, folder, sftp, https, sent, command, pattern, header, every, window, expected_by, notify, mapping,
        value, default, settings or [],
    )  # fmt: skip
    with open_installation():
        from musterbook.directory.agency import feed_form, feeds

        feed = find_feed(agency, name)
        by, context = find_operator(feed.agency, as_), make_context(as_)
        values = {**_read_table(from_), **given.make_values(feed_form.read_table(feed))}
        if not (values or secret_from or accept_host_key or new_token):
            raise WrongCall(_("Name what to set, such as --every 15 or --secret-from FILE."))
        if (secret and not secret_from) or (fingerprint and not accept_host_key):
            raise WrongCall(_("--secret needs --secret-from, and --fingerprint needs --accept-host-key."))
        text = _read_text(secret_from) if secret_from else ""
        if values:
            _change(feed, values, context, by, output)
        if secret_from:
            feeds.set_secret(feed, secret or _guess_secret(feed, text), text, context, by)
        if accept_host_key:
            _accept_host_key(feed, fingerprint, context, by)
        if new_token:
            _print_token(feed, feeds.make_token(feed, context, by), output)
        else:
            print_feed(feed, output)


def _change(
    feed: "models.Feed", values: dict[str, object], context: "AuditContext", by: "Operator | None", output: str
) -> None:
    from musterbook.directory.agency import feeds

    changed = feeds.change(feed, values, feeds.mark(feed), context, by)
    if output == "json":
        return
    if not changed:
        say(_("Nothing was changed: the feed has these settings already."))
    elif feeds.is_new(feed):
        say(_("The settings were changed. The next file waits for a person."))
    else:
        say(_("The settings were changed."))


def _print_token(feed: "models.Feed", token: str, output: str) -> None:
    if output == "json":
        write_json({"feed": feed.name, "agency": feed.agency.slug, "token": token})
        return
    say(_("Programs send files to the feed %(name)s with this token. It is shown only once:") % {"name": feed.name})
    make_console().print(token, markup=False, soft_wrap=True)


@app.command()
def pause(
    name: Name,
    agency: options.Agency,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why it is paused. Other users read it.")] = "",
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Pause a feed: nothing is looked for and nothing is imported until it is resumed.

    Example: muster feed pause hr-sworn --agency springfield-pd --why "HR changes its system"
    """
    with open_installation():
        from musterbook.directory.agency import feeds

        feed = find_feed(agency, name)
        feeds.pause(feed, why, make_context(as_), find_operator(feed.agency, as_))
        print_feed(feed, output)


@app.command()
def resume(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Resume a feed that was paused, or that has stopped by itself.

    Example: muster feed resume hr-sworn --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import feeds

        feed = find_feed(agency, name)
        was_stopped = bool(feed.stopped)
        feeds.resume(feed, make_context(as_), find_operator(feed.agency, as_))
        print_feed(feed, output)
        if was_stopped and output == "text":
            text = _("It stops again if its server still has another host key. To accept a new key: %(command)s")
            command = f"muster feed set {feed.name} --agency {agency} --accept-host-key"
            say(text % {"command": command})


@app.command()
def remove(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Remove a feed. Its imports and the audit trail stay.

    Example: muster feed remove hr-sworn --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import feeds

        feed = find_feed(agency, name)
        feeds.remove(feed, make_context(as_), find_operator(feed.agency, as_))
        if output == "json":
            write_json({"feed": feed.name, "agency": feed.agency.slug, "removed": True})
        else:
            say(_("The feed %(name)s was removed. Its imports stay.") % {"name": feed.name})


def find_feed(agency: str, name: str) -> "models.Feed":
    """Return the feed of the agency. Raise UnknownAgency and UnknownFeed."""
    from musterbook.directory.agency import feeds

    return feeds.find_feed(find_agency(agency), name)


def find_operator(agency: "models.Agency", as_: str) -> "Operator | None":
    """Return the operator that --as names, or None for the system. Raise UnknownOperator."""
    from musterbook.accounts import credentials

    return credentials.find_operator(agency, as_)


def make_context(as_: str) -> "AuditContext":
    """Return the context of a command now."""
    from musterbook.directory.audit.trail import AuditContext

    return AuditContext(datetime.now(UTC), as_, "cli")


def _read_table(file: str) -> dict[str, object]:
    return feed_options.parse_table(_read_text(file), file) if file else {}


def _read_text(file: str) -> str:
    """Return the text of a file, or of standard input for -. Raise WrongCall."""
    try:
        if file == "-":
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(_LARGEST + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise WrongCall(
            _("%(file)s cannot be read: %(strerror)s.") % {"file": file, "strerror": error.strerror}
        ) from None
    except UnicodeDecodeError:
        raise WrongCall(_("%(file)s is not UTF-8. Save it as UTF-8.") % {"file": file}) from None
    if len(content) > _LARGEST:
        raise WrongCall(_("%(file)s is too large. Name the right file.") % {"file": file})
    return text


def _guess_secret(feed: "models.Feed", text: str) -> str:
    if feed.location["kind"] != "sftp":
        return "header"
    return "key" if text.lstrip().startswith("-----BEGIN ") else "password"


def _accept_host_key(feed: "models.Feed", fingerprint: str, context: "AuditContext", by: "Operator | None") -> None:
    """Ask the server for its key, and pin it if the caller confirms its fingerprint."""
    from musterbook.directory.agency import feed_secrets, feeds
    from musterbook.feeds.locations import host_keys

    feeds.check_configures(by)
    key = host_keys.read_host_key(feed)
    shown = feed_secrets.get_fingerprint(key)
    if fingerprint:
        if fingerprint != shown:
            say(
                _("The server has another host key: %(shown)s. It was not accepted. Ask the owner of the server.")
                % {"shown": shown}
            )
            raise typer.Exit(Exit.REFUSED)
    else:
        say(_("The host key of %(host)s is %(shown)s.") % {"host": feed.location.get("host"), "shown": shown})
        say(_("Compare it with what the owner of the server says. Type “yes” to accept it:"))
        if sys.stdin.readline().strip().lower() not in _YES:
            say(_("The host key was not accepted."))
            raise typer.Exit(Exit.REFUSED)
    feeds.accept_host_key(feed, key, context, by)
