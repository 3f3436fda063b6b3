"""PATCH (RFC 7644 §3.5.2), and the forms in which Entra ID and Okta really send it.

`normalize` rewrites the operations to the letter of the RFC. The library then applies them to the resource.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from scim2_models import Context, MutabilityException, PatchOp

from musterbook.scim import filters, schemas
from musterbook.scim.answers import ScimError

MOST_OPERATIONS = 1_000
"""The most operations of one request."""
MOST_PATH_CHARACTERS = 100_000
"""The most characters of the paths of one request."""
_USER_PATCH: Any = PatchOp[schemas.FullUser]
_NEVER_WRITTEN = frozenset({"schemas", "id", "meta"})
"""The attributes that a client may name without a path: it sends back the resource that it has read."""
_LEFT_OUT = {"name": "formatted", "manager": "displayname"}
"""Attribute → a part of it that clients send although it is ours."""
_QUALIFIED = {
    name.lower(): f"{schemas.EnterpriseUser.__schema__}:{name}"
    for name in ("employeeNumber", "manager", "manager.value")
}
"""Attributes of the enterprise extension, which some clients write without its schema."""


def read_operations(body: dict[str, Any]) -> dict[str, Any]:
    """Return the request with its operations as the RFC writes them. Raise ScimError."""
    operations = body.get(next((name for name in body if name.lower() == "operations"), ""))
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise ScimError(HTTPStatus.BAD_REQUEST, "Operations must be a list of objects.", "invalidSyntax")
    if len(operations) > MOST_OPERATIONS:
        detail = f"The request has more than {MOST_OPERATIONS:,} operations. Split it."
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    check_paths(operations)
    normal = [one for operation in operations for one in normalize({k.lower(): v for k, v in operation.items()})]
    return {"schemas": body.get("schemas"), "Operations": normal}


def check_paths(operations: Iterable[dict[str, Any]]) -> None:
    """Raise ScimError if the paths are too long together: each is parsed, which costs more than its bytes."""
    texts = (value for one in operations for name, value in one.items() if name.lower() == "path")
    if sum(len(text) for text in texts if isinstance(text, str)) > MOST_PATH_CHARACTERS:
        detail = f"The paths have more than {MOST_PATH_CHARACTERS:,} characters together. Split the request."
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def normalize(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the operations of the RFC that mean the same as this one of a client."""
    op, path, value = (operation.get(name) for name in ("op", "path", "value"))
    op = op.lower() if isinstance(op, str) else op
    if not path and isinstance(value, dict) and op in ("add", "replace"):
        for key, part in value.items():
            if key.lower() not in _NEVER_WRITTEN:
                yield from normalize({"op": op, "path": key, "value": part})
        return
    if not isinstance(path, str):
        yield {**operation, "op": op}
        return
    _check_values(path)
    path = _QUALIFIED.get(path.lower(), path)
    attribute = _find_attribute(path)
    if attribute in _LEFT_OUT and path.lower().endswith(f".{_LEFT_OUT[attribute]}"):
        return
    if "value" in operation and op != "remove":
        value = _unwrap(path, attribute, value)
        if value in ("", [], {}) or value is None:
            # Some clients write nothing where the RFC removes.
            yield {"op": "remove", "path": _drop_value(path)}
            return
        yield {"op": op, "path": path, "value": value}
        return
    yield {"op": op, "path": path, **({"value": value} if value else {})}


def _check_values(path: str) -> None:
    if filters.has_unstorable(path):
        detail = "A value of the path has NUL or half of a character."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidPath")


def _find_attribute(path: str) -> str:
    """Return the attribute that the path leads to or into, in lowercase: `manager` for `urn:…:User:manager.value`."""
    outside = path.partition("[")[0]
    return outside.rpartition(":")[2].partition(".")[0].lower()


def _unwrap(path: str, attribute: str, value: Any) -> Any:
    """Return the value of a single attribute that is sent as a list of one object, and a manager as an object."""
    single = attribute not in ("emails", "phonenumbers", "groups", "schemas")
    if single and isinstance(value, list) and len(value) == 1:
        value = value[0]
        if attribute != "manager" and isinstance(value, dict) and "value" in value:
            value = value["value"]
    if attribute == "manager" and "." not in path.rpartition(":")[2] and isinstance(value, str) and value:
        value = {"value": value}
    if (
        attribute == "manager"
        and isinstance(value, dict)
        and "value" not in value
        and isinstance(value.get("$ref"), str)
    ):
        # The address alone names another supervisor than the id that the user has now.
        value = {**value, "value": value["$ref"].rpartition("/")[2]}
    if isinstance(value, dict) and attribute in _LEFT_OUT:
        value = {name: part for name, part in value.items() if name.lower() != _LEFT_OUT[attribute]}
    return value


def _drop_value(path: str) -> str:
    """Return the path of the whole entry for the path of the value of an entry."""
    return path[: -len(".value")] if path.lower().endswith("].value") else path


def apply(resource: Any, body: dict[str, Any]) -> None:
    """Apply the operations of the request to the resource, all or none. Raise ScimError, SCIMException, ValidationError."""
    request = _USER_PATCH.model_validate(
        read_operations(body), scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=schemas.POLICY
    )
    before = resource.active, resource.MusterbookUser.role
    request.patch(resource, scim_policy=schemas.POLICY)
    after = resource.active, resource.MusterbookUser.role if resource.MusterbookUser else None
    for name, old, new in zip(("active", "role"), before, after, strict=True):
        if old is not None and new is None:
            raise MutabilityException(attribute=name, detail=f"Every user has {name}, so it cannot be removed.")
