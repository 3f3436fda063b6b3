"""Write the reference from the code: `python -m scripts.reference`."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import click
from typer.main import get_command

from musterbook.cli import commands
from musterbook.config.environment import VARIABLES
from musterbook.core.domain.columns import COLUMNS, ENTRIES
from musterbook.core.domain.problems import CATALOG, Kind, Level
from musterbook.directory.permissions import PERMISSIONS
from scripts import alert_rules, client_code, program, reference_rest

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PACKAGE = Path(__file__).parents[1] / "musterbook"
_GENERATED = "<!-- Written from the code by scripts/reference.py; change it there. -->"


def main() -> int:
    """Write every page, and the part of the client that describes the API."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.config.settings")
    django.setup()  # for texts that are translated when they are read
    client_code.write_files()
    for name, text in make_pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    alert_rules.FILE.write_text(alert_rules.make_file(), encoding="utf-8")
    return 0


def make_pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    # The client needs its description, which may have been written just now. The others have tables, which need Django.
    from scripts import reference_client, reference_scim, reference_webhooks

    made = {
        "commands.md": _list_commands(),
        "columns.md": _list_columns(),
        "problems.md": _list_problems(),
        "settings.md": _list_settings(),
        "permissions.md": _list_permissions(),
        "webhooks.md": reference_webhooks.list_page(_GENERATED),
        "modules.md": _list_modules(),
        "metrics.md": _list_metrics(),
        "rest.md": reference_rest.list_api(_GENERATED),
        "scim.md": reference_scim.list_page(_GENERATED),
        "client.md": reference_client.list_client(_GENERATED),
    }
    return {name: "\n".join([*lines, ""]) for name, lines in made.items()}


def _list_commands() -> Iterator[str]:
    yield from (
        "# Commands",
        "",
        _GENERATED,
        "",
        "Each command has `--help`. Results go to standard output, and everything else to standard error.",
    )
    yield "Commands respect `NO_COLOR`. Environment variables: [settings](settings.md)."
    root = get_command(commands.app)
    for path, command in _walk_commands(root, ("muster",)):
        yield from ("", f"## `{' '.join(path)}`", "")
        yield from _describe_command(path, command)


def _walk_commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    group = isinstance(command, click.Group)
    if len(path) > 1 and (not group or getattr(command, "invoke_without_command", False)):
        yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _walk_commands(child, (*path, name))


def _describe_command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    paragraphs = (
        [" ".join(part.split()) for part in (command.callback.__doc__ or "").split("\n\n")] if command.callback else []
    )
    yield from "\n\n".join(p for p in paragraphs if not p.startswith("Example:")).splitlines()
    for example in (p.removeprefix("Example: ") for p in paragraphs if p.startswith("Example:")):
        yield from ("", "```", example, "```")
    with click.Context(command, info_name=" ".join(path)) as context:
        records = [
            record for parameter in command.get_params(context) if parameter.name != "help"
            if (record := parameter.get_help_record(context))
        ]  # fmt: skip
    if records:
        yield from ("", "| option | |", "|---|---|")
        yield from (f"| `{_escape_cell(name)}` | {_escape_cell(about)} |" for name, about in records)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _list_columns() -> Iterator[str]:
    yield from (
        "# Columns",
        "",
        _GENERATED,
        "",
        "The columns of an import file, in any order. An export has them in this order.",
        "",
    )
    yield from ("| column | required | unique | longest | |", "|---|---|---|---|---|")
    for column in COLUMNS:
        required, unique = ("yes" if flag else "" for flag in (column.required, column.unique))
        yield f"| `{column.heading}` | {required} | {unique} | {column.longest} | {column.about} |"
    yield from ("", "A missing column changes nothing. A blank cell in an optional column clears the value.")
    yield "Headings that begin with `X_` belong to Musterbook, and an import ignores them."
    titles = {"groups": "groups", "members": "members and monitors", "roles": "roles", "ranks": "ranks"}
    for layout in ENTRIES:
        yield from (
            "",
            f"## A file of {titles[layout.name]}",
            "",
            "| column | required | longest | |",
            "|---|---|---|---|",
        )
        for column in layout.columns:
            yield f"| `{column.heading}` | {'yes' if column.required else ''} | {column.longest} | {column.about} |"


def _list_problems() -> Iterator[str]:
    yield from ("# Problems and notes", "", _GENERATED)
    titles = {
        Level.FILE: ("Problems of the file", "The file is refused. Nothing is changed."),
        Level.ROW: ("Problems of a row", "The row changes nothing. All other rows are applied."),
        Level.NOTE: ("Notes", "Notes are information. They prevent nothing."),
    }
    for about, (title, sentence) in titles.items():
        yield from ("", f"## {title}", "", sentence, "", "| code | message | remedy |", "|---|---|---|")
        for kind in CATALOG.values():
            if kind.about is about:
                texts = (_escape_cell(_fill_template(kind, text)) for text in (kind.sentence, kind.remedy))
                yield f"| `{kind.code}` | {' | '.join(texts)} |"


def _fill_template(kind: Kind, template: str) -> str:
    """Return a sentence of the catalog with `…` for each parameter."""
    for name in ("column", "value", *kind.params):
        template = template.replace(f"{{{name}}}", "…" if name != "column" else "COLUMN")
    return template.replace("… …", "…").strip()


def _list_settings() -> Iterator[str]:
    yield from ("# Settings", "", _GENERATED, "", "The environment variables of an installation.", "")
    yield from ("| variable | default | |", "|---|---|---|")
    for variable in VARIABLES:
        yield f"| `{variable.name}` | {f'`{variable.default}`' if variable.default else ''} | {_escape_cell(variable.about)} |"
    yield from (
        "",
        "For the settings of one agency, see [agency settings](agency-settings.md).",
    )


def _list_metrics() -> Iterator[str]:
    # Django is set up first.
    from musterbook import metrics

    yield from ("# Metrics", "", _GENERATED, "", *_ABOUT_METRICS, "", "## All metrics", "")
    yield from ("| metric | kind | labels | |", "|---|---|---|---|")
    for family in metrics.list_families():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {_escape_cell(family.about)} |"
    yield from ("", "Values of labels:", "")
    yield from (
        f"- {about}: {', '.join(f'`{value}`' for value in values)}." for about, values in metrics.LABEL_VALUES.items()
    )
    yield from ("", "## Alerts worth having", "")
    yield "`deploy/prometheus-alerts.yml` has them as rules of Prometheus. Change the numbers to what is usual for you."
    yield from ("", "| alert | holds when | for | what to do |", "|---|---|---|---|")
    for alert in alert_rules.ALERTS:
        yield f"| {alert.name} | `{_escape_cell(alert.when)}` | {alert.lasting} | {alert.remedy} |"


_ABOUT_METRICS = (
    "Musterbook has metrics in the text format of Prometheus at `/metrics`. [Serve](../how-to/serve.md#metrics) says how to open",
    "that address to a monitoring server.",
    "",
    "- The database has the metrics of imports, feeds, emails and webhooks. They are the same from every machine of an",
    "  installation, and a restart does not change them. A worker adds an import to the totals within a minute after its end.",
    "  Take these metrics from one machine only, or use `max` instead of `sum`.",
    "- The server counts requests and sign-ins itself, in all its processes together. These counters are those of one",
    "  `muster serve`, and begin at zero when it starts. `rate` and `increase` of Prometheus allow for that.",
    "- What waits in a paused agency is not counted, and its feeds and endpoints count as paused: no worker claims them.",
    "- No metric contains the name of a user, an agency, a file or a feed, nor an address.",
    "- A scrape reads a few narrow indexes. It takes a third of a second with a million emails and 1,000 feeds. The number of",
    "  users does not matter.",
)


def _list_permissions() -> Iterator[str]:
    yield from ("# Permissions", "", _GENERATED, "", "Roles grant permissions. Administrators have all of them.", "")
    yield from ("| permission | allows |", "|---|---|")
    yield from (f"| `{name}` | {_escape_cell(str(about))} |" for name, about in PERMISSIONS.items())
    yield from (
        "",
        "To grant them, see [roles, ranks and groups](../how-to/roles-ranks-groups.md). The token of a program has some of",
    )
    yield "the permissions of the user who made it: see [API access](../how-to/api-access.md)."


def _list_modules() -> Iterator[str]:
    yield from ("# Modules", "", _GENERATED, "")
    yield "Every module of `musterbook` by package, with the first paragraph of its docstring."
    yield "[Architecture](../explanation/architecture.md) explains how they depend on each other."
    for package in _find_packages(PACKAGE):
        name = ".".join(package.relative_to(PACKAGE.parent).parts)
        yield from ("", f"## `{name}`", "", _read_summary(package / "__init__.py"), "")
        files = [path for path in sorted(package.glob("*.py")) if path.stem != "__init__"]
        if files:
            yield from ("| module | |", "|---|---|")
            yield from (f"| `{path.stem}` | {_escape_cell(_read_summary(path))} |" for path in files)


def _find_packages(folder: Path) -> Iterator[Path]:
    """Yield the folder and all packages below it, except migrations, whose file names describe them."""
    yield folder
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        if inner.name != "migrations":
            yield from _find_packages(inner)


def _read_summary(path: Path) -> str:
    """Return the first paragraph of the module's docstring in one line."""
    documented = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(documented.partition("\n\n")[0].split())


if __name__ == "__main__":
    with program.run(__doc__):
        raise SystemExit(main())
