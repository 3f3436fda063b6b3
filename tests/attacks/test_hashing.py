"""Attacks on hashing: many at once, hashes of earlier versions, and what the time of an answer tells."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from django.contrib.auth import hashers
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import hashing, signing_in
from musterbook.accounts.models import Account
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.test_entrance import read_username, sign_in

OWASP = "argon2$argon2id$v=19$m=19456,t=2,p=1$"
OLD = "argon2" + PasswordHasher(memory_cost=1024, time_cost=3, parallelism=8).hash(GOOD)
"""As earlier versions hashed, but for the memory."""


@pytest.fixture(autouse=True)
def _as_in_life(settings: Settings, _quick_hashes: None) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["musterbook.accounts.hashing.Argon2"]
    signing_in._make_dummy_hash.cache_clear()
    signing_in._samples.clear()
    yield
    signing_in._make_dummy_hash.cache_clear()
    signing_in._samples.clear()


def test_passwords_are_hashed_as_owasp_advises() -> None:
    assert hashers.make_password(GOOD).startswith(OWASP)
    assert not hashing.is_outdated(hashers.make_password(GOOD))
    assert hashing.is_outdated(OLD)
    assert not hashing.is_outdated("!none")


def test_no_more_hashes_are_computed_at_once_than_there_are_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most, guard = 0, 0, threading.Lock()
    monkeypatch.setattr(hashing, "PATIENCE", 600)
    usual = hashers.Argon2PasswordHasher.verify

    def verify(self: hashers.Argon2PasswordHasher, password: str, encoded: str) -> bool:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with guard:
            now -= 1
        return usual(self, password, encoded)

    monkeypatch.setattr(hashers.Argon2PasswordHasher, "verify", verify)
    stored = hashers.make_password(GOOD)
    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(lambda _: hashers.check_password(GOOD, stored), range(40)))
    assert most == hashing.AT_ONCE


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["user.2", "nobody"])
def test_who_waits_too_long_is_asked_to_come_back_and_it_costs_no_try(
    springfield: Springfield, client: Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    springfield.registered(2)
    signing_in._make_dummy_hash()
    monkeypatch.setattr(hashing, "PATIENCE", 0.01)
    for _ in range(hashing.AT_ONCE):
        hashing._SLOTS.acquire()
    try:
        answers = [sign_in(client, name) for _ in range(6)]
    finally:
        for _ in range(hashing.AT_ONCE):
            hashing._SLOTS.release()
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].headers["Retry-After"] == "30"
    assert "Too many people are signing in" in answers[0].content.decode()
    sign_in(client, "user.2")
    assert read_username(client) == "user.2"


@pytest.mark.django_db
def test_a_sign_in_replaces_a_hash_of_an_earlier_version(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    Account.objects.update(password=OLD)
    sign_in(client, "user.2", "wrong")
    assert springfield.user(2).account.password == OLD
    sign_in(client, "user.2")
    assert springfield.user(2).account.password.startswith(OWASP)
    assert read_username(client) == "user.2"
    sign_in(Client(), "user.2")
    assert read_username(client) == "user.2"


@pytest.mark.django_db
def test_nobodys_hashes_are_of_the_kinds_that_users_have(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    springfield.registered(2)
    Account.objects.update(password=OLD)
    assert signing_in._pick_decoy(springfield.agency, "nobody") == signing_in._pick_decoy(springfield.agency, "nobody")
    decoy = signing_in._make_dummy_hash(signing_in._pick_decoy(springfield.agency, "nobody"))
    assert decoy.rpartition("$")[0].rpartition("$")[0] == OLD.rpartition("$")[0].rpartition("$")[0]
    assert len(decoy) == len(OLD) and decoy != OLD
    assert not hashers.check_password(GOOD, decoy)
    assert hashing.make_decoy("!none") == hashing.make_decoy("md5$salt$digest") == ""


@pytest.mark.django_db
def test_an_agency_without_accounts_has_a_hash_of_nobody_too(springfield: Springfield) -> None:
    assert signing_in._make_dummy_hash(signing_in._pick_decoy(springfield.agency, "nobody")).startswith(OWASP)
