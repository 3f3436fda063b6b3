"""What becomes of a token: who may make it, what it may do, and what ends it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import TokenData, TokenRefused, UnknownToken
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.apply import snapshot_queries
from tests.accounts.conftest import Springfield, context
from tests.directory.cast import NOW, person

HR = TokenData("HR, each night", frozenset({"users.view", "users.import"}), 90)
DAY = 24 * 60


def by(springfield: Springfield, number: int = 1) -> Operator:
    """The user as an operator."""
    return snapshot_queries.read_operator(springfield.agency, f"E-{number}")


def make_token(springfield: Springfield, data: TokenData = HR, number: int = 1) -> tuple[Token, str]:
    """A token of that user."""
    return tokens.create_token(springfield.agency, data, context(), by(springfield, number))


def find_refusal(springfield: Springfield, secret: str, minutes: float = 1) -> str:
    """Why the agency refuses the token then; "" if it does not."""
    try:
        tokens.check_secret(springfield.agency, secret, context(minutes).at, "192.0.2.7")
    except TokenRefused as refused:
        return str(refused)
    return ""


def test_a_token_is_found_by_its_secret_which_is_kept_nowhere(springfield: Springfield) -> None:
    token, secret = make_token(springfield)
    assert secret.startswith("muster_") and len(secret) == len("muster_") + 64
    assert tokens.check_secret(springfield.agency, secret, NOW, "192.0.2.7") == token
    assert secret not in str(Token.objects.values().get())
    assert [token.ending, token.expires_at - token.made_at] == [secret[-4:], timedelta(days=90)]
    event = models.Event.objects.get(kind="api.token-made")
    assert (event.actor, event.subject_external_id) == ("", "E-1")
    assert secret not in event.changes and '"users.import, users.view"' in event.changes


def test_a_new_token_has_no_permission_that_its_creator_lacks(springfield: Springfield) -> None:
    models.Role.objects.filter(agency=springfield.agency, name="Officer").update(
        permissions=["api.manage", "users.view"]
    )
    with pytest.raises(NotAllowed, match=r"users\.import"):
        make_token(springfield, number=2)
    assert make_token(springfield, TokenData("Phone book", frozenset({"users.view"}), 7), 2)
    models.Role.objects.filter(agency=springfield.agency, name="Officer").update(permissions=["users.view"])
    with pytest.raises(NotAllowed, match=r"api\.manage"):
        make_token(springfield, TokenData("Another", frozenset({"users.view"}), 7), 2)


def test_a_token_may_do_only_what_its_maker_may_do_now(springfield: Springfield) -> None:
    roles = models.Role.objects.filter(agency=springfield.agency, name="Officer")
    roles.update(permissions=["api.manage", "users.view", "users.import"])
    token, secret = make_token(springfield, number=2)
    roles.update(permissions=["users.view", "users.edit"])
    found = tokens.check_secret(springfield.agency, secret, NOW, "192.0.2.7")
    assert tokens.get_permissions(found) == {"users.view"}
    (listed,), _ = tokens.list_tokens(springfield.agency, NOW)
    assert (listed.token, listed.granted, listed.withheld, listed.why_not) == (
        token,
        ("users.view",),
        ("users.import",),
        "",
    )


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (replace(HR, name=" "), "name"),
        (replace(HR, name="hr, EACH night"), "name"),
        (replace(HR, permissions=frozenset()), "permissions"),
        (replace(HR, days=366), "days"),
    ],
)
def test_what_is_wrong_with_a_new_token_is_said(springfield: Springfield, told: TokenData, field: str) -> None:
    make_token(springfield)
    with pytest.raises(InvalidValue) as unfit:
        make_token(springfield, told)
    assert (unfit.value.field, Token.objects.count()) == (field, 1)


def test_an_agency_has_so_many_tokens_and_no_more(springfield: Springfield, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 2)
    first, _ = make_token(springfield, replace(HR, name="1"))
    make_token(springfield, replace(HR, name="2"))
    with pytest.raises(InvalidValue, match="which is the maximum"):
        make_token(springfield, replace(HR, name="3"))
    tokens.revoke(first, context())
    assert make_token(springfield, replace(HR, name="1"))


def test_a_token_opens_nothing_when_it_is_over(springfield: Springfield) -> None:
    token, secret = make_token(springfield)
    assert find_refusal(springfield, secret, 90 * DAY - 1) == ""
    assert find_refusal(springfield, secret, 90 * DAY) == "It has expired."
    assert [tokens.revoke(token, context(1)), tokens.revoke(token, context(2))] == [True, False]
    assert find_refusal(springfield, secret) == "It was revoked."
    assert models.Event.objects.filter(kind="api.token-revoked").count() == 1
    assert [len(some) for some in tokens.list_tokens(springfield.agency, NOW)] == [0, 1]


def test_a_token_ends_with_the_access_of_who_made_it_and_for_ever(springfield: Springfield) -> None:
    springfield.imported(person(4, ROLE="Admin"))
    springfield.registered(1)
    _, secret = make_token(springfield, number=4)
    springfield.imported(person(4, ROLE="Admin", STATUS="Inactive"))
    lost = "The user who made it has lost access since."
    assert find_refusal(springfield, secret) == lost
    (listed,), _ = tokens.list_tokens(springfield.agency, NOW)
    assert listed.why_not == lost
    springfield.imported(person(4, ROLE="Admin"))
    assert springfield.user(4).active
    assert find_refusal(springfield, secret) == lost


def test_a_token_is_nobodys_in_another_agency(springfield: Springfield, shelbyville: Springfield) -> None:
    token, secret = make_token(springfield)
    assert find_refusal(shelbyville, secret) == "This agency has no such token."
    with pytest.raises(UnknownToken):
        tokens.find_token(shelbyville.agency, token.pk)
    assert tokens.list_tokens(shelbyville.agency, NOW) == ([], [])


@pytest.mark.parametrize("wrong", ["", "muster_", "muster_" + "0" * 63, "muster_" + "A" * 64, "é\x00" * 40])
def test_what_is_not_a_token_is_not_looked_for(springfield: Springfield, wrong: str) -> None:
    assert find_refusal(springfield, wrong) == "This is not a token."


def test_the_last_use_is_written_once_a_day(springfield: Springfield, django_assert_num_queries: object) -> None:
    token, _ = make_token(springfield)
    tokens.record_use(token, context())
    token.refresh_from_db()
    assert (token.used_on, token.used_from) == (NOW.date(), "192.0.2.7")
    with django_assert_num_queries(0):  # type: ignore[operator]  # a fixture without a type
        tokens.record_use(token, context(60))
    tokens.record_use(token, context(DAY))
    token.refresh_from_db()
    assert token.used_on == NOW.date() + timedelta(days=1)
