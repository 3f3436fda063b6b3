"""Second factors by one-time codes: set up, asked for, required by role, and attacked. Passkeys: in a browser."""

import base64
import json
import re
from http.cookies import SimpleCookie

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from musterbook.accounts import factors
from musterbook.accounts.models import UsedCode
from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.audit import verify
from tests.accounts.conftest import GOOD, Springfield, age_session, context, signed_in
from tests.accounts.test_entrance import HOME, read_username, sign_in, text
from tests.built_once import built_each_minute
from tests.directory.cast import person

pytestmark = pytest.mark.any_database

PAGES = "/springfield/my-account/second-factors/"
STEP = f"{PAGES}authenticate/"


def code(secret: str) -> str:
    """The code that an app shows now, by the clock of the tests: it stands still."""
    return str(format_hotp_value(hotp_value(secret, next(auth.yield_hotp_counters_from_time()))))


def forget_codes() -> None:
    """Forgets which codes were used, as half a minute does."""
    UsedCode.objects.all().delete()


def set_up(client: Client) -> str:
    """Signs in again, as setting up asks for, and sets up one-time codes; gives the secret."""
    client.post("/springfield/sign-in/again", {"password": GOOD})
    page = client.get(f"{PAGES}totp/activate/").content.decode()
    found = re.search(r"[A-Z2-7]{32}", page)
    assert found
    made = Authenticator.objects.filter(type="totp")
    before = made.count()
    client.post(f"{PAGES}totp/activate/", {"code": code(found.group())})
    assert made.count() == before + 1
    forget_codes()
    return found.group()


CODES: list[str] = []
"""The recovery codes of the officer, as they were shown."""


def read_codes(client: Client) -> list[str]:
    """The recovery codes that the next page shows."""
    page = client.get(f"{PAGES}recovery-codes/").content.decode()
    return re.findall(r"<li><code>([A-Z2-7-]+)</code>", page)


@pytest.fixture
def secret(springfield: Springfield, client: Client) -> str:
    """The secret of the officer's app; the officer is signed out."""
    made, CODES[:], client.cookies = set_up_officer(springfield)
    return made


@built_each_minute
def set_up_officer(springfield: Springfield) -> tuple[str, list[str], SimpleCookie]:
    """The secret and the recovery codes of the officer, and the cookies that signing out has left."""
    springfield.registered(2)
    client = signed_in(Client(), "user.2")
    made = set_up(client)
    codes = read_codes(client)
    client.post("/springfield/sign-out")
    return made, codes, client.cookies


def test_a_user_with_codes_signs_in_with_both(springfield: Springfield, secret: str, client: Client) -> None:
    assert sign_in(client, "user.2").headers["Location"] == STEP
    assert read_username(client) == ""
    assert client.post(STEP, {"code": code(secret)}).headers["Location"] == HOME
    assert read_username(client) == "user.2"
    event = models.Event.objects.filter(kind="user.signed-in").latest("id")
    assert event.changes == '{"factors":["","password+totp"]}'


def test_the_password_alone_opens_nothing(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    for path in (HOME, PAGES, "/springfield/my-account/password", "/springfield/my-account/sessions/"):
        assert "/sign-in" in client.get(path).headers["Location"]


def test_the_second_step_alone_opens_nothing(springfield: Springfield, secret: str, client: Client) -> None:
    client.post(STEP, {"code": code(secret)})
    assert read_username(client) == ""


def test_a_code_is_used_once(springfield: Springfield, secret: str, client: Client) -> None:
    now = code(secret)
    sign_in(client, "user.2")
    client.post(STEP, {"code": now})
    assert read_username(client) == "user.2"
    other = Client()
    sign_in(other, "user.2")
    other.post(STEP, {"code": now})
    assert read_username(other) == ""


def test_wrong_codes_lock_and_no_code_helps_then(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    for _ in range(5):
        assert "This code is wrong" in text(client.post(STEP, {"code": "000000"}))
    assert springfield.user(2).locked_at is not None
    assert "locked" in text(client.post(STEP, {"code": code(secret)}))
    assert read_username(client) == ""
    assert sign_in(Client(), "user.2").status_code == 200
    assert [kind for kind, *_ in springfield.events()].count("user.sign-in-failed") == 6


def test_the_code_of_another_account_is_none(springfield: Springfield, secret: str) -> None:
    springfield.registered(1)
    admin = Client()
    sign_in(admin, "user.1")
    set_up(admin)
    admin.post("/springfield/sign-out")
    sign_in(admin, "user.1")
    admin.post(STEP, {"code": code(secret)})
    assert read_username(admin) == ""


def test_a_recovery_code_stands_in_once(springfield: Springfield, secret: str, client: Client) -> None:
    first = CODES[0]
    sign_in(client, "user.2")
    client.post(STEP, {"code": first})
    assert read_username(client) == "user.2"
    other = Client()
    sign_in(other, "user.2")
    other.post(STEP, {"code": first})
    assert read_username(other) == ""


def test_no_secret_stands_in_the_database(springfield: Springfield, secret: str) -> None:
    kept = "".join(str(authenticator.data) for authenticator in Authenticator.objects.all())
    assert secret not in kept
    for unused in CODES:
        assert unused not in kept
    assert encryption.unseal(Authenticator.objects.get(type="totp").data["secret"]) == secret
    with pytest.raises(InvalidToken):
        encryption.unseal(encryption.seal("x")[:-4] + "AAA=")


def test_setting_up_requires_re_authentication_and_is_recorded(
    springfield: Springfield, client: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    account = springfield.registered(2)
    sign_in(client, "user.2")
    assert client.get(f"{PAGES}totp/activate/").status_code == 200
    age_session(client, 16)
    assert "sign-in/again" in client.get(f"{PAGES}totp/activate/").headers["Location"]
    with django_capture_on_commit_callbacks(execute=True):
        set_up(client)
    assert factors.has_factor(account)
    added = [event for event in springfield.events() if "second-factor" in event[0] or "recovery" in event[0]]
    assert added == [
        ("user.second-factor-added", "E-2", "E-2", ""),
        ("user.recovery-codes-made", "E-2", "E-2", ""),
    ]
    assert springfield.mails() == ["welcome", "second-factor"]


def test_who_needs_a_second_factor_sets_it_up_before_anything_else(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(second_factor=True)
    springfield.registered(2)
    sign_in(client, "user.2")
    for path in (HOME, "/springfield/my-account/sessions/"):
        assert client.get(path).headers["Location"] == PAGES
    assert client.get("/springfield/nowhere").status_code == 404
    assert client.get("/springfield/my-account/password").status_code in (200, 302)
    set_up(client)
    assert read_username(client) == "user.2"


def test_a_role_that_asks_for_it_by_now_does_so_with_the_next_click(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    models.Role.objects.filter(name="Chief").update(second_factor=True)
    springfield.imported(person(2, ROLE="Chief"))
    assert client.get(HOME).headers["Location"] == PAGES


def test_the_last_required_factor_stays(springfield: Springfield, secret: str, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(second_factor=True)
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    client.post("/springfield/sign-in/again", {"password": GOOD})
    client.post(f"{PAGES}totp/deactivate/")
    assert factors.has_factor(springfield.user(2).account)
    models.Role.objects.update(second_factor=False)
    client.post(f"{PAGES}totp/deactivate/")
    assert not factors.has_factor(springfield.user(2).account)
    assert springfield.events()[-1][0] == "user.second-factor-removed"


def test_an_administrator_removes_the_factors_of_who_lost_them(springfield: Springfield, secret: str) -> None:
    assert factors.remove_all(springfield.user(2), context())
    assert not factors.remove_all(springfield.user(2), context())
    client = Client()
    assert sign_in(client, "user.2").headers["Location"] == HOME
    assert verify.verify_trail(springfield.agency).error == ""


def test_a_reset_asks_for_the_second_factor_as_well(springfield: Springfield, secret: str, client: Client) -> None:
    page = f"/springfield/reset/{springfield.reset_now(2)}"
    answer = client.post(page, {"password1": "another good password", "password2": "another good password"})
    assert answer.headers["Location"] == STEP
    assert read_username(client) == ""


def test_deactivated_between_the_steps_is_out(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    springfield.imported(person(2, STATUS="Inactive"))
    client.post(STEP, {"code": code(secret)})
    assert read_username(client) == ""


@pytest.mark.parametrize(
    "sent",
    [
        "", "nonsense", "null", "[]", "1", "{}", '{"response": 1}', '{"id": "AA", "rawId": "AB", "response": {}}',
        '{"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "e30", "attestationObject": "oA"}}',
        '{"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["authenticate/", "webauthn/login/", "webauthn/add/", "webauthn/reauthenticate/"])
def test_what_is_no_passkey_is_refused_in_words(springfield: Springfield, secret: str, where: str, sent: str) -> None:
    client = Client()
    if where != "webauthn/login/":
        signed_in(client, "user.2")
    if where not in ("webauthn/login/", "authenticate/"):
        client.post(STEP, {"code": code(secret)})
    client.get(f"{PAGES}{where}", headers={"Accept": "application/json"})
    answer = client.post(f"{PAGES}{where}", {"credential": sent}, follow=True)
    assert answer.status_code == 200
    assert "passkey was not accepted" in text(answer) or "required" in text(answer) or "valid JSON" in text(answer)
    assert Authenticator.objects.count() == 2


def test_the_second_step_is_in_a_new_session(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    between = client.cookies[settings.SESSION_COOKIE_NAME].value
    client.post(STEP, {"code": code(secret)})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != between
    fixed = Client()
    fixed.cookies[settings.SESSION_COOKIE_NAME] = between
    assert read_username(fixed) == ""


def test_the_code_in_one_tab_belongs_to_the_sign_in_of_the_other_tab(
    springfield: Springfield, secret: str, client: Client
) -> None:
    springfield.registered(1)
    admin = Client()
    sign_in(admin, "user.1")
    set_up(admin)
    sign_in(client, "user.2")
    client.post("/springfield/sign-out")
    sign_in(client, "user.1")
    assert "code is wrong" in text(client.post(STEP, {"code": code(secret)}))
    assert read_username(client) == ""


def test_the_second_step_in_a_second_tab_ends_with_the_first(
    springfield: Springfield, secret: str, client: Client
) -> None:
    sign_in(client, "user.2")
    client.get(STEP)
    client.post(STEP, {"code": code(secret)})
    assert client.post(STEP, {"code": code(secret)}).headers["Location"] == HOME
    assert read_username(client) == "user.2"


def test_of_two_tabs_that_set_up_codes_the_later_counts(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    first, second = (read_secret(client.get(f"{PAGES}totp/activate/")) for _ in range(2))
    assert first != second
    assert second in text(client.post(f"{PAGES}totp/activate/", {"code": code(first)}))
    client.post(f"{PAGES}totp/activate/", {"code": code(second)})
    assert Authenticator.objects.filter(type="totp").count() == 1


def read_secret(page: object) -> str:
    """The secret that a page shows."""
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page.content.decode())  # type: ignore[attr-defined]
    assert found
    return found.group(1)


def test_a_secret_that_is_being_set_up_is_sealed_too(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    page = client.get(f"{PAGES}totp/activate/")
    kept = str([session.get_decoded() for session in Session.objects.all()])
    assert "mfa.totp.secret" in kept
    assert read_secret(page) not in kept
    assert "no-store" in page.headers["Cache-Control"]


def test_a_used_recovery_code_is_recorded(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": CODES[3]})
    event = models.Event.objects.get(kind="user.recovery-code-used")
    assert (event.actor, event.subject_external_id, event.outcome) == ("E-2", "E-2", "")
    assert event.changes == '{"recovery codes":["10","9"]}'
    signed_in = models.Event.objects.filter(kind="user.signed-in").latest("id")
    assert signed_in.changes == '{"factors":["","password+recovery_codes"]}'


def test_new_recovery_codes_invalidate_the_old_ones(
    springfield: Springfield,
    secret: str,
    client: Client,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    old = list(CODES)
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    with django_capture_on_commit_callbacks(execute=True):
        client.post(f"{PAGES}recovery-codes/generate/")
    new = read_codes(client)
    assert len(new) == 10 and not set(old) & set(new)
    assert springfield.events()[-1] == ("user.recovery-codes-made", "E-2", "E-2", "")
    assert springfield.mails()[-1] == "second-factor"
    assert all(unused not in text(client.get(PAGES)) for unused in old)


def test_recovery_codes_are_shown_once_and_to_nobody_else(
    springfield: Springfield, secret: str, client: Client
) -> None:
    sign_in(client, "user.2")
    assert client.get(f"{PAGES}recovery-codes/").status_code == 302
    client.post(STEP, {"code": code(secret)})
    client.post(f"{PAGES}recovery-codes/generate/")
    page = client.get(f"{PAGES}recovery-codes/")
    codes = re.findall(r"<li><code>([A-Z2-7-]+)</code>", page.content.decode())
    assert codes[0] in text(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert codes[0] not in text(client.get(f"{PAGES}recovery-codes/"))
    assert client.get(f"{PAGES}recovery-codes/download/").status_code == 403


def test_a_program_without_a_required_factor_is_refused(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(second_factor=True)
    springfield.registered(2)
    sign_in(client, "user.2")
    for path in (HOME, "/springfield/my-account/sessions/"):
        answer = client.get(path, headers={"Accept": "application/json"})
        assert answer.status_code == 403
        assert "second factor" in answer.json()["problem"]
    assert client.post(HOME, {"x": "y"}).headers["Location"] == PAGES
    assert "Set up a second factor" in text(client.get(PAGES))


@pytest.mark.parametrize("path", ["totp/activate/", "totp/deactivate/", "recovery-codes/generate/", "webauthn/add/"])
def test_factors_change_only_after_a_fresh_sign_in(
    springfield: Springfield, secret: str, client: Client, path: str
) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    if path == "totp/activate/":
        Authenticator.objects.all().delete()
    before = list(Authenticator.objects.values_list("id", "data"))
    age_session(client, 16)
    asked = client.post(f"{PAGES}{path}", {"code": code(secret)}).headers["Location"]
    # Who has a second factor shows it; a password is not enough.
    assert "/sign-in/again" in asked if path == "totp/activate/" else f"{PAGES}reauthenticate/" in asked
    assert list(Authenticator.objects.values_list("id", "data")) == before


def test_a_locked_user_signs_in_again_by_no_code(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    forget_codes()
    for _ in range(5):
        client.post(f"{PAGES}reauthenticate/", {"code": "000000"})
    assert "locked" in text(client.post(f"{PAGES}reauthenticate/", {"code": code(secret)}))


def test_a_code_signs_in_again(springfield: Springfield, secret: str, client: Client) -> None:
    sign_in(client, "user.2")
    client.post(STEP, {"code": code(secret)})
    forget_codes()
    age_session(client, 16)
    answer = client.post(f"{PAGES}reauthenticate/", {"code": code(secret), "next": f"{PAGES}webauthn/add/"})
    assert answer.headers["Location"] == f"{PAGES}webauthn/add/"
    assert client.get(f"{PAGES}webauthn/add/").status_code == 200


def test_a_passkey_is_of_the_public_address_and_its_handle_says_nothing(
    springfield: Springfield, client: Client
) -> None:
    account = springfield.registered(2)
    sign_in(client, "user.2")
    asked = client.get(f"{PAGES}webauthn/add/", headers={"Host": "127.0.0.1"}).context["js_data"]
    made = json.loads(json.dumps(asked["creation_options"]))["publicKey"]
    assert made["rp"]["id"] == "localhost"
    assert base64.urlsafe_b64decode(made["user"]["id"] + "==").hex() == account.handle
    assert made["user"]["name"] == "user.2 (Springfield)"


def test_wrong_codes_while_setting_up_are_limited(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    client.get(f"{PAGES}totp/activate/")
    said = [text(client.post(f"{PAGES}totp/activate/", {"code": "000000"})) for _ in range(11)]
    assert "Too many wrong codes" in said[-1]
    assert "Too many" not in said[0]


def test_who_has_no_factor_is_offered_no_recovery_codes(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    assert "Set up a second factor first" in text(client.post(f"{PAGES}recovery-codes/generate/"))
    assert client.get(f"{PAGES}recovery-codes/").status_code == 404
    assert not Authenticator.objects.exists()
