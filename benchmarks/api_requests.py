"""The requests that are measured. Each kind of request is a function of a number, so that no two edits are the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

from benchmarks.api_client import Request
from benchmarks.peers.scim_servers import make_person

SCIM = "application/scim+json"
_NAMES = ("Vance", "Ruiz", "Okafor", "Lindqvist", "Marsh", "Tanaka", "Boone")
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
User = tuple[Any, str, str]
"""The number of a user at that server, their external id and username."""
Make = Callable[[int], Request]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many requests of each kind are in a burst; the users of one Bulk and of one batch."""

    reads: int = 300
    edits: int = 100
    searches: int = 100
    pages: int = 12
    creates: int = 100
    bulk: int = 1_000
    batch: int = 10_000


QUICK = Sizes(reads=8, edits=4, searches=4, pages=4, creates=4, bulk=5, batch=50)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request: its name in tables, how many there are in a burst, and how many users each has."""

    name: str
    number: int
    make: Make
    users: int = 1


def list_rest(users: Sequence[User], sizes: Sizes) -> list[Kind]:
    """Return the requests of our own API."""
    base, numbers = "/bench/api/v1/users", count()

    def edit(place: int) -> Request:
        number = _pick(users, place)[0]
        return Request("PATCH", f"{base}/{number}", {"last_name": _choose_name(next(numbers))})

    return [
        Kind("REST: read a user", sizes.reads, lambda place: Request("GET", f"{base}/{_pick(users, place)[0]}")),
        Kind("REST: edit a user", sizes.edits, edit),
        Kind("REST: search, 50 users", sizes.searches, lambda place: _search(base, place)),
    ]


def _search(base: str, place: int) -> Request:
    return Request("GET", f"{base}?q={_NAMES[place % len(_NAMES)][:3].lower()}&limit=50")


def make_batch(rows: Sequence[Mapping[str, str]], turn: int) -> Request:
    """Return a batch that gives each user another location. `rows`: heading → text."""
    sent = [
        {name.lower(): text or None for name, text in row.items()} | {"location": f"Desk {turn}-{place}"}
        for place, row in enumerate(rows)
    ]
    body = {"rows": sent, "mails": False}
    return Request("POST", "/bench/api/v1/users:batch?wait=30", body, check=_is_applied)


def _is_applied(found: Any) -> bool:
    return bool(found["state"] == "applied" and found["counts"]["updated"] == found["counts"]["rows"])


def list_scim(base: str, users: Sequence[User], sizes: Sizes, *, bulk: bool) -> list[Kind]:
    """Return the requests of SCIM, the same for every server. `bulk`: whether it has Bulk."""
    numbers = count()

    def edit(place: int) -> Request:
        name = _choose_name(next(numbers))
        operations = [{"op": "replace", "path": "name.familyName", "value": name}]
        body = {"schemas": [_PATCH], "Operations": operations}
        return Request("PATCH", f"{base}/Users/{_pick(users, place)[0]}", body, SCIM)

    def find(place: int) -> Request:
        return find_user(base, _pick(users, place)[2])

    def create(_: int) -> Request:
        return Request("POST", f"{base}/Users", _make_new(next(numbers)), SCIM)

    def create_many(_: int) -> Request:
        operations = [
            {"method": "POST", "path": "/Users", "bulkId": f"b{place}", "data": _make_new(next(numbers))}
            for place in range(sizes.bulk)
        ]
        return Request("POST", f"{base}/Bulk", {"schemas": [_BULK], "Operations": operations}, SCIM, _is_created)

    return [
        Kind("SCIM: read a user", sizes.reads, lambda place: Request("GET", f"{base}/Users/{_pick(users, place)[0]}")),
        Kind("SCIM: edit a user", sizes.edits, edit),
        Kind("SCIM: find a user by userName", sizes.searches, find),
        Kind("SCIM: a page of 50 users", sizes.pages, lambda _: Request("GET", f"{base}/Users?startIndex=1&count=50")),
        Kind("SCIM: create a user", sizes.creates, create),
        *([Kind("SCIM: create a user by Bulk", 1, create_many, sizes.bulk)] if bulk else []),
    ]


def find_user(base: str, username: str) -> Request:
    """Return the request that finds the user with this username."""
    wanted = quote(f'userName eq "{username}"')
    return Request("GET", f"{base}/Users?filter={wanted}")


def _is_created(found: Any) -> bool:
    return all(str(one["status"]) == "201" for one in found["Operations"])


def _make_new(number: int) -> dict[str, Any]:
    name = f"joiner{number}"
    return make_person(name, f"J-{number}", ("Ann", "Joiner"), f"{name}@metro.example")


def _pick(users: Sequence[User], place: int) -> User:
    return users[place % len(users)]


def _choose_name(number: int) -> str:
    """Return a last name that nobody had in the request before."""
    return f"{_NAMES[number % len(_NAMES)]}-{chr(ord('A') + number // 26 % 26)}{chr(ord('a') + number % 26)}"
