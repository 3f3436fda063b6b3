"""Attacks through the names that people sign in with: their usernames and addresses."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from musterbook.accounts import mails, registration
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from tests.accounts.conftest import GOOD, Springfield, make_notice
from tests.accounts.test_entrance import read_username, sign_in
from tests.directory import cast
from tests.directory.cast import person
from tests.web.test_user import at, form, open_limited, post, read_page

ADMIN_ADDRESS = "user1@agency.example"


def _resets(springfield: Springfield) -> list[str]:
    return list(models.Mail.objects.filter(agency=springfield.agency, kind="reset").values_list("to", flat=True))


def _codes(done: ImportResult) -> list[str]:
    return sorted(problem.code for problem in models.ImportProblem.objects.filter(of=done.record))


def _edited(client: Client, springfield: Springfield, **fields: str) -> str:
    """The page after the form of user 2 was sent with these fields changed."""
    path = at(springfield, 2, "edit")
    return post(client, path, **(form(read_page(client, path)) | fields))


# One namespace (M4)


def test_no_file_gives_a_user_the_address_of_another_as_a_username(springfield: Springfield) -> None:
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    for name in (ADMIN_ADDRESS, ADMIN_ADDRESS.upper(), "user1＠agency.example"):
        done = cast.run(springfield.agency, [person(2, USERNAME=name)], Options(), by="E-5")
        assert _codes(done) == ["taken"]
        assert springfield.user(2).username == "user.2"


def test_no_file_gives_a_user_the_username_of_another_as_an_address(springfield: Springfield) -> None:
    springfield.imported(person(4, USERNAME="chief@city.example"))
    done = cast.run(springfield.agency, [person(2, EMAIL="Chief@city.example")])
    assert _codes(done) == ["taken"]


def test_no_form_gives_a_user_the_address_of_another_as_a_username(springfield: Springfield) -> None:
    springfield.registered(1)
    client = open_limited(springfield, "users.view", "users.edit")
    page = _edited(client, springfield, username=ADMIN_ADDRESS)
    assert "belongs to" in page
    assert springfield.user(2).username == "user.2"


def test_where_an_older_version_let_names_clash_the_address_decides(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    springfield.registered(2, "another quiet heron flies")
    clash = {"username": ADMIN_ADDRESS, "username_key": keys.make_key(ADMIN_ADDRESS)}
    models.User.objects.filter(pk=springfield.user(2).pk).update(**clash)
    sign_in(client, ADMIN_ADDRESS, GOOD)
    assert read_username(client) == "user.1"
    for _ in range(6):
        sign_in(Client(), ADMIN_ADDRESS, "wrong")
    assert springfield.user(2).locked_at is None
    registration.request_reset(springfield.agency, ADMIN_ADDRESS, AuditContext(datetime.now(UTC), "", "page"))
    assert _resets(springfield) in ([], [ADMIN_ADDRESS])


# Somebody else's account


def test_who_may_not_manage_credentials_cannot_move_a_registered_user_to_another_address(
    springfield: Springfield,
) -> None:
    springfield.registered(2)
    client = open_limited(springfield, "users.view", "users.edit", "users.import")
    page = _edited(client, springfield, email="mine@evil.example")
    assert "email address of a registered user" in page
    done = cast.run(springfield.agency, [person(2, EMAIL="mine@evil.example")], Options(), by="E-5")
    assert _codes(done) == ["registered-address"]
    assert springfield.user(2).email == "user2@agency.example"
    refused = models.Event.objects.filter(agency=springfield.agency, kind="act.refused")
    assert "registered-address" in refused.get().changes


def test_an_address_with_the_same_key_is_another_mailbox(springfield: Springfield) -> None:
    """`ß` and `ss` have one key, and are two domains."""
    springfield.imported(person(4, EMAIL="u4@hessen.example"))
    springfield.registered(4)
    open_limited(springfield, "users.view", "users.import")
    done = cast.run(springfield.agency, [person(4, EMAIL="u4@heßen.example")], Options(), by="E-5")
    assert _codes(done) == ["registered-address"]
    done = cast.run(springfield.agency, [person(4, EMAIL="U4@Hessen.example")], Options(), by="E-5")
    assert _codes(done) == [] and springfield.user(4).email_changed_at is None
    cast.run(springfield.agency, [person(4, EMAIL="u4@heßen.example")])
    assert springfield.user(4).email_changed_at is not None


def test_mail_goes_to_the_domain_that_stands_in_the_directory(springfield: Springfield) -> None:
    user = springfield.user(2)
    mail = models.Mail(
        pk=1, agency=user.agency, user=user, kind="deactivated", to="O.Two@heßen.example", created_at=cast.NOW
    )
    message = mails.compose_mail(mail, user, cast.NOW).message()
    assert message["To"] == "O.Two@xn--heen-wna.example"


def test_who_may_manage_credentials_can_and_so_can_anybody_for_a_user_who_has_not_registered(
    springfield: Springfield,
) -> None:
    springfield.registered(2)
    open_limited(springfield, "users.view", "users.edit", "users.import", "credentials.manage")
    done = cast.run(springfield.agency, [person(2, EMAIL="two@agency.example")], Options(), by="E-5")
    assert done.record.state == "applied" and _codes(done) == []
    springfield.imported(person(4))
    models.Role.objects.filter(name="Chief").update(permissions=cast.IMPORTS)
    done = cast.run(springfield.agency, [person(4, EMAIL="four@agency.example")], Options(), by="E-5")
    assert _codes(done) == [] and springfield.user(4).email == "four@agency.example"


def test_no_reset_goes_to_an_address_younger_than_a_day(springfield: Springfield) -> None:
    springfield.registered(2)
    now = datetime.now(UTC)
    cast.run(springfield.agency, [person(2, EMAIL="mine@evil.example")], at=now)

    def ask(at: datetime) -> None:
        registration.request_reset(springfield.agency, "user.2", AuditContext(at, "", "page"))

    ask(now + timedelta(hours=23))
    assert _resets(springfield) == []
    ask(now + timedelta(hours=25))
    assert _resets(springfield) == ["mine@evil.example"]


# Names in mails


@pytest.mark.parametrize(
    "first",
    [
        "https://evil.example/",
        "evil.com",
        "www.evil",
        "Visit evil。com",
        "x@evil.org",
        "evil.co/a",
        "(evil.net)",
        "ＥＶＩＬ．ＣＯＭ",
        "evil.com,login",
        "evil.com;x",
        "evil.com?x",
        "evil.com#a",
        "evil.com*x",
        "evil.com%2f",
        "evil.com’s",
        "evil.com–x",
        "evil.com|x",
        "evil.com\u00ad",
        "Go evil.tech",
        "evil.agency",
        "evil.рф",
        "evil.xn--p1ai",
        "evil.zip.",
    ],
)
def test_a_name_that_looks_like_a_link_is_in_no_mail(springfield: Springfield, first: str) -> None:
    models.User.objects.filter(pk=springfield.user(2).pk).update(first_name=first, username=first)
    user = springfield.user(2)
    for kind in mails.KINDS:
        mail = models.Mail(
            pk=1, agency=user.agency, user=user, kind=kind, to=user.email, created_at=cast.NOW,
            notice=make_notice(user.agency, kind),
        )  # fmt: skip
        message = mails.compose_mail(mail, user, cast.NOW)
        for part in (str(message.body), str(message.alternatives[0]), message.subject):
            assert first not in part and "evil" not in part.casefold()


def test_usual_names_are_in_the_mails(springfield: Springfield) -> None:
    models.User.objects.filter(pk=springfield.user(2).pk).update(
        first_name="J. R.", last_name="O’Neil-Østergård, Jr. (née D'Arc)", username="alma_reyes.2"
    )
    user = springfield.user(2)
    mail = models.Mail(pk=1, agency=user.agency, user=user, kind="welcome", to=user.email, created_at=cast.NOW)
    body = str(mails.compose_mail(mail, user, cast.NOW).body)
    assert "Hello J. R. O’Neil-Østergård, Jr. (née D'Arc)," in body and "alma_reyes.2" in body


@pytest.mark.parametrize("username", ["alma.reyes", "10.0.0.1", "evil.pro"])
def test_a_username_that_could_be_a_domain_is_in_no_mail(springfield: Springfield, username: str) -> None:
    models.User.objects.filter(pk=springfield.user(2).pk).update(username=username)
    user = springfield.user(2)
    mail = models.Mail(pk=1, agency=user.agency, user=user, kind="welcome", to=user.email, created_at=cast.NOW)
    assert username not in str(mails.compose_mail(mail, user, cast.NOW).body)
