"""One user through the pages: looked at, added, edited, deactivated, let in again."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.accounts import credentials, factors, links
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from musterbook.directory.storage import database_errors
from musterbook.directory.users import editing
from musterbook.web.field_labels import LABELS
from musterbook.web.users import links as user_links
from musterbook.web.users.form import HARMLESS
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import read_username, sign_in
from tests.accounts.test_factors import set_up
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

HTMX = {"HX-Request": "true"}


@built_once
def fill() -> Springfield:
    """An administrator (1), an officer who reports to them (2), an Inactive one (3); all but the last have registered."""
    made = Springfield(cast.agency())
    made.imported(
        person(1, ROLE="Admin"), person(3, STATUS="Inactive"),
        person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL", SUPERVISOR_EMAIL="user1@agency.example"),
    )  # fmt: skip
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    return fill()


@pytest.fixture
def admin(springfield: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


@pytest.fixture
def officer(springfield: Springfield) -> Client:
    """A browser in which the officer is signed in."""
    other = Client()
    signed_in(other, "user.2")
    return other


def at(springfield: Springfield, number: int, act: str = "") -> str:
    """The address of that user's page, or of what is done there."""
    return f"/springfield/users/{springfield.user(number).pk}/{act}"


def read_page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def post(client: Client, path: str, **values: Any) -> str:
    return client.post(path, values, follow=True).content.decode()


def form(page: str) -> dict[str, str]:
    """What the fields of a page's form hold, as a browser would send them."""
    fields = dict.fromkeys(re.findall(r'<(?:input|select)[^>]* name="([a-z_]+)"', page.partition("<main")[2]), "")
    for tag in re.findall(r"<input[^>]*>", page.partition("<main")[2]):
        name, value = (re.search(rf'\b{attribute}="([^"]*)"', tag) for attribute in ("name", "value"))
        if name and value and ("radio" not in tag or "checked" in tag):
            fields[name[1]] = value[1].replace("&quot;", '"').replace("&#x27;", "'").replace("&amp;", "&")
    for name_, options in re.findall(r'<select[^>]* name="([a-z_]+)".*?>(.*?)</select>', page, flags=re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        fields[name_] = chosen[1] if chosen else ""
    return fields


def open_limited(springfield: Springfield, *permissions: str) -> Client:
    """A browser of user 5, whose role may do so much and no more."""
    models.Role.objects.filter(agency=springfield.agency, name="Chief").update(permissions=permissions)
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    client = Client()
    sign_in(client, "user.5")
    return client


# The page


def test_a_user_is_shown_with_all_that_is_known(springfield: Springfield, admin: Client) -> None:
    groups.add_monitor(models.Group.objects.get(), springfield.user(2), AuditContext(cast.NOW, "E-1", "page"))
    page = read_page(admin, at(springfield, 2))
    assert "<dt>Group</dt><dd><a" in page and "<dt>Monitors</dt><dd><a" in page
    for text in ("First 2 Last 2", "Captain", "B-2", "user2@agency.example", "Patrol", "First 1 Last 1", "users.csv"):
        assert text in page
    assert "Registered" in page and "Timeline" in page and "Added" in page
    assert "First 2 Last 2</a>" in read_page(admin, at(springfield, 1))


def test_who_may_only_view_sees_no_buttons_no_sessions_and_no_trail(springfield: Springfield) -> None:
    page = read_page(open_limited(springfield, "users.view"), at(springfield, 2))
    for text in (">Edit<", ">Deactivate<", "Reset password", "Sessions", "Timeline", "Changed by"):
        assert text not in page


def test_of_a_user_above_ones_own_role_nothing_can_be_changed(springfield: Springfield) -> None:
    client = open_limited(springfield, "users.view", "users.edit", "credentials.manage")
    page = read_page(client, at(springfield, 1))
    assert "You can view this user but not change them" in page and ">Edit<" not in page
    assert "you cannot change this user" in post(client, at(springfield, 1, "deactivate"))
    assert "You cannot do this" in post(client, at(springfield, 1, "reset"))
    assert springfield.user(1).active


def test_a_page_of_a_user_asks_the_database_no_more_for_many_reports(springfield: Springfield, admin: Client) -> None:
    read_page(admin, at(springfield, 1))
    with CaptureQueriesContext(
        connection,
    ) as few:
        read_page(admin, at(springfield, 1))
    springfield.imported(*(person(number, SUPERVISOR_EMAIL="user1@agency.example") for number in range(10, 70)))
    with CaptureQueriesContext(connection) as many:
        page = read_page(admin, at(springfield, 1))
    assert "Show all 61" in page
    assert len(many) <= len(few) + 2


# Edit


def test_an_edit_is_saved_and_says_what(springfield: Springfield, admin: Client) -> None:
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path)) | {"last_name": "Newton", "location": "North"}
    page = post(admin, path, **data)
    assert "Saved: Last name, Location." in page and "<h1>First 2 Newton</h1>" in page
    assert springfield.user(2).location == "North"
    assert "Nothing has changed" in post(admin, path, **form(read_page(admin, path)))


def test_errors_are_shown_at_their_fields_and_the_typed_values_stay(springfield: Springfield, admin: Client) -> None:
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path)) | {"email": "nobody at home", "first_name": "", "location": "North"}
    answer = admin.post(path, data)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="nobody at home"' in page and 'value="North"' in page and "Enter a first name." in page
    assert 'href="#id_email"' in page and springfield.user(2).location == ""


def test_two_who_edit_lose_nothing(springfield: Springfield, admin: Client) -> None:
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path))
    post(admin, path, **data | {"location": "North"})
    answer = admin.post(path, data | {"location": "South", "badge_number": "B-22"})
    page = answer.content.decode()
    assert answer.status_code == 422 and "Someone else changed this from blank to “North”" in page
    again = form(page)
    assert (again["location"], again["badge_number"]) == ("South", "B-22")
    assert "Saved" in post(admin, path, **again)
    assert (springfield.user(2).location, springfield.user(2).badge_number) == ("South", "B-22")


@pytest.mark.parametrize("shown", ["", "[]", "nonsense", pytest.param("[" * 20_000, id="deep")])
def test_a_form_that_was_tampered_with_overwrites_nobody(springfield: Springfield, admin: Client, shown: str) -> None:
    path = at(springfield, 2, "edit")
    answer = admin.post(path, form(read_page(admin, path)) | {"shown": shown, "location": "North"})
    assert answer.status_code == 422 or springfield.user(2).location == "North"
    assert springfield.user(2).last_name == "Last 2"


def test_a_role_changes_only_after_signing_in_again_and_the_form_is_not_lost(
    springfield: Springfield, admin: Client
) -> None:
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path))
    age_session(admin, 16)
    assert admin.post(path, data | {"location": "North"}).status_code == 302
    assert springfield.user(2).location == "North"
    data = form(read_page(admin, path)) | {"role": "Chief"}
    again = admin.post(path, data)
    assert "/sign-in/again" in again.headers["Location"]
    page = admin.post(again.headers["Location"], {"password": GOOD}, follow=True).content.decode()
    assert "Saved: Role." in page
    assert springfield.user(2).role.name == "Chief"


def test_only_who_may_synchronize_exempts(springfield: Springfield, admin: Client) -> None:
    path = at(springfield, 2, "edit")
    assert "Saved: Exempt from synchronize." in post(admin, path, **form(read_page(admin, path)) | {"x_exempt": "on"})
    assert "stays Active if missing from a synchronize file" in read_page(admin, at(springfield, 2))
    assert "x_exempt" not in form(read_page(open_limited(springfield, "users.edit"), path))


def test_only_who_may_synchronize_sets_what_files_do_to_a_user(springfield: Springfield, admin: Client) -> None:
    """S11 and S9."""
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path)) | {"x_no_files": "on", "x_source": "HR-Sworn"}
    assert "Saved: Not changed by files, Source." in post(admin, path, **data)
    page = read_page(admin, at(springfield, 2))
    assert (
        "do not change this user" in page
        and "hr-sworn" in page
        and "Stays Active if missing from a synchronize" in page
    )
    assert "cannot be the name of a source" in post(
        admin, path, **form(read_page(admin, path)) | {"x_source": "x" * 64}
    )
    assert not {"x_no_files", "x_source"} & form(read_page(open_limited(springfield, "users.edit"), path)).keys()


def test_a_user_who_is_leaving_is_shown_so(springfield: Springfield, admin: Client) -> None:
    """S10."""
    models.Agency.objects.update(grace_days=3)
    models.User.objects.filter(external_id="E-2").update(missing_since=date(2026, 3, 2), missing_imports=1)
    assert "since 2 March 2026. Deactivated on 5 March 2026 or later" in read_page(admin, at(springfield, 2))


def test_add_user_says_when_a_synchronize_import_would_deactivate_the_user(
    springfield: Springfield, admin: Client
) -> None:
    """S11."""
    path, risk = "/springfield/users/add", "The next synchronize import will make First 9 Last 9 Inactive"
    assert risk not in post(
        admin, path, **make_form(admin, external_id="E-7", email="x@agency.example", username="x", badge_number="x")
    )
    cast.run(
        springfield.agency,
        [person(1, ROLE="Admin"), person(2)],
        Options(mode=Mode.SYNC, confirmed={"deactivations": 1}),
    )
    assert "The next synchronize import will make this user Inactive if they are missing from its file" in read_page(
        admin, path
    )
    assert f"{risk} if they are missing from its file" in post(admin, path, **make_form(admin))
    assert models.User.objects.get(external_id="E-9").active
    kept = {"external_id": "E-8", "email": "y@agency.example", "username": "y", "badge_number": "y", "x_no_files": "on"}
    assert risk not in post(admin, path, **make_form(admin, **kept))
    assert models.User.objects.get(external_id="E-8").no_files


def test_supervisors_are_suggested_while_one_types(springfield: Springfield, admin: Client) -> None:
    path = "/springfield/users/supervisors"
    found = admin.get(path, {"supervisor_email": "first"}, headers=HTMX).content.decode()
    assert 'value="user1@agency.example"' in found and "user3@" not in found
    assert "<option" not in admin.get(path, {"supervisor_email": "f"}, headers=HTMX).content.decode()
    assert admin.get(path).status_code == 404


def test_while_an_import_is_written_it_says_so(
    springfield: Springfield, admin: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(editing, "edit", busy)
    monkeypatch.setattr(credentials, "unlock", busy)
    path = at(springfield, 2, "edit")
    data = form(read_page(admin, path))
    with pytest.raises(OperationalError):
        admin.post(path, data)
    monkeypatch.setattr(database_errors, "is_busy", lambda _: True)
    caplog.clear()
    answer = admin.post(path, data)
    assert answer.status_code == 503 and "Nothing has changed here" in answer.content.decode()
    assert admin.post(at(springfield, 2, "unlock")).status_code == 503
    assert {record.levelname for record in caplog.records} == {"WARNING"}, "the operators get no alert"


# Add User


def make_form(client: Client, **cells: str) -> dict[str, str]:
    """The form of a new user, filled in."""
    data = form(read_page(client, "/springfield/users/add"))
    return data | {name.lower(): value for name, value in person(9).items()} | cells


def test_an_added_user_comes_in_by_the_link_that_is_shown_once(springfield: Springfield, admin: Client) -> None:
    data = make_form(admin)
    page = post(admin, "/springfield/users/add", **data)
    assert "<h1>First 9 Last 9 was added</h1>" in page and "Add another" in page
    link = re.search(r'id="link" value="(http[^"]+)"', page)
    assert link
    other = Client()
    address = link[1].partition("testserver")[2] or re.sub(r"^https?://[^/]+", "", link[1])
    other.post(address, {"password1": GOOD, "password2": GOOD})
    assert read_username(other) == "user.9"
    assert cast.user(springfield.agency, 9).role.name == "Officer"


def test_the_page_after_adding_can_be_loaded_again_and_adds_nobody(springfield: Springfield, admin: Client) -> None:
    """D32."""
    answer = admin.post("/springfield/users/add", make_form(admin))
    assert answer.status_code == 302
    page, again = (read_page(admin, answer.headers["Location"]) for _ in range(2))
    link = re.search(r'id="link" value="([^"]+)"', page)
    assert link and link[1] in again and "Copy link" in page
    invited = models.Event.objects.filter(kind=EventKind.USER_INVITED, subject=springfield.user(9))
    assert invited.count() == 1
    models.User.objects.filter(external_id="E-9").update(invited_at=cast.NOW)
    assert link[1] not in read_page(admin, answer.headers["Location"])


def test_a_link_is_shown_only_in_the_session_that_made_it_and_only_for_some_minutes(
    springfield: Springfield, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_limited(springfield, "users.view", "users.edit", "credentials.manage")
    made = admin.post("/springfield/users/add", make_form(admin)).headers["Location"]
    for path in (made, made.replace("added", "link")):
        assert 'id="link"' in admin.get(path, follow=True).content.decode()
        assert 'id="link"' not in other.get(path, follow=True).content.decode()
    session = SessionStore(admin.cookies[settings.SESSION_COOKIE_NAME].value.partition(":")[0])
    assert links.make_url(springfield.user(9), "invitation").rpartition("-")[2] not in str(session["made_links"])
    monkeypatch.setattr(user_links, "SHOWN_FOR", timedelta(seconds=-1))
    for path in (made, made.replace("added", "link")):
        assert 'id="link"' not in admin.get(path, follow=True).content.decode()


def test_the_username_of_a_new_user_is_taken_from_the_address_if_it_is_blank(
    springfield: Springfield, admin: Client
) -> None:
    post(admin, "/springfield/users/add", **make_form(admin, username="", email="ann.ames@agency.example"))
    assert springfield.user(9).username == "ann.ames"
    answer = admin.post("/springfield/users/add", make_form(admin, username="", external_id="E-8", email="nothing"))
    assert answer.status_code == 422 and "Enter a username." in answer.content.decode()


def test_a_new_user_begins_with_the_defaults_of_the_agency(springfield: Springfield, admin: Client) -> None:
    models.Agency.objects.update(defaults={"ROLE": "Officer", "LOCATION": "Academy"})
    found = form(read_page(admin, "/springfield/users/add"))
    assert (found["role"], found["location"]) == ("Officer", "Academy")
    models.Agency.objects.update(defaults={"ROLE": "Admin"})
    assert form(read_page(open_limited(springfield, "users.edit"), "/springfield/users/add"))["role"] == ""


def test_a_form_sent_twice_adds_one_user(springfield: Springfield, admin: Client) -> None:
    data = make_form(admin)
    post(admin, "/springfield/users/add", **data)
    post(admin, "/springfield/users/add", **data)
    assert models.User.objects.filter(agency=springfield.agency, email="user9@agency.example").count() == 1
    for kind in ("user.added", "user.invited"):
        about = models.Event.objects.filter(subject__email="user9@agency.example", kind=kind, of=None)
        assert about.count() == 1, kind


def test_an_external_id_that_somebody_has_leads_to_them(springfield: Springfield, admin: Client) -> None:
    answer = admin.post("/springfield/users/add", make_form(admin, external_id="E-2", last_name="Other"))
    page = answer.content.decode()
    assert answer.status_code == 422 and "already has this external ID" in page
    assert at(springfield, 2, "edit") in page


@pytest.mark.parametrize(
    ("permissions", "mail", "cells", "sentence"),
    [
        (("users.edit",), False, {}, "someone who can manage credentials can make one"),
        (("users.edit",), True, {}, "An invitation will be emailed to <strong>user9@agency.example"),
        (("users.edit", "users.view"), True, {"status": "Inactive"}, "The user is Inactive."),
        (("users.edit",), True, {"mails_off": "invitation"}, "No invitation will be sent"),
        (("users.edit",), True, {"role": "Admin"}, "permissions that yours does not"),
        (("users.edit",), True, {"supervisor_email": "user3@agency.example"}, "Inactive"),
    ],
)
def test_how_a_new_user_comes_in_is_said(
    springfield: Springfield, settings: Settings, permissions: tuple[str, ...], mail: bool, cells: dict[str, str],
    sentence: str,
) -> None:  # fmt: skip
    settings.MAIL_SERVER = object() if mail else None
    models.Agency.objects.filter(pk=springfield.agency.pk).update(mails_off=[cells.pop("mails_off", "")])
    client = open_limited(springfield, *permissions)
    assert sentence in post(client, "/springfield/users/add", **make_form(client, **cells))


def test_adding_asks_to_sign_in_again_and_goes_on_with_what_was_typed(springfield: Springfield, admin: Client) -> None:
    data = make_form(admin)
    age_session(admin, 16)
    again = admin.post("/springfield/users/add", data)
    page = admin.post(again.headers["Location"], {"password": GOOD}, follow=True).content.decode()
    assert "was added" in page


# Deactivate and reactivate


def test_a_deactivated_user_is_signed_out_at_the_next_click(
    springfield: Springfield, admin: Client, officer: Client
) -> None:
    path = at(springfield, 2, "deactivate")
    assert "signed out everywhere, and cannot sign in" in read_page(admin, path) and springfield.user(2).active
    assert read_username(officer) == "user.2"
    assert "is now Inactive and has been signed out everywhere" in post(admin, path)
    assert read_username(officer) == ""
    page = read_page(admin, at(springfield, 2))
    assert "<strong>Inactive</strong> since" in page and ">Reactivate<" in page
    assert "sign in with their previous password and second factors" in read_page(
        admin, at(springfield, 2, "reactivate")
    )
    assert "is Active again" in post(admin, at(springfield, 2, "reactivate"))


@pytest.mark.parametrize(
    ("server", "sends", "says", "then"),
    [
        (True, True, "We will email them about it at user2@agency.example.", "waiting to be sent"),
        (False, True, "the message about it is only saved as a file", "waiting to be saved as a file"),
        (True, False, "They do not get an email about it.", ""),
    ],
)
def test_what_is_said_about_email_before_is_what_happens(
    springfield: Springfield, admin: Client, settings: Settings, server: bool, sends: bool, says: str, then: str
) -> None:
    """D16."""
    settings.MAIL_SERVER = object() if server else None
    models.Agency.objects.update(sends_mail=sends)
    post(admin, at(springfield, 2, "deactivate"))
    models.Mail.objects.all().delete()
    assert says in read_page(admin, at(springfield, 2, "reactivate"))
    page = post(admin, at(springfield, 2, "reactivate"))
    assert then in page and ("Last email" in page) == bool(then)
    assert models.Mail.objects.filter(kind="reactivated").exists() == bool(then)


@pytest.mark.parametrize("server", [True, False], ids=["server", "files"])
def test_a_link_can_be_made_in_every_state_that_needs_one(
    springfield: Springfield, admin: Client, settings: Settings, server: bool
) -> None:
    """D15."""
    settings.MAIL_SERVER = object() if server else None
    springfield.imported(person(7))
    now = datetime.now(UTC)
    states: list[dict[str, Any]] = [
        {},
        {"invited_at": now, "invitation_expires_at": now + timedelta(days=1)},
        {"invited_at": cast.NOW, "invitation_expires_at": cast.NOW},
        {"locked_at": now},
    ]
    for state in states:
        models.User.objects.filter(external_id="E-7").update(**state)
        page = read_page(admin, at(springfield, 7))
        assert at(springfield, 7, "invitation") in page, state
        assert (at(springfield, 7, "invite") + '"' in page) == server, state
    for state in ({}, {"locked_at": now}, {"reset_at": cast.NOW}):
        models.User.objects.filter(external_id="E-2").update(**state)
        assert at(springfield, 2, "reset") in read_page(admin, at(springfield, 2)), state
    assert 'id="link"' in post(admin, at(springfield, 2, "reset"), how="link")


def test_ones_own_page_does_not_say_that_ones_own_import_deactivates(springfield: Springfield, admin: Client) -> None:
    """D35."""
    assert "Your own imports never deactivate you." in read_page(admin, at(springfield, 1))
    assert "Deactivated if missing from a synchronize file" in read_page(admin, at(springfield, 2))


def test_the_timeline_has_events_and_imports_in_one_list_page_by_page(springfield: Springfield, admin: Client) -> None:
    page = read_page(admin, at(springfield, 2))
    timeline = page.partition("Timeline</h2>")[2]
    assert "by import <a" in timeline and "users.csv</a>" in timeline and "<ins" in timeline
    assert "First 2 Last 2" not in timeline
    context = AuditContext(datetime.now(UTC), "E-1", "page")
    for number in range(30):
        trail.record_event(
            springfield.agency, context, EventKind.USER_UPDATED, springfield.user(2), {"RANK": ("", f"Rank {number}")}
        )
    first = read_page(admin, at(springfield, 2))
    assert "Rank 29" in first and "Rank 9<" not in first
    older = re.search(r'href="\?place=([^"#]+)#timeline" rel="next"', first)
    assert older
    second = read_page(admin, f"{at(springfield, 2)}?place={older[1]}")
    assert "Rank 9<" in second and "Rank 10<" not in second and "users.csv</a>" in second
    assert admin.get(f"{at(springfield, 2)}?place=nowhere").status_code == 404


def test_a_user_who_never_registered_is_invited_when_reactivated(
    springfield: Springfield, admin: Client, settings: Settings
) -> None:
    assert "the new invitation is only saved as a file" in read_page(admin, at(springfield, 3, "reactivate"))
    settings.MAIL_SERVER = object()
    assert "A new invitation will be emailed to user3@agency.example" in read_page(
        admin, at(springfield, 3, "reactivate")
    )
    post(admin, at(springfield, 3, "reactivate"))
    assert models.Mail.objects.filter(user=springfield.user(3), kind="invitation", of=None).count() == 1


def test_nobody_deactivates_themselves_or_the_last_administrator(springfield: Springfield, admin: Client) -> None:
    answer = admin.post(at(springfield, 1, "deactivate"))
    assert answer.status_code == 422 and "Nothing has changed." in answer.content.decode()
    assert springfield.user(1).active


@pytest.mark.parametrize("act", ["deactivate", "reset", "invite", "unlock", "second-factors"])
def test_a_sensitive_action_requires_a_recent_sign_in(springfield: Springfield, admin: Client, act: str) -> None:
    age_session(admin, 16)
    assert "/sign-in/again" in admin.post(at(springfield, 2, act)).headers["Location"]


@pytest.mark.parametrize(
    "change",
    [
        {"x_ends_on": "2099-01-01"},
        {"x_exempt": "on"},
        {"x_no_files": "on"},
        {"x_source": "hr-sworn"},
        {"username": "mine"},
        {"email": "me@agency.example"},
        {"role": "Chief"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_access_changes_only_after_a_recent_sign_in(
    springfield: Springfield, admin: Client, change: dict[str, str]
) -> None:
    path = at(springfield, 2, "edit")
    sent = form(read_page(admin, path)) | change
    age_session(admin, 16)
    assert "/sign-in/again" in admin.post(path, sent).headers["Location"]


def test_a_column_that_is_added_later_takes_a_recent_sign_in_unless_someone_decides_otherwise() -> None:
    assert set(LABELS) - HARMLESS == {
        "EXTERNAL_ID",
        "EMAIL",
        "USERNAME",
        "STATUS",
        "ROLE",
        "X_ENDS_ON",
        "X_EXEMPT",
        "X_NO_FILES",
        "X_SOURCE",
    }


# Credentials


def test_an_invitation_goes_by_mail_once_however_often_it_is_asked_for(
    springfield: Springfield, admin: Client, settings: Settings
) -> None:
    settings.MAIL_SERVER = object()
    springfield.imported(person(7))
    models.Mail.objects.all().delete()
    for _ in range(2):
        assert "An invitation will be emailed to" in post(admin, at(springfield, 7, "invite"))
    assert models.Mail.objects.filter(user=springfield.user(7)).count() == 1
    assert models.Event.objects.filter(kind="user.invitation-asked").count() == 1
    assert "You cannot invite First 2 Last 2 now" in post(admin, at(springfield, 2, "invite"))


def test_an_invitation_can_be_handed_over(springfield: Springfield, admin: Client) -> None:
    springfield.imported(person(7))
    page = read_page(admin, at(springfield, 7))
    assert "Make a link" in page
    answer = admin.post(at(springfield, 7, "invitation"), follow=True)
    assert "/springfield/register/" in answer.content.decode() and "no-store" in answer.headers["Cache-Control"]
    assert "You cannot invite First 2 Last 2 now" in post(admin, at(springfield, 2, "invitation"))


@pytest.mark.usefixtures("as_owner")
@pytest.mark.parametrize(
    ("number", "act", "kind"), [(7, "invitation", EventKind.USER_INVITED), (2, "reset", EventKind.USER_RESET_ASKED)]
)
def test_a_link_to_hand_over_is_the_same_for_a_button_pressed_twice_and_new_after_that(
    springfield: Springfield, admin: Client, number: int, act: str, kind: str
) -> None:
    springfield.imported(person(7))
    path, events = (
        at(springfield, number, act),
        models.Event.objects.filter(subject__email=f"user{number}@agency.example"),
    )

    def link() -> str:
        return str(re.findall(r'id="link" value="([^"]+)"', post(admin, path))[0])

    first = link()
    assert link() == first and events.filter(kind=kind).count() == 1
    events.update(at=F("at") - timedelta(seconds=11))
    assert link() != first and events.filter(kind=kind).count() == 2


def test_nobody_is_handed_a_link_that_the_trail_has_from_somebody_else(springfield: Springfield, admin: Client) -> None:
    other = open_limited(springfield, "users.view", "credentials.manage")
    for client in (admin, other):
        post(client, at(springfield, 2, "reset"))
    asked = models.Event.objects.filter(kind=EventKind.USER_RESET_ASKED, subject=springfield.user(2))
    assert {event.actor for event in asked} == {"E-1", "E-5"}


def test_a_reset_is_a_link_to_hand_over_where_no_mail_leaves(springfield: Springfield, admin: Client) -> None:
    path = at(springfield, 2, "reset")
    assert "You will see a link instead." in read_page(admin, path)
    link = re.search(r'id="link" value="https?://[^/]+(/[^"]+)"', post(admin, path))
    assert link
    other, better = Client(), "an even quieter heron"
    other.post(link[1], {"password1": better, "password2": better})
    assert "<strong>Password reset" not in read_page(admin, at(springfield, 2))
    assert sign_in(Client(), "user.2", better).status_code == 302
    assert "You cannot reset the password of First 3 Last 3" in post(admin, at(springfield, 3, "reset"))


def test_a_reset_goes_by_mail_where_mails_leave(springfield: Springfield, admin: Client, settings: Settings) -> None:
    settings.MAIL_SERVER = object()
    path = at(springfield, 2, "reset")
    assert "will be emailed to user2@agency.example" in read_page(admin, path)
    for _ in range(2):
        assert "will be emailed to user2@agency.example" in post(admin, path)
    assert models.Mail.objects.filter(user=springfield.user(2), kind="reset").count() == 1
    assert "waiting to be sent" in read_page(admin, at(springfield, 2))


def test_a_lock_is_ended(springfield: Springfield, admin: Client) -> None:
    for _ in range(5):
        sign_in(Client(), "user.2", "wrong")
    assert "after too many failed sign-ins" in read_page(admin, at(springfield, 2))
    assert "First 2 Last 2 is unlocked." in post(admin, at(springfield, 2, "unlock"))
    assert "is not locked" in post(admin, at(springfield, 2, "unlock"))


def test_second_factors_are_removed(springfield: Springfield, admin: Client, officer: Client) -> None:
    set_up(officer)
    assert "Remove second factors" in read_page(admin, at(springfield, 2))
    path = at(springfield, 2, "second-factors")
    assert "must set up a new second factor before they can continue" in read_page(admin, path)
    assert "Enter how you checked who is asking" in admin.post(path, {"reason": "  "}).content.decode()
    assert factors.has_factor(springfield.user(2).account)
    assert "have been removed" in post(admin, path, reason="Came to the desk") and not factors.has_factor(
        springfield.user(2).account
    )
    assert "has no second factors" in post(admin, path, reason="Came to the desk")


def test_sessions_are_ended_one_by_one_or_all(springfield: Springfield, admin: Client, officer: Client) -> None:
    second = Client()
    sign_in(second, "user.2")
    path = at(springfield, 2, "sessions")
    numbers = re.findall(r'name="end" value="(\d+)"', read_page(admin, at(springfield, 2)))
    assert len(numbers) == 2
    assert "That session of First 2 Last 2 has ended" in post(admin, path, end=numbers[0])
    assert "has already ended" in post(admin, path, end=numbers[0])
    assert "has already ended" in post(admin, path, end="nonsense")
    assert "has been signed out everywhere" in post(admin, path, end="all")
    assert {read_username(officer), read_username(second)} == {""}
    assert "has no other sessions" in post(admin, path, end="all")
    assert "is not signed in." in post(admin, at(springfield, 3, "sessions"), end="all")
    ended = models.Event.objects.filter(kind="user.session-ended", actor="E-1")
    assert ended.count() == 2 and "by an administrator" in ended[0].changes


def test_a_session_of_another_user_is_not_ended_by_its_number(
    springfield: Springfield, admin: Client, officer: Client
) -> None:
    number = re.findall(r'name="end" value="(\d+)"', read_page(admin, at(springfield, 2)))[0]
    assert "has already ended" in post(admin, at(springfield, 1, "sessions"), end=number)
    assert read_username(officer) == "user.2"


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        (7, {}, "Invited:"),
        (7, {"invited_at": cast.NOW, "invitation_expires_at": cast.NOW}, "Invitation expired:"),
        (2, {"reset_at": cast.NOW}, "expired <time"),
    ],
)
def test_each_state_says_what_it_means_and_what_to_do(
    springfield: Springfield, admin: Client, number: int, state: dict[str, Any], sentence: str
) -> None:
    springfield.imported(person(7))
    models.User.objects.filter(pk=springfield.user(number).pk).update(**state)
    assert sentence in read_page(admin, at(springfield, number))


# In a browser


def test_a_user_is_added_edited_deactivated_and_reactivated(page: Page, transactional_db: None) -> None:
    made = fill()
    enter(page, "user.1", "users/add")
    for name, value in person(9, EMAIL="nobody").items():
        if name not in ("STATUS", "ROLE"):
            page.fill(f"[name={name.lower()}]", value)
    page.locator("[name=supervisor_email]").press_sequentially("first 1")
    expect(page.locator("#supervisors option")).to_have_count(1)
    page.fill("[name=supervisor_email]", "user1@agency.example")
    page.select_option("[name=role]", "Officer")
    page.get_by_role("button", name="Add user").click()
    page.locator(".usa-alert--error").get_by_role("link").first.click()
    assert page.locator("[name=email]").evaluate("field => field === document.activeElement")
    assert barriers(page) == []
    page.keyboard.press("Control+A")
    page.keyboard.type("user9@agency.example")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("First 9 Last 9 was added")
    assert barriers(page) == []
    page.get_by_role("link", name="Go to First 9").click()
    page.get_by_role("link", name="Deactivate").click()
    assert barriers(page) == []
    page.get_by_role("button", name="Deactivate").click()
    expect(page.locator("main")).to_contain_text("is now Inactive and has been signed out everywhere")
    assert barriers(page) == []
    page.get_by_role("link", name="Reactivate").first.click()
    page.get_by_role("button", name="Reactivate").click()
    expect(page.locator("main")).to_contain_text("is Active again")
    assert cast.user(made.agency, 9).active
