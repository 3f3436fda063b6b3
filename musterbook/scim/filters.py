"""Filters (RFC 7644 §3.4.2.2) as conditions of `directory.users.user_query`.

What a condition does not say exactly, `make_test` decides for each user, as the library defines filters. Both compare
texts in the same way (`schemas.make_comparison_key`).
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

from scim2_models import AttributeBinding
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)

from musterbook.directory.agency import provisioned_groups
from musterbook.directory.models import Agency
from musterbook.directory.users import user_query
from musterbook.directory.users.provisioning import Provisioned
from musterbook.directory.users.user_query import EVERYBODY, NOBODY, UNKNOWN, Condition, Operator
from musterbook.scim import mapping, schemas
from musterbook.scim.answers import ScimError

MOST_CHARACTERS, MOST_TERMS = 10_000, 100
"""The longest filter, and the most comparisons in it."""


_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_MANAGER = re.compile(
    rf"(?<![\w:.])(?:{re.escape(str(schemas.EnterpriseUser.__schema__))}:)?manager(?=\s+(?:eq|ne|co|sw|ew)\s)",
    re.IGNORECASE,
)


def complete_names(text: str) -> str:
    """Return the filter with the id of the manager where it names the manager, as Entra ID asks for it."""
    whole = f"{schemas.EnterpriseUser.__schema__}:manager.value"
    return "".join(part if part.startswith('"') else _MANAGER.sub(whole, part) for part in _QUOTED.split(text))


def has_unstorable(text: str) -> bool:
    """Return whether a value in a filter or path is written with NUL or half of a character, which no database stores."""
    for quoted in _QUOTED.findall(text) if "\\u" in text else ():
        with suppress(ValueError):
            if any(one == "\x00" or 0xD800 <= ord(one) < 0xE000 for one in json.loads(quoted)):
                return True
    return False


def build_condition(agency: Agency, wanted: Any) -> Condition:
    """Return the condition of a filter that is bound to users; None for none. Raise ScimError for one that is too large."""
    if wanted is None:
        return EVERYBODY
    if len(wanted) > MOST_CHARACTERS or count_terms(wanted.ast) > MOST_TERMS:
        detail = f"The filter is too large: more than {MOST_CHARACTERS:,} characters, or {MOST_TERMS} comparisons."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidFilter")
    return _Compiler(agency, wanted).visit(wanted.ast)


def count_terms(node: FilterNode) -> int:
    """Return the number of comparisons in the filter."""
    if isinstance(node, LogicalExpr):
        return sum(map(count_terms, node.terms))
    if isinstance(node, Not):
        return count_terms(node.expr)
    return count_terms(node.val_filter) if isinstance(node, ValuePath) else 1


def make_test(wanted: Any, base: str) -> Callable[[Provisioned], bool]:
    """Return the test whether a user matches the filter, which is None for none. `base`: the address of the service."""

    def accepts(found: Provisioned) -> bool:
        with schemas.POLICY:
            return wanted is None or bool(wanted.match(mapping.build_resource(found, base)))

    return accepts


_KEYS = {"userName": "username", "emails.value": "email", "employeeNumber": "badge_number"}
"""Attribute → the column with a key."""
_NAMES = {"role": "role", "rank": "rank", "evidenceGroup": "group"}
_NUMBERS = {"id": "pk", "manager.value": "supervisor", "groups.value": "group"}
_ALWAYS = frozenset(
    {
        "id", "userName", "active", "role", "state", "name", "name.givenName", "name.familyName", "name.formatted", "meta",
        "meta.created", "meta.lastModified", "meta.location", "meta.version", "meta.resourceType", "emails", "emails.value",
        "emails.type", "emails.primary", "schemas",
    }
)  # fmt: skip
"""The attributes that every user has."""
_PRESENT = {
    "externalId": "external_id", "employeeNumber": "badge_number", "rank": "rank", "evidenceGroup": "group",
    "location": "location", "phoneNumbers": "phone", "phoneNumbers.value": "phone", "groups": "group",
    "groups.value": "group", "manager": "supervisor", "manager.value": "supervisor",
}  # fmt: skip
"""Attribute → the column that is blank without it."""


class _Compiler(FilterVisitor[Condition]):
    """The condition of each part of a filter. `prefix`: the attribute whose entries a part in brackets is about.

    Nobody has an attribute that only another resource type has (a list of several types).
    """

    def __init__(self, agency: Agency, bound: Any, prefix: str = "") -> None:
        self._agency, self._bound, self._prefix = agency, bound, prefix

    def visit_not(self, node: Not) -> Condition:
        return ~self.visit(node.expr)

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        first, *others = map(self.visit, node.terms)
        for other in others:
            first = first & other if node.op == LogicalOperator.and_ else first | other
        return first

    def visit_value_path(self, node: ValuePath) -> Condition:
        attribute = str(node.attr_path).rpartition(":")[2]
        inner = _Compiler(self._agency, self._bound, attribute).visit(node.val_filter)
        return inner & self.visit_present(Present(node.attr_path))

    def visit_present(self, node: Present) -> Condition:
        binding = self._bound.resolve(self._complete(node.attr_path), strict=False)
        if binding is None:
            return NOBODY
        name = _name_attribute(binding)
        if name in _ALWAYS:
            return EVERYBODY
        return user_query.match_present(_PRESENT[name]) if name in _PRESENT else UNKNOWN

    def visit_comparison(self, node: Comparison) -> Condition:
        binding = self._bound.resolve_comparison(self._complete(node.attr_path), strict=False)
        if binding is None:
            return NOBODY
        value = coerce_value(binding, node.value, node.op)
        name, operator = _name_attribute(binding), Operator(node.op.value)
        if name in _NAMES:
            return user_query.match_named(self._agency, _NAMES[name], _make_comparison(binding, node.op, value))
        if isinstance(value, str):
            return self._match_text(name, operator, value)
        if name == "active" and isinstance(value, bool):
            return user_query.match_active(value is (operator is Operator.EQ))
        if name == "meta.created" and isinstance(value, datetime) and value.tzinfo:
            return user_query.match_created(operator, value)
        return UNKNOWN

    def _match_text(self, name: str, operator: Operator, value: str) -> Condition:
        if name in _KEYS:
            return user_query.match_key(_KEYS[name], operator, value)
        if name == "externalId":
            return user_query.match_external_id(operator, value)
        if name in _NUMBERS and operator in (Operator.EQ, Operator.NE):
            number = str(provisioned_groups.parse_id(value)) if name == "groups.value" else value
            found = user_query.match_number(_NUMBERS[name], number)
            return found if operator is Operator.EQ else ~found
        return UNKNOWN

    def _complete(self, path: AttrPath) -> AttrPath:
        return AttrPath(self._prefix, path.attr) if self._prefix else path


def _name_attribute(binding: AttributeBinding) -> str:
    """Return the name of the attribute, such as `name.givenName`, without its schema."""
    return binding.urn.rpartition(":")[2]


def _make_comparison(binding: AttributeBinding, operator: CompareOperator, value: Any) -> Callable[[str | None], bool]:
    """Return the comparison with this value, as the library defines it, for the names of a vocabulary."""
    from scim2_models.path.visitor import _compare  # the library has no public name for it

    def accepts(name: str | None) -> bool:
        with schemas.POLICY:
            return bool(_compare(name, value, operator, binding))

    return accepts
