"""An account that becomes another person's: all access of the former person ends (M12)."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.test import Client

from musterbook.accounts import former_persons, links, outbox, registration, tokens
from musterbook.accounts.models import Account, Failure, Identity, Lock, PastPassword
from musterbook.accounts.tokens import TokenRefused
from musterbook.core.domain.decisions import IDENTITY
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.imports import history, undo
from musterbook.directory.imports.options import Options
from tests.accounts.conftest import Springfield, context, signed_in
from tests.accounts.test_tokens import make_token
from tests.directory import cast
from tests.directory.cast import NOW, person

ME = "/springfield/my-account/"
NORA = person(
    2, FIRST_NAME='Nora "No"', LAST_NAME="Nilsen", EMAIL="nora@agency.example", USERNAME="nora", BADGE_NUMBER="B-48"
)
OTHER = Options(accepted={IDENTITY: "other"})


def test_all_access_of_the_former_person_ends_and_the_new_one_is_invited(
    springfield: Springfield, client: Client
) -> None:
    # M12
    account = springfield.registered(2)
    models.Role.objects.filter(agency=springfield.agency, name="Officer").update(
        permissions=["api.manage", *cast.IMPORTS]
    )
    _, secret = make_token(springfield, number=2)
    signed_in(client, "user.2")
    assert client.get(ME).status_code == 200
    PastPassword.objects.create(account=account, password="x", chosen_at=NOW)
    Authenticator.objects.create(user=account, type="totp", data={})
    Identity.objects.create(
        agency=springfield.agency, user=account.user, provider="p", authority="a", key="k", bound_at=NOW
    )
    Lock.objects.create(user=account.user, place="here", at=NOW)
    Failure.objects.create(user=account.user, at=NOW)
    registration.queue_mail(account.user, "reset", NOW)
    reset = springfield.reset(2, NOW)
    at = NOW + timedelta(hours=1)
    done = cast.apply_rows(springfield.agency, [NORA], OTHER, at=at)
    assert cast.mails(done) == [("invitation", "nora@agency.example")]
    assert client.get(ME).headers["Location"].startswith("/springfield/sign-in")
    kept = [Account, PastPassword, Authenticator, Identity, Lock, Failure, UserSession]
    assert [model.objects.exists() for model in kept] == [False] * len(kept)
    with pytest.raises(TokenRefused, match="lost access"):
        tokens.check_secret(springfield.agency, secret, at, "192.0.2.7")
    with pytest.raises(links.InvalidLink):
        registration.reset_password(springfield.agency, reset, "a quiet brown heron", context(61))
    user = cast.user(springfield.agency, 2)
    assert (user.registered_at, user.reset_at, user.locked_at, user.last_sign_in_at) == (None, None, None, None)
    unsent = models.Mail.objects.get(kind="reset")
    assert unsent.problem == "Not sent: the account belongs to another person now."
    event = models.Event.objects.get(kind="user.replaced")
    assert (event.of_id, event.row, event.changes) == (
        done.record.pk, 2, '{"person":["First 2 Last 2","Nora \\"No\\" Nilsen"]}',
    )  # fmt: skip
    cast.assert_whole(springfield.agency)


def test_the_history_says_who_an_account_belonged_to(springfield: Springfield) -> None:
    done = cast.apply_rows(springfield.agency, [NORA], OTHER)
    rows = history.make_report(done.record, None, RowFilter.CHANGED).rows
    assert [(row.outcome, row.identity["was"][:14]) for row in rows] == [("updated", "First 2 Last 2")]


def test_the_same_person_keeps_their_access(springfield: Springfield) -> None:
    springfield.registered(2)
    cast.apply_rows(springfield.agency, [NORA], Options(accepted={IDENTITY: "same"}))
    assert cast.user(springfield.agency, 2).registered_at
    assert Account.objects.filter(user__external_id="E-2").exists()


def test_an_undo_gives_the_account_back_and_ends_the_access_of_the_later_person(springfield: Springfield) -> None:
    springfield.registered(2)
    done = cast.apply_rows(springfield.agency, [NORA], OTHER)
    springfield.registered(2)
    undone = undo.run_undo(done.record, context=context(5))
    assert undone.record.state == "applied"
    assert undone.record.counts["identity_changes"] == 1
    user = cast.user(springfield.agency, 2)
    assert (user.last_name, user.email, user.registered_at) == ("Last 2", "user2@agency.example", None)
    assert not Account.objects.exists()
    assert cast.mails(undone) == [("invitation", "user2@agency.example")]
    cast.assert_whole(springfield.agency)


def test_an_undo_of_the_same_person_is_an_update(springfield: Springfield) -> None:
    springfield.registered(2)
    done = cast.apply_rows(springfield.agency, [NORA], Options(accepted={IDENTITY: "same"}))
    assert undo.run_undo(done.record, context=context(5)).record.counts["updated"] == 1
    assert cast.user(springfield.agency, 2).registered_at


def test_an_undo_may_restore_what_looks_damaged(springfield: Springfield) -> None:
    springfield.imported(person(2, BADGE_NUMBER="302"))
    done = cast.apply_rows(springfield.agency, [person(2, BADGE_NUMBER="0302")])
    again = undo.run_undo(done.record, context=context(5))
    assert cast.user(springfield.agency, 2).badge_number == "302"
    undo.run_undo(again.record, context=context(6))
    back = undo.run_undo(models.Import.objects.latest("pk"), context=context(7))
    assert back.record.counts["errored"] == 0


def test_a_reset_to_somebody_who_has_not_registered_is_not_sent(springfield: Springfield) -> None:
    registration.queue_mail(springfield.user(2), "reset", NOW)
    outbox.send_due("w", lambda: NOW)
    assert models.Mail.objects.get(kind="reset").problem == "Not sent: the user has not registered."


def test_nobody_else_loses_anything(springfield: Springfield) -> None:
    springfield.registered(1)
    former_persons.forget_credentials([springfield.user(2).pk])
    assert Account.objects.get().user.external_id == "E-1"
