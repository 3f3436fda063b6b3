"""A program in tests: it sends JSON with its token, and reads the answers."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from musterbook.accounts.models import Token
from musterbook.directory.permissions import ALL
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token


@dataclass
class Program:
    """A program with a token of springfield."""

    secret: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer. `headers`: with _ instead of -."""
        given = {"Authorization": f"Bearer {self.secret}", "User-Agent": "curl/8", **self.headers}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        kind = "application/json" if body is not None else "application/octet-stream"
        return Client().generic(method, f"/springfield/api/v1/{path}", data, content_type=kind, headers=given)

    def get(self, path: str, **headers: str) -> Any:
        """The value that the address answers with."""
        answer = self.send("GET", path, **headers)
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)

    def read_all(self, path: str, limit: int = 2) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        cursor, sign = "", "&" if "?" in path else "?"
        while True:
            page = self.get(f"{path}{sign}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            assert len(page["items"]) <= limit
            items, cursor = items + page["items"], page["next"]
            if cursor is None:
                return items


def make_program(springfield: Springfield, *may: str) -> Program:
    """A program whose token has these permissions, or all."""
    name = f"Program {Token.objects.count()}"
    return Program(make_token(springfield, *(may or ALL), name=name)[1])


def read(answer: Any, status: int = 200) -> Any:
    """The value of an answer with that status."""
    assert answer.status_code == status, answer.content
    return json.loads(answer.content) if answer.content else None
