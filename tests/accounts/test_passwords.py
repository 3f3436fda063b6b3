"""What makes a password good."""

import pytest
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError

from musterbook.accounts.models import Account
from musterbook.directory import models
from tests.accounts.conftest import Springfield

pytestmark = pytest.mark.any_database


def said(springfield: Springfield, password: str) -> str:
    with pytest.raises(ValidationError) as caught:
        validate_password(password, Account(user=springfield.user(2)))
    return " ".join(caught.value.messages)


@pytest.mark.parametrize("password", ["twelve chars", "пароль для меня", "correct horse battery"])
def test_length_is_all_that_is_asked_of_a_password(springfield: Springfield, password: str) -> None:
    validate_password(password, Account(user=springfield.user(2)))


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("eleven char", "12 to 128 characters. This password has 11"),
        ("x" * 129, "This password has 129"),
        ("1234567890123", "easy to guess"),
        ("x" * 127 + "é", "easy to guess"),
        ("user2@agency.example", "contains your name"),
        ("springfield 123", "contains your name"),
        ("Last 2 First 2", "contains your name"),
    ],
)
def test_a_password_that_others_would_guess_is_refused(springfield: Springfield, password: str, why: str) -> None:
    assert why in said(springfield, password)


def test_of_a_password_that_is_too_short_nothing_else_is_said(springfield: Springfield) -> None:
    assert said(springfield, "user2") == "Use 12 to 128 characters. This password has 5."


def test_an_agency_may_ask_for_more_characters_but_never_for_fewer_than_eight(springfield: Springfield) -> None:
    models.Agency.objects.update(password_length=20)
    assert "20 to 128" in said(springfield, "nineteen characters")
    models.Agency.objects.update(password_length=3)
    assert "8 to 128" in said(springfield, "seven c")


def test_the_rules_are_shown_beforehand() -> None:
    assert len(password_validators_help_texts()) == 4
    validate_password("no user is known yet")
