"""The parameters of problems: each kind names its own, and each place that raises a problem fills exactly these."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from musterbook.core.domain import problems
from musterbook.core.domain.problems import CATALOG, SCHEMA, Kind, Problem

PACKAGE = Path(__file__).parents[3] / "musterbook"
SOURCE = PACKAGE / "core/domain/problems.py"
STORED = {"history.py", "problem_groups.py", "plan_pages.py", "sandbox_process.py"}
"""The modules that restore stored problems. They have the parameters by their columns."""
MODULES = sorted(
    path for layer in ("core", "directory") for path in (PACKAGE / layer).rglob("*.py")
    if path != SOURCE and path.parent.name != "migrations"
)  # fmt: skip
RAISERS = {"of": 0, "flag_rows": 1, "_note_rows": 1, "_flag": 1}
"""The functions that raise a problem, with the position of the code in their arguments."""


def used(template: str) -> set[str]:
    """The names that a template fills in."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("kind", CATALOG.values(), ids=lambda kind: kind.code)
def test_the_templates_of_a_kind_use_only_its_parameters_and_all_of_them(kind: Kind) -> None:
    params = {*filter(None, kind.params)}
    assert params <= used(kind.sentence) | used(kind.remedy) <= params | {"column", "value"}
    assert len(kind.params) <= 2 and not params & {"row", "code", "column", "value"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a module, with the last part of the function's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr, node


def raised(path: Path) -> Iterator[tuple[str, set[str]]]:
    """The code and the parameters of every problem that a module raises by a literal code."""
    for name, call in calls(path):
        position = RAISERS.get(name, len(call.args))
        code = call.args[position] if position < len(call.args) else None
        if isinstance(code, ast.Constant) and code.value in CATALOG:
            yield str(code.value), {word.arg or "**" for word in call.keywords} - {"row", "column", "value"}


SITES = [(path, code, given) for path in MODULES for code, given in raised(path)]


@pytest.mark.parametrize(("path", "code", "given"), SITES, ids=[f"{path.stem}-{code}" for path, code, _ in SITES])
def test_a_place_that_raises_a_problem_fills_exactly_the_parameters_of_its_kind(
    path: Path, code: str, given: set[str]
) -> None:
    assert given == {*filter(None, CATALOG[code].params)}, path


def test_the_places_that_raise_problems_are_found() -> None:
    assert len(SITES) > 50
    assert {code for _, code, _ in SITES} > {"too-long", "taken", "supervisor-circle", "no-header", "too-many-files"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_fills_the_columns_of_a_problem_without_the_names_of_its_parameters(path: Path) -> None:
    for name, call in calls(path):
        assert not {word.arg for word in call.keywords} & {"detail", "hint"}
        assert name != "Problem" or path.name in STORED


def test_a_message_shows_eighty_characters_of_a_value_at_most() -> None:
    assert f"“{'x' * 80}”" in Problem.of("invalid-status", value="x" * 80).message
    assert f"“{'x' * 79}…”" in Problem.of("invalid-status", value="x" * 81).message


def test_a_problem_keeps_its_parameters_in_the_order_of_their_names() -> None:
    problem = Problem.of("too-long", 2, "RANK", length="256", limit="255")
    assert (problem.detail, problem.hint) == ("256", "255")
    assert (problem.message, problem.remedy) == ("RANK has 256 characters.", "Shorten it to at most 255.")
    assert Problem.of("unknown-role", 2, suggestion="Did you mean Officer?").hint == "Did you mean Officer?"


@pytest.mark.parametrize("params", [{}, {"length": "256"}, {"length": "256", "limit": "255", "cause": "x"}])
def test_a_problem_with_other_parameters_than_its_kind_is_an_error(params: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="The parameters of too-long are"):
        Problem.of("too-long", **params)  # type: ignore[arg-type]  # the names are what is tested


def test_rows_give_a_frame_of_problems() -> None:
    rows = pl.DataFrame({"row": [2, 5], "text": ["a", "b"]}, schema_overrides={"row": pl.UInt32})
    found = problems.flag_rows(rows, "taken", column="EMAIL", value=pl.col("text"), holder=pl.col("text"), advice="")
    assert dict(found.schema) == SCHEMA
    assert problems.list_problems(found) == [
        Problem.of("taken", 2, "EMAIL", "a", holder="a", advice=""),
        Problem.of("taken", 5, "EMAIL", "b", holder="b", advice=""),
    ]
    assert dict(problems.flag_rows(rows.clear(), "required", column="EMAIL").schema) == SCHEMA


def test_another_sentence_about_a_problem_has_its_parameters() -> None:
    problem = Problem("unknown-rank", 5, "RANK", "Sargent")
    assert problem.describe("“{value}” is no rank of ours.") == "“Sargent” is no rank of ours."
