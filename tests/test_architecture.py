"""What each room of the house may reach for: import-linter holds the rooms apart, this the libraries."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "musterbook"
VALUE_LIBRARIES = {"email_validator", "fastexcel", "phonenumbers", "polars", "python_calamine", "xlsxwriter"}
"""What the rules may use beside the standard library: a table engine, and libraries that read or write one value."""

RULES = sorted((PACKAGE / "core").rglob("*.py"))
FACES = [path for face in ("cli", "web", "api", "scim") for path in sorted((PACKAGE / face).rglob("*.py"))]
ALL = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_the_rules_reach_for_values_and_nothing_else(path: Path) -> None:
    foreign = {name for name in _imported(path) if not name.startswith("musterbook.core")}
    assert {name.split(".")[0] for name in foreign} - sys.stdlib_module_names - VALUE_LIBRARIES == set()


@pytest.mark.parametrize("path", FACES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_face_asks_a_plan_and_not_the_table_engine(path: Path) -> None:
    assert {name for name in _imported(path) if name.split(".")[0] == "polars"} == set()


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for_and_is_not_a_drawer(path: Path) -> None:
    says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    generated = path.parent.name == "migrations"
    assert says or generated
    assert path.stem not in {"utils", "common", "helpers", "services", "managers", "types", "exceptions"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_one_module_alone_uses_what_is_not_public_in_the_account_library(path: Path) -> None:
    private = {name for name in _imported(path) if name.startswith("allauth.") and ".internal" in name}
    assert bool(private) == (path == PACKAGE / "accounts" / "allauth_internals.py")


@pytest.mark.parametrize("path", sorted((PACKAGE / "accounts").glob("*.py")), ids=lambda path: path.name)
def test_accounts_know_no_request_no_form_and_no_address_of_a_page(path: Path) -> None:
    pages = {"django.forms", "django.http", "django.shortcuts", "django.urls", "django.utils.html"}
    assert {name for name in _imported(path) if name in pages} == set()
    assert "from django import forms" not in path.read_text(encoding="utf-8")


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield node.module or ""
