"""Users by programs, through real requests: they are searched, read, added and changed as on the page."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.permissions import ALL
from musterbook.directory.users import editing
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.api.test_me import problem as read_problem
from tests.attacks.test_queries import DAYS, NUMBERS
from tests.directory.cast import person

HERE = "/springfield/api/v1/users"
MAY = ("users.view", "users.edit", "users.import", "users.synchronize", "credentials.manage")


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that may do everything, so that no role is above it."""
    return make_token(springfield, *ALL)[1]


def call(
    secret: str, method: str, path: str = "", data: Any = None, kind: str = "application/json", **headers: str
) -> Any:
    """The answer to a request of a program, with a body of JSON, or of these bytes."""
    given = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
    return Client().generic(method, f"{HERE}{path}", body, content_type=kind, headers=given)


def read(answer: Any, status: int = 200) -> dict[str, Any]:
    """What the answer says."""
    content: dict[str, Any] = json.loads(answer.content)
    assert answer.status_code == status, content
    return content


def problem(answer: Any, status: int = 422) -> dict[str, Any]:
    """What the answer says is wrong."""
    content: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), content
    return content


def errors(answer: Any, status: int = 422) -> list[tuple[str, str]]:
    """The pointer and the code of each error of the answer."""
    return [(one["pointer"], one["code"]) for one in problem(answer, status)["errors"]]


def new(number: int, **members: Any) -> dict[str, Any]:
    """A new user as JSON."""
    return {name.lower(): value for name, value in person(number).items()} | members


def at(springfield: Springfield, number: int, act: str = "") -> str:
    """The address of the user of that number."""
    return f"/{springfield.user(number).pk}{act}"


def ids(answer: Any) -> list[str]:
    return [user["external_id"] for user in read(answer)["items"]]


def events(kind: str = "") -> list[tuple[str, str, str]]:
    found = models.Event.objects.filter(through="api", kind__startswith=kind).order_by("pk")
    return list(found.values_list("kind", "actor", "subject_external_id"))


# Reading


def test_a_user_is_read_with_all_that_a_program_needs(springfield: Springfield, secret: str) -> None:
    springfield.imported(
        person(2, SUPERVISOR_EMAIL="user1@agency.example", RANK="Captain", PHONE="+12025550143",
               EVIDENCE_GROUP_EXT_ID="PATROL", LOCATION="North")
    )  # fmt: skip
    user = springfield.user(2)
    answer = call(secret, "GET", f"/{user.pk}")
    said = read(answer)
    assert said == {
        "id": user.pk, "external_id": "E-2", "email": "user2@agency.example", "badge_number": "B-2",
        "first_name": "First 2", "last_name": "Last 2", "status": "Active", "username": "user.2", "role": "Officer",
        "supervisor_email": "user1@agency.example", "location": "North", "rank": "Captain",
        "evidence_group_ext_id": "PATROL", "phone": "+12025550143", "exempt": False, "no_files": False, "source": None,
        "ends_on": None, "state": "Invited", "managed_by": None, "leaving_since": None,
        "created_at": "2026-03-02T07:00:00Z", "invited_at": None, "invitation_expires_at": None, "registered_at": None,
        "last_sign_in_at": None, "locked_at": None, "page": said["page"], "version": said["version"],
    }  # fmt: skip
    assert said["page"].endswith(f"/springfield/users/{user.pk}/")
    assert answer.headers["ETag"] == f'"{said["version"]}"'
    assert call(secret, "HEAD", f"/{user.pk}").headers["ETag"] == answer.headers["ETag"]
    assert ids(call(secret, "GET", "?external_id=E-2")) == ["E-2"]
    assert ids(call(secret, "GET", "?external_id=e-2")) == []


def test_a_user_that_a_program_has_already_is_not_sent_again(springfield: Springfield, secret: str) -> None:
    here = at(springfield, 2)
    tag = call(secret, "GET", here).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = call(secret, "GET", here, If_None_Match=known)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    models.User.objects.filter(pk=springfield.user(2).pk).update(first_name="Ann")
    assert read(call(secret, "GET", here, If_None_Match=tag))["first_name"] == "Ann"


def test_there_is_no_user_of_another_agency_or_number(
    springfield: Springfield, shelbyville: Springfield, secret: str
) -> None:
    theirs = shelbyville.user(2).pk
    for number in (theirs, 0, 2**63 - 1, 2**63, 10**30):
        for method, path, data in (
            ("GET", "", None), ("PATCH", "", {"first_name": "x"}), ("POST", ":deactivate", None),
            ("POST", ":invite", None), ("POST", ":unlock", None), ("POST", ":remove-second-factors", {"reason": "x"}),
        ):  # fmt: skip
            assert "no user" in problem(call(secret, method, f"/{number}{path}", data), 404)["detail"]
    assert not models.Event.objects.filter(agency=shelbyville.agency, through="api").exists()
    for path in ("/x", "/-1", "/1:explode", f"/{'9' * 5000}"):
        problem(call(secret, "GET", path), 404)


# Searching


def test_all_filters_of_the_page_find_users(springfield: Springfield, secret: str) -> None:
    springfield.imported(
        person(2, SUPERVISOR_EMAIL="user1@agency.example", RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL")
    )
    models.User.objects.filter(pk=springfield.user(2).pk).update(last_sign_in_at=datetime(2026, 5, 1, 12, tzinfo=UTC))
    number = str(models.Import.objects.order_by("pk").values_list("number", flat=True).last())
    for query, found in {
        "": ["E-1", "E-2", "E-3"],
        "q=first+2": ["E-2"], "q=nobody": [],
        "state=inactive": ["E-3"], "state=Invited": ["E-1", "E-2"],
        "role=admin": ["E-1"], "rank=captain": ["E-2"], "rank=Cap": ["E-2"], "group=PATROL": ["E-2"],
        "supervisor=USER1@agency.example": ["E-2"], "supervisor=E-1": ["E-2"],
        "signed_in_from=2026-05-01T12:00:00Z": ["E-2"], "signed_in_from=2026-05-01T12:00:01": [],
        "signed_in_before=2026-05-01T14:00:01%2B02:00": ["E-2"], "never_signed_in=true": ["E-1", "E-3"],
        f"changed_by={number.lower()}": ["E-2"], "role=Officer&state=Inactive": ["E-3"],
        "sort=external_id&descending=true": ["E-3", "E-2", "E-1"], "sort=role": ["E-1", "E-2", "E-3"],
    }.items():  # fmt: skip
        assert ids(call(secret, "GET", f"?{query}")) == found, query


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=Gone", "state"), ("role=Nobody", "role"), ("rank=Nobody", "rank"), ("group=patrol", "group"),
        ("supervisor=E-77", "supervisor"), ("changed_by=01ARZ3NDEKTSV4RRFFQ69G5FAV", "changed_by"),
        ("sort=password", "sort"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"),
        ("signed_in_from=yesterday", "signed_in_from"), ("signed_in_before=0.5", "signed_in_before"),
        ("never_signed_in=perhaps", "never_signed_in"),
        ("cursor=x", "cursor"), ("cursor=%5B1%5D", "cursor"), ("external_id=E-1&q=x", "external_id"),
        (f"q={'x' * 256}", "q"),
    ],
)  # fmt: skip
def test_what_a_search_does_not_understand_is_named(
    springfield: Springfield, secret: str, query: str, name: str
) -> None:
    assert [pointer for pointer, _ in errors(call(secret, "GET", f"?{query}"))] == [name]


def test_no_value_breaks_a_search(springfield: Springfield, secret: str) -> None:
    for name in ("signed_in_from", "signed_in_before"):
        for value in DAYS:
            answer = call(secret, "GET", f"?{urlencode({name: value})}")
            assert answer.status_code in (200, 422), (name, value)
    for name in ("limit", "cursor", "changed_by", "external_id", "q", "supervisor", "role", "descending"):
        for value in (*NUMBERS, "%", "'", '"; --', "\\", "é" * 90, "~", "💥"):
            answer = call(secret, "GET", f"?{urlencode({name: value})}")
            assert answer.status_code in (200, 422), (name, value)


def test_pages_follow_each_other_while_users_change(springfield: Springfield, secret: str) -> None:
    springfield.imported(*(person(number) for number in range(10, 31)))
    seen: list[str] = []
    path = "?limit=5&sort=external_id"
    while True:
        page = read(call(secret, "GET", path))
        seen += [user["external_id"] for user in page["items"]]
        if page["next"] is None:
            break
        # Users before, after and at the place change, and new ones come before it.
        models.User.objects.filter(external_id=seen[-1]).update(first_name="Changed")
        if len(seen) == 10:
            springfield.imported(person("0new"))
        path = f"?limit=5&sort=external_id&cursor={page['next']}"
    assert seen == sorted([f"E-{number}" for number in (1, 2, 3, *range(10, 31))])


def test_a_cursor_of_another_order_is_refused(springfield: Springfield, secret: str) -> None:
    cursor = read(call(secret, "GET", "?limit=1"))["next"]
    assert read(call(secret, "GET", f"?limit=1&cursor={cursor}"))["items"]
    for query in (f"sort=email&cursor={cursor}", f"descending=true&cursor={cursor}", f"cursor={cursor[:-4]}"):
        assert problem(call(secret, "GET", f"?{query}"))["code"] == "invalid-cursor"


# Adding


def test_a_user_is_added_and_invited(springfield: Springfield, secret: str) -> None:
    answer = call(secret, "POST", data=new(7, location="North", exempt=True, ends_on="2099-12-31"))
    said = read(answer, 201)
    user = springfield.user(7)
    assert answer.headers["Location"].endswith(f"/springfield/api/v1/users/{user.pk}")
    assert answer.headers["ETag"] == f'"{said["version"]}"'
    assert (said["id"], said["state"], said["exempt"], said["ends_on"]) == (user.pk, "Invited", True, "2099-12-31")
    assert (user.location, user.exempt, user.ends_on, user.source) == ("North", True, date(2099, 12, 31), "")
    assert [kind for kind, _, _ in events("user.")] == ["user.added", "user.updated"]
    assert models.Mail.objects.filter(user=user, kind="invitation").count() == 1
    assert read(call(secret, "GET", f"/{said['id']}")) == said


def test_the_same_row_sent_twice_is_one_user(springfield: Springfield, secret: str) -> None:
    first = call(secret, "POST", data=new(7))
    again = call(secret, "POST", data=new(7))
    assert (read(again, 201), again.headers["Location"]) == (read(first, 201), first.headers["Location"])
    assert len(events("user.added")) == models.Mail.objects.filter(kind="invitation", of=None).count() == 1
    for other in (new(7, last_name="Other"), new(7, exempt=True)):
        answer = call(secret, "POST", data=other)
        assert errors(answer, 409) == [("/external_id", "already-exists")]
        assert answer.headers["Location"] == first.headers["Location"]
    models.User.objects.filter(external_id="E-7").update(created_at=datetime.now(UTC) - timedelta(minutes=2))
    problem(call(secret, "POST", data=new(7)), 409)


def test_a_new_user_has_the_usual_values(springfield: Springfield, secret: str) -> None:
    models.Agency.objects.update(defaults={"ROLE": "Officer", "LOCATION": "Headquarters"})
    row = new(7)
    for name in ("status", "username", "role"):
        del row[name]
    said = read(call(secret, "POST", data=row), 201)
    assert (said["status"], said["username"], said["role"], said["location"]) == (
        "Active", "user7", "Officer", "Headquarters",
    )  # fmt: skip
    assert read(call(secret, "POST", data={**row, **new(8), "location": None}), 201)["location"] is None


def test_every_problem_of_a_new_user_is_said_at_once_and_nobody_is_added(springfield: Springfield, secret: str) -> None:
    row = new(7, email="x", badge_number="B-1", role="Nobody", rank="None", phone="1", first_name=None, ends_on="soon")
    found = problem(call(secret, "POST", data=row))
    assert {(one["pointer"], one["code"]) for one in found["errors"]} >= {
        ("/email", "invalid-email"), ("/role", "unknown-role"), ("/rank", "unknown-rank"), ("/first_name", "required"),
        ("/ends_on", "invalid-last-day"),
    }  # fmt: skip
    assert all(one["detail"] and one["remedy"] is not None for one in found["errors"])
    assert found["code"] == "invalid-user"
    assert not models.User.objects.filter(external_id="E-7").exists()
    taken = problem(call(secret, "POST", data=new(7, email="USER1@agency.example")))
    assert (taken["code"], taken["errors"][0]["pointer"]) == ("taken", "/email")
    assert taken["type"].endswith("#code-taken")


# Changing


def test_members_that_are_given_change_and_null_clears(springfield: Springfield, secret: str) -> None:
    springfield.imported(person(2, LOCATION="North", RANK="Captain", PHONE="+12025550143"))
    for kind, name in (("application/json", " Ann "), ("application/merge-patch+json", "Bea")):
        answer = call(secret, "PATCH", at(springfield, 2), {"first_name": name, "location": None}, kind)
        said = read(answer)
        assert (said["first_name"], said["location"], said["rank"]) == (name.strip(), None, "Captain")
        assert answer.headers["ETag"] == f'"{said["version"]}"'
    assert read(call(secret, "PATCH", at(springfield, 2), {}))["version"] == said["version"]
    event = models.Event.objects.filter(through="api", kind="user.updated").earliest("pk")
    assert (event.actor, event.subject_external_id) == ("E-1", "E-2")
    assert json.loads(event.changes) == {"FIRST_NAME": ["First 2", "Ann"], "LOCATION": ["North", ""]}


def test_everything_that_the_page_edits_can_be_changed(springfield: Springfield, secret: str) -> None:
    members = {
        "external_id": "N-2", "email": "new2@agency.example", "badge_number": "N-2", "first_name": "Ann",
        "last_name": "Lee", "status": "Inactive", "username": "ann", "role": "Admin",
        "supervisor_email": "user1@agency.example", "location": "North", "rank": "Sergeant",
        "evidence_group_ext_id": "PATROL", "phone": "+12025550143", "exempt": True, "no_files": True,
        "source": "hr-sworn", "ends_on": "2099-01-01",
    }  # fmt: skip
    path = at(springfield, 2)
    said = read(call(secret, "PATCH", path, members))
    assert {name: said[name] for name in members} == members
    assert read(call(secret, "PATCH", path, members))["version"] == said["version"]
    optional = ("supervisor_email", "location", "rank", "evidence_group_ext_id", "phone", "source", "ends_on")
    cleared = read(call(secret, "PATCH", path, {**dict.fromkeys((*optional, "exempt", "no_files"))}))
    assert {cleared[name] for name in optional} == {None}
    assert (cleared["exempt"], cleared["no_files"]) == (False, False)
    # The whole resource, as it was read, changes nothing.
    body = {name: cleared[name] for name in members}
    assert read(call(secret, "PATCH", path, body))["version"] == cleared["version"]


def test_required_members_cannot_be_cleared_and_unknown_ones_are_refused(springfield: Springfield, secret: str) -> None:
    path = at(springfield, 2)
    assert errors(call(secret, "PATCH", path, {"first_name": None, "email": ""})) == [
        ("/email", "required"), ("/first_name", "required"),
    ]  # fmt: skip
    for name in ("id", "state", "created_at", "password", "is_admin", "version", "managed_by"):
        assert errors(call(secret, "PATCH", path, {name: "x"})) == [(f"/{name}", "extra_forbidden")]
    assert errors(call(secret, "POST", data=new(7, source="hr"))) == [("/source", "extra_forbidden")]
    for name, value in (("first_name", 7), ("exempt", "yes"), ("last_name", ["x"]), ("email", {"x": "y"})):
        assert [pointer for pointer, _ in errors(call(secret, "PATCH", path, {name: value}))] == [f"/{name}"]
    assert events("user.") == []


def test_a_change_of_another_version_is_refused_with_the_present_one(springfield: Springfield, secret: str) -> None:
    path = at(springfield, 2)
    old = call(secret, "GET", path).headers["ETag"]
    new_tag = call(secret, "PATCH", path, {"first_name": "Ann"}, If_Match=old).headers["ETag"]
    assert new_tag != old
    for method, act, body in (
        ("PATCH", "", {"first_name": "Bea"}), ("POST", ":deactivate", None), ("POST", ":reactivate", None),
        ("POST", ":invite", None), ("POST", ":invite", {"as_link": True}), ("POST", ":unlock", None),
        ("POST", ":end-sessions", None), ("POST", ":remove-second-factors", {"reason": "x"}),
        ("POST", ":release-sign-on", None), ("POST", ":reset", None), ("POST", ":reset", {"as_link": True}),
    ):  # fmt: skip
        answer = call(secret, method, f"{path}{act}", body, If_Match=old)
        assert problem(answer, 412)["code"] == "changed-meanwhile"
        assert answer.headers["ETag"] == new_tag
    assert len(events("user.")) == 1
    assert models.Mail.objects.filter(of=None).count() == 0
    for good in (new_tag, f'"x", {new_tag}', "*"):
        assert call(secret, "POST", f"{path}:unlock", If_Match=good).status_code == 200


# Acting


def test_a_user_is_deactivated_and_reactivated(springfield: Springfield, secret: str) -> None:
    path = at(springfield, 2)
    assert read(call(secret, "POST", f"{path}:deactivate"))["state"] == "Inactive"
    assert read(call(secret, "POST", f"{path}:deactivate"))["state"] == "Inactive"
    models.User.objects.filter(pk=springfield.user(2).pk).update(ends_on=date(2026, 3, 1))
    said = read(call(secret, "POST", f"{path}:reactivate"))
    assert (said["state"], said["ends_on"]) == ("Invited", None)
    assert events("user.") == [("user.updated", "E-1", "E-2")] * 3


def test_a_user_is_invited_by_email_or_by_a_link_that_is_handed_over(
    springfield: Springfield, secret: str, settings: Any
) -> None:
    path = at(springfield, 2, ":invite")
    settings.MAIL_SERVER = None
    assert read(call(secret, "POST", path))["how"] == "saved"
    assert models.Mail.objects.filter(of=None, kind="invitation").count() == 1
    settings.MAIL_SERVER = object()
    said = read(call(secret, "POST", path, {"as_link": False}))
    assert (said["how"], said["to"], said["link"]) == ("email", "user2@agency.example", None)
    said = read(call(secret, "POST", path, {"as_link": True}))
    assert (said["how"], said["to"]) == ("link", None)
    assert Client().get(said["link"]).status_code in (200, 302)
    assert said["user"]["invited_at"] is not None
    springfield.registered(1)
    assert "already registered" in problem(call(secret, "POST", at(springfield, 1, ":invite")), 409)["detail"]
    assert problem(call(secret, "POST", at(springfield, 3, ":invite")), 409)["code"] == "cannot-invite"
    assert errors(call(secret, "POST", path, {"link": True})) == [("/link", "extra_forbidden")]


def test_a_password_is_reset_by_email_or_by_a_link(springfield: Springfield, secret: str, settings: Any) -> None:
    path = at(springfield, 2, ":reset")
    assert problem(call(secret, "POST", path), 409)["code"] == "cannot-reset"
    springfield.registered(2)
    settings.MAIL_SERVER = object()
    assert read(call(secret, "POST", path))["how"] == "email"
    said = read(call(secret, "POST", path, {"as_link": True}))
    assert (said["how"], said["user"]["state"]) == ("link", "Password reset")
    assert [kind for kind, _, _ in events("user.reset")] == ["user.reset-asked"] * 2


def test_a_lock_sessions_and_second_factors_are_ended(springfield: Springfield, secret: str) -> None:
    models.User.objects.filter(pk=springfield.user(2).pk).update(locked_at=datetime.now(UTC))
    assert read(call(secret, "POST", at(springfield, 2, ":unlock")))["locked_at"] is None
    assert read(call(secret, "POST", at(springfield, 2, ":end-sessions")))["id"] == springfield.user(2).pk
    springfield.registered(2)
    for act, body in (
        (":end-sessions", None),
        (":release-sign-on", None),
        (":remove-second-factors", {"reason": "met"}),
    ):
        read(call(secret, "POST", at(springfield, 2, act), body))
    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 256}):
        assert [
            pointer for pointer, _ in errors(call(secret, "POST", at(springfield, 2, ":remove-second-factors"), body))
        ] == ["/reason"]


# What is not permitted


def test_each_operation_needs_its_permission(springfield: Springfield) -> None:
    viewer = make_token(springfield, "users.view")[1]
    Token.objects.update(name="Viewer")
    editor = make_token(springfield, "users.edit")[1]
    path = at(springfield, 2)
    for token, method, where, body, lacking in (
        (editor, "GET", "", None, "users.view"), (editor, "GET", path, None, "users.view"),
        (viewer, "POST", "", new(7), "users.edit"), (viewer, "PATCH", path, {"first_name": "x"}, "users.edit"),
        (viewer, "POST", f"{path}:deactivate", None, "users.edit"),
        (viewer, "POST", f"{path}:reactivate", None, "users.edit"),
        (editor, "POST", f"{path}:invite", None, "credentials.manage"),
        (editor, "POST", f"{path}:reset", None, "credentials.manage"),
        (editor, "POST", f"{path}:unlock", None, "credentials.manage"),
        (editor, "POST", f"{path}:end-sessions", None, "credentials.manage"),
        (editor, "PATCH", path, {"exempt": True}, "users.synchronize"),
        (editor, "PATCH", path, {"source": "hr"}, "users.synchronize"),
        (editor, "POST", "", new(7, no_files=True), "users.synchronize"),
    ):  # fmt: skip
        assert lacking in read_problem(call(token, method, where, body), 403)["detail"], (method, where)
    assert models.Event.objects.filter(kind="act.refused", outcome="refused").count() == 13
    assert (
        read(call(editor, "PATCH", path, {"exempt": False, "source": None, "last_name": "Lee"}))["last_name"] == "Lee"
    )
    assert springfield.user(2).first_name == "First 2"


@pytest.fixture
def chief(springfield: Springfield) -> str:
    """The secret of a token of a chief, whose role is below the administrator's."""
    springfield.imported(person(5, ROLE="Chief"))
    models.Role.objects.filter(name="Chief").update(permissions=list(MAY))
    token, secret = make_token(springfield, *MAY)
    Token.objects.filter(pk=token.pk).update(maker=springfield.user(5), name="Chief")
    return secret


def test_nobody_acts_on_a_user_above_their_role(springfield: Springfield, chief: str) -> None:
    above = at(springfield, 1)
    for method, act, body, pointer in (
        ("PATCH", "", {"last_name": "x"}, "/role"), ("PATCH", "", {"exempt": True}, "/role"),
        ("POST", ":deactivate", None, "/role"),
    ):  # fmt: skip
        assert errors(call(chief, method, f"{above}{act}", body)) == [(pointer, "above-your-role")]
    assert errors(call(chief, "PATCH", at(springfield, 2), {"role": "Admin"})) == [("/role", "above-your-role")]
    assert errors(call(chief, "POST", data=new(7, role="Admin"))) == [("/role", "above-your-role")]
    for act in (":invite", ":unlock", ":end-sessions", ":release-sign-on"):
        assert problem(call(chief, "POST", f"{above}{act}"), 403)["code"] == "above-your-role"
    assert {kind for kind, _, _ in events()} == {"act.refused"}


def test_a_token_gives_no_more_than_it_may_do_itself(springfield: Springfield) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=["users.view"])
    editor = make_token(springfield, "users.view", "users.edit", "credentials.manage")[1]
    assert errors(call(editor, "PATCH", at(springfield, 2), {"role": "Admin"})) == [("/role", "above-your-role")]
    assert errors(call(editor, "POST", data=new(7, role="Admin"))) == [("/role", "above-your-role")]
    assert errors(call(editor, "PATCH", at(springfield, 1), {"email": "x@x.example"})) == [("/role", "above-your-role")]
    problem(call(editor, "POST", at(springfield, 1, ":reset"), {"as_link": True}), 403)
    assert read(call(editor, "PATCH", at(springfield, 2), {"last_name": "Lee"}))["last_name"] == "Lee"


def test_nobody_ends_their_own_access_or_the_last_administrator(springfield: Springfield, chief: str) -> None:
    own = at(springfield, 5)
    for method, act, body in (
        ("POST", ":deactivate", None), ("PATCH", "", {"status": "Inactive"}), ("PATCH", "", {"ends_on": "2099-01-01"}),
        ("PATCH", "", {"role": "Officer"}),
    ):  # fmt: skip
        assert "own-account" in {code for _, code in errors(call(chief, method, f"{own}{act}", body))}
    secret = make_token(springfield, *ALL)[1]
    found = {code for _, code in errors(call(secret, "POST", at(springfield, 1, ":deactivate")))}
    assert "own-account" in found
    assert (springfield.user(1).active, springfield.user(5).role.name) == (True, "Chief")


def test_permissions_that_are_lost_between_the_check_and_the_change_prevent_it(
    springfield: Springfield, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, original = at(springfield, 2), editing.find_alone

    def lose(agency: models.Agency, number: int) -> models.User:
        models.Role.objects.filter(name="Admin").update(administrator=False, permissions=["users.view"])
        return original(agency, number)

    monkeypatch.setattr(editing, "find_alone", lose)
    assert problem(call(secret, "PATCH", path, {"first_name": "Ann"}), 403)["code"] == "not-permitted"
    assert springfield.user(2).first_name == "First 2"
