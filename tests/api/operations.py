"""Every operation of the API as its document describes it, with values that fit it, and values that do not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from musterbook.api import openapi

BASE = "/springfield/api/v1"
DOCUMENT = openapi.make_document(BASE)
WRONG: tuple[Any, ...] = (None, True, 7, 1.5, "a text", [7], {"a": 1})
"""A value of each type of JSON."""
_KINDS = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: its name, method, address, permission, parameters, and the schema of its JSON body."""

    name: str
    method: str
    path: str
    permission: str
    parameters: tuple[Mapping[str, Any], ...]
    body: Mapping[str, Any] | None
    content: tuple[str, ...] = ()
    responses: Mapping[str, Any] = field(default_factory=dict, repr=False)
    needs_body: bool = False

    def __str__(self) -> str:
        """Return the name, as the test is called."""
        return self.name

    def address(self, agency: str = "springfield", **values: str) -> str:
        """Return the address with these values of its path, and 1 for the others."""
        path = self.path
        for one in self.list_parameters("path"):
            path = path.replace(f"{{{one['name']}}}", values.get(one["name"], "1"))
        return f"/{agency}/api/v1{path}"

    def list_parameters(self, place: str) -> list[Mapping[str, Any]]:
        """Return the parameters in this place: path, query or header."""
        return [one for one in self.parameters if one["in"] == place]

    def list_typed(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the name and the schema of each query parameter that is not just a text."""
        found = [(one["name"], one.get("schema", {})) for one in self.list_parameters("query")]
        return [(name, schema) for name, schema in found if schema and "string" not in list_kinds(schema)]

    @property
    def takes_file(self) -> bool:
        """Return whether the body is a file."""
        return self.body is None and bool(self.content)

    def make_body(self) -> Any:
        """Return a body that fits, or None if there is none."""
        return None if self.body is None else make_value(self.body)


def _read_operations() -> Iterator[Operation]:
    for path, operations in DOCUMENT["paths"].items():
        for method, found in operations.items():
            if openapi.SECURITY not in found["security"][0]:
                continue  # tests/api/test_feeds.py attacks the token of a feed
            content = found.get("requestBody", {}).get("content", {})
            json = content.get("application/json", {}).get("schema")
            yield Operation(
                found["operationId"], method.upper(), path, found["x-permission"], tuple(found["parameters"]),
                None if json is None else resolve(json), tuple(content), found["responses"],
                found.get("requestBody", {}).get("required", False),
            )  # fmt: skip


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema itself, if it only refers to one."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["schemas"][name] if name else schema


def list_kinds(schema: Mapping[str, Any]) -> set[str]:
    """Return the types that a value may have."""
    schema = resolve(schema)
    kinds = {kind for one in schema.get("anyOf", ()) for kind in list_kinds(one)}
    kinds |= {schema["type"]} if isinstance(schema.get("type"), str) else set(schema.get("type", ()))
    kinds |= {_KINDS[type(value)] for value in (*schema.get("enum", ()), *(["const"] if "const" in schema else []))}
    return kinds | ({"integer"} if "number" in kinds else set())


def list_wrong(schema: Mapping[str, Any]) -> list[Any]:
    """Return a value of each type that does not fit."""
    kinds = list_kinds(schema)
    return [value for value in WRONG if kinds and _KINDS[type(value)] not in kinds]


def make_value(schema: Mapping[str, Any]) -> Any:
    """Return a small value that fits."""
    schema = resolve(schema)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("anyOf"):
        return make_value(schema["anyOf"][0])
    kind = next(iter(sorted(list_kinds(schema))), "null")
    properties = schema.get("properties", {})
    return {
        "object": {name: make_value(properties[name]) for name in schema.get("required", ())} if kind == "object" else 0,
        "array": [make_value(schema["items"])] if schema.get("minItems") else [],
        "string": "a" * max(1, schema.get("minLength", 0)),
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1),
        "boolean": True,
    }.get(kind)  # fmt: skip


def list_members(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the members that a body may have, by name."""
    return dict(schema.get("properties", {}))


OPERATIONS = list(_read_operations())
