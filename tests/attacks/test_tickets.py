"""Attacks by addresses and forms that outlive a session: none lets anybody act as somebody else."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import sessions
from musterbook.directory import models
from musterbook.directory.imports import pending_uploads
from musterbook.http import current_session
from tests import worker
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import sign_in, text
from tests.directory import cast
from tests.directory.cast import person

PAGE = "/springfield/users/import"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which user 5, who may import, is signed in."""
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    signed_in(client, "user.5")
    return client


def send(client: Client, to: str = PAGE, do: str = "upload") -> str:
    """Sends a file that adds user 7; gives where the answer leads."""
    file = SimpleUploadedFile("roster.csv", cast.file([person(7)]))
    answer = client.post(to, {"mode": "update", "do": do, "file": file})
    return answer.headers.get("Location", str(answer.status_code))


def is_added() -> bool:
    return models.User.objects.filter(external_id="E-7").exists()


# Files


def test_the_form_of_a_file_has_nothing_that_lets_anybody_send_one(springfield: Springfield, chief: Client) -> None:
    page = chief.get(PAGE).content.decode()
    action = re.search(r'action="([^"]*)" enctype', page)
    assert action and action[1] == PAGE
    hidden = re.findall(r'<input type="hidden" name="(\w+)"', page.partition(" enctype=")[2].partition("</form>")[0])
    assert hidden == ["csrfmiddlewaretoken"]


@pytest.mark.parametrize("query", ["", "?for={agency}-{user}", "?for={agency}-{user}:x:y", "?token=x&user={user}"])
def test_a_stranger_leaves_no_file(springfield: Springfield, chief: Client, settings: Settings, query: str) -> None:
    to = PAGE + query.format(agency=springfield.agency.pk, user=springfield.user(5).pk)
    assert send(Client(), to) == f"/springfield/sign-in?next={PAGE}"
    assert not list((settings.MUSTER_HOME / "waiting").rglob("*"))


@pytest.mark.parametrize("how", ["signed out", "new password", "deactivated", "no permission", "ended elsewhere"])
def test_a_browser_whose_session_was_ended_on_purpose_leaves_no_file(
    springfield: Springfield, chief: Client, settings: Settings, how: str
) -> None:
    end(springfield, chief, how)
    assert send(chief) == ("403" if how == "no permission" else f"/springfield/sign-in?next={PAGE}")
    assert not list((settings.MUSTER_HOME / "waiting").rglob("*"))


@pytest.mark.parametrize("how", ["new password", "deactivated", "no permission"])
def test_nor_does_one_whose_session_has_ended_by_time_before(
    springfield: Springfield, chief: Client, settings: Settings, how: str
) -> None:
    age_session(chief, 45)
    chief.get(PAGE)
    end(springfield, chief, how)
    assert send(chief) == f"/springfield/sign-in?next={PAGE}"
    assert not list((settings.MUSTER_HOME / "waiting").rglob("*"))


def end(springfield: Springfield, chief: Client, how: str) -> None:
    if how == "signed out":
        chief.post("/springfield/sign-out")
    elif how == "new password":
        account = springfield.user(5).account
        account.set_password("another quiet heron")
        account.save()
    elif how == "deactivated":
        springfield.imported(person(5, ROLE="Chief", STATUS="Inactive"))
        springfield.imported(person(5, ROLE="Chief"))
    elif how == "no permission":
        springfield.imported(person(5))
    else:
        other = Client()
        sign_in(other, "user.5")
        other.post("/springfield/my-account/sessions/", {"end": "others"})


def test_some_minutes_after_the_end_of_a_session_its_browser_leaves_no_file(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_session(chief, 45)
    chief.get(PAGE)
    later = time.time() + current_session.LEFT_LIFETIME + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert send(chief) == f"/springfield/sign-in?next={PAGE}"


def test_the_browser_of_another_agency_leaves_no_file(
    springfield: Springfield, shelbyville: Springfield, chief: Client
) -> None:
    age_session(chief, 45)
    chief.get(PAGE)
    assert send(chief, "/shelbyville/users/import") == "/shelbyville/sign-in?next=/shelbyville/users/import"


def test_a_file_that_came_without_a_session_is_only_previewed_and_says_where_from(
    springfield: Springfield, chief: Client
) -> None:
    age_session(chief, 45)
    asked = send(chief, do="upload")
    assert asked.startswith("/springfield/sign-in?next=/springfield/users/import/waiting/")
    waits = chief.post(asked, {"login": "user.5", "password": GOOD}).headers["Location"]
    for _ in range(2):
        page = text(chief.get(waits))
        assert "sent after your session had ended, from the address 127.0.0.1" in page
        assert 'value="upload"' not in page
    plan = chief.post(waits, {"do": "upload"}).headers["Location"]
    assert "Preview: nothing has changed yet" in text(chief.get(plan))
    assert not is_added()


def test_opening_the_address_of_a_file_that_waits_does_nothing(springfield: Springfield, chief: Client) -> None:
    user = springfield.user(5)
    name = cast.keep_waiting(user, cast.file([person(7)]), datetime.now(UTC))
    before = models.Event.objects.count(), models.Import.objects.count()
    for _ in range(2):
        assert "Your file is ready" in text(chief.get(f"{PAGE}/waiting/{name}"))
    assert (models.Event.objects.count(), models.Import.objects.count()) == before
    stranger = Client(enforce_csrf_checks=True)
    stranger.cookies = chief.cookies
    assert stranger.post(f"{PAGE}/waiting/{name}", {"do": "upload"}).status_code == 403
    assert not is_added()


def test_a_file_that_its_user_sent_while_signed_in_is_done_after_signing_in_again(
    springfield: Springfield, chief: Client
) -> None:
    age_session(chief, 16)
    asked = send(chief, do="upload")
    assert asked.startswith("/springfield/sign-in/again?next=") and not is_added()
    done = chief.post(asked, {"password": GOOD}).headers["Location"]
    assert "<h1>Applied</h1>" in text(chief.get(done)) and is_added()


def test_a_file_that_waits_in_the_form_of_an_older_version_is_not_taken(springfield: Springfield) -> None:
    user, at = springfield.user(2), datetime.now(UTC)
    older = pending_uploads._folder(user) / ("x" * 32)
    older.parent.mkdir(parents=True)
    older.write_bytes(b'{"name": "a.csv", "options": {}, "at": 1}\nEXTERNAL_ID\n')
    with pytest.raises(pending_uploads.UploadGone):
        pending_uploads.find_waiting(user, older.name, at)
    pending_uploads.forget_old(at + pending_uploads.KEEP_FOR + timedelta(minutes=1))
    assert not older.exists()


# Links from mails


@pytest.mark.parametrize("kind", ["register", "reset"])
def test_the_token_of_a_link_leaves_the_address_at_once(springfield: Springfield, client: Client, kind: str) -> None:
    if kind == "reset":
        springfield.registered(2)
    token = springfield.reset_now(2) if kind == "reset" else springfield.invitation_now(2)
    answer = client.get(f"/springfield/{kind}/{token}")
    assert answer.headers["Location"] == f"/springfield/{kind}/"
    assert token not in answer.headers["Location"]
    cookie = answer.cookies[f"muster_{kind}"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", f"/springfield/{kind}/")
    page = client.get(f"/springfield/{kind}/").content.decode()
    assert token not in page and "password1" in page
    assert Session.objects.count() == 0
    sent = {"password1": "another quiet heron", "password2": "another quiet heron"}
    client.post(f"/springfield/{kind}/", sent)
    assert client.get("/springfield/my-account/").status_code == 200
    assert Client().get(f"/springfield/{kind}/{token}").status_code == 404
    assert not client.cookies[f"muster_{kind}"].value


@pytest.mark.any_database
@pytest.mark.parametrize("kind", ["register", "reset"])
def test_without_its_token_a_link_opens_nothing(springfield: Springfield, client: Client, kind: str) -> None:
    for cookie in ("", "1-x", "x" * 5000):
        client.cookies[f"muster_{kind}"] = cookie
        assert client.get(f"/springfield/{kind}/").status_code == 404
        assert client.post(f"/springfield/{kind}/", {"password1": GOOD, "password2": GOOD}).status_code == 404
    assert client.get(f"/springfield/{kind}/1-x").status_code == 404


# Sessions


def test_signing_in_again_gives_the_session_another_key(springfield: Springfield, chief: Client) -> None:
    before = chief.cookies["muster_session"].value
    age_session(chief, 16)
    asked = send(chief)
    chief.post(asked, {"password": GOOD})
    after = chief.cookies["muster_session"].value
    assert after != before
    thief = Client()
    thief.cookies["muster_session"] = before
    assert thief.get("/springfield/my-account/").headers["Location"].startswith("/springfield/sign-in")
    living = sessions.list_active(springfield.user(5).account, after.partition(":")[0], time.time())
    assert [one.current for one in living] == [True]
    assert chief.get("/springfield/my-account/").status_code == 200


def test_ending_ones_sessions_takes_a_recent_sign_in(springfield: Springfield, chief: Client) -> None:
    other = Client()
    sign_in(other, "user.5")
    age_session(chief, 16)
    asked = chief.post("/springfield/my-account/sessions/", {"end": "others"}).headers["Location"]
    assert asked.startswith("/springfield/sign-in/again?next=")
    assert other.get("/springfield/my-account/").status_code == 200
    chief.post(asked, {"password": GOOD})
    assert other.get("/springfield/my-account/").status_code == 302


def test_an_anonymous_session_is_kept_for_minutes_and_a_signed_in_one_for_hours(
    springfield: Springfield, chief: Client
) -> None:
    def lasts() -> timedelta:
        return Session.objects.get().expire_date - datetime.now(UTC)

    assert timedelta(hours=11) < lasts() <= timedelta(hours=12)
    age_session(chief, 45)
    chief.get(PAGE)
    assert lasts() <= timedelta(minutes=30)
    sign_in(chief, "user.5")
    assert timedelta(hours=11) < lasts()


def test_a_plan_that_another_user_has_applied_leads_to_their_import(springfield: Springfield, chief: Client) -> None:
    springfield.imported(person(6, ROLE="Chief"))
    springfield.registered(6)
    plan = send(chief, do="preview")
    other = Client()
    sign_in(other, "user.6")
    models.Role.objects.filter(name="Chief").update(permissions=["users.import", "users.synchronize"])
    theirs = other.post(plan).headers["Location"]
    answer = chief.post(plan, follow=True)
    assert answer.redirect_chain[-1][0] == theirs
    assert "Nothing was changed." in text(answer)
    assert models.Import.objects.filter(origin__isnull=False).count() == 1
