"""The architecture, as far as import-linter cannot express it: libraries, queries in interfaces, names of modules."""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "musterbook"
VALUE_LIBRARIES = {"email_validator", "phonenumbers", "polars", "xlsxwriter"}
"""The libraries that `core` may use: a table engine, and libraries that read or write one value."""

RULES = sorted((PACKAGE / "core").rglob("*.py"))
ORM_NAMES = {"connection", "connections", "transaction", "get_list_or_404", "get_object_or_404"}
"""What Django offers to query a database or to open a transaction, besides the model managers."""
ORM_METHODS = {
    "aggregate", "all", "annotate", "atomic", "bulk_create", "bulk_update", "count", "create", "cursor", "defer", "delete",
    "distinct", "earliest", "exclude", "exists", "filter", "first", "get_or_create", "in_bulk", "iterator", "last",
    "latest", "on_commit", "only", "order_by", "prefetch_related", "raw", "refresh_from_db", "save", "select_for_update",
    "select_related", "update_or_create", "using", "values_list",
}  # fmt: skip
"""The methods of querysets and models, without those that dictionaries have too."""
FALSE_FRIENDS = {"body.count", "path.exists", "names.count", "router.delete", "self._canvas.save"}
"""Calls of methods that have such a name, but belong to bytes, to a path, to the operations of the API, and to a PDF."""

DJANGO_ENTRIES = {"apps", "models", "migrations", "management"}
"""The modules and packages that Django finds by their names in the folder of an application."""

INTERFACES = [
    path for package in ("cli", "web", "api", "scim", "http") for path in sorted((PACKAGE / package).rglob("*.py"))
]
ALL = sorted(PACKAGE.rglob("*.py"))


def _list_wrong(paths: Iterable[Path], find: Callable[[Path], Iterable[object]]) -> dict[str, list[object]]:
    """Return what is found in the modules that have something of it. A test for each module would take longer to begin."""
    found = {path.relative_to(PACKAGE).as_posix(): list(find(path)) for path in paths}
    assert len(found) > 5
    return {name: wrong for name, wrong in found.items() if wrong}


def test_core_uses_no_other_library() -> None:
    def find(path: Path) -> set[str]:
        foreign = {name for name in _imported(path) if not name.startswith("musterbook.core")}
        return {name.split(".")[0] for name in foreign} - sys.stdlib_module_names - VALUE_LIBRARIES

    assert _list_wrong(RULES, find) == {}


def test_an_interface_uses_no_table_engine() -> None:
    def find(path: Path) -> set[str]:
        return {name for name in _imported(path) if name.split(".")[0] == "polars"}

    assert _list_wrong(INTERFACES, find) == {}


def test_an_interface_makes_no_query() -> None:
    assert _list_wrong(INTERFACES, lambda path: _find_queries(path.read_text(encoding="utf-8"))) == {}


@pytest.mark.parametrize(
    "planted",
    [
        "User.objects",
        "models.User.objects.get(pk=1)",
        "user.events.order_by('-pk')",
        "found.select_related('agency').first()",
        "form.save()",
        "from django.db import Error, transaction",
        "from django.db.models import Count",
        "import django.db.models",
        "from django.shortcuts import get_object_or_404, render",
        "from musterbook.directory.agency import groups\ngroup.delete()",
    ],
)
def test_a_query_in_an_interface_is_found(planted: str) -> None:
    assert list(_find_queries(planted)) != []


@pytest.mark.parametrize(
    "harmless",
    [
        "from django.db import Error",
        "from musterbook.directory.agency import groups\ngroups.delete(group, act)",
        "request.GET.get('q', '')",
        "headers.update(told.values())",
    ],
)
def test_a_call_of_a_use_case_or_of_a_dictionary_is_no_query(harmless: str) -> None:
    assert list(_find_queries(harmless)) == []


def test_a_module_has_one_purpose_and_states_it() -> None:
    def find(path: Path) -> Iterator[str]:
        if path.parent.name != "migrations" and not _read(path).docstring:
            yield "it does not state its purpose"
        if path.stem in {"utils", "common", "helpers", "services", "managers", "types", "exceptions"}:
            yield "its name says nothing of one purpose"

    assert _list_wrong(ALL, find) == {}


@pytest.mark.parametrize("package", ["core", "directory"])
def test_the_top_level_of_a_package_has_at_most_eight_entries_of_our_own(package: str) -> None:
    folders = {path.parent.name for path in (PACKAGE / package).glob("*/__init__.py")}
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    assert len((folders | modules) - DJANGO_ENTRIES) <= 8


def test_one_module_alone_uses_what_is_not_public_in_the_account_library() -> None:
    def find(path: Path) -> set[str]:
        return {name for name in _imported(path) if name.startswith("allauth.") and ".internal" in name}

    assert set(_list_wrong(ALL, find)) == {"accounts/allauth_internals.py"}


def test_accounts_know_no_request_no_form_and_no_address_of_a_page() -> None:
    pages = {"django.forms", "django.http", "django.shortcuts", "django.urls", "django.utils.html"}

    def find(path: Path) -> Iterator[str]:
        yield from (name for name in _imported(path) if name in pages)
        if "from django import forms" in path.read_text(encoding="utf-8"):
            yield "django.forms"

    assert _list_wrong(sorted((PACKAGE / "accounts").glob("*.py")), find) == {}


def _find_queries(source: str) -> Iterator[str]:
    """Yield each use of the ORM in the source of an interface. Functions of modules that it imports are use cases."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {alias.asname or alias.name for node in imports for alias in node.names}
    for statement in imports:
        yield from _orm_imports(statement)
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "objects":
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ORM_METHODS:
            called = ast.unparse(node.func)
            if called not in FALSE_FRIENDS and ast.unparse(node.func.value) not in modules:
                yield called


def _orm_imports(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        name = f"{module}.{alias.name}".removeprefix(".")
        if alias.name in ORM_NAMES or name.startswith("django.db.models"):
            yield name


@dataclass(frozen=True)
class _Facts:
    """What the tests ask of a module: its docstring, and the modules that it imports."""

    docstring: str | None
    imported: tuple[str, ...]


@cache
def _read(path: Path) -> _Facts:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return _Facts(ast.get_docstring(tree), tuple(_list_imported(tree)))


def _imported(path: Path) -> tuple[str, ...]:
    return _read(path).imported


def _list_imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield node.module or ""
