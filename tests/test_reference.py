"""The reference cannot drift from the code."""

import click
import pytest
from typer.main import get_command

from musterbook.cli import commands
from scripts import reference

PAGES = reference.make_pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    kept = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert kept == PAGES[name], "run: python -m scripts.reference"


def every(command: click.Command) -> list[click.Command]:
    children = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(inner for child in children for inner in every(child))]


def test_every_command_has_help_with_an_example() -> None:
    silent = [
        command.name for command in every(get_command(commands.app))
        if "Example: muster " not in (command.help or "") and getattr(command, "invoke_without_command", True)
    ]  # fmt: skip
    assert silent == []
