"""Write the part of the client that describes the API, from the OpenAPI document: its answers, bodies and operations."""

import json
import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "musterbook" / "client" / "described"
_PAGE = re.compile(r"Page_(\w+)_")
_FORM, _JSON = "multipart/form-data", "application/json"
_OF_THE_CLIENT = {"cursor", "limit", "wait", "name"}
"""The query parameters that the client sets itself."""
_WIDE = 118
Schema = Mapping[str, Any]


def make_files() -> dict[str, str]:
    """Return the text of every file by its name."""
    from musterbook.api import openapi  # it needs Django

    code = _Code(openapi.make_document(""))
    files = {"answers.py": code.write_answers(), "bodies.py": code.write_bodies(), "routes.py": code.write_routes()}
    return {name: _format("\n".join(lines), name) for name, lines in files.items()}


def write_files() -> None:
    """Write every file."""
    for name, text in make_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _format(text: str, name: str) -> str:
    """Return the code in the form that `./check` wants, without imports that it does not use."""
    for command in (["check", "--fix", "--quiet", "--select", "F401"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(FOLDER / name), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


class _Code:
    """The code for one OpenAPI document."""

    def __init__(self, document: Schema) -> None:
        self.schemas: Mapping[str, Schema] = document["components"]["schemas"]
        self.operations = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    @cached_property
    def _answered(self) -> dict[str, Schema]:
        """The forms of answers by name, in alphabetical order."""
        named = {
            _name_inline(operation): schema for *_, operation in self.operations
            if (schema := _find_answer(operation)) and "$ref" not in schema and schema.get("type") == "object"
        }  # fmt: skip
        roots = [schema for *_, operation in self.operations if (schema := _find_answer(operation))]
        return dict(sorted((self._reach(roots) | named).items()))

    @cached_property
    def _sent(self) -> dict[str, Schema]:
        """The forms of bodies by name, in alphabetical order."""
        roots = [schema for *_, operation in self.operations if (schema := _find_body(operation))]
        return dict(sorted(self._reach(roots).items()))

    def _reach(self, roots: Iterable[Schema]) -> dict[str, Schema]:
        """Return the forms that these refer to, and those that they refer to."""
        found: dict[str, Schema] = {}
        waiting = [name for root in roots for name in _list_references(root)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.schemas[name]
                waiting += _list_references(self.schemas[name])
        return found

    def write_answers(self) -> Iterator[str]:
        """Yield the lines of the dataclasses of answers."""
        shown = _order({name: schema for name, schema in self._answered.items() if not _PAGE.fullmatch(name)})
        lines = [line for name, schema in shown.items() for line in _write_answer(name, schema)]
        yield from ('"""What the API answers. Written from the API by scripts/client_code.py; change it there."""', "")
        yield from ("from dataclasses import dataclass, field", "from datetime import date, datetime")
        yield from (
            "from typing import Any, Literal",
            "",
            "from musterbook.client.answering import Answer",
            "",
            _list_exports(sorted(shown)),
            *lines,
        )

    def write_bodies(self) -> Iterator[str]:
        """Yield the lines of the typed dictionaries of bodies, of forms with a file, and of parameters."""
        made = dict(self._sent)
        for _method, _path, operation in self.operations:
            options = _find_options(operation)
            if options["properties"]:
                made[_name_options(operation)] = options
        lines = [
            line for name, schema in _order(dict(sorted(made.items()))).items() for line in _write_body(name, schema)
        ]
        yield from ('"""What the API takes. Written from the API by scripts/client_code.py; change it there."""', "")
        yield from ("from collections.abc import Mapping, Sequence", "from datetime import date, datetime")
        yield from ("from typing import Any, Literal, Required, TypedDict", "", _list_exports(sorted(made)), *lines)

    def write_routes(self) -> Iterator[str]:
        """Yield the lines of the operations."""
        yield from ('"""The operations. Written from the API by scripts/client_code.py; change it there."""', "")
        yield from ("from typing import Final", "", "from musterbook.client.answering import Page, Route")
        yield from ("from musterbook.client.described import answers", "")
        for method, path, operation in self.operations:
            name, answer = operation["operationId"], _name_answer(operation)
            keyed = any(one["name"] == "Idempotency-Key" for one in operation["parameters"])
            limit = next((one for one in operation["parameters"] if one["name"] == "limit"), None)
            most = f", most={limit['schema']['maximum']}" if limit else ""
            yield f"{_name_constant(name)}: Final = Route("
            yield f'"{name}", "{method}", "{path}", {answer}{", keyed=True" if keyed else ""}{most})'


def _find_answer(operation: Schema) -> Schema | None:
    """Return the form of the answer of an operation, or None for one without JSON."""
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get(_JSON)
        if status.startswith("2") and content:
            found: Schema = content["schema"]
            return found if "$ref" in found or found.get("type") == "object" else None
    return None


def _find_body(operation: Schema) -> Schema | None:
    found: Schema | None = operation.get("requestBody", {}).get("content", {}).get(_JSON, {}).get("schema")
    return found


def _find_options(operation: Schema) -> Schema:
    """Return the parameters of an operation that its caller can give, or the fields of the form with its file."""
    form = operation.get("requestBody", {}).get("content", {}).get(_FORM)
    if form:
        properties = {name: one for name, one in form["schema"]["properties"].items() if name != "file"}
    else:
        properties = {
            one["name"]: {**one["schema"], "description": one.get("description", "")}
            for one in operation["parameters"]
            if one["in"] == "query" and (one["name"] not in _OF_THE_CLIENT)
        }
    return {"description": f"The options of `{operation['operationId']}`.", "properties": properties}


def _name_options(operation: Schema) -> str:
    name: str = operation["operationId"]
    return f"{name[0].upper()}{name[1:]}Options"


def _name_inline(operation: Schema) -> str:
    name: str = operation["operationId"]
    return f"{name[0].upper()}{name[1:]}Answer"


def _name_answer(operation: Schema) -> str:
    schema = _find_answer(operation)
    if schema:
        return _write_type(schema, "answers.") if "$ref" in schema else f"answers.{_name_inline(operation)}"
    downloads = any("content" in one for status, one in operation["responses"].items() if status.startswith("2"))
    return "bytes" if downloads else "type(None)"


def _name_constant(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).upper()


def _list_references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _list_references(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
    return [*own, *(name for one in schema.values() for name in _list_references(one))]


def _list_exports(names: Iterable[str]) -> str:
    return f"__all__ = {json.dumps(list(names))}"


def _order(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the forms so that each comes after those that it refers to."""
    ordered: dict[str, Schema] = {}

    def add(name: str) -> None:
        for inner in _list_references(schemas[name].get("properties", {})):
            if inner in schemas and inner != name:
                add(inner)
        ordered.setdefault(name, schemas[name])

    for name in schemas:
        add(name)
    return ordered


def _write_answer(name: str, schema: Schema) -> Iterator[str]:
    yield from ("", "", "@dataclass(frozen=True, kw_only=True)", f"class {name}(Answer):")
    yield from _write_text(schema.get("description") or f"What `{name}` has.", "    ")
    yield ""
    for field, inner in schema["properties"].items():
        yield from _write_field(field, inner, required=field in schema.get("required", ()))


def _write_body(name: str, schema: Schema) -> Iterator[str]:
    if any(map(keyword.iskeyword, schema["properties"])):
        required = schema.get("required", ())
        kinds = {field: _write_type(inner, sent=True) for field, inner in schema["properties"].items()}
        members = (f'"{field}": {f"Required[{kind}]" if field in required else kind}' for field, kind in kinds.items())
        yield from ("", "", f'{name} = TypedDict("{name}", {{{", ".join(members)}}}, total=False)')
        yield from _write_text(schema.get("description") or f"What `{name}` takes.", "")
        return
    yield from ("", "", f"class {name}(TypedDict, total=False):")
    yield from _write_text(schema.get("description") or f"What `{name}` takes.", "    ")
    yield ""
    for field, inner in schema["properties"].items():
        kind = _write_type(inner, sent=True)
        yield f"    {field}: {f'Required[{kind}]' if field in schema.get('required', ()) else kind}"
        if inner.get("description"):
            yield from _write_text(inner["description"], "    ")


def _write_field(name: str, schema: Schema, *, required: bool) -> Iterator[str]:
    """Yield the lines of a field of an answer. A field that is not always there has its default."""
    kind = _write_type(schema)
    safe = f"{name}_" if keyword.iskeyword(name) else name
    facts = {} if safe == name else {"metadata": f"{{'name': {name!r}}}"}
    if not required:
        default = schema.get("default")
        if kind.startswith(("list", "dict")):
            facts["default_factory"] = kind.partition("[")[0]
        else:
            facts["default"] = repr(default)
            kind = kind if default is not None or "None" in kind else f"{kind} | None"
    given = ", ".join(f"{key}={value}" for key, value in facts.items())
    yield f"    {safe}: {kind}{f' = field({given})' if facts else ''}"
    if schema.get("description"):
        yield from _write_text(schema["description"], "    ")


def _write_type(schema: Schema, module: str = "", *, sent: bool = False) -> str:
    """Return the type of a value as Python has it. `sent`: in a body, where any mapping and any sequence is taken."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        page = _PAGE.fullmatch(name)
        return f"Page[{module}{page[1]}]" if page else f"{module}{name}"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value, ensure_ascii=False) for value in schema['enum'])}]"
    kinds = schema.get("type")
    several = schema.get("anyOf") or ([{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else None)
    if several:
        return " | ".join(dict.fromkeys(_write_type(one, module, sent=sent) for one in several))
    return _write_plain_type(schema, module, sent=sent)


def _write_plain_type(schema: Schema, module: str, *, sent: bool) -> str:
    kind = schema.get("type")
    if kind == "array":
        inner = _write_type(schema.get("items", {}), module, sent=sent)
        return f"{'Sequence' if sent else 'list'}[{inner}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        inner = _write_type(values, module, sent=sent) if isinstance(values, dict) else "Any"
        return f"{'Mapping' if sent else 'dict'}[str, {inner}]"
    if kind == "string":
        return {"date-time": "datetime", "date": "date"}.get(schema.get("format", ""), "str")
    return {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}.get(str(kind), "Any")


def _write_text(text: str, indent: str) -> Iterator[str]:
    """Yield the lines of a docstring."""
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    lines = "\n\n".join(textwrap.fill(part, _WIDE - len(indent) - 8) for part in paragraphs).splitlines()
    if len(lines) == 1:
        yield f'{indent}"""{lines[0].rstrip(".")}."""'
        return
    yield f'{indent}"""{lines[0]}'
    yield from (f"{indent}{line}".rstrip() for line in lines[1:])
    yield f'{indent}"""'
