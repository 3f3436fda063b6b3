"""Every command of `muster`, by the module that has it."""

import typer

from musterbook.cli import imports

app = typer.Typer(
    name="muster",
    help="Musterbook: an agency's users, kept true by bulk import.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", help="Show the version, and nothing else."),
) -> None:
    """Musterbook: an agency's users, kept true by bulk import."""


app.command("import")(imports.import_)
app.command("undo")(imports.undo)
app.command("apply")(imports.apply)
app.add_typer(imports.history, name="imports")
