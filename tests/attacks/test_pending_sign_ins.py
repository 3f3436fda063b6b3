"""Attacks on sign-ins that are not finished: each point at which one can wait, combined with each action that ends access.

A sign-in that began before the action is worth nothing after it, also when the access has been given back.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from fido2.utils import websafe_encode

from musterbook.accounts import factors, lockout, registration
from musterbook.accounts.models import UsedCode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.http import pending_sign_ins
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import HOME, read_username, sign_in
from tests.accounts.test_factors import PAGES, STEP, code, forget_codes, set_up
from tests.attacks.authenticator import Device
from tests.built_once import built_each_minute
from tests.directory.cast import person

pytestmark = pytest.mark.any_database

NEW = "a louder green herring"
AGAIN = "/springfield/sign-in/again"


@dataclass
class Scene:
    """The officer, with one-time codes and a passkey, and a browser in which a sign-in of theirs is under way."""

    springfield: Springfield
    secret: str
    device: Device
    client: Client = field(default_factory=Client)
    told: dict[str, Any] = field(default_factory=dict)

    def finish(self) -> None:
        """Takes the step that the sign-in waits for."""
        self.told["finish"]()

    def options(self, path: str) -> dict[str, Any]:
        """What a page asks of a passkey."""
        page = self.client.get(path, headers={"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"})
        return dict(page.json() if "json" in page.headers["Content-Type"] else page.context["js_data"])


@pytest.fixture
def scene(springfield: Springfield) -> Scene:
    return Scene(springfield, *_set_up_officer(springfield))


@built_each_minute
def _set_up_officer(springfield: Springfield) -> tuple[str, Device]:
    """The secret of the officer's one-time codes, and the officer's passkey."""
    springfield.registered(1)
    springfield.registered(2)
    client, device = Client(), Device()
    signed_in(client, "user.2")
    secret = set_up(client)
    made = client.get(f"{PAGES}webauthn/add/").context["js_data"]["creation_options"]
    sent = {"name": "Phone", "passwordless": "on", "credential": device.made(made)}
    client.post(f"{PAGES}webauthn/add/", sent)
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    UsedCode.objects.all().delete()  # the code that set it up may be sent again within its half minute
    return secret, device


# Where a sign-in can wait. Each leaves in the scene how it goes on.


def code_asked(scene: Scene) -> None:
    assert sign_in(scene.client, "user.2").headers["Location"] == STEP
    scene.told["finish"] = lambda: scene.client.post(STEP, {"code": code(scene.secret)})


def passkey_asked_beside_the_password(scene: Scene) -> None:
    sign_in(scene.client, "user.2")
    asked = scene.options(STEP)["request_options"]
    scene.told["finish"] = lambda: scene.client.post(STEP, {"credential": scene.device.shown(asked)})


def passkey_asked_alone(scene: Scene) -> None:
    asked = scene.options(f"{PAGES}webauthn/login/")["request_options"]
    sent = {"credential": scene.device.shown(asked)}
    scene.told["finish"] = lambda: scene.client.post(f"{PAGES}webauthn/login/", sent)


def reset_link_opened(scene: Scene) -> None:
    page = f"/springfield/reset/{scene.springfield.reset_now(2)}"
    assert scene.client.get(page, follow=True).status_code == 200

    def finish() -> None:
        scene.client.post(page, {"password1": "a reed in the wind", "password2": "a reed in the wind"})
        scene.client.post(STEP, {"code": code(scene.secret)})

    scene.told["finish"] = finish


def reset_done_and_code_asked(scene: Scene) -> None:
    page = f"/springfield/reset/{scene.springfield.reset_now(2)}"
    sent = {"password1": "a reed in the wind", "password2": "a reed in the wind"}
    assert scene.client.post(page, sent).headers["Location"] == STEP
    scene.told["finish"] = lambda: scene.client.post(STEP, {"code": code(scene.secret)})


def code_asked_after_a_provider(scene: Scene) -> None:
    """As if the provider had just sent the browser back: what the library then does is done by hand."""
    from allauth.account.internal.flows.login import perform_login, record_authentication
    from allauth.account.models import Login
    from django.contrib.messages.storage.fallback import FallbackStorage
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.signing import Signer
    from django.test import RequestFactory
    from django.urls import set_script_prefix, set_urlconf

    provider = {
        "kind": "oidc",
        "slug": "county",
        "name": "County",
        "server": "http://localhost:1",
        "second_factor": True,
    }
    provider |= {"match": "email", "claim": "", "trust_email": False, "client_id": "x", "secret": ""}
    models.Agency.objects.update(sign_on=[provider])
    account, request = scene.springfield.user(2).account, RequestFactory().get("/springfield/")
    request.session, request.agency = SessionStore(), account.user.agency  # type: ignore[attr-defined]
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    set_script_prefix("/springfield/")
    set_urlconf("musterbook.web.urls")
    from allauth.core import context
    from django.contrib.auth.models import AnonymousUser

    request.user = AnonymousUser()
    with context.request_context(request):
        record_authentication(request, account, "socialaccount", provider="county", uid="2")
        assert perform_login(request, Login(user=account)).headers["Location"] == STEP
    set_urlconf(None)
    set_script_prefix("/")
    request.session.save()
    signed = Signer(salt=f"musterbook.web.session.{account.user.agency_id}").sign(request.session.session_key or "")
    scene.client.cookies[settings.SESSION_COOKIE_NAME] = signed
    scene.told["finish"] = lambda: scene.client.post(STEP, {"code": code(scene.secret)})


def _signed_in(scene: Scene) -> None:
    sign_in(scene.client, "user.2")
    scene.client.post(STEP, {"code": code(scene.secret)})
    assert read_username(scene.client) == "user.2"
    forget_codes()


def sign_in_again_asked(scene: Scene) -> None:
    _signed_in(scene)
    age_session(scene.client, 16)
    scene.told["finish"] = lambda: scene.client.post(AGAIN, {"password": GOOD, "next": f"{PAGES}webauthn/add/"})


POINTS = [
    code_asked, passkey_asked_beside_the_password, passkey_asked_alone, reset_link_opened, reset_done_and_code_asked,
    code_asked_after_a_provider, sign_in_again_asked,
]  # fmt: skip

# What ends access, or changes what a sign-in rests on.


def deactivated(scene: Scene) -> None:
    scene.springfield.imported(person(2, STATUS="Inactive"))


def deactivated_and_reactivated(scene: Scene) -> None:
    scene.springfield.imported(person(2, STATUS="Inactive"))
    scene.springfield.imported(person(2))


def locked(scene: Scene) -> None:
    for _ in range(5):
        sign_in(Client(), "user.2", "wrong")
    assert lockout.is_locked(scene.springfield.user(2), datetime.now(UTC))


def password_changed(scene: Scene) -> None:
    registration.change_password(scene.springfield.user(2).account, NEW, AuditContext(datetime.now(UTC), "E-2", "page"))


def password_reset(scene: Scene) -> None:
    token = scene.springfield.reset(2, datetime.now(UTC))
    registration.reset_password(scene.springfield.agency, token, NEW, AuditContext(datetime.now(UTC), "", "page"))


def moved_to_a_role_that_asks_for_a_factor(scene: Scene) -> None:
    models.Role.objects.filter(name="Chief").update(second_factor=True)
    scene.springfield.imported(person(2, ROLE="Chief"))


def factors_removed(scene: Scene) -> None:
    factors.remove_all(scene.springfield.user(2), AuditContext(datetime.now(UTC), "E-1", "page"))


def factor_added(scene: Scene) -> None:
    account = scene.springfield.user(2).account
    options = {"publicKey": {"user": {"id": websafe_encode(bytes.fromhex(account.handle))}, "challenge": "AAAA"}}
    credential = json.loads(Device().made(options))
    Authenticator.objects.create(user=account, type="webauthn", data={"name": "another", "credential": credential})


def email_changed(scene: Scene) -> None:
    scene.springfield.imported(person(2, EMAIL="elsewhere@agency.example"))


def provider_removed(scene: Scene) -> None:
    models.Agency.objects.update(sign_on=[])


ACTIONS = [
    deactivated, deactivated_and_reactivated, locked, password_changed, password_reset,
    moved_to_a_role_that_asks_for_a_factor, factors_removed, factor_added, email_changed, provider_removed,
]  # fmt: skip

GOES_ON = {
    # A passkey alone is asked of the directory when it is shown, and rests on no password, address or role.
    (passkey_asked_alone, deactivated_and_reactivated), (passkey_asked_alone, password_changed),
    (passkey_asked_alone, password_reset), (passkey_asked_alone, moved_to_a_role_that_asks_for_a_factor),
    (passkey_asked_alone, factor_added), (passkey_asked_alone, email_changed), (passkey_asked_alone, provider_removed),
    # Nobody who has a passkey or a link from mail is guessing passwords: both get past a lock, and a reset ends it.
    (passkey_asked_alone, locked), (reset_link_opened, locked),
    # A link from mail says who asks; what the account has by then is asked for after it.
    (reset_link_opened, moved_to_a_role_that_asks_for_a_factor), (reset_link_opened, factor_added),
    (reset_link_opened, factors_removed), (reset_link_opened, provider_removed),
    # There is nothing of a provider in these.
    (code_asked, provider_removed), (passkey_asked_beside_the_password, provider_removed),
    (reset_done_and_code_asked, provider_removed), (sign_in_again_asked, provider_removed),
    # Who is signed in already stays so; what they may do is asked anew with each page.
    (sign_in_again_asked, moved_to_a_role_that_asks_for_a_factor), (sign_in_again_asked, factor_added),
    (sign_in_again_asked, factors_removed), (sign_in_again_asked, email_changed), (sign_in_again_asked, locked),
}  # fmt: skip


def _access(scene: Scene) -> str:
    """Who is signed in in that browser; a page that asks for a factor first is one of who is."""
    answer = scene.client.get(HOME)
    return (
        "user.2"
        if answer.status_code == 200 and read_username(scene.client)
        else str(answer.headers.get("Location", ""))
    )


@pytest.mark.parametrize("action", ACTIONS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("point", POINTS, ids=lambda one: one.__name__)
def test_no_unfinished_sign_in_outlives_what_it_rests_on(
    scene: Scene, point: Callable[[Scene], None], action: Callable[[Scene], None]
) -> None:
    point(scene)
    forget_codes()
    action(scene)
    forget_codes()
    scene.finish()
    there = _access(scene)
    if (point, action) in GOES_ON:
        assert "/sign-in" not in there
    else:
        assert "/sign-in" in there or there == ""
        assert sessions_of(scene) == 0


def sessions_of(scene: Scene) -> int:
    """How many sessions would let the officer in now."""
    from django.contrib.sessions.models import Session

    account = scene.springfield.user(2).account
    good = [one.get_decoded().get("_auth_user_hash") for one in Session.objects.all()]
    mine = scene.client.session.get("_auth_user_hash")
    assert mine is None or mine in good
    return int(mine == account.get_session_auth_hash())


@pytest.mark.parametrize("point", POINTS, ids=lambda one: one.__name__)
def test_each_point_of_a_sign_in_goes_on_where_nothing_has_changed(
    scene: Scene, point: Callable[[Scene], None]
) -> None:
    point(scene)
    forget_codes()
    scene.finish()
    assert _access(scene) == "user.2"


def test_what_is_stopped_is_said_and_recorded(scene: Scene) -> None:
    code_asked(scene)
    password_changed(scene)
    answer = scene.client.post(STEP, {"code": code(scene.secret)}, follow=True)
    assert "changed in the meantime" in answer.content.decode()
    event = models.Event.objects.latest("id")
    assert (event.kind, event.subject_external_id, event.outcome) == ("user.sign-in-failed", "E-2", "failed")
    assert pending_sign_ins.ENDED.endswith("Sign in again.")


def test_no_session_of_a_deactivated_user_is_signed_in_after_reactivation(scene: Scene) -> None:
    code_asked(scene)
    deactivated(scene)
    scene.client.post(STEP, {"code": code(scene.secret)})
    assert (
        not models.Event.objects.filter(kind="user.signed-in", subject_external_id="E-2", at__gt=_minute()).count() > 1
    )
    scene.springfield.imported(person(2))
    assert read_username(scene.client) == ""


def _minute() -> datetime:
    return datetime.fromtimestamp(time.time() - 60, UTC)


@pytest.mark.parametrize(
    "action", [deactivated, deactivated_and_reactivated, email_changed], ids=lambda one: one.__name__
)
def test_an_invitation_that_was_opened_ends_as_well(springfield: Springfield, action: Callable[[Any], None]) -> None:
    client, page = Client(), f"/springfield/register/{springfield.invitation_now(2)}"
    assert client.get(page, follow=True).status_code == 200
    action(Scene(springfield, "", Device()))
    for opened in (page, "/springfield/register/"):
        assert client.post(opened, {"password1": GOOD, "password2": GOOD}).status_code == 404
    assert read_username(client) == ""


def test_an_invitation_lets_in_who_was_locked_by_strangers(springfield: Springfield, client: Client) -> None:
    models.User.objects.filter(external_id="E-2").update(locked_at=datetime.now(UTC))
    client.post(f"/springfield/register/{springfield.invitation_now(2)}", {"password1": GOOD, "password2": GOOD})
    assert read_username(client) == "user.2"
    assert springfield.user(2).locked_at is None


def test_a_request_that_was_kept_waits_for_a_factor_that_is_asked_for_by_now(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    age_session(client, 16)
    role = models.Role.objects.get(name="Officer")
    page = f"/springfield/roles/{role.pk}/"
    sent = {"name": "Officer", "permissions": ["users.view"]}
    assert "sign-in/again" in client.post(page, sent).headers["Location"]
    models.Role.objects.filter(name="Admin").update(second_factor=True)
    client.post(AGAIN, {"password": GOOD, "next": page})
    assert models.Role.objects.get(name="Officer").permissions == []
    assert client.get(HOME).headers["Location"] == PAGES


def test_a_request_that_was_kept_waits_for_a_new_password_where_the_old_is_too_old(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    age_session(client, 16)
    role = models.Role.objects.get(name="Officer")
    page = f"/springfield/roles/{role.pk}/"
    sent = {"name": "Officer", "permissions": ["users.view"]}
    client.post(page, sent)
    models.Agency.objects.update(password_days=1)
    client.post(AGAIN, {"password": GOOD, "next": page})
    assert models.Role.objects.get(name="Officer").permissions == []


def test_a_request_that_was_kept_is_not_taken_from_somebody_who_lost_access_meanwhile(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    age_session(client, 16)
    role = models.Role.objects.get(name="Officer")
    page = f"/springfield/roles/{role.pk}/"
    sent = {"name": "Officer", "permissions": ["users.view"]}
    client.post(page, sent)
    models.User.objects.filter(external_id="E-1").update(access_ended_at=datetime.now(UTC))  # out, and back
    client.post(AGAIN, {"password": GOOD, "next": page})
    sign_in(client, "user.1")
    client.post(AGAIN, {"password": GOOD, "next": page})
    assert models.Role.objects.get(name="Officer").permissions == []
