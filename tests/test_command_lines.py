"""Command lines that documents, messages and the files for deployment name: their commands and options exist."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from typer.main import get_command

from musterbook.cli import commands

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
]  # fmt: skip
DEPLOYED = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
CODE = sorted(path for suffix in ("py", "html", "txt", "po") for path in (ROOT / "musterbook").rglob(f"*.{suffix}"))
_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_GOES_ON = re.compile(r"\\\n\s*")
_JOINED = re.compile(r'"\s*\n\s*f?"')
"""Between the parts of a text in the code, or in a catalog of messages."""
_COMMAND = re.compile(r"(?:^|(?P<before>\S+)\s+|[\s/('\"])muster(?=\s)(?=(?P<rest>[^|;&>)\n]*))")
_PROGRAM = re.compile(
    r"(?:^|\s)(?:\./(?P<script>[a-z]+)|-m (?P<module>(?:scripts|benchmarks|fault_harness|examples|tests)[\w.]*))"
    r"(?P<rest>(?: [^|;&#\n]*)?)(?=$|[|;&#\n])"
)
_OPTION = re.compile(r"--?[a-z][\w-]*")
_PARSERS = {"run": "scripts/trial.py", "bench": "benchmarks/__main__.py", "faults": "fault_harness/__main__.py"}
"""Where the options of a script are, if not in `scripts`. `./test` passes others on to pytest."""


def list_lines(text: str) -> Iterator[str]:
    """The lines of all blocks of code, and all code between other words."""
    for block in _BLOCK.findall(text):
        yield from _GOES_ON.sub(" ", block).splitlines()
    for code in _INLINE.findall(_BLOCK.sub("", text)):
        yield " ".join(code.split())


def find_wrong(line: str) -> list[str]:
    """What does not exist of the commands of Musterbook in the line."""
    return [
        wrong
        for found in _COMMAND.finditer(line)
        if not (found["before"] or "").startswith("-")  # it is a name there: of a user, or a database
        for wrong in _check_words(_split(found["rest"]))
    ]


def _split(rest: str) -> list[str]:
    try:
        return shlex.split(rest, comments=True)
    except ValueError:  # it has half a quotation
        return rest.split()


def _check_words(words: list[str]) -> Iterator[str]:
    command, path = _load_commands(), ["muster"]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, path = command.commands[words[0]], [*path, words[0]]
        words = words[1:]
    if isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        yield f"{' '.join(path)} {words[0]}"
        return
    known = {"-h", "--help", *(name for one in command.params for name in (*one.opts, *one.secondary_opts))}
    named = [word.partition("=")[0] for word in words]
    yield from (f"{' '.join(path)} {name}" for name in named if _OPTION.fullmatch(name) and name not in known)


@cache
def _load_commands() -> click.Command:
    return get_command(commands.app)


def find_wrong_programs(line: str) -> list[str]:
    """What does not exist of the programs of the checkout in the line."""
    return [wrong for found in _PROGRAM.finditer(line) for wrong in _check_program(found)]


def _check_program(found: re.Match[str]) -> Iterator[str]:
    script, module = found["script"], found["module"]
    name = script or f"{module.replace('.', '/')}.py"
    source = ROOT / (_PARSERS.get(name) or (name if module else f"scripts/{name}.py"))
    if not (ROOT / name).exists():
        yield name
    elif script not in ("test", "check", "lock", "screenshots"):
        text = source.read_text(encoding="utf-8")
        named = [word for word in found["rest"].split() if _OPTION.fullmatch(word) and word != "--help"]
        yield from (f"{name} {word}" for word in named if f'"{word}"' not in text)


def test_the_command_lines_of_documents_name_commands_and_options_that_exist() -> None:
    lines = [(path, line) for path in DOCUMENTS for line in list_lines(path.read_text(encoding="utf-8"))]
    wrong = [f"{path.name}: {one}" for path, line in lines for one in (*find_wrong(line), *find_wrong_programs(line))]
    assert wrong == []
    assert sum(bool(_COMMAND.search(line)) for _, line in lines) > 300
    assert sum(bool(_PROGRAM.search(line)) for _, line in lines) > 80


def test_the_commands_that_messages_advise_exist() -> None:
    lines = [
        (path, " ".join(code.split()))
        for path in CODE
        for code in _INLINE.findall(_JOINED.sub("", path.read_text(encoding="utf-8")))
        if code.startswith("muster ")
    ]
    assert [f"{path.name}: {one}" for path, line in lines for one in find_wrong(line)] == []
    assert len(lines) > 200


def test_the_commands_of_the_files_for_deployment_exist() -> None:
    lines = [(path, line) for path in DEPLOYED for line in path.read_text(encoding="utf-8").splitlines()]
    assert [f"{path.name}: {one}" for path, line in lines for one in find_wrong(line)] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("muster imprt roster.csv", ["muster imprt"]),
        ("sudo -u muster MUSTER_HOME=/var/lib /usr/local/bin/muster feed lst --agency a", ["muster feed lst"]),
        ("muster import roster.csv --agency a --mod sync --preview --yes", ["muster import --mod", "muster import --yes"]),
        ("muster backup - | ssh else muster restoring -", ["muster restoring"]),
        ("muster agency apply agency.toml && muster doctor --help", []),
        ("createdb --owner muster --encoding UTF8 muster", []),
        ("muster COMMAND --help", []),
    ],
)  # fmt: skip
def test_a_command_or_option_that_does_not_exist_is_found(line: str, wrong: list[str]) -> None:
    assert find_wrong(line) == wrong


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("./measure --quick", ["measure"]),
        ("./bench --quick --fast", ["bench --fast"]),
        (".venv/bin/python -m scripts.mutate --seed 1", ["scripts/mutate.py"]),
        (".venv/bin/python -m scripts.mutation --seeds 1 # the first", ["scripts/mutation.py --seeds"]),
        ("./test tests/core -k swap", []),
    ],
)
def test_a_program_or_option_that_does_not_exist_is_found(line: str, wrong: list[str]) -> None:
    assert find_wrong_programs(line) == wrong
