"""`muster keys`: list, replace and retire the secret keys. A key itself is never shown."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from musterbook.cli import options
from musterbook.cli.language import gettext as _
from musterbook.cli.language import gettext_noop
from musterbook.cli.output import make_console, say, write_json
from musterbook.cli.session import open_installation
from musterbook.core.domain.texts import Labels

app = typer.Typer(help="List, replace and retire the secret keys.", no_args_is_help=True)

_EXPOSED = gettext_noop(
    "With the old key and a copy of the database, anyone can read the secrets of one-time codes and identity providers.\n"
    "Ask users to set up their codes again, and replace the providers' secrets. See docs/how-to/secret-keys.md."
)


_STATES = Labels({"current": gettext_noop("current"), "old": gettext_noop("old"), "missing": gettext_noop("missing")})


@app.command("list")
def list_(output: options.Output = "text") -> None:
    """List the names of the keys, where each key comes from, and what needs it. A key itself is never shown.

    Example: muster keys list
    """
    with open_installation():
        from musterbook.config import secret_keys
        from musterbook.directory.installation import sealed_values

        ring, uses = secret_keys.ring(), sealed_values.count_uses()
        names = dict.fromkeys([*(key.name for key in ring), *(use.key for use in uses)])
        by_name = {key.name: key for key in ring}
        entries = [
            {
                "name": name or "unknown",
                "state": "current" if name == ring[0].name else "old" if name in by_name else "missing",
                "from": by_name[name].source if name in by_name else "",
                "links_accepted_until": _format_date(by_name[name].signs_until) if name in by_name else "",
                "needed_by": {use.about: use.values for use in uses if use.key == name},
            }
            for name in names
        ]
        if output == "json":
            write_json(entries)
            return
        for key in entries:
            _print_key(key)


def _format_date(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at and at > datetime.now(UTC) else ""


def _print_key(key: Mapping[str, object]) -> None:
    needed = key["needed_by"]
    uses = [f"{number:,} {_(about)}" for about, number in needed.items()] if isinstance(needed, dict) else []
    uses += (
        [_("links in emails until %(day)s") % {"day": key["links_accepted_until"]}]
        if key["links_accepted_until"]
        else []
    )
    source = f", {key['from']}" if key["from"] else ""
    values = {"name": key["name"], "state": f"{_STATES[str(key['state'])]}{source}", "uses": ", ".join(uses)}
    line = (
        _("%(name)s  %(state)s; needed by: %(uses)s") if uses else _("%(name)s  %(state)s; needed by: nothing")
    ) % values
    make_console().print(line, markup=False, soft_wrap=True)


@app.command()
def rotate(
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised", help="The old key may be known to others: refuse everything that it signed, at once."
        ),
    ] = False,
) -> None:
    """Create a new secret key, and seal all values with it. The server can keep running. All sessions end.

    Links in emails that were already sent work for 30 more days, unless you use --compromised. The old key is kept, so
    that old values can be read. If the command is interrupted, run `muster keys reseal` to complete it.

    Example: muster keys rotate
    """
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.installation import key_changes

        key, values = key_changes.rotate(AuditContext(datetime.now(UTC), "", "cli"), compromised=compromised)
        say(
            _("The secret key is now %(name)s, in %(source)s. Values sealed again: %(values)s. All sessions ended.")
            % {"name": key.name, "source": key.source, "values": f"{values:,}"}
        )
        say(_("Copy the files secret-key and old-secret-keys to the place where you keep keys, separate from backups."))
        if compromised:
            say(_(_EXPOSED))


@app.command()
def reseal() -> None:
    """Seal all values of old keys with the current key. Run this after you change the key in the environment.

    Example: muster keys reseal
    """
    with open_installation():
        from musterbook.config import secret_keys
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.installation import sealed_values

        values = sealed_values.reseal(AuditContext(datetime.now(UTC), "", "cli"))
        say(
            _("Values sealed again: %(values)s. All readable values are sealed with %(name)s.")
            % {"values": f"{values:,}", "name": secret_keys.ring()[0].name}
        )


@app.command()
def retire(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the old key in `muster keys list`.")],
    force: Annotated[
        bool, typer.Option("--force", help="Remove the key even if values need it. These values are then lost.")
    ] = False,
) -> None:
    """Remove an old key that is no longer needed.

    Example: muster keys retire 384fc4dd99
    """
    with open_installation():
        from musterbook.directory.installation import key_changes

        key_changes.retire(name, datetime.now(UTC), force=force)
        say(_("The old key %(name)s was removed.") % {"name": name})
