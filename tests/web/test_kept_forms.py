"""Nothing that was typed is lost: every form survives the end of its session, and a sign-in in another tab."""

import re
from html import unescape
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from musterbook.http import kept_forms
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.directory import cast
from tests.web.conftest import enter
from tests.web.every_page import EVIL, EveryPage, pages
from tests.web.test_every_page import make_agency

ORIGIN = {"Origin": "http://testserver"}
TYPED = {"typed": "Ångström\r\nsecond line", "cell-3-RANK": EVIL, "many": ["one", "two"]}
SIGN_IN = "/springfield/sign-in?next="
OWN_WAY = {"import_users", "groups_import", "roles_import", "ranks_import", "import_waiting"}
"""Pages of files, which are kept by themselves."""


@pytest.fixture
def springfield(db: None) -> Springfield:
    return make_agency("springfield")


@pytest.fixture
def boss(springfield: Springfield) -> Client:
    return signed_in(Client(enforce_csrf_checks=True), "user.1")


def read_token(client: Client, path: str = "/springfield/") -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(path).content.decode())
    assert found
    return found[1]


def read_cookie(client: Client) -> str:
    """The token as its cookie has it: a page need not be opened for it."""
    return client.cookies[settings.CSRF_COOKIE_NAME].value


def open_session(client: Client) -> SessionStore:
    """The session of the client."""
    return SessionStore(client.cookies[settings.SESSION_COOKIE_NAME].value.partition(":")[0])


def is_signed_in(client: Client) -> bool:
    """Whether the session of the client is somebody's."""
    return SESSION_KEY in open_session(client)


def send(client: Client, path: str, token: str, form: dict[str, Any]) -> HttpResponse:
    """Sends a form as a browser does."""
    return client.post(path, {**form, "csrfmiddlewaretoken": token}, headers=ORIGIN)  # type: ignore[return-value]


def read_form(page: str) -> tuple[str, dict[str, Any]]:
    """Where the kept form goes, and its fields."""
    whole = re.search(r'<form[^>]*action="([^"]*)" id="kept-form">(.*?)</form>', page, re.DOTALL)
    assert whole, page
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', whole[2]):
        fields.setdefault(unescape(name), []).append(unescape(value))
    fields.pop("csrfmiddlewaretoken", None)
    return unescape(whole[1]), {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def list_kept(client: Client) -> list[dict[str, Any]]:
    """What the session of the client keeps."""
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    kept: list[dict[str, Any]] = SessionStore(cookie.value.partition(":")[0]).get("kept_forms", []) if cookie else []
    return kept


def sign_in_there(client: Client, address: str, name: str = "user.1") -> HttpResponse:
    """Signs in on the page to which a form led."""
    token = read_token(client, address)
    return send(client, address, token, {"login": name, "password": GOOD})


def list_forms() -> list[EveryPage]:
    return [page for page in pages() if page.name not in OWN_WAY]


def test_every_form_is_kept_when_its_session_has_ended_and_is_sent_again_as_it_was(springfield: Springfield) -> None:
    lost = {}
    boss = signed_in(Client(enforce_csrf_checks=True), "user.1")
    for page in list_forms():
        if not is_signed_in(boss):  # the form before has ended all sessions, or was none
            boss = signed_in(Client(enforce_csrf_checks=True), "user.1")
        UserSession.objects.exclude(
            session_key=open_session(boss).session_key
        ).delete()  # each sign-in reads all of them
        path = f"/springfield/{page.path(springfield.agency)}?show=errored"
        age_session(boss, 60)
        led = send(boss, path, read_cookie(boss), TYPED)
        if led.status_code == 405:
            open_session(boss).flush()
            continue
        back = sign_in_there(boss, led.headers["Location"]) if led.status_code == 302 else led
        shown = boss.get(back.headers.get("Location", "/")) if back.status_code == 302 else back
        address, fields = read_form(shown.content.decode())
        kept = fields.pop(kept_forms.TOKEN)
        if (address, fields) != (path, TYPED) or "kept_form.js" not in shown.content.decode():
            lost[page.name] = str((address, fields))
        send(boss, address, read_cookie(boss), {**fields, kept_forms.TOKEN: kept})
        if boss.get(back.headers["Location"]).status_code != 404:
            lost[page.name] = "can be sent twice"
    assert lost == {}


@pytest.mark.parametrize("is_stale", [False, True])
def test_cells_that_a_script_saves_leave_the_forms_of_other_tabs_where_they_are(
    springfield: Springfield, boss: Client, is_stale: bool
) -> None:
    """The script keeps them on its page and sends them as a form, once its user asks for it."""
    [page] = (page for page in list_forms() if page.name == "import_fixes")
    token, path = read_token(boss), f"/springfield/{page.path(springfield.agency)}"
    age_session(boss, 60)
    led = send(boss, "/springfield/roles/add", token, {"name": "Clerk"}).headers["Location"]
    if is_stale:
        sign_in_there(boss, led)
    for number in range(kept_forms.MAX_FORMS):
        cell = {"csrfmiddlewaretoken": token, "cell-2-ROLE": f"Clerk {number}"}
        answer = boss.post(path, cell, headers={**ORIGIN, "Accept": "application/json"})
        assert answer.status_code in (302, 403)
    back = "/springfield/" if is_stale else sign_in_there(boss, led).headers["Location"]
    assert len(list_kept(boss)) == 1 and boss.get(back).status_code == 200


def test_every_form_with_the_token_of_another_sign_in_is_kept_and_its_sender_confirms_it(
    springfield: Springfield,
) -> None:
    lost: dict[str, object] = {}
    boss = signed_in(Client(enforce_csrf_checks=True), "user.1")
    stale = read_token(boss)
    boss.post("/springfield/sign-out", {"csrfmiddlewaretoken": read_token(boss)})
    sign_in_there(boss, "/springfield/sign-in")
    for page in list_forms():
        path = f"/springfield/{page.path(springfield.agency)}"
        answer = send(boss, path, stale, TYPED)
        if answer.status_code != 302 or "/continue/" not in answer.headers["Location"]:
            lost[page.name] = answer.status_code
            continue
        shown = boss.get(answer.headers["Location"]).content.decode()
        address, fields = read_form(shown)
        fields.pop(kept_forms.TOKEN)
        if (address, fields) != (path, TYPED) or "kept_form.js" in shown or "signed in as First 1 Last 1" not in shown:
            lost[page.name] = address, fields
    assert lost == {}
    assert not models.Event.objects.filter(kind="request.refused").exists()


def test_a_kept_form_changes_what_it_was_to_change(springfield: Springfield, boss: Client) -> None:
    path = f"/springfield/users/{springfield.user(2).pk}/sessions"
    token = read_token(boss)
    age_session(boss, 60)
    back = sign_in_there(boss, send(boss, path, token, {}).headers["Location"])
    shown = boss.get(back.headers["Location"]).content.decode()
    assert "What you sent before you signed in again is kept" in shown
    address, fields = read_form(shown)
    done = send(boss, address, read_token(boss), fields)
    assert done.headers["Location"].startswith(f"/springfield/users/{springfield.user(2).pk}/")
    assert "First 2 Last 2" in boss.get(done.headers["Location"]).content.decode()


def test_the_sign_in_page_says_that_what_was_sent_is_kept(boss: Client) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    led = send(boss, "/springfield/users/add", token, {"EMAIL": "a@b.example"})
    assert b"What you sent is kept. It continues after you sign in." in boss.get(led.headers["Location"]).content


def test_a_stale_form_of_somebody_who_has_signed_out_is_kept_too(boss: Client) -> None:
    stale = read_token(boss)
    boss.post("/springfield/sign-out", {"csrfmiddlewaretoken": stale})
    boss.cookies.pop(settings.CSRF_COOKIE_NAME)
    led = send(boss, "/springfield/users/add", stale, {"EMAIL": "a@b.example"})
    back = sign_in_there(boss, led.headers["Location"])
    shown = boss.get(back.headers["Location"]).content.decode()
    assert read_form(shown)[1]["EMAIL"] == "a@b.example"
    assert "kept_form.js" not in shown, "who sent it is not known, so it is not sent by itself"


# What an outsider tries


def test_a_form_of_another_site_is_refused_and_not_kept(boss: Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        answer = boss.post("/springfield/users/add", {"EMAIL": "x@evil.example"}, headers=headers)
        assert answer.status_code == 403
    assert list_kept(boss) == []


def test_a_kept_form_is_not_for_another_user_who_signs_in_at_the_same_browser(
    springfield: Springfield, boss: Client
) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    led = send(boss, "/springfield/users/add", token, {"EMAIL": "secret@a.example"})
    back = sign_in_there(boss, led.headers["Location"], "user.2")
    answer = boss.get(back.headers["Location"])
    assert answer.status_code == 404
    assert b"secret@a.example" not in answer.content
    assert list_kept(boss) == []


def test_a_kept_form_is_encrypted_and_only_in_the_session_that_sent_it(springfield: Springfield, boss: Client) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    led = send(boss, "/springfield/users/add", token, {"EMAIL": "secret@a.example"})
    assert len(list_kept(boss)) == 1
    assert "secret" not in str(list_kept(boss))
    back = sign_in_there(boss, led.headers["Location"]).headers["Location"]
    other = signed_in(Client(), "user.1")
    assert other.get(back).status_code == 404
    assert boss.get(back).status_code == 200


def test_strangers_have_nothing_kept_and_a_known_browser_not_much(springfield: Springfield) -> None:
    kept_nothing = f"{SIGN_IN}/springfield/users/add"
    stranger = Client()
    assert stranger.post("/springfield/users/add", {"EMAIL": "x"}).headers["Location"] == kept_nothing
    assert settings.SESSION_COOKIE_NAME not in stranger.cookies
    known = signed_in(Client(), "user.1")
    known.post("/springfield/sign-out")
    long = known.post("/springfield/users/add", {"EMAIL": "x" * (kept_forms.MAX_UNKNOWN + 1)})
    assert long.headers["Location"] == kept_nothing
    assert b"What you sent could not be kept" in known.get("/springfield/sign-in").content
    answers = [known.post("/springfield/users/add", {"EMAIL": "x"}).headers["Location"] for _ in range(31)]
    assert len(list_kept(known)) == kept_forms.MAX_FORMS
    assert [address == kept_nothing for address in answers] == [False] * 30 + [True]


def test_a_kept_form_is_gone_after_half_an_hour(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    led = send(boss, "/springfield/users/add", token, {"EMAIL": "a@b.example"})
    back = sign_in_there(boss, led.headers["Location"]).headers["Location"]
    monkeypatch.setattr(kept_forms, "KEEP_FOR", 0)
    assert boss.get(back).status_code == 404


# Pages without a sign-in, files, and parts of pages


def test_a_stale_sign_in_form_can_be_sent_at_once_and_leads_home_if_somebody_is_signed_in(
    springfield: Springfield,
) -> None:
    client = Client(enforce_csrf_checks=True)
    form = {"login": "user.1", "password": GOOD}
    shown = send(client, "/springfield/sign-in?next=/springfield/users/", "x" * 64, form)
    assert shown.status_code == 403
    address, fields = read_form(shown.content.decode())
    assert (address, fields) == ("/springfield/sign-in?next=/springfield/users/", form)
    done = send(client, address, read_token(client, "/springfield/sign-in"), fields)
    assert done.headers["Location"] == "/springfield/users/"
    again = send(client, "/springfield/sign-in", "x" * 64, form)
    assert (again.status_code, again.headers["Location"]) == (302, "/springfield/")


def test_a_file_that_was_sent_with_a_stale_token_waits_for_its_sender(springfield: Springfield, boss: Client) -> None:
    stale = read_token(boss)
    boss.post("/springfield/sign-out", {"csrfmiddlewaretoken": stale})
    sign_in_there(boss, "/springfield/sign-in")
    file = SimpleUploadedFile("night.csv", cast.file([cast.person(4)]))
    answer = send(boss, "/springfield/users/import", stale, {"mode": "update", "file": file, "do": "upload"})
    assert answer.headers["Location"].startswith("/springfield/users/import/waiting/")
    assert b"night.csv" in boss.get(answer.headers["Location"]).content
    assert not models.User.objects.filter(external_id="E-4").exists()


def test_the_sign_in_page_says_that_a_file_is_kept(springfield: Springfield, boss: Client) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    file = SimpleUploadedFile("night.csv", cast.file([cast.person(4)]))
    led = send(boss, "/springfield/users/import", token, {"mode": "update", "file": file, "do": "preview"})
    assert b"Your file is kept. It continues after you sign in." in boss.get(led.headers["Location"]).content


def test_the_sign_in_page_says_that_a_file_is_not_kept_after_its_session_was_ended_on_purpose(boss: Client) -> None:
    token = read_token(boss)
    boss.post("/springfield/sign-out", {"csrfmiddlewaretoken": token})
    file = SimpleUploadedFile("night.csv", cast.file([cast.person(4)]))
    led = send(boss, "/springfield/users/import", token, {"mode": "update", "file": file, "do": "preview"})
    assert led.headers["Location"] == f"{SIGN_IN}/springfield/users/import"
    assert b"Your file was not kept" in boss.get(led.headers["Location"]).content


def test_a_part_of_a_page_is_kept_as_a_whole_form(springfield: Springfield, boss: Client) -> None:
    token = read_token(boss)
    age_session(boss, 60)
    path = f"/springfield/users/{springfield.user(2).pk}/edit"
    answer = boss.post(
        path, {"LOCATION": "North", "csrfmiddlewaretoken": token}, headers={**ORIGIN, "HX-Request": "true"}
    )
    assert "/continue/" in answer.headers["HX-Redirect"]
    stale = boss.post(path, {"LOCATION": "North", "csrfmiddlewaretoken": "x" * 64}, headers=ORIGIN)
    assert stale.status_code == 302


def test_every_address_that_takes_only_forms_answers_others_with_its_page(
    springfield: Springfield, boss: Client
) -> None:
    empty = {}
    for page in pages():
        answer = boss.get(f"/springfield/{page.path(springfield.agency)}", follow=True)
        if answer.status_code == 405 or not (answer.streaming or answer.content):
            empty[page.name] = answer.status_code
    assert empty == {}


def test_an_edit_survives_the_end_of_the_session_in_the_browser(springfield: Springfield, page: Page) -> None:
    enter(page, "user.1", f"users/{springfield.user(2).pk}/edit")
    page.get_by_label("LOCATION").or_(page.get_by_label("Location")).first.fill("Pier 9")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_role("button", name=re.compile("Save|Change")).first.click()
    page.get_by_label("Username or email").fill("user.1")
    page.get_by_label("Password", exact=True).fill(GOOD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("body")).to_contain_text("Pier 9")
    assert springfield.user(2).location == "Pier 9"
