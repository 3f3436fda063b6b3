"""Filters on groups (RFC 7644 §3.4.2.2) as conditions of the directory: all operators, `and`, `or`, `not` and brackets."""

from collections.abc import Callable
from typing import Any

from scim2_models import InvalidFilterException
from scim2_models.path import AttrPath, Comparison, LogicalExpr, LogicalOperator, Not, Present, ValuePath
from scim2_models.path.resolution import coerce_value
from scim2_models.path.visitor import FilterVisitor

from musterbook.directory.agency import provisioned_groups
from musterbook.directory.agency.provisioned_groups import ALL, COLUMNS, MEMBER_COLUMNS, NONE, Condition
from musterbook.directory.models import Agency
from musterbook.scim.group_schemas import FullGroup

MOST_TERMS = 100
"""The most comparisons of one filter."""
_EXACT = frozenset({"id", "externalId", "value"})
_NAMES = {
    ("id", None): "id",
    ("external_id", None): "externalId",
    ("display_name", None): "displayName",
    ("active", None): "active",
    ("meta", "created"): "created",
    ("meta", "last_modified"): "lastModified",
}
_CONSTANTS = {("meta", "resource_type"): "Group", ("schemas", None): str(FullGroup.__schema__)}
_USER, _GROUP = "User", "Group"


def compile_filter(agency: Agency, wanted: Any, *, of_all_types: bool = False) -> Condition:
    """Return the condition of a filter that is bound to groups, None for all groups. Raise InvalidFilterException.

    `of_all_types`: whether no group has an attribute that groups do not know, because other resource types have it.
    """
    return ALL if wanted is None else _Compiler(agency, wanted, of_all_types).visit(wanted.ast)


class _Compiler(FilterVisitor[Condition]):
    """Compile the expressions of one filter."""

    def __init__(self, agency: Agency, parsed: Any, of_all_types: bool) -> None:
        self._agency, self._parsed, self._terms, self._strict = agency, parsed, 0, not of_all_types

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise InvalidFilterException(detail=f"The filter has more than {MOST_TERMS} comparisons. Split it.")

    def visit_comparison(self, node: Comparison) -> Condition:
        """Return the condition of a comparison; one with a member compares its id, if nothing else is named."""
        self._count()
        binding = self._parsed.resolve_comparison(node.attr_path, strict=self._strict)
        if binding is None:
            return NONE
        value = coerce_value(binding, node.value, node.op)
        if binding.field_name == "members":
            return self._find_members(binding.sub_field_name or "value", str(node.op), value)
        name = (binding.field_name, binding.sub_field_name)
        if name in _CONSTANTS:
            return _compare_constant(_CONSTANTS[name], str(node.op), value)
        column = _NAMES.get(name)
        if column is None:
            raise _refuse(node.attr_path)
        return _compare(COLUMNS[column], str(node.op), value, exact=column in _EXACT)

    def _find_members(self, attribute: str, operator: str, value: Any) -> Condition:
        if operator == "ne":
            return ~self._find_members(attribute, "eq", value)
        return _has_member(self._agency, lambda kind: _compare_member(kind, attribute, operator, value))

    def visit_present(self, node: Present) -> Condition:
        """Return whether groups have the attribute: all do, except for members."""
        self._count()
        binding = self._parsed.resolve(node.attr_path, strict=self._strict)
        if binding is None:
            return NONE
        if binding.field_name == "members":
            return _has_member(self._agency, lambda _kind: ALL)
        if (binding.field_name, binding.sub_field_name) in _NAMES or binding.field_name in ("meta", "schemas"):
            return ALL
        raise _refuse(node.attr_path)

    def visit_not(self, node: Not) -> Condition:
        """Return the opposite."""
        return ~self.visit(node.expr)

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        """Return all terms, or any of them."""
        result, *others = (self.visit(term) for term in node.terms)
        for other in others:
            result = result & other if node.op == LogicalOperator.and_ else result | other
        return result

    def visit_value_path(self, node: ValuePath) -> Condition:
        """Return whether one member fulfills the whole filter in the brackets."""
        binding = self._parsed.resolve(node.attr_path, strict=self._strict)
        if binding is None:
            return NONE
        if binding.field_name != "members":
            raise _refuse(node.attr_path)
        return _has_member(self._agency, lambda kind: _MemberCompiler(kind, self._count).visit(node.val_filter))


class _MemberCompiler(FilterVisitor[Condition]):
    """Compile the expressions in the brackets of `members[…]`, as conditions of users, or of groups (`kind`)."""

    def __init__(self, kind: str, count: Any) -> None:
        self._kind, self._count = kind, count

    def visit_comparison(self, node: Comparison) -> Condition:
        """Return the condition of a comparison with an attribute of a member."""
        self._count()
        return _compare_member(self._kind, _name_of(node.attr_path), str(node.op), node.value)

    def visit_present(self, node: Present) -> Condition:
        """Return whether members have the attribute: all do."""
        self._count()
        if _name_of(node.attr_path) in (*MEMBER_COLUMNS, "type", "ref"):
            return ALL
        raise _refuse(node.attr_path)

    def visit_not(self, node: Not) -> Condition:
        """Return the opposite."""
        return ~self.visit(node.expr)

    visit_logical_expr = _Compiler.visit_logical_expr  # it uses `visit` alone


def _name_of(path: AttrPath) -> str:
    return path.attr.lower().removeprefix("$")


def _has_member(agency: Agency, condition: Callable[[str], Condition]) -> Condition:
    """Return the condition that a member, who is a user or a group, fulfills another."""
    return provisioned_groups.has_member(agency, condition(_USER)) | provisioned_groups.has_part(
        agency, condition(_GROUP)
    )


def _compare_member(kind: str, attribute: str, operator: str, value: Any) -> Condition:
    if operator == "eq" and attribute == "value" and isinstance(value, str):
        number = _read_number(value) if kind == _USER else provisioned_groups.parse_id(value)
        return NONE if number is None else provisioned_groups.is_member_number(number)
    if attribute == "type":
        return _compare_constant(kind, operator, value)
    if attribute not in MEMBER_COLUMNS:
        raise InvalidFilterException(detail=f"Groups cannot be filtered by {attribute} of members.")
    return _compare(MEMBER_COLUMNS[attribute], operator, value, exact=attribute in _EXACT)


def _read_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _compare(column: str, operator: str, value: Any, *, exact: bool) -> Condition:
    if value is None:
        return NONE if operator == "eq" else ALL if operator == "ne" else NONE
    return provisioned_groups.compare(column, operator, value, exact=exact)


def _compare_constant(constant: str, operator: str, value: Any) -> Condition:
    """Return all or none: the attribute has the same value in every group."""
    left, right = constant.lower(), str(value).lower()
    holds = {
        "eq": left == right, "ne": left != right, "co": right in left, "sw": left.startswith(right),
        "ew": left.endswith(right), "gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right,
    }[operator]  # fmt: skip
    return ALL if holds and value is not None else NONE


def _refuse(path: AttrPath) -> InvalidFilterException:
    return InvalidFilterException(detail=f"Groups cannot be filtered by {path.attr}.")
