"""PATCH of a group (RFC 7644 §3.5.2): what it does to the members, without reading those that stay.

The operations on members are read here, in the forms that Entra ID and Okta send. The library applies the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from scim2_models import Context, InvalidPathException, InvalidValueException, NoTargetException, PatchOp, Path
from scim2_models.path import Comparison, FilterNode, LogicalExpr, LogicalOperator

from musterbook.scim import filters, schemas
from musterbook.scim.answers import ScimError
from musterbook.scim.group_schemas import FullGroup
from musterbook.scim.patching import check_paths

MOST_OPERATIONS = 1_000
"""The most operations of one request."""
_MEMBERS = "members"
_NEVER_WRITTEN = frozenset({"schemas", "id", "meta"})
"""The attributes that a client may name without a path: it sends back the resource that it has read."""
_OPERATIONS = frozenset({"add", "remove", "replace"})
MatchMembers = Callable[[FilterNode], list[str]]
"""Takes a filter, and returns the ids of the members that match."""


@dataclass(slots=True)
class MemberChanges:
    """What operations do to the members: who joins, who leaves, and whether all others stay."""

    joining: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    others_stay: bool = True

    @property
    def is_empty(self) -> bool:
        """Return whether no operation concerns the members."""
        return self.others_stay and not self.joining and not self.leaving

    def add(self, ids: list[str]) -> None:
        """Let these users be members after it."""
        for one in ids:
            self.leaving.pop(one, None)
            self.joining[one] = None

    def remove(self, ids: list[str]) -> None:
        """Let these users not be members after it."""
        for one in ids:
            self.joining.pop(one, None)
            self.leaving[one] = None

    def replace(self, ids: list[str]) -> None:
        """Let only these users be members after it."""
        self.joining, self.leaving, self.others_stay = dict.fromkeys(ids), {}, False


def read_request(body: dict[str, Any], match: MatchMembers) -> tuple[MemberChanges, list[dict[str, Any]]]:
    """Return what the request does to the members, and its other operations. Raise ScimError, SCIMException."""
    members, others = MemberChanges(), list[dict[str, Any]]()
    for operation in _read_operations(body):
        if operation["path"] and _is_about_members(operation["path"]):
            _apply(members, operation, match)
        else:
            others.append({name: value for name, value in operation.items() if value is not None or name == "value"})
    return members, others


def _read_operations(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the operations, each with one path. Attributes that a client may not write are left out."""
    operations = body.get(next((name for name in body if name.lower() == "operations"), ""))
    if not isinstance(operations, list) or not operations or not all(isinstance(one, dict) for one in operations):
        raise ScimError(HTTPStatus.BAD_REQUEST, "Operations must be a list of objects.", "invalidSyntax")
    if len(operations) > MOST_OPERATIONS:
        detail = f"The request has more than {MOST_OPERATIONS:,} operations. Split it."
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    check_paths(operations)
    for one in operations:
        yield from _split({name.lower(): value for name, value in one.items()})


def _split(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    op, path, value = (operation.get(name) for name in ("op", "path", "value"))
    op = op.lower() if isinstance(op, str) else op
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise InvalidValueException(detail=f"“{str(op)[:100]}” is not an operation. Send add, remove or replace.")
    if path is not None and not isinstance(path, str):
        raise InvalidPathException(detail="The path must be a text.")
    if path:
        yield {"op": op, "path": path, **({"value": value} if "value" in operation else {})}
        return
    if op == "remove":
        raise NoTargetException(detail="A remove operation requires a path.")
    if not isinstance(value, dict):
        raise InvalidValueException(detail="An operation without a path requires an object as value.")
    for name, part in value.items():
        if name.lower() not in _NEVER_WRITTEN:
            yield {"op": op, "path": name, "value": part}


def _is_about_members(path: str) -> bool:
    head = path.partition("[")[0].lower().removeprefix(f"{FullGroup.__schema__}:".lower())
    return head.partition(".")[0] == _MEMBERS


def _apply(members: MemberChanges, operation: dict[str, Any], match: MatchMembers) -> None:
    if filters.has_unstorable(operation["path"]):
        raise InvalidPathException(detail="A value of the path has NUL or half of a character.")
    op, path, value = operation["op"], Path[FullGroup](operation["path"]), operation.get("value")
    binding = path.resolve()
    if binding is not None and binding.sub_field_name:
        detail = f"“{path}” cannot be changed. Add or remove the member as a whole."
        raise InvalidPathException(path=str(path), detail=detail)
    chosen = path.value_filter
    if chosen is not None:
        if op != "remove":
            raise InvalidPathException(detail="A path with a filter can only remove members. Add them to “members”.")
        members.remove(_read_equal(chosen) or match(chosen))
    elif op == "remove":
        members.replace([]) if value is None else members.remove(read_ids(value))
    elif op == "add":
        members.add(read_ids(value))
    else:
        members.replace(read_ids(value))


def _read_equal(chosen: FilterNode) -> list[str]:
    """Return the ids that `value eq "…"`, or several of them joined by `or`, name; none for any other filter."""
    if isinstance(chosen, Comparison):
        is_id = chosen.attr_path.attr.lower() == "value" and chosen.op == "eq" and isinstance(chosen.value, str)
        return [str(chosen.value)] if is_id else []
    if isinstance(chosen, LogicalExpr) and chosen.op == LogicalOperator.or_:
        parts = [_read_equal(term) for term in chosen.terms]
        return [one for part in parts for one in part] if all(parts) else []
    return []


def read_ids(value: Any) -> list[str]:
    """Return the ids of members, as a list of objects, one object, or texts, has them. Raise InvalidValueException."""
    entries = value if isinstance(value, list) else [] if value is None else [value]
    ids: list[Any] = [entry.get("value") if isinstance(entry, dict) else entry for entry in entries]
    if not all(isinstance(one, str) and one for one in ids):
        raise InvalidValueException(detail="Each member must be an object with the id of a user as “value”.")
    return [*dict.fromkeys(ids)]


def apply_others(resource: Any, operations: list[dict[str, Any]]) -> None:
    """Apply the operations that concern no members to the resource, all or none. Raise ValidationError, SCIMException."""
    if not operations:
        return
    body = {"schemas": [str(PatchOp.__schema__)], "Operations": operations}
    model: Any = PatchOp[FullGroup]
    request = model.model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=schemas.POLICY)
    request.patch(resource, scim_policy=schemas.POLICY)
