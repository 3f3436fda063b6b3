"""Attacks on second factors, recovery codes, passkeys and sessions."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes as OldCodes
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils.module_loading import import_string
from fido2.utils import websafe_encode
from pytest_django import Settings

from musterbook.accounts import first_run, recovery
from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file
from musterbook.directory.audit.trail import AuditContext
from musterbook.web import sensitive_pages
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import HOME, read_username, sign_in
from tests.accounts.test_factors import CODES, PAGES, STEP, code, forget_codes, read_codes, set_up
from tests.accounts.test_first_run import SAID
from tests.attacks.authenticator import Device
from tests.built_once import built_each_minute
from tests.directory.cast import person
from tests.web import every_page

NOW = datetime.now(UTC)
SETTINGS = "/springfield/settings/second-factors"


def require_everyone(required: bool = True) -> None:
    """Has the agency ask every user for a second factor."""
    models.Agency.objects.update(second_factor=required)


# Second factors for everyone


def test_nobody_gets_past_a_demand_for_everyone(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    assert client.get(HOME).status_code == 200
    require_everyone()
    for path in (HOME, "/springfield/my-account/sessions/", "/springfield/users/export.csv"):
        assert client.get(path).headers["Location"] == PAGES
    assert client.get(HOME, headers={"Accept": "application/json"}).status_code == 403
    set_up(client)
    assert read_username(client) == "user.2"
    client.post(f"{PAGES}totp/deactivate/")
    assert client.get(HOME).status_code == 200  # the last one stays


def test_an_administrator_asks_it_of_everyone_once_it_is_said_how_many_that_stops(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    sent = {"everyone": "on", "shown": ""}
    page = client.post(SETTINGS, sent).content.decode()
    assert "Everyone: 2 users" in page
    assert "This applies to you" in page
    assert not models.Agency.objects.get().second_factor
    assert client.post(SETTINGS, sent | {"agreed": "everyone"}, follow=True).redirect_chain[-1][0] == PAGES
    assert models.Agency.objects.get().second_factor
    event = models.Event.objects.filter(kind="agency.changed").latest("id")
    assert '"second_factor":["false","true"]' in event.changes


def test_who_may_less_than_an_administrator_does_not_take_it_back(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["agency.configure"])
    springfield.imported(person(2, ROLE="Chief"))
    springfield.registered(2)
    require_everyone()
    sign_in(client, "user.2")
    set_up(client)
    client.post(SETTINGS, {"shown": ""})
    client.post(SETTINGS, {"shown": "", "everyone": ""})
    assert models.Agency.objects.get().second_factor


def test_an_agency_file_asks_it_of_everyone(springfield: Springfield) -> None:
    said = b'slug = "springfield"\nname = "Springfield"\n[accounts]\nsecond_factor = true\n'
    agencies.apply_file(agency_file.read_agency_file(said), AuditContext(NOW, "", "command"))
    assert models.Agency.objects.get().second_factor
    agencies.apply_file(
        agency_file.read_agency_file(said.replace(b"second_factor = true", b"")), AuditContext(NOW, "", "command")
    )
    assert models.Agency.objects.get().second_factor
    with pytest.raises(agency_file.InvalidAgencyFile):
        agency_file.read_agency_file(said.replace(b"true", b"1"))


def test_the_first_page_suggests_it_for_administrators(db: None, client: Client) -> None:
    assert 'name="second_factor"' in (page := client.get("/").content.decode())
    assert "checked" in page[page.index('name="second_factor"') :][:200]
    client.post("/", SAID | {"code": first_run.create_code(NOW), "second_factor": "on"})
    assert [role.name for role in models.Role.objects.filter(second_factor=True)] == ["Admin"]


# Sessions


def test_more_sessions_than_are_allowed_end_the_ones_unused_for_longest(springfield: Springfield) -> None:
    models.Agency.objects.update(sessions_most=3)
    springfield.registered(2)
    clients = [Client() for _ in range(5)]
    for place, client in enumerate(clients):
        sign_in(client, "user.2")
        age_session(client, 10 - place)
    assert [read_username(client) for client in clients] == ["", "", "user.2", "user.2", "user.2"]
    assert [kind for kind, *_ in springfield.events()].count("user.session-ended") == 2


# A recent sign-in


@pytest.fixture
def aged(springfield: Springfield, client: Client) -> Client:
    """An administrator who signed in more than a quarter of an hour ago."""
    springfield.registered(1)
    if springfield.user(2).registered_at is None:
        springfield.registered(2)
    signed_in(client, "user.1")
    age_session(client, 16)
    return client


def _is_asked(answer: object) -> bool:
    return "/sign-in/again" in answer.headers.get("Location", "")  # type: ignore[attr-defined]


def test_each_page_says_whether_it_needs_a_recent_sign_in(springfield: Springfield, aged: Client) -> None:
    listed: dict[str, str] = {**sensitive_pages.ALWAYS, **sensitive_pages.SOMETIMES, **sensitive_pages.NEVER}
    assert len(listed) == len(sensitive_pages.ALWAYS) + len(sensitive_pages.SOMETIMES) + len(sensitive_pages.NEVER)
    maker, at = springfield.user(1), datetime.now(UTC)
    Token.objects.create(agency=springfield.agency, name="t", permissions=[], maker=maker, made_at=at, expires_at=at)
    pages = list(every_page.pages())
    assert set(listed) <= {page.name for page in pages}
    wrong, silent = [], []
    asked = [
        (page, f"/springfield/{page.path(springfield.agency)}")
        for page in pages
        if page.name not in sensitive_pages.SOMETIMES
    ]
    for page, path in asked:
        answer = aged.post(path, {})
        download = page.name in sensitive_pages.DOWNLOADS  # which refuse any form
        if _is_asked(aged.get(path)) != download or _is_asked(answer) != (
            page.name in sensitive_pages.ALWAYS and not download
        ):
            wrong.append(page.name)
        if page.name not in listed and answer.status_code != 405:
            silent.append(page.name)
    assert wrong == []
    assert set(silent) <= ONLY_SHOW, "say in web/sensitive_pages.py whether these need a recent sign-in"


ONLY_SHOW = {
    "home", "roles", "ranks", "rank", "groups", "group", "imports", "feeds", "feed", "feed_add", "api_access",
    "api_try", "webhooks", "webhook",
    "agency_sign_on", "account_set_password",
    "help", "help_document", "help_picture",
}  # fmt: skip
"""Pages that look at no form."""

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("heading", "value"), [("username", "another.name"), ("email", "elsewhere@agency.example"), ("role", "Chief")]
)
def test_what_a_user_signs_in_with_changes_only_after_a_recent_sign_in(
    springfield: Springfield, aged: Client, heading: str, value: str
) -> None:
    page = f"/springfield/users/{springfield.user(2).pk}/edit"
    form = aged.get(page).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    assert _is_asked(aged.post(page, sent | {heading: value}))
    user = springfield.user(2)
    assert (user.username, user.email, user.role.name) == ("user.2", "user2@agency.example", "Officer")


def test_an_export_comes_after_the_recent_sign_in_that_it_asked_for(springfield: Springfield, aged: Client) -> None:
    asked = aged.get("/springfield/users/export.csv")
    assert _is_asked(asked)
    answer = aged.post(
        asked.headers["Location"].partition("?")[0],
        {"password": GOOD, "next": "/springfield/users/export.csv"},
        follow=True,
    )
    assert answer["Content-Type"].startswith("text/csv")


def test_a_limit_that_was_typed_is_saved_after_signing_in_again(springfield: Springfield, aged: Client) -> None:
    page = "/springfield/settings/limits"
    form = aged.get(page).context["form"]
    shown = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in shown.items() if value is not None} | {"deactivations_users": "2000"}
    before = models.Agency.objects.get().limits
    assert _is_asked(aged.post(page, sent))
    assert models.Agency.objects.get().limits == before
    aged.post("/springfield/sign-in/again", {"password": GOOD, "next": page})
    assert models.Agency.objects.get().limits != before


# Another factor is added by who has shown one


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The officer has one-time codes; their secret."""
    made, CODES[:] = _set_up_codes(springfield)
    return made


@built_each_minute
def _set_up_codes(springfield: Springfield) -> tuple[str, list[str]]:
    springfield.registered(2)
    client = signed_in(Client(), "user.2")
    return set_up(client), read_codes(client)


CHANGES = ["totp/deactivate/", "webauthn/add/", "recovery-codes/generate/"]


@pytest.mark.parametrize("path", CHANGES)
def test_a_password_alone_changes_no_factors_of_who_has_one(
    springfield: Springfield, secret: str, client: Client, path: str
) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    forget_codes()
    age_session(client, 16)
    client.post("/springfield/sign-in/again", {"password": GOOD, "next": HOME})
    before = list(Authenticator.objects.values_list("pk", "data"))
    asked = client.post(f"{PAGES}{path}", {})
    assert f"{PAGES}reauthenticate/" in asked.headers["Location"]
    # Nor does signing in again by the password after it was asked for.
    client.post("/springfield/sign-in/again", {"password": GOOD, "next": f"{PAGES}{path}"})
    assert list(Authenticator.objects.values_list("pk", "data")) == before
    client.post(f"{PAGES}reauthenticate/", {"code": code(secret), "next": f"{PAGES}{path}"})
    assert "reauthenticate" not in client.get(f"{PAGES}{path}").headers.get("Location", "")


def test_who_has_just_set_up_codes_goes_on_to_a_passkey(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    set_up(client)
    assert client.get(f"{PAGES}webauthn/add/").status_code == 200


# Lost factors


def test_lost_factors_are_removed_with_a_reason_and_set_up_again_first(
    springfield: Springfield, secret: str, aged: Client
) -> None:
    page = f"/springfield/users/{springfield.user(2).pk}/second-factors"
    assert _is_asked(aged.post(page, {"reason": "Came to the desk with their badge"}))
    assert Authenticator.objects.filter(type="totp").exists()
    aged.post("/springfield/sign-in/again", {"password": GOOD, "next": page})
    assert not Authenticator.objects.exists()
    event = models.Event.objects.filter(kind="user.second-factor-removed").latest("id")
    assert (event.actor, event.subject_external_id) == ("E-1", "E-2")
    assert "Came to the desk with their badge" in event.changes
    assert "second-factor" in springfield.mails()
    officer = Client()
    sign_in(officer, "user.2")
    assert officer.get(HOME).headers["Location"] == PAGES
    set_up(officer)
    assert read_username(officer) == "user.2"
    assert not springfield.user(2).account.factor_due


def test_no_factors_are_removed_without_a_reason(springfield: Springfield, secret: str, client: Client) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    page = f"/springfield/users/{springfield.user(2).pk}/second-factors"
    for reason in ({}, {"reason": ""}, {"reason": "   "}):
        assert client.post(page, reason).status_code == 422
    assert Authenticator.objects.filter(type="totp").exists()


# Recovery codes


def test_recovery_codes_are_long_and_kept_as_digests(springfield: Springfield, secret: str) -> None:
    kept = Authenticator.objects.get(type="recovery_codes").data
    assert len(set(CODES)) == 10
    assert all(len(one.replace("-", "")) * 5 >= 160 for one in CODES)
    # No letter is the same in all of them.
    assert all(len({one.replace("-", "")[at] for one in CODES}) > 1 for at in range(32))
    stored = f"{kept} {[session.get_decoded() for session in Session.objects.all()]}"
    assert not any(one in stored or one.replace("-", "") in stored for one in CODES)
    assert all(one.startswith("sha256$") for one in kept["migrated_codes"])


@pytest.mark.parametrize("typed", [str.lower, lambda one: one.replace("-", " "), lambda one: one.replace("-", "")])
def test_a_recovery_code_is_good_once_however_it_is_typed(
    springfield: Springfield, secret: str, client: Client, typed: Callable[[str], str]
) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": typed(CODES[2])})
    assert read_username(client) == "user.2"
    other = Client()
    sign_in(other, "user.2")
    other.post(STEP, {"code": CODES[2]})
    assert read_username(other) == ""


def test_what_stands_in_the_database_is_no_code(springfield: Springfield, secret: str, client: Client) -> None:
    digest = Authenticator.objects.get(type="recovery_codes").data["migrated_codes"][0]
    sign_in(client, "user.2")
    for typed in (digest, digest.partition("$")[2], digest[:32]):
        client.post(STEP, {"code": typed})
    assert read_username(client) == ""
    assert not recovery.RecoveryCodeDigest(digest) == digest  # noqa: SIM201  (what the library asks)


def test_recovery_codes_of_120_bits_from_before_work(springfield: Springfield, secret: str, client: Client) -> None:
    old = "ABCD-EFGH-IJKL-MNOP-QRST-2345"
    kept = Authenticator.objects.get(type="recovery_codes")
    kept.data["migrated_codes"] = ["sha256$" + hashlib.sha256(old.replace("-", "").encode()).hexdigest()]
    kept.save()
    sign_in(client, "user.2")
    client.post(STEP, {"code": old})
    assert read_username(client) == "user.2"


def test_recovery_codes_of_the_older_kind_work_until_new_ones_are_made(
    springfield: Springfield, secret: str, client: Client
) -> None:
    account = springfield.user(2).account
    Authenticator.objects.filter(type="recovery_codes").delete()
    old = OldCodes.activate(account).get_unused_codes()
    sign_in(client, "user.2")
    answer = client.post(STEP, {"code": old[0]}, follow=True)
    assert "of an older kind" in answer.content.decode()
    assert "of an older kind" in client.get(PAGES).content.decode()
    client.post(f"{PAGES}recovery-codes/generate/")
    assert len(read_codes(client)) == 10
    assert not recovery.has_old_codes(account)
    other = Client()
    sign_in(other, "user.2")
    other.post(STEP, {"code": old[1]})
    assert read_username(other) == ""


# Passkeys

ALONE = f"{PAGES}webauthn/login/"
AJAX = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}


def _passkey(client: Client, device: Device, agency: str = "springfield", **more: Any) -> Device:
    """Adds the device's passkey to the account of who is signed in."""
    page = f"/{agency}/my-account/second-factors/webauthn/add/"
    options = client.get(page).context["js_data"]["creation_options"]
    client.post(page, {"name": "Phone", "passwordless": "on", "credential": device.made(options, **more)})
    return device


@pytest.fixture
def device(springfield: Springfield) -> Device:
    """The officer's only factor: a passkey."""
    return _set_up_passkey(springfield)


@built_each_minute
def _set_up_passkey(springfield: Springfield) -> Device:
    springfield.registered(2)
    client = signed_in(Client(), "user.2")
    made = _passkey(client, Device(counter=5))
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    made.counter += 1
    return made


def _options(client: Client, path: str = ALONE) -> dict[str, Any]:
    return dict(client.get(path, headers=AJAX).json()["request_options"])


def test_a_passkey_signs_in_alone(springfield: Springfield, device: Device, client: Client) -> None:
    client.post(ALONE, {"credential": device.shown(_options(client))})
    assert read_username(client) == "user.2"


FORGED: dict[str, Callable[[Device, dict[str, Any]], str]] = {
    "another origin": lambda device, asked: device.shown(asked, origin="http://evil.example"),
    "a subdomain": lambda device, asked: device.shown(asked, origin="http://evil.localhost:8000"),
    "a frame of another site": lambda device, asked: device.shown(asked, crossOrigin=True),
    "another rpId": lambda device, asked: replace(device, rp="evil.example").shown(asked),
    "another challenge": lambda device, asked: device.shown(
        asked, challenge="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    ),
    "another type": lambda device, asked: device.shown(asked, type="webauthn.create"),
    "no verification of the user": lambda device, asked: device.shown(asked, verified=False),
    "another key": lambda device, asked: replace(device, key=Device().key).shown(asked),
    "another identity": lambda device, asked: device.shown(asked, identity=b"x" * 32),
    "no handle": lambda device, asked: device.shown(asked, handle=b""),
    "the counter of a copy": lambda device, asked: replace(device, counter=5).shown(asked),
    "no counter any more": lambda device, asked: replace(device, counter=0).shown(asked),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_passkey_is_refused_with(springfield: Springfield, device: Device, client: Client, what: str) -> None:
    client.post(ALONE, {"credential": FORGED[what](device, _options(client))})
    assert read_username(client) == ""
    assert springfield.events()[-1][0] == "user.sign-in-failed"


_NOT_JSON = {
    "nested lists": "[" * 2000,
    "nested objects": '{"a":' * 50_000,
    "a long number": "1" * 5000,
    "a long text": '"' + "x" * 100_000 + '"',
    "half a character": '{"id": "\\ud800", "rawId": "\\ud800", "type": "public-key", "response": {}}',
    "nothing": "null",
}


@pytest.mark.parametrize("what", _NOT_JSON)
def test_no_text_in_place_of_a_passkey_is_an_error_of_ours(
    springfield: Springfield, device: Device, client: Client, what: str
) -> None:
    waiting, signed_in = Client(), Client()
    waiting.post("/springfield/sign-in", {"login": "user.2", "password": GOOD})
    sign_in(signed_in, "user.1")
    pages = ((client, "webauthn/login/"), (waiting, "authenticate/"), (signed_in, "webauthn/add/"))
    for browser, page in pages:
        answer = browser.post(f"{PAGES}{page}", {"credential": _NOT_JSON[what], "name": "Phone"})
        assert answer.status_code < 500
        assert _NOT_JSON[what][:1000] not in answer.content.decode()


def test_every_form_reads_passkeys_by_our_field() -> None:
    modules = {path.rpartition(".")[0] for path in settings.MFA_FORMS.values()}
    forms = {path: import_string(path) for path in settings.MFA_FORMS.values()}
    assert modules == {"musterbook.web.accounts.one_time_codes", "musterbook.web.accounts.passkeys"}
    fields = {path: type(form.base_fields.get("credential")).__name__ for path, form in forms.items()}
    assert {kind for path, kind in fields.items() if "passkeys" in path} == {"CredentialField", "NoneType"}
    assert [path for path, kind in fields.items() if kind == "JSONField"] == []


def test_the_answer_to_one_challenge_is_taken_once(springfield: Springfield, device: Device, client: Client) -> None:
    sent = device.shown(_options(client))
    client.post(ALONE, {"credential": sent})
    client.post("/springfield/sign-out")
    client.post(ALONE, {"credential": sent})
    assert read_username(client) == ""
    other = Client()
    other.post(ALONE, {"credential": sent})
    _options(other)
    other.post(ALONE, {"credential": sent})
    assert read_username(other) == ""


def test_a_challenge_is_used_up_by_a_wrong_answer(springfield: Springfield, device: Device, client: Client) -> None:
    asked = _options(client)
    client.post(ALONE, {"credential": device.shown(asked, origin="http://evil.example")})
    client.post(ALONE, {"credential": replace(device, key=Device().key).shown(asked)})
    client.post(ALONE, {"credential": device.shown(asked)})
    assert read_username(client) == ""


def test_a_challenge_of_another_browser_is_none(springfield: Springfield, device: Device, client: Client) -> None:
    _options(client)
    client.post(ALONE, {"credential": device.shown(_options(Client()))})
    assert read_username(client) == ""


def test_a_passkey_of_another_user_is_no_second_factor(
    springfield: Springfield, device: Device, client: Client
) -> None:
    springfield.registered(1)
    admin = Client()
    sign_in(admin, "user.1")
    theirs = _passkey(admin, Device())
    sign_in(client, "user.2")
    forgeries: list[dict[str, Any]] = [
        {},
        {"identity": device.identity},
        {"handle": device.handle, "identity": device.identity},
    ]
    for forged in forgeries:
        asked = client.get(STEP).context["js_data"]["request_options"]
        client.post(STEP, {"credential": theirs.shown(asked, **forged)})
        assert read_username(client) == ""


def test_a_passkey_of_another_agency_is_none(
    springfield: Springfield, shelbyville: Springfield, device: Device, client: Client
) -> None:
    shelbyville.registered(2)
    other = Client()
    sign_in(other, "user.2", agency="shelbyville")
    theirs = _passkey(other, Device(), "shelbyville")
    client.post(ALONE, {"credential": theirs.shown(_options(client))})
    client.post(ALONE, {"credential": theirs.shown(_options(client), handle=device.handle)})
    client.post(ALONE, {"credential": theirs.shown(_options(client), handle=device.handle, identity=device.identity)})
    assert read_username(client) == ""


def test_what_was_asked_for_a_second_step_does_not_sign_in_alone(
    springfield: Springfield, device: Device, client: Client
) -> None:
    sign_in(client, "user.2")
    asked = client.get(STEP).context["js_data"]["request_options"]
    client.post(ALONE, {"credential": device.shown(asked, verified=False)})
    assert read_username(client) == ""


NEW: dict[str, Callable[[Device, dict[str, Any]], str]] = {
    "another origin": lambda new, asked: new.made(asked, origin="http://evil.example"),
    "a frame of another site": lambda new, asked: new.made(asked, crossOrigin=True),
    "another rpId": lambda new, asked: replace(new, rp="evil.example").made(asked),
    "another challenge": lambda new, asked: new.made(asked, challenge="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    "no verification of the user": lambda new, asked: new.made(asked, verified=False),
    "another name than its own": lambda new, asked: new.made(asked).replace(websafe_encode(new.identity), "AAAA"),
}


@pytest.mark.parametrize("what", NEW)
def test_no_passkey_is_added_with(springfield: Springfield, client: Client, what: str) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    asked = client.get(f"{PAGES}webauthn/add/").context["js_data"]["creation_options"]
    sent = {"name": "x", "passwordless": "on", "credential": NEW[what](Device(), asked)}
    assert "not accepted" in client.post(f"{PAGES}webauthn/add/", sent).content.decode()
    assert not Authenticator.objects.exists()


def test_a_passkey_that_some_account_has_is_not_added_to_another(
    springfield: Springfield, shelbyville: Springfield, device: Device, client: Client
) -> None:
    shelbyville.registered(2)
    sign_in(client, "user.2", agency="shelbyville")
    _passkey(client, Device(identity=device.identity), "shelbyville")
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_behind_https_a_passkey_is_of_the_public_origin_alone(
    springfield: Springfield, device: Device, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_URL = "https://localhost"
    plain = client.generic
    monkeypatch.setattr(client, "generic", lambda *said, **more: plain(*said, **(more | {"secure": True})))
    for origin in (
        "http://localhost",
        "https://evil.localhost",
        "https://localhost:8443",
        "https://localhost.evil.example",
    ):
        client.post(ALONE, {"credential": device.shown(_options(client), origin=origin)})
        assert read_username(client) == ""
    client.post(ALONE, {"credential": device.shown(_options(client), origin="https://localhost")})
    assert read_username(client) == "user.2"
