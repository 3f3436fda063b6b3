"""The options of an import as the fields of a form, or as query parameters: texts, with JSON for tables."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, QueryDict

from musterbook.api import arriving, keys
from musterbook.api.problems import FieldError, ProblemError
from musterbook.directory.imports import given_options
from musterbook.directory.imports.options import Options

_FLAGS = ("preview", "strict", "mails", "release_badges")
_NUMBERS = ("header_row", "expect_rows")
_TABLES = ("mapping", "values", "defaults", "confirm")
_LISTS = ("accept",)
_OF_REQUEST = ("wait", "name")
"""The query parameters of a request that are no options."""
_LONGEST_NUMBER = 9


def is_form(request: HttpRequest) -> bool:
    """Return whether the request sends a form. Its fields are known only when all of it has been read."""
    return request.content_type == arriving.FORM


def read_options(request: HttpRequest, names: Iterable[str] = given_options.NAMES, what: str = "") -> Options:
    """Return the options that a request gives: as fields of its form, or else as query parameters.

    `names`, `what`: as in `given_options.read_options`. Raise ProblemError, and InvalidOptions.
    """
    query = {name: texts for name, texts in request.GET.lists() if name not in _OF_REQUEST}
    if not is_form(request):
        return given_options.read_options(parse_texts(query), None, names, what)
    if query:
        detail = "Send the options as fields of the form, or send the file as the body."
        errors = [FieldError(name, "not-allowed", detail) for name in query]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "not-together", errors)
    fields: QueryDict = request.POST
    return given_options.read_options(parse_texts(dict(fields.lists())), None, names, what)


def parse_texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the texts of each field mean. A text that means none stays, and is refused later.

    Raise ProblemError for a field that is there twice, and for a table that is not JSON.
    """
    errors = [
        FieldError(name, "duplicate", f"{name} is given {len(texts)} times. Give it once.")
        for name, texts in fields.items()
        if len(texts) > 1 and name not in _LISTS
    ]
    values = {}
    for name, texts in fields.items():
        try:
            values[name] = [*texts] if name in _LISTS else _parse(name, texts[0])
        except (ValueError, RecursionError):
            example = '{"ROLE": "Officer"}'
            errors.append(FieldError(name, "invalid-json", f"{name} is not JSON. Write an object, such as {example}."))
    if errors:
        detail = "Some options cannot be read. Nothing was changed."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "not-together", errors)
    return values


def _parse(name: str, text: str) -> Any:
    if name in _TABLES:
        return json.loads(text)
    if name in _FLAGS:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if name in _NUMBERS and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        return int(text)
    return text


_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_TEXT_TABLE: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
PROPERTIES: dict[str, dict[str, Any]] = {
    "mode": {
        "type": "string", "enum": ["update", "sync", "rekey"], "default": "update",
        "description": "update: add and update users. sync: also deactivate Active users who are not in the file."
        " rekey: change external IDs.",
    },
    "preview": _FLAG | {"default": False, "description": "Only make the plan, and change nothing."},
    "strict": _FLAG | {"default": False, "description": "Write nothing if a row has a problem."},
    "mails": _FLAG | {"description": "Whether emails are sent. By default, the agency's setting."},
    "source": _TEXT | {"description": "The source of the file, such as hr-sworn."},
    "mapping": _TEXT_TABLE | {
        "description": "Heading of the file → column, two columns joined by a comma, or nothing to leave it out.",
    },
    "values": {
        "type": "object", "additionalProperties": _TEXT_TABLE,
        "description": "STATUS, ROLE, RANK or EVIDENCE_GROUP_EXT_ID → value in the file → value of the agency.",
    },
    "defaults": _TEXT_TABLE | {
        "description": "Column that the file does not have → the value of new users.",
    },
    "accept": {
        "type": "array", "items": _TEXT,
        "description": "Problems with which rows are applied: looks-damaged, identity-change=same or identity-change=other.",
    },
    "confirm": {
        "type": "object", "additionalProperties": {"type": ["integer", "boolean"]},
        "description": "What is confirmed beforehand: kind → its exact number, or true for a kind without a number.",
    },
    "encoding": _TEXT | {"description": "The encoding, such as windows-1252. By default, it is detected."},
    "delimiter": _TEXT | {"description": "comma, semicolon, tab or pipe. By default, it is detected."},
    "sheet": _TEXT | {"description": "The sheet of the workbook, if several have the headings."},
    "header_row": {"type": "integer", "minimum": 1, "description": "The row that has the headings."},
    "expect_rows": {"type": "integer", "minimum": 0, "description": "Refuse a file with another number of data rows."},
    "release_badges": _FLAG | {
        "description": "Whether rows can take badges of Inactive users. By default, the agency's setting.",
    },
}  # fmt: skip
"""Each option with its JSON schema."""


def _make_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"in": "query", "name": name, "required": False}
    about = schema.get("description", "")
    shown = {key: value for key, value in schema.items() if key != "description"}
    if name in _TABLES:
        return parameter | {"description": about, "content": {"application/json": {"schema": shown}}}
    return parameter | {"description": about, "schema": shown}


_NAME = {
    "in": "query", "name": "name", "required": False, "description": "The name of a file that is the body.",
    "schema": {"type": "string", "maxLength": 255},
}  # fmt: skip
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def describe_receiving(properties: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the part of the OpenAPI document of an operation that receives a file, with these options."""
    return {
        "parameters": [keys.PARAMETER, _NAME, *(_make_parameter(name, schema) for name, schema in properties.items())],
        "requestBody": {
            "required": True,
            "description": "The file: as the whole body with its type, or as the one file of a form with the options as"
            " fields.",
            "content": {
                arriving.FORM: {
                    "schema": {
                        "type": "object", "required": ["file"], "additionalProperties": False,
                        "properties": {"file": {"type": "string", "format": "binary"}, **properties},
                    },
                    "encoding": {name: {"contentType": "application/json"} for name in _TABLES if name in properties},
                },
                "text/csv": _BINARY,
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _BINARY,
                "application/vnd.oasis.opendocument.spreadsheet": _BINARY,
                "application/octet-stream": _BINARY,
            },
        },
    }  # fmt: skip


RECEIVING = describe_receiving(PROPERTIES)
"""The part of the OpenAPI document of an operation that receives a file of users."""
