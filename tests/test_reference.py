"""The reference cannot drift from the code."""

import re

import click
from typer.main import get_command

from musterbook import metrics
from musterbook.cli import commands
from scripts import alert_rules, reference


def test_each_page_is_what_the_code_says() -> None:
    pages = reference.make_pages()
    stale = [name for name, text in pages.items() if (reference.FOLDER / name).read_text(encoding="utf-8") != text]
    assert pages and stale == [], "run: python -m scripts.reference"


def test_the_alerts_for_prometheus_are_those_of_the_reference() -> None:
    assert alert_rules.FILE.read_text(encoding="utf-8") == alert_rules.make_file(), "run: python -m scripts.reference"


def test_an_alert_names_only_metrics_that_exist() -> None:
    known = {f"{one.name}{end}" for one in metrics.list_families() for end in ("", "_count", "_bucket", "_sum")}
    used = {name for alert in alert_rules.ALERTS for name in re.findall(r"musterbook_\w+", alert.when)}
    assert used and used <= known
    values = {value for values in metrics.LABEL_VALUES.values() for value in values} | {
        "5xx",
        "503",
        "/readyz",
        "musterbook",
    }
    named = {
        value
        for alert in alert_rules.ALERTS
        for text in re.findall(r'"([^"]+)"', alert.when)
        for value in text.split("|")
    }
    assert named <= values


def every(command: click.Command) -> list[click.Command]:
    children = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(inner for child in children for inner in every(child))]


def test_every_command_has_help_with_an_example() -> None:
    silent = [
        command.name for command in every(get_command(commands.app))
        if "Example: muster " not in (command.help or "") and getattr(command, "invoke_without_command", True)
    ]  # fmt: skip
    assert silent == []
