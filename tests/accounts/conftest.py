"""An agency with an administrator and an officer, whom an import has added; and quick hashes of passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import links, registration
from musterbook.accounts.models import Account
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from tests.built_once import built_each_minute, built_once
from tests.clients import _middleware_built_once as _middleware_built_once  # noqa: PLC0414  # used by being here
from tests.directory import cast
from tests.directory.cast import NOW

GOOD = "a quiet brown heron"


def context(minutes: float = 0) -> AuditContext:
    """An act of somebody at a page, so many minutes after the import."""
    return AuditContext(NOW + timedelta(minutes=minutes), "", "page", "192.0.2.7", "Browser/1.0")


def age_session(client: Client, minutes: float) -> None:
    """Makes the client's session older by so many minutes, all that it remembers of time included."""
    session = SessionStore(client.cookies[settings.SESSION_COOKIE_NAME].value.partition(":")[0])
    for name in ("began", "seen"):
        if name in session:
            session[name] -= minutes * 60
    for record in session.get("account_authentication_methods", []):
        record["at"] -= minutes * 60
    session.save()


@dataclass
class Springfield:
    """The agency, and its users as the directory has them now."""

    agency: models.Agency

    def user(self, number: int) -> models.User:
        """The user of that number: 1 is the administrator, 2 the officer, 3 an Inactive one."""
        users = models.User.objects.select_related("agency", "role", "account")
        return users.get(agency=self.agency, external_id=f"E-{number}")

    def invitation(self, number: int, minutes: float = 0) -> str:
        """The token of a new invitation."""
        return registration.issue_invitation(self.user(number), context(minutes)).rpartition("/")[2]

    def registered(self, number: int, password: str = GOOD) -> Account:
        """The user's account, made by an invitation."""
        return _register(self, number, password)

    def reset(self, number: int, at: datetime) -> str:
        """The token of a reset that leaves at that time."""
        models.User.objects.filter(pk=self.user(number).pk).update(reset_at=at)
        return links.make_token(self.user(number), "reset")

    def invitation_now(self, number: int) -> str:
        """The token of an invitation that is good today, as the pages have it."""
        return registration.issue_invitation(self.user(number), AuditContext(datetime.now(UTC), "", "page")).rpartition(
            "/"
        )[2]

    def reset_now(self, number: int) -> str:
        """The token of a reset that is good today."""
        return self.reset(number, datetime.now(UTC))

    def imported(self, *rows: cast.Row) -> None:
        """Imports these rows."""
        _import(self, *rows)

    def events(self) -> list[tuple[str, str, str, str]]:
        """Kind, actor, subject and outcome of each event of accounts, in order."""
        events = models.Event.objects.filter(agency=self.agency).exclude(kind__in=["user.added", "user.updated"])
        return list(events.order_by("id").values_list("kind", "actor", "subject_external_id", "outcome"))

    def mails(self) -> list[str]:
        """The kinds of mails in the outbox, in order, without the import's invitations."""
        return list(models.Mail.objects.filter(of=None).order_by("id").values_list("kind", flat=True))


@built_once
def _import(springfield: Springfield, *rows: cast.Row) -> None:
    cast.apply_rows(springfield.agency, rows)


@built_once
def _register(springfield: Springfield, number: int, password: str) -> Account:
    return registration.register(springfield.agency, springfield.invitation(number), password, context())


def signed_in(client: Client, name: str, agency: str = "springfield") -> Client:
    """The new client, in which the user of that name has signed in, as tests begin with it; see `test_entrance.sign_in`."""
    assert not client.cookies
    client.cookies = _sign_in(name, agency)
    return client


@built_each_minute
def _sign_in(name: str, agency: str) -> SimpleCookie:
    client = Client()
    answer = client.post(f"/{agency}/sign-in", {"login": name, "password": GOOD})
    assert answer.status_code == 302
    return client.cookies


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@built_once
def build_springfield() -> Springfield:
    """An agency with an administrator, an officer, and an Inactive officer, whose ids are 1, 2 and 3 in an empty database."""
    made = Springfield(cast.agency())
    with _ids_from_one():
        made.imported(cast.person(1, ROLE="Admin"), cast.person(2), cast.person(3, STATUS="Inactive"))
    return made


@contextmanager
def _ids_from_one() -> Iterator[None]:
    """Give new users the ids from 1, whatever earlier tests used up. Later users have ids that none has had before."""
    table = models.User._meta.db_table
    if models.User.objects.exists():
        yield
        return
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            used = (cursor.fetchone() or (0,))[0]
            cursor.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = %s", [table])
            yield
            cursor.execute("UPDATE sqlite_sequence SET seq = max(seq, %s) WHERE name = %s", [used, table])
            return
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        (sequence,) = cursor.fetchone()
        cursor.execute(f"SELECT last_value FROM {sequence}")
        (used,) = cursor.fetchone()
        # `ALTER SEQUENCE` would be rolled back with the test, and later users would get the ids of restored ones.
        cursor.execute(f"SELECT setval('{sequence}', 1, false)")
        yield
        cursor.execute(f"SELECT setval('{sequence}', greatest(%s, (SELECT max(id) FROM {table})))", [used])


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency with an administrator, an officer, and an Inactive officer."""
    return build_springfield()


@pytest.fixture
def shelbyville(db: None) -> Springfield:
    """Another agency, with users of the same names."""
    return _build_shelbyville()


@built_once
def _build_shelbyville() -> Springfield:
    made = Springfield(cast.agency("shelbyville"))
    made.imported(cast.person(1, ROLE="Admin"), cast.person(2))
    return made


def make_notice(agency: models.Agency, kind: str) -> models.Notice | None:
    """The notice of an email of this kind, about a feed or a webhook; None for an email about a user. It is in no table."""
    if kind not in models.NoticeKind.values:
        return None
    if kind == models.NoticeKind.WEBHOOK:
        return models.Notice(agency=agency, kind=kind, facts={"webhook": "hr-system", "problem": ""}, at=NOW)
    return models.Notice(agency=agency, kind=kind, feed=models.Feed(agency=agency, name="hr"), at=NOW)
