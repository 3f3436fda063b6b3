"""All commands, in the order of the help.

Each module has the commands of one noun, and loads what it needs when it runs.
"""

from typing import Annotated

import typer

from musterbook import __version__
from musterbook.cli import (
    agencies,
    agency_archive,
    audit,
    entry_files,
    export,
    feed_runs,
    feeds,
    imports,
    installation,
    keys,
    rekeys,
    serving,
    users,
    watching,
    webhooks,
)
from musterbook.cli.output import ignore_closed_pipe
from musterbook.cli.session import handle_signals

app = typer.Typer(
    name="muster",
    help="Manage the users of agencies by bulk import.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
agencies.app.command("pause")(agency_archive.pause)
agencies.app.command("resume")(agency_archive.resume)
agencies.app.command("export")(agency_archive.export_)
agencies.app.command("import")(agency_archive.import_)
app.add_typer(agencies.app, name="agency")
app.command("import")(imports.import_file)
app.command("rekey")(rekeys.rekey)
app.add_typer(entry_files.groups_app, name="groups")
app.add_typer(entry_files.roles_app, name="roles")
app.add_typer(entry_files.ranks_app, name="ranks")
app.add_typer(imports.app, name="imports")
app.command("apply")(imports.apply)
app.command("discard")(imports.discard)
app.command("undo")(imports.undo)
feeds.app.command("run")(feed_runs.run)
feeds.app.command("check")(feed_runs.check)
app.add_typer(feeds.app, name="feed")
app.command("watch")(watching.watch)
app.add_typer(webhooks.app, name="webhook")
app.command("export")(export.export)
app.command("example")(export.example)
app.add_typer(audit.app, name="audit")
app.command("invite")(users.invite)
app.command("unlock")(users.unlock)
app.add_typer(users.app, name="user")
app.command("serve")(serving.serve)
app.command("worker")(serving.worker)
app.command("migrate")(installation.migrate)
app.command("doctor")(installation.doctor)
app.add_typer(keys.app, name="keys")
app.command("backup")(installation.backup)
app.command("restore")(installation.restore)
app.command("recovered")(installation.recovered)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"muster {__version__}")
        raise typer.Exit


@app.callback()
def _muster(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Manage the users of agencies by bulk import."""


def run() -> None:
    """Run the command that was called."""
    handle_signals()
    with ignore_closed_pipe():
        app()
