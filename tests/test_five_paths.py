"""One change by five paths: page, command, REST, SCIM and feed leave the same directory, emails and audit trail.

Five agencies begin equal. Each gets the change through the real face of one path, and all are compared with the one whose
page was used. What may differ is listed here, each with its reason; all else must be equal.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import ALL
from musterbook.directory.users.states import STATES
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.built_once import built_each_minute
from tests.cli.conftest import Muster
from tests.cli.conftest import _database_marked as _database_marked  # noqa: PLC0414
from tests.cli.conftest import muster as muster  # noqa: PLC0414
from tests.directory import cast
from tests.directory.cast import Row, person
from tests.scim.conftest import ENTERPRISE, OWN, PATCH, USER
from tests.web.test_user import form

_SERVER = object()
"""Emails leave, so that nobody is handed a link instead. It is the same in all tests, so that the agencies are made once."""
SEARCHED = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "LAST_NAME", "USERNAME")
PAGE, COMMAND, REST, SCIM, FEED = PATHS = ("page", "command", "rest", "scim", "feed")
BEFORE = {
    1: person(1, ROLE="Admin"),
    2: person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL", SUPERVISOR_EMAIL="user1@agency.example",
              LOCATION="North", PHONE="+12025550143"),
    3: person(3, STATUS="Inactive"),
    4: person(4, SUPERVISOR_EMAIL="user2@agency.example"),
}  # fmt: skip
"""The users that each agency begins with. 1 and 4 have registered."""

# What may differ, and why. All else is equal.
NOT_COMPARED = {"id", "agency", "role", "rank", "group", "supervisor"}
"""The columns of a user that are numbers: what they refer to is compared by its name."""
SOURCES: dict[str, dict[str, str]] = {
    # S9: users that an identity provider adds or changes belong to it, so that files of other sources leave them alone.
    SCIM: {"source": "scim", "managed_by": "scim"},
    # S9: all users that a file of a feed lists belong to its source.
    FEED: {"source": "hr"},
}
"""Path → column → what a user of this path may have instead of nothing."""
ONLY_IN_FORMS: set[str] = {
    # In a form and in a request, who asks for what they may not do is an event. A row of a file that may not be imported
    # is in the results of the import, and the file may have a million of them.
    EventKind.ACT_REFUSED,
}
"""The kinds of events that an import of a file does not have."""
AS_SYSTEM = {
    # A feed imports as the system, which has no account of its own. The next rule refuses it.
    "own-account": "last-administrator",
}
"""Code of a problem → the code that a feed has instead."""


@dataclass(frozen=True)
class Change:
    """The number of the user, their new values, and for a change that is refused the code and the column of its problem."""

    number: int
    values: Row
    problem: str = ""

    @property
    def row(self) -> Row:
        """The user as a row of a file, after the change."""
        return {**BEFORE.get(self.number, {}), **self.values}


CHANGES = {
    "a user is added and invited": Change(9, person(
        9, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL", SUPERVISOR_EMAIL="user1@agency.example", LOCATION="North",
        PHONE="+12025550199",
    )),
    "several values change": Change(2, {
        "EMAIL": "new2@agency.example", "LAST_NAME": "Müller-Ortiz", "USERNAME": "new.2", "BADGE_NUMBER": "0042",
        "LOCATION": "South; 2nd floor", "PHONE": "+12025550177", "ROLE": "Chief",
    }),
    "values are cleared": Change(2, dict.fromkeys(
        ("RANK", "EVIDENCE_GROUP_EXT_ID", "SUPERVISOR_EMAIL", "LOCATION", "PHONE"), ""
    )),
    "rank and evidence group change": Change(4, {"RANK": "Sergeant", "EVIDENCE_GROUP_EXT_ID": "PATROL"}),
    "a supervisor changes": Change(4, {"SUPERVISOR_EMAIL": "user1@agency.example"}),
    "a registered user is deactivated": Change(4, {"STATUS": "Inactive"}),
    "the address and the username of a registered user change": Change(4, {
        "EMAIL": "new4@agency.example", "USERNAME": "new.4",
    }),
    "an invited supervisor is deactivated": Change(2, {"STATUS": "Inactive"}),
    "a user who never registered is reactivated": Change(3, {"STATUS": "Active"}),
    "a badge that another user has": Change(9, person(9, BADGE_NUMBER="b-2"), "taken BADGE_NUMBER"),
    "an address that another user has": Change(4, {"EMAIL": "USER2@agency.example"}, "taken EMAIL"),
    "an address that is none": Change(2, {"EMAIL": "nobody at home"}, "invalid-email EMAIL"),
    "a rank that the agency does not have": Change(4, {"RANK": "Colonel"}, "unknown-rank RANK"),
    "a group that the agency does not have": Change(
        9, person(9, EVIDENCE_GROUP_EXT_ID="none"), "unknown-group EVIDENCE_GROUP_EXT_ID"
    ),
    "the last administrator gets another role": Change(1, {"ROLE": "Officer"}, "own-account ROLE"),
}  # fmt: skip


@dataclass(frozen=True)
class Faces:
    """The cookies of an administrator who is signed in at each path, a token of each, and that of the feed."""

    cookies: dict[str, SimpleCookie]
    tokens: dict[str, str]
    feed: str

    def open(self, path: str) -> Client:
        """A browser in which the administrator is signed in."""
        browser = Client()
        browser.cookies = self.cookies[path]
        return browser


@built_each_minute
def build() -> Faces:
    """Make the five agencies, with the administrator at each face."""
    for path in PATHS:
        made = Springfield(cast.agency(path, limits=cast.unlimited()))
        made.imported(*BEFORE.values())
        made.registered(1)
        made.registered(4)
    cookies = {path: sign_in(path).cookies for path in PATHS}
    return Faces(cookies, {path: make_secret(path) for path in PATHS}, make_feed())


def find_agency(path: str) -> models.Agency:
    return models.Agency.objects.get(slug=path)


def find_user(path: str, number: int) -> models.User:
    return models.User.objects.get(agency__slug=path, external_id=f"E-{number}")


# Each path returns what it says of a change that is refused, and "" after a change that is done.


def sign_in(path: str) -> Client:
    """A browser in which the administrator is signed in."""
    browser = Client()
    assert browser.post(f"/{path}/sign-in", {"login": "user.1", "password": GOOD}).status_code == 302
    return browser


def change_by_page(change: Change, browser: Client) -> str:
    """A person opens the form, fills it in and saves it."""
    if set(change.values) == {"STATUS"}:
        act = "deactivate" if change.values["STATUS"] == "Inactive" else "reactivate"
        answer = browser.post(f"/{PAGE}/users/{find_user(PAGE, change.number).pk}/{act}")
    else:
        known = change.number in BEFORE
        address = f"/{PAGE}/users/" + (f"{find_user(PAGE, change.number).pk}/edit" if known else "add")
        typed = form(browser.get(address).content.decode())
        answer = browser.post(address, typed | {name.lower(): value for name, value in change.values.items()})
    assert answer.status_code == (422 if change.problem else 302), answer.content
    return unescape(answer.content.decode())


def write_file(change: Change) -> bytes:
    """The file that says it: a user who stays as they are, and the user of the change."""
    same = BEFORE[1 if change.number != 1 else 2]
    return cast.file([same, change.row])


def change_by_command(change: Change, muster: Muster) -> str:
    path = muster.folder / "users.csv"
    path.write_bytes(write_file(change))
    done = muster("import", path, "--agency", COMMAND, "--as", "E-1", "--output", "json")
    assert done.status == (1 if change.problem else 0), done.err
    return describe_rows(done.json["rows"])


def describe_rows(rows: list[dict[str, Any]]) -> str:
    """What is said of the rows that are not imported."""
    found = [problem for row in rows for problem in row["problems"]]
    return "\n".join(f"{one['code']} {one['column']}: {one['message']}" for one in found)


def make_secret(path: str) -> str:
    agency = find_agency(path)
    operator = snapshot_queries.read_operator(agency, "E-1")
    data = TokenData("HR", frozenset(ALL), 90)
    return tokens.create_token(agency, data, AuditContext(datetime.now(UTC), "E-1", "page"), operator)[1]


def send(secret: str, method: str, address: str, body: Any, kind: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}", "User-Agent": "curl/8"}
    answer = Client().generic(method, address, content, content_type=kind, headers=headers)
    return answer.status_code, json.loads(answer.content)


def change_by_rest(change: Change, secret: str) -> str:
    members = {name.lower(): value or None for name, value in change.values.items()}
    known = change.number in BEFORE
    address = f"/{REST}/api/v1/users" + (f"/{find_user(REST, change.number).pk}" if known else "")
    status, said = send(secret, "PATCH" if known else "POST", address, members, "application/json")
    assert status == (422 if change.problem else 200 if known else 201), said
    return "\n".join(f"{one['code']} {one['pointer'][1:].upper()}: {one['detail']}" for one in said.get("errors", []))


def build_resource(values: Mapping[str, str]) -> dict[str, Any]:
    """The values as a SCIM client says them: attribute → value, or null."""

    def many(text: str) -> Any:
        return [{"value": text, "type": "work", "primary": True}] if text else None

    def manager(text: str) -> Any:
        user = models.User.objects.filter(agency__slug=SCIM, email=text).first()
        return {"value": str(user.pk)} if user else None

    said: dict[str, tuple[str, Any]] = {
        "EXTERNAL_ID": ("externalId", str), "USERNAME": ("userName", str), "STATUS": ("active", "Active".__eq__),
        "FIRST_NAME": ("name.givenName", str), "LAST_NAME": ("name.familyName", str), "EMAIL": ("emails", many),
        "PHONE": ("phoneNumbers", many), "BADGE_NUMBER": (f"{ENTERPRISE}:employeeNumber", str),
        "SUPERVISOR_EMAIL": (f"{ENTERPRISE}:manager", manager), "ROLE": (f"{OWN}:role", str),
        "RANK": (f"{OWN}:rank", str), "EVIDENCE_GROUP_EXT_ID": (f"{OWN}:evidenceGroup", str),
        "LOCATION": (f"{OWN}:location", str),
    }  # fmt: skip
    return {said[heading][0]: said[heading][1](value) or (None if value == "" else False)
            for heading, value in values.items()}  # fmt: skip


def change_by_scim(change: Change, secret: str) -> str:
    attributes = build_resource(change.values)
    kind = "application/scim+json"
    if change.number in BEFORE:
        operations = [
            {"op": "remove", "path": path} if value is None else {"op": "replace", "path": path, "value": value}
            for path, value in attributes.items()
        ]
        address = f"/{SCIM}/scim/v2/Users/{find_user(SCIM, change.number).pk}"
        status, said = send(secret, "PATCH", address, {"schemas": [PATCH], "Operations": operations}, kind)
        assert change.problem or status == 200, said
    else:
        body: dict[str, Any] = {"schemas": [USER, ENTERPRISE, OWN]}
        for path, value in attributes.items():
            part, _, name = path.rpartition(":" if path.startswith("urn:") else ".")
            (body.setdefault(part, {}) if part else body)[name] = value
        status, said = send(secret, "POST", f"/{SCIM}/scim/v2/Users", body, kind)
        assert change.problem or status == 201, said
    assert not change.problem or 400 <= status < 500, said
    return str(said.get("detail", ""))


def make_feed() -> str:
    """A feed with the settings that a new one has, whose first file a person has approved; its token."""
    agency, context = find_agency(FEED), AuditContext(datetime.now(UTC), "", "cli")
    feed = feeds.add(agency, {"name": "hr", "location": {"kind": "sent"}}, context, None)
    models.Feed.objects.filter(pk=feed.pk).update(approved=feeds.digest_settings(feed))
    return feeds.make_token(feed, context, None)


def change_by_feed(change: Change, secret: str, reader: str) -> str:
    status, said = send(secret, "POST", f"/{FEED}/api/v1/feeds/hr/file", write_file(change), "text/csv")
    assert status == 202, said
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass
    record = models.Import.objects.get(number=said["import"])
    assert record.state == "applied", (record.message, record.holds)
    headers = {"Authorization": f"Bearer {reader}"}
    rows = Client().get(f"/{FEED}/api/v1/imports/{record.number}/rows?outcome=errored", headers=headers)
    return describe_rows(json.loads(rows.content)["items"])


# What is compared


def read_users(path: str) -> list[dict[str, Any]]:
    """All users of the agency: columns by value, references by name, and times by whether there is one."""
    users = models.User.objects.filter(agency__slug=path).select_related("role", "rank", "group", "supervisor")
    columns = [field.name for field in models.User._meta.concrete_fields if field.name not in NOT_COMPARED]
    return [
        {name: value is not None if name.endswith("_at") else value for name in columns for value in [getattr(user, name)]}
        | {
            "role": user.role.name, "rank": user.rank and user.rank.name, "group": user.group and user.group.external_id,
            "supervisor": user.supervisor and user.supervisor.external_id,
        }
        for user in users.order_by("external_id")
    ]  # fmt: skip


def forget_sources(path: str) -> None:
    """Takes away what users of this path may have, and nothing else."""
    for column, value in SOURCES.get(path, {}).items():
        models.User.objects.filter(agency__slug=path, **{column: value}).update(**{column: ""})


def read_mails(path: str) -> list[tuple[str, str, str | None]]:
    """The kind, the address and the user of each email in the outbox."""
    mails = models.Mail.objects.filter(agency__slug=path).values_list("kind", "to", "user__external_id")
    return sorted(mails, key=repr)


def read_released(path: str) -> list[tuple[str, bool, str]]:
    """The usernames and addresses that users have had."""
    released = models.ReleasedName.objects.filter(agency__slug=path)
    return sorted(released.values_list("key", "address", "user__external_id"))


def read_events(path: str, after: int) -> list[tuple[str, str, str, str]]:
    """The kind, the subject, the changes and the outcome of each event since then."""
    events = models.Event.objects.filter(agency__slug=path, pk__gt=after).order_by("pk")
    return list(events.values_list("kind", "subject_external_id", "changes", "outcome"))


def read_state(path: str, begin: int) -> dict[str, Any]:
    """What the path has left."""
    return {
        "users": read_users(path), "mails": read_mails(path), "released": read_released(path),
        "events": read_events(path, begin),
    }  # fmt: skip


def search(path: str, secret: str, change: Change) -> list[list[str]]:
    """Who is found by the old and the new values of the user, by all states, and by what users refer to."""
    texts = {row[name] for row in (change.row, BEFORE.get(change.number, change.row)) for name in SEARCHED}
    queries: list[dict[str, str]] = [{"q": text} for text in sorted(texts)] + [{"state": state} for state in STATES]
    queries += [
        {"role": "Officer"},
        {"rank": "Sergeant"},
        {"group": "PATROL"},
        {"supervisor": "E-1"},
        {"sort": "username"},
    ]
    headers = {"Authorization": f"Bearer {secret}"}
    client = Client()
    answers = [client.get(f"/{path}/api/v1/users", query, headers=headers) for query in queries]
    return [[user["external_id"] for user in json.loads(answer.content)["items"]] for answer in answers]


def export(muster: Muster, path: str) -> bytes:
    """The export, without times."""
    done = muster("export", "--agency", path, "--format", "csv")
    assert done.status == 0
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)", b"TIME", done.out)


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_change_by_each_path_leaves_the_same(name: str, muster: Muster, settings: Settings) -> None:
    settings.MAIL_SERVER = _SERVER
    change = CHANGES[name]
    faces = build()
    secrets = faces.tokens
    models.Mail.objects.all().delete()
    begin, begun = models.Event.objects.latest("pk").pk, read_users(PAGE)
    assert all(read_users(path) == begun for path in PATHS)

    said = {
        PAGE: change_by_page(change, faces.open(PAGE)),
        COMMAND: change_by_command(change, muster),
        REST: change_by_rest(change, secrets[REST]),
        SCIM: change_by_scim(change, secrets[SCIM]),
        FEED: change_by_feed(change, faces.feed, secrets[FEED]),
    }

    touched = {path: models.User.objects.filter(agency__slug=path, external_id=f"E-{change.number}") for path in PATHS}
    for path in PATHS:
        cast.assert_whole(find_agency(path))
        if not change.problem:
            assert touched[path].get().source == SOURCES.get(path, {}).get("source", "")
        forget_sources(path)
    left = {path: read_state(path, begin) for path in PATHS}
    left |= {
        path: left[path] | {"export": export(muster, path), "found": search(path, secrets[path], change)}
        for path in PATHS
    }
    for path, state in left.items():
        for part in ("users", "mails", "released", "export", "found"):
            assert state[part] == left[PAGE][part], (path, part)
        left_out = ONLY_IN_FORMS if path in {COMMAND, FEED} else set()
        assert state["events"] == [event for event in left[PAGE]["events"] if event[0] not in left_out], path
    if not change.problem:
        assert left[PAGE]["users"] != begun and left[PAGE]["events"]
        return
    assert left[PAGE]["users"] == begun and not left[PAGE]["mails"]
    code_and_column, _, message = said[REST].partition(": ")
    assert code_and_column == change.problem
    assert said[COMMAND] == said[REST]
    assert said[FEED].partition(" ")[0] == AS_SYSTEM.get(change.problem.split()[0], change.problem.split()[0])
    rest = message.removeprefix(f"{change.problem.split()[1]} ")  # the page names the field instead of the column
    assert rest in said[PAGE] and rest in said[SCIM]
