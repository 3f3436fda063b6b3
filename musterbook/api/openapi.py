"""The OpenAPI 3.1 document of the REST API. It describes the API and no agency, so reading it needs no token."""

from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import get_script_prefix

from musterbook.api import access, arriving, keys, problems, rest, schemas

PROBLEM = "application/problem+json"
SECURITY, FEED_SECURITY = "token", "feedToken"
_METHODS = ("GET", "HEAD", "OPTIONS")
_ETAG = {"description": "The version of the resource, for If-Match.", "schema": {"type": "string"}}
_IF_MATCH = {
    "name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "The ETag of the resource when you read it. If it has changed since, the answer is 412, and nothing changes.",
}  # fmt: skip
_HEADERS = {
    "X-Request-ID": "The id of the request. It is also in the log and in the audit trail.",
    "RateLimit-Policy": "The limits of the token: `q` requests in `w` seconds.",
    "RateLimit": "What is left of the limit: `r` requests in the next `t` seconds.",
}
_RETRY = {"description": "The number of seconds to wait.", "schema": {"type": "integer"}}
_DESCRIPTION = """\
Everything that a person can do in an agency, for programs with a token of the agency.

- Send the token in the header `Authorization: Bearer …`. A user who manages API access creates it.
- Bodies are JSON (UTF-8). Unknown members and parameters are refused. Times are RFC 3339 in UTC.
- Errors are problem details (RFC 9457). Use `code`: sentences may change.
- Lists have `items` and `next`, the cursor of the next page, which is null on the last one.
- `HEAD` answers like `GET`. `OPTIONS` names the methods of an address.
"""
_STATUSES = {
    400: "The request cannot be read, such as a body that is not JSON.",
    401: "There is no token, or it gives no access.",
    403: "The token lacks a permission, or the action is not allowed.",
    404: "There is nothing at this address.",
    405: "The address does not accept this method.",
    409: "The state of the resource does not allow it.",
    410: "It is no longer kept.",
    411: "The header Content-Length is missing.",
    412: "The resource has another version than `If-Match` says.",
    413: "The body is too large.",
    415: "The body has the wrong content type.",
    422: "A value is not accepted. `errors` says which, and what to send.",
    429: "Too many requests. Wait as long as `Retry-After` says.",
    503: "It is not available at this moment.",
    507: "There is no room for the file.",
}


_TEXT, _NULLABLE = {"type": "string"}, {"type": ["string", "null"]}
_TAKEN = {
    "type": "object", "required": ["feed", "import", "state", "page", "file"],
    "properties": {
        "feed": _TEXT, "import": _NULLABLE, "state": _TEXT, "page": _NULLABLE,
        "file": {"type": "object", "properties": {"name": _TEXT, "size": {"type": "integer"}, "sha256": _TEXT}},
    },
}  # fmt: skip
_FEED_FILE: dict[str, Any] = {
    "operationId": "sendFeedFile",
    "summary": "Send a file to a feed",
    "description": "Send the file as the body, or as the only file of a form. The token is that of the feed, and opens"
    " nothing else. With an `Idempotency-Key`, the same request sent again is one import.\n\nPermission: none.",
    "tags": ["feeds"],
    "x-permission": "",
    "security": [{FEED_SECURITY: []}],
    "parameters": [
        {"in": "path", "name": "name", "required": True, "schema": _TEXT},
        {"in": "query", "name": "name", "required": False, "schema": _TEXT, "description": "The name of the file."},
        keys.PARAMETER,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            arriving.FORM: {
                "schema": {
                    "type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "The last file had the same content, and nothing is imported.",
            "content": {"application/json": {"schema": _TAKEN}},
        },
        "202": {"description": "The file was taken.", "content": {"application/json": {"schema": _TAKEN}}},
        **{
            str(status): {"$ref": f"#/components/responses/Problem{status}"}
            for status in (400, 401, 405, 409, 411, 413, 415, 422, 429, 507)
        },
    },
}  # fmt: skip
"""The operation that is not one of the library, because it has another kind of token (`feeds`)."""


def document(request: HttpRequest) -> HttpResponseBase:
    """Return the document, for the agency of the address."""
    if request.method == "OPTIONS":
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(_METHODS)})
    if request.method not in _METHODS:
        return problems.refuse_method(_METHODS)
    return JsonResponse(make_document(f"{get_script_prefix()}api/v1"), json_dumps_params={"ensure_ascii": False})


document.permission = ""  # type: ignore[attr-defined]  # for the tests that attack every address
document.csrf_exempt = True  # type: ignore[attr-defined]  # it only answers


def make_document(server: str) -> dict[str, Any]:
    """Return the document, whose operations are below the address `server`."""
    return {**_make_document(), "servers": [{"url": server}]}


@cache
def _make_document() -> Mapping[str, Any]:
    made: dict[str, Any] = dict(rest.api.get_openapi_schema(path_prefix=""))
    made["info"] |= {"description": _DESCRIPTION}
    permissions = {
        operation.operation_id: access.describe_needs(operation.auth_callbacks)
        for operation in rest.api.list_operations()
    }
    statuses = set[str]()
    for operations in made["paths"].values():
        readable = "get" in operations
        for method, operation in operations.items():
            _finish(operation, permissions[operation["operationId"]])
            if readable and method in {"patch", "put", "delete"}:
                operation["parameters"].append(_IF_MATCH)
            if "requestBody" in operation:
                operation["responses"].setdefault("415", {})
            statuses |= set(_refer_to_problems(operation["responses"]))
            _order(operation)
    made["paths"]["/feeds/{name}/file"] = {"post": _FEED_FILE}
    statuses |= {status for status, response in _FEED_FILE["responses"].items() if "$ref" in response}
    made["components"] = {
        "schemas": dict(sorted({**made["components"]["schemas"], **_read_schemas()}.items())),
        "responses": {f"Problem{status}": _describe_problem(status) for status in sorted(statuses)},
        "headers": {
            name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
        },
        "securitySchemes": {
            SECURITY: {"type": "http", "scheme": "bearer", "description": "A token of the agency (API access)."},
            FEED_SECURITY: {"type": "http", "scheme": "bearer", "description": "The token of one feed."},
        },
    }  # fmt: skip
    return made


def _read_schemas() -> dict[str, Any]:
    return {"ProblemBody": schemas.ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")} | {
        "ProblemField": schemas.ProblemField.model_json_schema()
    }


def _finish(operation: dict[str, Any], permission: str) -> None:
    """Add to an operation what the library does not know: its permission, and its headers."""
    operation["x-permission"] = permission
    operation["security"] = [{SECURITY: []}]
    needed = f"Permission: `{permission}`." if permission else "Permission: none."
    operation["description"] = f"{_join_lines(operation.get('description', ''))}\n\n{needed}"
    for status, response in operation["responses"].items():
        if int(status) < HTTPStatus.BAD_REQUEST:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS} | (
                response.get("headers") or {}
            )


def _join_lines(text: str) -> str:
    """Return a docstring with each paragraph in one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _refer_to_problems(responses: dict[Any, Any]) -> Iterator[str]:
    """Let the problems of an operation refer to those that all operations have. Yield their statuses."""
    for status in list(responses):
        if int(status) >= HTTPStatus.BAD_REQUEST:
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
            yield str(status)


def _order(operation: dict[str, Any]) -> None:
    """Order the responses by status, each named by a text, as JSON has them."""
    responses = {str(status): response for status, response in operation["responses"].items()}
    operation["responses"] = dict(sorted(responses.items()))


def _describe_problem(status: str) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    if status == str(HTTPStatus.TOO_MANY_REQUESTS.value):
        headers["Retry-After"] = _RETRY
    return {
        "description": _STATUSES[int(status)],
        "headers": headers,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
