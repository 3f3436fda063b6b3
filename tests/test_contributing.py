"""The pages for contributors name functions and files that exist."""

import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "contributing"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(FOLDER.glob("*.md"))]
_ROW = re.compile(r"^\| (?P<question>.+\?) \| `(?P<module>[a-z_.]+):(?P<function>[A-Za-z_.]+)` \|$", re.MULTILINE)
_FILE = re.compile(r"`(?P<path>[\w./-]+\.(?:py|md|html|toml|css|js|txt)|\./\w+)`")
_LINK = re.compile(r"\]\((?P<path>[^)#:]+)(?:#[\w-]+)?\)")
_TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py):(?P<name>\w+)`")
_TABLE_LINE = re.compile(r"^\| (?!question \|)", re.MULTILINE)

MAP = (FOLDER / "map.md").read_text(encoding="utf-8")
ROWS = [(row["question"], row["module"], row["function"]) for row in _ROW.finditer(MAP)]


def test_the_map_answers_at_least_25_questions_and_each_line_of_its_tables_can_be_read() -> None:
    assert len(ROWS) >= 25
    assert len(ROWS) == len(_TABLE_LINE.findall(MAP))


def test_no_question_and_no_function_is_in_the_map_twice() -> None:
    counts = Counter([question for question, _, _ in ROWS]) + Counter(f"{where}:{name}" for _, where, name in ROWS)
    assert {text for text, count in counts.items() if count > 1} == set()


@pytest.mark.parametrize(("question", "module", "function"), ROWS, ids=[f"{row[1]}:{row[2]}" for row in ROWS])
def test_a_function_of_the_map_exists_and_is_defined_in_that_module(question: str, module: str, function: str) -> None:
    found: Any = importlib.import_module(f"musterbook.{module}")
    for name in function.split("."):
        assert hasattr(found, name), f"“{question}” names {module}:{function}: correct docs/contributing/map.md"
        found = getattr(found, name)
    defined = found.fget if isinstance(found, property) else found
    assert callable(defined)
    assert defined.__module__ == f"musterbook.{module}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {match["path"] for match in _FILE.finditer(text)} | {match["path"] for match in _TEST.finditer(text)}
    linked = {match["path"] for match in _LINK.finditer(text)}
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert {path for path in linked if not (page.parent / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = [(match["path"], match["name"]) for match in _TEST.finditer(page.read_text(encoding="utf-8"))]
    missing = [name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text(encoding="utf-8")]
    assert missing == []
