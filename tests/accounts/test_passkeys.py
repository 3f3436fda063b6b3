"""A passkey belongs to one account of the installation, even if two requests add it at the same moment."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test import Client

from musterbook.accounts import factors, passkeys
from musterbook.accounts.models import Account
from musterbook.web.accounts.passkeys import RenamePasskeyForm
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.accounts.test_entrance import read_username
from tests.attacks.authenticator import Device

REFUSED = "This passkey was not accepted"
_OWN = re.compile(r" WHERE (?!.* OR ).*mfa_authenticator\.(user_id|id) = %s")
"""The condition of a statement that reads one account's passkeys, or one."""


def ask(client: Client, agency: str = "springfield") -> Callable[[Device], str]:
    """Ask for a new passkey; what is returned answers with that of a device, and returns the page."""
    page = f"/{agency}/my-account/second-factors/webauthn/add/"
    options = client.get(page).context["js_data"]["creation_options"]

    def answer(device: Device) -> str:
        sent = {"name": "Phone", "passwordless": "on", "credential": device.made(options)}
        return client.post(page, sent, follow=True).content.decode()

    return answer


def list_passkeys() -> list[tuple[str, str]]:
    """The agency and the user of each passkey."""
    found = Authenticator.objects.filter(type="webauthn").order_by("pk")
    return list(found.values_list("user__user__agency__slug", "user__user__username"))


@pytest.fixture
def officer(springfield: Springfield) -> Client:
    """A client of an officer, who has a passkey already."""
    client = _sign_in(springfield, 2)
    ask(client)(Device())
    return client


def _sign_in(springfield: Springfield, number: int) -> Client:
    springfield.registered(number)
    return signed_in(Client(), f"user.{number}", springfield.agency.slug)


def add_meanwhile(monkeypatch: pytest.MonkeyPatch, add: Callable[[], str]) -> list[str]:
    """Let another request add its passkey when the next one has been checked and is not stored yet."""
    begin, pages = factors.begin_setup, list[str]()

    def run() -> str:
        try:
            return add()
        finally:
            connection.close()

    @contextmanager
    def wait(account: Account, then: Any = None) -> Iterator[None]:
        monkeypatch.setattr(factors, "begin_setup", begin)
        with ThreadPoolExecutor(1) as thread:
            pages.append(thread.submit(run).result())
        with begin(account, then):
            yield

    monkeypatch.setattr(factors, "begin_setup", wait)
    return pages


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["another agency", "another account", "the same account"])
def test_two_requests_at_the_same_moment_add_a_passkey_once(
    springfield: Springfield, shelbyville: Springfield, officer: Client, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, answer = Device(), ask(officer)
    others = {
        "another agency": lambda: ask(_sign_in(shelbyville, 2), "shelbyville"),
        "another account": lambda: ask(_sign_in(springfield, 1)),
        "the same account": lambda: answer,
    }
    other, before = others[where](), len(list_passkeys())
    pages = add_meanwhile(monkeypatch, lambda: other(device))
    refused = answer(device)
    assert len(list_passkeys()) == before + 1
    # The session of the same account has gone on meanwhile, which the second answer says.
    assert (REFUSED in pages[0], REFUSED in refused) == (False, where != "the same account")


def test_a_passkey_that_is_refused_leaves_nothing(springfield: Springfield, officer: Client) -> None:
    device, client = Device(), _sign_in(springfield, 1)
    ask(officer)(device)
    before = springfield.events(), springfield.mails()
    assert REFUSED in ask(client)(device)
    assert (springfield.events(), springfield.mails()) == before
    assert not Authenticator.objects.filter(user=springfield.user(1).account).exists()
    session = SessionStore(client.cookies[settings.SESSION_COOKIE_NAME].value.partition(":")[0])
    assert "mfa.webauthn.state" in session and "recovery_codes" not in session
    assert REFUSED not in ask(client)(Device())


def test_no_passkey_of_others_is_read_when_one_is_added_or_used(
    springfield: Springfield, shelbyville: Springfield, officer: Client
) -> None:
    ask(_sign_in(shelbyville, 2), "shelbyville")(Device())
    device, answer, alone = Device(), ask(officer), Client()
    page = "/springfield/my-account/second-factors/webauthn/login/"
    reads = list[str]()

    def note(execute: Callable[..., Any], sql: str, params: Any, *rest: Any) -> Any:
        if "FROM mfa_authenticator" in sql.replace('"', ""):
            reads.append(sql.replace('"', ""))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(note):
        answer(device)
        asked = alone.get(page, headers={"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}).json()
        alone.post(page, {"credential": device.shown(asked["request_options"])})
    assert read_username(alone) == "user.2"
    assert len(reads) > 5
    assert [sql for sql in reads if not _OWN.search(sql)] == []


@pytest.fixture
def rename(officer: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Authenticator], Any]], int]:
    """Rename the officer's passkey while something else happens to it, and return the status of the answer."""
    passkey = Authenticator.objects.get(type="webauthn")

    def answer(meanwhile: Callable[[Authenticator], Any]) -> int:
        is_valid = RenamePasskeyForm.is_valid

        def check(form: RenamePasskeyForm) -> bool:
            meanwhile(Authenticator.objects.get(pk=passkey.pk))
            return bool(is_valid(form))

        monkeypatch.setattr(RenamePasskeyForm, "is_valid", check)
        page = f"/springfield/my-account/second-factors/webauthn/keys/{passkey.pk}/edit/"
        return officer.post(page, {"name": "Key ring"}).status_code

    return answer


def test_a_passkey_that_is_renamed_keeps_the_counter_of_a_sign_in_meanwhile(
    rename: Callable[[Callable[[Authenticator], Any]], int],
) -> None:
    assert rename(lambda passkey: passkeys.store_counter(passkey, 77)) == 302
    data = Authenticator.objects.get(type="webauthn").data
    assert (data["name"], data["counter"]) == ("Key ring", 77)


def test_a_passkey_that_is_removed_while_it_is_renamed_stays_removed(
    rename: Callable[[Callable[[Authenticator], Any]], int],
) -> None:
    assert rename(lambda passkey: passkey.delete()) == 404
    assert not Authenticator.objects.filter(type="webauthn").exists()


def test_a_passkey_is_renamed_only_after_a_fresh_sign_in(
    officer: Client, rename: Callable[[Callable[[Authenticator], Any]], int]
) -> None:
    age_session(officer, 16)
    assert rename(lambda _: None) == 302
    assert Authenticator.objects.get(type="webauthn").data["name"] == "Phone"


@pytest.mark.django_db(transaction=True)
def test_a_passkey_that_two_accounts_had_before_the_upgrade_stays_and_no_other_account_gets_it(
    springfield: Springfield, shelbyville: Springfield, officer: Client
) -> None:
    first, second = Device(), Device()
    ask(officer)(first)
    ask(_sign_in(shelbyville, 2), "shelbyville")(second)
    theirs, ours = (Authenticator.objects.filter(type="webauthn").order_by("-pk")[place] for place in (0, 1))
    _migrate("accounts", "0012_row_level_security")
    same = theirs.data | {"credential": theirs.data["credential"] | {"id": ours.data["credential"]["id"]}}
    Authenticator.objects.filter(pk=theirs.pk).update(data=same)
    try:
        _migrate("accounts")
        found = {one.pk: one.data for one in Authenticator.objects.filter(type="webauthn")}
        assert (found[ours.pk], found[theirs.pk]) == (ours.data, same | {"repeated": True})
        with pytest.raises(passkeys.Taken), passkeys.refuse_taken():
            Authenticator.objects.create(user=ours.user, type="webauthn", data=same)
        with pytest.raises(IntegrityError), passkeys.refuse_taken():
            Authenticator.objects.create(user=ours.user, type="recovery_codes", data={})
    finally:
        _migrate("accounts")


def _migrate(*target: str) -> None:
    """Migrate, and forget the connection: PostgreSQL refuses statements that were prepared for other columns."""
    call_command("migrate", *target, verbosity=0)
    connection.close()
