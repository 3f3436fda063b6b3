"""Make faults in a module: each is one small change that a test should notice. cosmic-ray's operators change the code.

Left out is what cannot matter, or what nothing can survive: annotations, `if TYPE_CHECKING`, arguments of decorators,
decorators that make a class or a property, caches, `strict=` of `zip`, calls of the log, `not not`, and numbers of 1,000 or
more, where one more or less is a matter of degree. Texts and docstrings have no operator.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from scripts import setup

FETCHED = setup.ROOT / "build" / "mutation" / "cosmic-ray"
_BINARY = ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Div_Mul", "Mod_FloorDiv", "BitOr_BitAnd", "BitAnd_BitOr",
           "LShift_RShift", "RShift_LShift")  # fmt: skip
_COMPARISONS = ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is")
OPERATORS = (
    *(f"ReplaceBinaryOperator_{name}" for name in _BINARY),
    *(f"ReplaceComparisonOperator_{name}" for name in _COMPARISONS),
    *(f"ReplaceUnaryOperator_Delete_{name}" for name in ("Not", "Invert", "USub")),
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator",
    "ZeroIterationForLoop",
)  # fmt: skip
"""The operators of cosmic-ray that are used. Others change what Python or mypy refuses anyway: `a + b` to `a << b`."""

_DECORATORS = ("cache", "classmethod", "contextmanager", "dataclass", "property", "staticmethod")
_MAY_NOT_COMPILE = ("ReplaceBinaryOperator_Mul_FloorDiv", "ReplaceBinaryOperator_Div_Mul")
"""Operators that also change the `*` and `/` of a list of parameters."""
_LARGE = 1000

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """One change of one module."""

    file: str
    operator: str
    occurrence: int
    line: int
    statement: tuple[int, int]
    """The first and the last line of the smallest statement that holds it, without the body of a compound one."""


@dataclass(frozen=True, slots=True)
class _Span:
    start: Position
    end: Position

    def holds(self, position: Position) -> bool:
        return self.start <= position < self.end


def fetch() -> None:
    """Fetch cosmic-ray, once. Only its operators and its parser are wanted, not what its commands need."""
    if not FETCHED.exists():
        setup.run_uv("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", str(FETCHED),
                 "-r", setup.MUTATION_LOCK.name)  # fmt: skip


@cache
def _operator(name: str) -> Any:
    if str(FETCHED) not in sys.path:
        sys.path.append(str(FETCHED))
    from cosmic_ray.operators.provider import OperatorProvider

    return OperatorProvider()[name]()


def find(file: str, source: str) -> list[Fault]:
    """Return all faults of a module."""
    nodes, tree = _nodes(source), ast.parse(source)
    from_operators = [(name, *at) for name in OPERATORS for at in _positions(name, nodes)]
    left_out = list(_left_out(tree))
    statements = list(_statements(tree))
    found = [
        Fault(file, name, occurrence, start[0], _smallest(statements, start[0]))
        for name, occurrence, start in from_operators
        if not any(span.holds(start) for span in left_out)
        and not _cannot_be_made(name, source.splitlines()[start[0] - 1][start[1] :])
    ]
    return [fault for fault in found if fault.operator not in _MAY_NOT_COMPILE or _compiles(change(fault, source))]


def _compiles(source: str) -> bool:
    try:
        compile(source, "", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


_DOTTED = re.compile(r"\w*\.")
"""A name in a module, such as `queue.Empty`, which cosmic-ray does not replace."""


def change(fault: Fault, source: str) -> str:
    """Return the module with the fault."""
    operator = _operator(fault.operator)
    from cosmic_ray.mutating import MutationVisitor

    changed: str = MutationVisitor.mutate_code(source, operator, fault.occurrence)
    return changed


def describe(fault: Fault, source: str) -> str:
    """Return `file:line  before → after`, with the lines that differ."""
    before, after = source.splitlines(), change(fault, source).splitlines()
    first = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), fault.line - 1)
    removed = len(before) - len(after)
    new = "(removed)" if removed else after[first].strip()
    return f"{fault.file}:{first + 1}  {before[first].strip()} → {new}"


def _cannot_be_made(name: str, text: str) -> bool:
    """Return whether the operator fails on this text, or makes the same fault as another one."""
    return (name == "AddNot" and text.startswith("not ")) or (name == "ExceptionReplacer" and bool(_DOTTED.match(text)))


def _nodes(source: str) -> list[Any]:
    _operator(OPERATORS[0])  # which makes it importable
    from cosmic_ray.ast import ast_nodes, get_ast

    return list(ast_nodes(get_ast(source)))


def _positions(name: str, nodes: list[Any]) -> Iterator[tuple[int, Position]]:
    operator = _operator(name)
    yield from enumerate(start for node in nodes for start, _ in operator.mutation_positions(node))


def _left_out(tree: ast.AST) -> Iterator[_Span]:
    for node in ast.walk(tree):
        yield from map(_span, _parts_left_out(node))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from map(_decorator_span, node.decorator_list)


def _parts_left_out(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.arg(annotation=ast.expr() as part) | ast.AnnAssign(annotation=part):
            yield part
        case ast.FunctionDef(returns=ast.expr() as part) | ast.keyword(arg="strict", value=part):
            yield part
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Call(func=ast.Attribute(value=ast.Name(id="_LOG"))):
            yield node
        case ast.Constant(value=int(number)) if number >= _LARGE:
            yield node


def _decorator_span(decorator: ast.expr) -> _Span:
    """Return its arguments, or all of it, with its `@`, if it is one of those that are left out."""
    span = _span(decorator)
    whole = any(name in ast.unparse(decorator).partition("(")[0] for name in _DECORATORS)
    return _Span((decorator.lineno, 0), span.end) if whole else span


def _span(node: ast.expr | ast.stmt) -> _Span:
    return _Span((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0))


def _statements(tree: ast.AST) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
            yield node.lineno, last or node.lineno
        elif isinstance(node, ast.ExceptHandler):
            yield node.lineno, node.lineno


def _smallest(statements: list[tuple[int, int]], line: int) -> tuple[int, int]:
    around = [(first, last) for first, last in statements if first <= line <= last]
    return min(around, key=lambda span: span[1] - span[0], default=(line, line))
