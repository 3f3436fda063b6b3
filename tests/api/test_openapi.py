"""The OpenAPI document: open to everyone, without anything of an agency, complete, and as the code is."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from ninja import Schema

from musterbook.api import openapi, problems
from musterbook.core.domain.problems import CATALOG
from musterbook.directory.permissions import PERMISSIONS
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.operations import DOCUMENT, OPERATIONS
from tests.api.test_me import make_token, problem

ADDRESS = "/springfield/api/v1/openapi.json"
API = Path(problems.__file__).parent


def list_values(node: Any, name: str) -> list[Any]:
    """Every value of a member of that name in the document."""
    if isinstance(node, dict):
        return [value for key, value in node.items() if key == name] + [
            found for value in node.values() for found in list_values(value, name)
        ]
    return [found for value in node for found in list_values(value, name)] if isinstance(node, list) else []


def test_the_document_is_read_without_a_token_and_names_no_agency(springfield: Springfield) -> None:
    answer = Client().get(ADDRESS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    document = json.loads(answer.content)
    assert document["openapi"].startswith("3.1.") and document["servers"] == [{"url": "/springfield/api/v1"}]
    text = answer.content.decode().replace("/springfield/api/v1", "")
    for word in ("springfield", "Springfield", "First 1", "user1@", "muster_", springfield.agency.name):
        assert word not in text
    assert document == json.loads(json.dumps(openapi.make_document("/springfield/api/v1")))


def test_the_document_takes_nothing(springfield: Springfield) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.options(ADDRESS).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert client.head(ADDRESS).status_code == 200
    for method in ("post", "put", "patch", "delete"):
        problem(getattr(client, method)(ADDRESS), 405)


def test_every_reference_leads_somewhere() -> None:
    for reference in list_values(DOCUMENT, "$ref"):
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place, reference


def test_every_operation_says_what_it_does_what_it_needs_and_how_it_answers() -> None:
    described = [one for methods in DOCUMENT["paths"].values() for one in methods.values()]
    for one in described:
        assert re.fullmatch(r"[A-Z][^.]+", one["summary"]) and one["description"].count(".") > 1, one["operationId"]
        assert one["x-permission"] in {"", *PERMISSIONS}
        assert one["security"] and {"401", "422", "429"} <= one["responses"].keys()
        assert any(status.startswith("2") for status in one["responses"])
        assert not one["operationId"].startswith("musterbook"), "an operation has a short name"
    for operation in OPERATIONS:
        assert re.fullmatch(r"(/[a-z-]+|/\{[a-z_]+\})+(:[a-z-]+)?", operation.path), operation.path


def test_how_long_a_request_may_wait_is_described() -> None:
    given = [one for value in list_values(DOCUMENT, "parameters") for one in value if one.get("name") == "wait"]
    assert len(given) > 5
    assert all("up to 30" in (one.get("description") or one["schema"].get("description", "")) for one in given)


def test_no_two_forms_have_the_same_name() -> None:
    def walk(kind: Any) -> list[type]:
        return [one for each in kind.__subclasses__() for one in (each, *walk(each))]

    ours = {one for one in walk(Schema) if one.__module__.startswith("musterbook.api.")}
    names = [one.__name__ for one in ours if "[" not in one.__name__ and not one.__name__.startswith(("Page_", "_"))]
    assert sorted(names) == sorted(set(names))
    assert not [name for name in DOCUMENT["components"]["schemas"] if name.startswith("_")]


def list_codes() -> set[str]:
    """The codes that the modules of the API give to problems."""
    found: set[Any] = {code for _, code, _ in problems.TRANSLATIONS.values()}
    for path in API.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"ProblemError", "FieldError"}:
                found |= {one.value for one in node.args if isinstance(one, ast.Constant) and _is_code(one.value)}
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(node.value.value)
    return found - {""}


def _is_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", value) is not None


def test_every_code_of_a_problem_is_in_the_reference() -> None:
    known = problems.CODES.keys() | CATALOG.keys()
    assert list_codes() - known == set(), "add it to problems.CODES"
    assert problems.CODES.keys() & CATALOG.keys() == set()
    assert {"not-json", "invalid-cursor"} <= list_codes()


@pytest.mark.parametrize("address", ["ranks?cursor=x", "groups?cursor=WzFd", "groups?cursor=%5B"])
def test_a_wrong_cursor_is_refused(springfield: Springfield, address: str) -> None:
    _, secret = make_token(springfield, "users.view", "ranks.manage")
    answer = Client().get(f"/springfield/api/v1/{address}", headers={"Authorization": f"Bearer {secret}"})
    assert problem(answer, 422)["code"] in {"invalid-cursor", "invalid-request"}
