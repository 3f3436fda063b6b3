"""A client of the SCIM service, with a token of an administrator."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.clients import _middleware_built_once as _middleware_built_once  # noqa: PLC0414

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
OWN = "urn:ietf:params:scim:schemas:extension:musterbook:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@dataclass(frozen=True)
class Scim:
    """A program with a token of the agency."""

    agency: models.Agency
    secret: str

    def ask(self, path: str, method: str = "get", body: Any = None, **headers: str) -> Any:
        """The response to a request."""
        sent = {"Authorization": f"Bearer {self.secret}", "User-Agent": "idp/1", **headers}
        content = {} if body is None else {"data": body if isinstance(body, str | bytes) else json.dumps(body)}
        kind = {} if body is None else {"content_type": headers.pop("Content-Type", "application/scim+json")}
        address = f"/{self.agency.slug}/scim/v2/{path}"
        return getattr(Client(raise_request_exception=False), method)(address, **content, **kind, headers=sent)

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        """The JSON of what is at the address."""
        return read(self.ask(path, **headers), status)

    def find(self, text: str, **parameters: Any) -> list[str]:
        """The usernames of the users who match a filter, in the order of the list."""
        answer = Client().get(
            f"/{self.agency.slug}/scim/v2/Users",
            {**({"filter": text} if text else {}), **parameters},
            headers={"Authorization": f"Bearer {self.secret}"},
        )
        return [one["userName"] for one in read(answer)["Resources"]]

    def post(self, body: Any, status: int = 201, path: str = "Users") -> Any:
        """The JSON of the response to a new user."""
        return read(self.ask(path, "post", body), status)

    def put(self, number: str, body: Any, status: int = 200, **headers: str) -> Any:
        """The JSON of the response to a user that is replaced."""
        return read(self.ask(f"Users/{number}", "put", body, **headers), status)

    def patch(self, number: str, *operations: Any, status: int = 200, **headers: str) -> Any:
        """The JSON of the response to these operations."""
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return read(self.ask(f"Users/{number}", "patch", body, **headers), status)

    def delete(self, number: str, status: int = 204, **headers: str) -> Any:
        """The response to a user that is deleted."""
        answer = self.ask(f"Users/{number}", "delete", **headers)
        assert answer.status_code == status, answer.content
        return answer


def read(answer: Any, status: int = 200) -> Any:
    """The JSON of a response of that status; an error has the form of SCIM."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/scim+json"
    content = json.loads(answer.content)
    if status >= 400:
        assert (content["schemas"], content["status"]) == ([ERROR], str(status))
        assert content["detail"]
    return content


@pytest.fixture
def scim(springfield: Springfield) -> Scim:
    """A program that may view and edit the users of the agency, whose new users are officers."""
    return build_scim(springfield)


def build_scim(springfield: Springfield) -> Scim:
    """The same, without pytest."""
    springfield.agency.defaults = {"ROLE": "Officer"}
    springfield.agency.save()
    _, secret = make_token(springfield, "users.view", "users.edit")
    return Scim(springfield.agency, secret)


def person(name: str = "jane.doe", /, **others: Any) -> dict[str, Any]:
    """A new user, as an identity provider sends one."""
    first, _, last = name.partition(".")
    return {
        "schemas": [USER],
        "userName": name,
        "name": {"givenName": first.title(), "familyName": last.title() or "Doe"},
        "emails": [{"value": f"{name}@agency.example", "type": "work", "primary": True}],
        **others,
    }
