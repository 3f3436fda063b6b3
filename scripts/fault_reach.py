"""Which tests reach the statement of a fault, and so may notice it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.faults import Fault

_FIRST_SECONDS = 3.0
"""The time of the tests of a first run of pytest, for a fault that runs at import: most need no more."""

_OWN_FIRST = 4.0
"""How much faster the tests of the mirrored file count."""

Line = tuple[str, int]


@dataclass(frozen=True)
class _Statement:
    """A statement that runs when its module is imported, such as the value of a constant or the head of a function."""

    first: int
    last: int
    names: frozenset[str]
    """What it defines, with the class that it is part of."""
    words: frozenset[str]


class Names:
    """Which lines of the package depend on what a statement defines that runs at import."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths = [path for path in sorted((root / "musterbook").rglob("*.py")) if "migrations" not in path.parts]

    @cached_property
    def _words(self) -> dict[str, set[Line]]:
        """The lines of the package that have a word."""
        found: dict[str, set[Line]] = {}
        for path in self._paths:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for word in _split(line):
                    found.setdefault(word, set()).add((path.relative_to(self._root).as_posix(), number))
        return found

    @cached_property
    def _statements(self) -> dict[str, list[_Statement]]:
        return {
            path.relative_to(self._root).as_posix(): list(_list_statements(path.read_text(encoding="utf-8")))
            for path in self._paths
        }

    @cached_property
    def _tests(self) -> dict[str, frozenset[str]]:
        """The words of each file of tests."""
        paths = (self._root / "tests").rglob("*.py")
        return {path.relative_to(self._root).as_posix(): _split(path.read_text(encoding="utf-8")) for path in paths}

    def find_dependent(self, fault: Fault) -> tuple[set[Line], set[str]]:
        """Return the lines that mention what the statement of a fault defines, and the files of tests that do.

        What another statement defines from it counts too.
        """
        new = {
            name
            for each in self._statements.get(fault.file, [])
            if each.first <= fault.line <= each.last
            for name in each.names
        }
        names: set[str] = set()
        while new:
            names |= new
            new = {
                name for statements in self._statements.values() for each in statements if each.words & new
                for name in each.names
            } - names  # fmt: skip
        lines = {line for name in names for line in self._words.get(name, ())}
        return lines, {file for file, words in self._tests.items() if words & names}


def _split(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d]\w*", text))


def _list_statements(source: str) -> Iterator[_Statement]:
    """Return the statements that run at import, and whole functions: those that statements call run at import too."""
    lines = source.splitlines()

    def visit(body: list[ast.stmt], outer: frozenset[str]) -> Iterator[_Statement]:
        for each in body:
            names, last = outer, each.end_lineno or each.lineno
            first = min([each.lineno, *(one.lineno for one in getattr(each, "decorator_list", []))])
            if isinstance(each, ast.FunctionDef | ast.ClassDef):
                names |= {each.name}
            elif isinstance(each, ast.Assign | ast.AnnAssign):
                targets = each.targets if isinstance(each, ast.Assign) else [each.target]
                names |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
            if isinstance(each, ast.ClassDef):
                yield from visit(each.body, names)
                last = each.body[0].lineno - 1
            if not isinstance(each, ast.Import | ast.ImportFrom):
                head = each.body[0].lineno - 1 if isinstance(each, ast.FunctionDef) else last
                yield _Statement(first, last, names, _split("\n".join(lines[first - 1 : head])))

    yield from visit(ast.parse(source).body, frozenset())


@dataclass
class Reach:
    """The tests that reach a line, and how long they take."""

    tests: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lines: dict[str, dict[int, set[int]]] = field(default_factory=dict)

    def add(self, recorded: dict[str, Any]) -> None:
        """Add what some tests reach. Number 0 of each is the import of a module."""
        offset = len(self.tests)
        self.tests += recorded["tests"]
        self.seconds += recorded["seconds"]
        for file, lines in recorded["lines"].items():
            known = self.lines.setdefault(file, {})
            for line, numbers in lines.items():
                known.setdefault(int(line), set()).update(offset + number for number in numbers)

    def choose(self, fault: Fault, names: Names) -> tuple[list[int], bool]:
        """Return the tests that reach the statement of a fault, the fastest first, and whether it runs at import.

        If it does, or if no test is known to reach it, these are the tests that reach a line that depends on what it defines, or
        whose file mentions that. The tests of the file in the mirrored folder count as fast.
        """
        known, (first, last) = self.lines.get(fault.file, {}), fault.statement
        found = {number for line in range(first, last + 1) for number in known.get(line, ())}
        at_import = any(not self.tests[number] for number in found)
        if at_import or not found:
            lines, files = names.find_dependent(fault)
            found |= {number for file, line in lines for number in self.lines.get(file, {}).get(line, ())}
            found |= {number for number, test in enumerate(self.tests) if test.partition("::")[0] in files}
        own = f"/test_{Path(fault.file).name}::"

        def estimate(number: int) -> float:
            return self.seconds[number] / (_OWN_FIRST if own in self.tests[number] else 1)

        return sorted((number for number in found if self.tests[number]), key=estimate), at_import

    def limit(self, numbers: list[int], seconds: float) -> list[int]:
        """Return the first tests, as many as may be run in this time. One may always."""
        spent, kept = 0.0, list[int]()
        for number in numbers:
            spent += self.seconds[number]
            if kept and spent > seconds:
                break
            kept.append(number)
        return kept

    def group(self, numbers: list[int]) -> list[int]:
        """Return how many tests a first run of pytest tries, and how many a second one."""
        first, spent = 0, 0.0
        while first < len(numbers) and spent < _FIRST_SECONDS:
            spent += self.seconds[numbers[first]]
            first += 1
        return [first, len(numbers) - first]
