"""The page of the reference about REST, written from the OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from typing import Any


def list_api(generated: str) -> Iterator[str]:
    """Yield the lines of the page: the operations by resource, the forms of their JSON, and the codes of problems."""
    from musterbook.api import openapi, problems  # they need Django

    document = openapi.make_document("/{agency}/api/v1")
    yield from ("# REST", "", generated, "")
    yield "The operations of the API, below `https://<host>/<agency>/api/v1`. [API access](../how-to/api-access.md) explains"
    yield "tokens. The page *API access*, *Try the API on a page*, sends requests. The same as OpenAPI 3.1 is at"
    yield "`/<agency>/api/v1/openapi.json`."
    yield from ("", document["info"]["description"].partition("\n\n")[2].strip())
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, operations in sorted(by_tag.items()):
        yield from ("", f"## `{tag}`", "", "| operation | permission | |", "|---|---|---|")
        for method, path, operation in operations:
            permission = f"`{operation['x-permission']}`" if operation["x-permission"] else ""
            yield f"| `{method} {path}` | {permission} | {operation['summary']} |"
        for method, path, operation in operations:
            yield from _describe_operation(method, path, operation)
    yield from _list_schemas(document["components"]["schemas"])
    yield from _list_problems(document["components"]["responses"], problems.CODES)


def _describe_operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    about = operation["description"].rpartition("\n\nPermission:")[0]
    yield from ("", f"### {operation['summary']}", "", f"`{method} {path}`", "", about)
    if operation["parameters"]:
        yield from ("", "| parameter | in | type | |", "|---|---|---|---|")
        for one in operation["parameters"]:
            needed = "Required. " if one["required"] and one["in"] != "path" else ""
            text = f"{needed}{one.get('description', '')}".strip()
            schema = one.get("schema") or next(iter(one["content"].values()))["schema"]
            yield f"| `{one['name']}` | {one['in']} | {_name_type(schema)} | {_escape(text)} |"
    for content, body in operation.get("requestBody", {}).get("content", {}).items():
        yield from ("", f"Body (`{content}`): {_name_type(body.get('schema', {}))}")
    yield from ("", f"Answer: {', '.join(_list_answers(operation['responses']))}. Otherwise, a [problem](#problems).")


def _list_answers(responses: Mapping[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        kinds = [_name_type(one.get("schema", {})) for one in response.get("content", {}).values()]
        if "$ref" not in response:
            yield f"{status}{f' {kinds[0]}' if kinds else ''}"


def _name_type(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in a few words. A form of its own is a link."""
    several = schema.get("anyOf") or _split_types(schema)
    return " or ".join(map(_name_type, several)) if several else _name_one_type(schema)


def _split_types(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a schema of each type, if the value may have one of several."""
    kinds = schema.get("type")
    return [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else []


def _name_one_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        item = re.fullmatch(r"Page_(\w+)_", name)
        return f"page of [{item[1]}](#{item[1].lower()})" if item else f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_name_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_name_type(schema['additionalProperties'])}"
    kind = schema.get("type", "any")
    return str(schema.get("format") or {"object": "map", "string": "text"}.get(kind, kind))


def _list_schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## The forms of JSON")
    yield from ("", "A page of a list has `items` and `next`, the cursor of the next page (null on the last one).")
    for name, schema in schemas.items():
        if name.startswith("Page_"):
            continue
        yield from ("", f"### {name}", "", _escape(schema.get("description", "")))
        if "properties" in schema:
            yield from ("", "| member | type | |", "|---|---|---|")
            required = schema.get("required", ())
            for member, one in schema["properties"].items():
                usual = f"Default: `{one['default']}`. " if one.get("default") not in (None, "", [], {}) else ""
                needed = "" if member in required else f"Optional. {usual}"
                yield f"| `{member}` | {_name_type(one)} | {_escape((needed + one.get('description', '')).strip())} |"


def _list_problems(responses: Mapping[str, Any], codes: Mapping[str, str]) -> Iterator[str]:
    yield from ("", "## Problems", "", "| status | |", "|---|---|")
    for name, response in responses.items():
        yield f"| {name.removeprefix('Problem')} | {_escape(response['description'])} |"
    yield from ("", "These are the codes of the API. Those of imports are in [problems](problems.md).", "")
    yield from ("| code | |", "|---|---|")
    yield from (f"| `{code}` | {_escape(text)} |" for code, text in sorted(codes.items()))


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
