"""Mails leave the outbox: by a real server on loopback that keeps what it gets, at a pace, in turn, never twice."""

import email
import email.policy
import resource
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook import jobs
from musterbook.accounts import lockout, outbox, registration, reset_requests
from musterbook.accounts.mails import KINDS
from musterbook.config.mail_server import MailServer
from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Mail, NoticeKind
from musterbook.feeds import claims as feed_claims
from musterbook.webhooks import claims as webhook_claims
from tests.accounts.conftest import GOOD, Springfield, context
from tests.directory import cast
from tests.directory.cast import NOW, person


class Mailbox:
    """A mail server's memory, and its moods."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.hang_up = False
        self.sessions: set[object] = set()

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Takes a recipient, or answers as told."""
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keeps a mail, or hangs up."""
        if self.hang_up:
            assert server.transport
            server.transport.close()
            return "250 nobody hears this"
        self.sessions.add(session.peer)
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"

    def to(self, number: int) -> list[EmailMessage]:
        """The mails to the user of that number."""
        return [mail for mail in self.mails if mail["To"] == f"user{number}@agency.example"]


@pytest.fixture
def server(settings: Settings) -> Iterator[Mailbox]:
    """A mail server on loopback, which mails leave by."""
    kept = Mailbox()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.MAIL_SERVER = MailServer("127.0.0.1", controller.port, "", "", "")
    settings.MUSTER_MAILS_PER_MINUTE = 1000
    yield kept
    controller.stop()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Clock:
    """A clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.at = NOW + timedelta(minutes=1)

    def __call__(self) -> datetime:
        """The time."""
        return self.at

    def on(self, minutes: float) -> None:
        """Moves on."""
        self.at += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    """The clock of the outbox."""
    return Clock()


def text(mail: EmailMessage, form: str = "plain") -> str:
    """The mail's text in that form."""
    body = mail.get_body((form,))
    assert body is not None
    return str(body.get_content())


def test_a_user_that_an_import_adds_is_invited_and_registers_by_the_link(
    springfield: Springfield, server: Mailbox, client: Client
) -> None:
    assert outbox.send_due("w", jobs.now) == 2
    [mail] = server.to(2)
    assert mail["Subject"] == "Your account at Springfield"
    assert mail["Auto-Submitted"] == "auto-generated"
    link = next(word for word in text(mail).split() if "/register/" in word)
    assert link.startswith("http://localhost:8000/springfield/register/")
    assert link in text(mail, "html")
    path = link.removeprefix("http://localhost:8000")
    assert client.post(path, {"password1": GOOD, "password2": GOOD}).status_code == 302
    assert springfield.user(2).registered_at
    assert outbox.send_due("w", jobs.now) == 1
    assert "registered" in server.mails[-1]["Subject"]
    assert [kind for kind, *_ in springfield.events()].count("user.invited") == 2


def test_a_batch_takes_one_connection(springfield: Springfield, server: Mailbox, clock: Clock) -> None:
    outbox.send_due("w", clock)
    assert (len(server.mails), len(server.sessions)) == (2, 1)


def test_each_kind_has_a_text_in_both_forms(springfield: Springfield, server: Mailbox, clock: Clock) -> None:
    springfield.registered(2)
    Mail.objects.all().delete()
    feed = models.Feed.objects.create(
        agency=springfield.agency, name="hr", mode="sync", created_at=NOW, stopped="x", failing_since=NOW
    )
    models.Import.objects.update(feed=feed)
    record = models.Import.objects.latest("pk")
    for kind in KINDS:
        registration.queue_mail(springfield.user(1 if kind == "invitation" else 2), kind, clock())
        if kind in NoticeKind.values:
            is_about_feed = kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED)
            about: dict[str, Any] = {"feed": feed} if is_about_feed else {"of": record}
            if kind == NoticeKind.WEBHOOK:
                about = {"facts": {"webhook": "hr-system", "problem": ""}}
            notice = models.Notice.objects.create(
                agency=springfield.agency, kind=kind, permission="users.import", at=clock(), **about
            )
            Mail.objects.filter(kind=kind).update(notice=notice)
    models.Role.objects.filter(name="Officer").update(permissions=["users.import", "users.view"])
    outbox.send_due("w", clock)
    assert len(server.mails) == len(KINDS) == len({mail["Subject"] for mail in server.mails})
    for mail in server.mails:
        assert "Springfield" in mail["Subject"] + text(mail)
        assert "First" in text(mail)
        assert "First" in text(mail, "html")
        assert "{{" not in text(mail) + text(mail, "html")


def test_nothing_is_sent_twice_and_nothing_again(springfield: Springfield, server: Mailbox, clock: Clock) -> None:
    assert outbox.send_due("w", clock) == 2
    assert outbox.send_due("v", clock) == 0
    assert len(server.mails) == 2


def test_what_another_worker_has_claimed_is_left_to_it_until_its_time_is_over(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    assert len(outbox._claim("other", clock())) == 2
    assert outbox.send_due("w", clock) == 0
    clock.on(6)
    assert outbox.send_due("w", clock) == 2


def test_a_worker_that_was_overtaken_sends_nothing(springfield: Springfield, server: Mailbox, clock: Clock) -> None:
    claimed = outbox._claim("slow", clock())
    clock.on(6)
    outbox.send_due("quick", clock)
    with outbox.open_transport() as hand:
        for mail in claimed:
            outbox._send(mail, hand, clock)
    assert len(server.mails) == 2


def test_a_mail_whose_worker_died_while_handing_it_over_is_not_sent_again(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    [first, second] = outbox._claim("dies", clock())
    assert outbox._prepare_mail(first, clock())
    clock.on(6)
    assert outbox.send_due("w", clock) == 1
    assert [mail["To"] for mail in server.mails] == [second.to]
    first.refresh_from_db()
    assert "nobody" not in first.problem
    assert (first.sent_at, first.ended_at, "Send it again by hand" in first.problem) == (None, clock.at, True)


def _pause(agency: models.Agency) -> None:
    """Begin a pause, which then waits for what is in progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "is_busy", lambda *_: False)
        patch.setattr(pausing, "_POLL_SECONDS", 0)
        pausing.pause(agency, AuditContext(NOW, "", "cli"))


def test_an_invitation_on_its_way_when_its_agency_is_paused_is_sent_once(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    [first, second] = outbox._claim("w", clock())
    with outbox.open_transport() as hand:

        def hand_over(message: EmailMultiAlternatives) -> None:
            hand(message)
            _pause(springfield.agency)

        outbox._send_or_log(first, hand_over, clock)
        outbox._send_or_log(second, hand, clock)
    assert [mail["To"] for mail in server.mails] == [first.to]
    first.refresh_from_db()
    assert (first.sent_at, first.ended_at, first.problem) == (clock.at, clock.at, "")
    kinds = models.Event.objects.filter(agency=springfield.agency).order_by("pk").values_list("kind", flat=True)
    assert [*kinds][-2:] == [EventKind.AGENCY_PAUSED, EventKind.USER_INVITED]
    second.refresh_from_db()
    assert (second.handed_at, second.lease_until, second.worker, second.attempts) == (None, None, "", 0)
    assert second.problem == ""
    assert outbox.send_due("w", clock) == 0
    pausing.resume(springfield.agency, AuditContext(NOW, "", "cli"))
    assert outbox.send_due("w", clock) == 1
    assert [mail["To"] for mail in server.mails] == [first.to, second.to]
    cast.assert_whole(springfield.agency)


def test_a_pause_waits_longer_than_any_claim_lasts() -> None:
    assert max(outbox._LEASE, feed_claims.LEASE, webhook_claims.LEASE) < pausing._LONGEST_WAIT


def test_a_mail_claimed_by_a_clock_that_was_set_back_does_not_wait_until_then(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    [first, second] = outbox._claim("dies", clock() + timedelta(hours=26))
    assert outbox._prepare_mail(first, clock() + timedelta(hours=26))
    assert outbox.send_due("w", clock) == 1
    assert [mail["To"] for mail in server.mails] == [second.to]
    first.refresh_from_db()
    assert "Send it again by hand" in first.problem


def test_mails_that_left_before_the_clock_was_set_back_do_not_use_up_the_pace(
    springfield: Springfield, server: Mailbox, settings: Settings, clock: Clock
) -> None:
    settings.MUSTER_MAILS_PER_MINUTE = 2
    clock.on(26 * 60)
    assert outbox.send_due("w", clock) == 2
    clock.on(-26 * 60)
    springfield.imported(*(person(number) for number in (10, 11)))
    assert outbox.send_due("w", clock) == 2


def test_another_attempt_does_not_wait_for_the_time_of_a_clock_that_was_set_back(
    springfield: Springfield, settings: Settings, server: Mailbox, clock: Clock
) -> None:
    there, settings.MAIL_SERVER = settings.MAIL_SERVER, MailServer("127.0.0.1", free_port(), "", "", "")
    clock.on(26 * 60)
    assert outbox.send_due("w", clock) == 2
    clock.on(-26 * 60)
    settings.MAIL_SERVER = there
    assert outbox.send_due("w", clock) == 2
    assert len(server.mails) == 2


def test_a_server_that_hangs_up_in_the_middle_gets_no_second_copy(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    server.hang_up = True
    outbox.send_due("w", clock)
    server.hang_up = False
    clock.on(500)
    outbox.send_due("w", clock)
    ended = Mail.objects.get(problem__contains="It may have arrived or not")
    assert [mail["To"] for mail in server.mails] == [Mail.objects.exclude(pk=ended.pk).get().to]


def test_a_server_that_is_away_is_tried_again_later_and_later_and_then_given_up(
    springfield: Springfield, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MAIL_SERVER = MailServer("127.0.0.1", 1, "", "", "")
    waits = []
    for _ in range(outbox.ATTEMPTS - 1):
        assert outbox.send_due("w", clock) == 2
        due = Mail.objects.earliest("id").next_attempt_at
        assert due
        waits.append(int((due - clock.at).total_seconds() // 60))
        assert outbox.send_due("w", clock) == 0
        clock.at = due
    assert waits == [1, 4, 16, 64, 256, 360, 360]
    outbox.send_due("w", clock)
    assert Mail.objects.filter(ended_at=clock.at, problem__startswith="Given up after 8 attempts").count() == 2
    assert "could not be reached" in caplog.text


@pytest.mark.parametrize(("answer", "again"), [("550 No such mailbox", False), ("451 Busy", True)])
def test_what_the_server_refuses_for_good_is_not_tried_again(
    springfield: Springfield, server: Mailbox, clock: Clock, answer: str, again: bool
) -> None:
    server.answers["user2@agency.example"] = answer
    outbox.send_due("w", clock)
    mail = Mail.objects.get(to="user2@agency.example")
    assert answer.partition(" ")[2] in mail.problem
    server.answers.clear()
    clock.on(2)
    outbox.send_due("w", clock)
    assert len(server.to(2)) == again


def test_an_invitation_goes_out_although_its_address_has_changed_in_case(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    """Rule D8: the mailbox is the same, and no newer email goes there."""
    Mail.objects.all().delete()
    registration.queue_mail(springfield.user(2), "invitation", clock())
    springfield.imported(person(2, EMAIL="User2@AGENCY.example"))
    outbox.send_due("w", clock)
    assert [(mail.to, bool(mail.sent_at)) for mail in Mail.objects.all()] == [("user2@agency.example", True)]


def test_what_is_not_true_any_more_is_not_sent(springfield: Springfield, server: Mailbox, clock: Clock) -> None:
    springfield.registered(1)
    registration.queue_mail(springfield.user(1), "reset", clock())
    registration.queue_mail(springfield.user(2), "invitation", clock())
    springfield.imported(person(1, ROLE="Admin", EMAIL="new@agency.example"), person(2, STATUS="Inactive"))
    outbox.send_due("w", clock)
    said = set(Mail.objects.filter(sent_at=None).values_list("problem", flat=True))
    assert said == {
        "Not sent: the user has registered.",
        "Not sent: the user is now Inactive.",
        "Not sent: the user's address has changed. A newer email goes there.",
    }
    assert {mail["Subject"] for mail in server.mails} == {
        "You are registered at Springfield", "Your email address at Springfield was changed"
    }  # fmt: skip


def test_an_older_invitation_does_not_invalidate_a_newer_one(springfield: Springfield, server: Mailbox) -> None:
    token = springfield.invitation(2, minutes=5)
    outbox.send_due("w", jobs.now)
    assert server.to(2) == []
    registration.register(springfield.agency, token, GOOD, context(6))


def test_a_reset_leads_to_the_page_it_says(springfield: Springfield, server: Mailbox, client: Client) -> None:
    springfield.registered(2)
    registration.request_reset(springfield.agency, "user.2", replace(context(), at=jobs.now()))
    outbox.send_due("w", jobs.now)
    mail = next(mail for mail in server.to(2) if "new password" in mail["Subject"])
    link = next(word for word in text(mail).split() if "/reset/" in word)
    assert client.get(link.removeprefix("http://localhost:8000"), follow=True).status_code == 200
    assert springfield.user(2).reset_at


def test_the_pace_is_kept_by_all_workers_together(
    springfield: Springfield, server: Mailbox, settings: Settings, clock: Clock
) -> None:
    settings.MUSTER_MAILS_PER_MINUTE = 3
    springfield.imported(*(person(number) for number in range(10, 15)))
    assert [outbox.send_due(worker, clock) for worker in "abc"] == [3, 0, 0]
    clock.on(0.5)
    assert outbox.send_due("a", clock) == 0
    clock.on(0.6)
    assert [outbox.send_due(worker, clock) for worker in "abc"] == [3, 0, 0]


def test_one_agencys_many_invitations_do_not_keep_anothers_waiting(
    springfield: Springfield, shelbyville: Springfield, server: Mailbox, settings: Settings, clock: Clock
) -> None:
    springfield.registered(2)
    springfield.imported(*(person(number) for number in range(10, 20)))
    registration.request_reset(springfield.agency, "user.2", context())
    settings.MUSTER_MAILS_PER_MINUTE = 6
    outbox.send_due("w", clock)
    subjects = [mail["Subject"] for mail in server.mails]
    assert subjects[:2] == ["You are registered at Springfield", "Choose a new password for Springfield"]
    # One of Springfield's two is for somebody who has registered by now.
    assert sorted(subjects[2:]) == ["Your account at Shelbyville"] * 2 + ["Your account at Springfield"]


def test_without_a_mail_server_mails_are_files_for_their_owner_alone(
    springfield: Springfield, settings: Settings, tmp_path: Path, clock: Clock
) -> None:
    settings.MUSTER_HOME = tmp_path
    outbox.send_due("w", clock)
    files = sorted(outbox.get_folder().glob("*.eml"))
    assert len(files) == 2
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert "/register/" in files[0].read_text(encoding="utf-8")


def test_an_email_that_does_not_fit_on_the_disk_leaves_nothing_and_is_retried(
    springfield: Springfield, settings: Settings, tmp_path: Path, clock: Clock
) -> None:
    settings.MUSTER_HOME = tmp_path
    outbox.get_folder().mkdir()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    try:
        with outbox.open_transport() as hand, pytest.raises(OSError, match="large"):
            hand(EmailMultiAlternatives("Hello", "text " * 100, headers={"Message-ID": "<mail-1@localhost>"}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert list(outbox.get_folder().iterdir()) == []
    outbox.send_due("w", clock)
    assert len(list(outbox.get_folder().iterdir())) == 2


def test_an_email_that_has_left_never_leaves_again_although_this_could_not_be_recorded(
    springfield: Springfield, server: Mailbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("the trail takes no event")

    monkeypatch.setattr(trail, "record_event", fail)
    outbox.send_due("w", clock)
    number = len(server.mails)
    assert number == 2
    monkeypatch.undo()
    clock.on(minutes=10)
    outbox.send_due("w", clock)
    assert len(server.mails) == number
    problems = Mail.objects.filter(kind="invitation").values_list("problem", "ended_at")
    assert all("It may have arrived or not" in problem and ended for problem, ended in problems)


def test_names_of_any_script_and_any_cunning_stay_in_their_place(
    springfield: Springfield, server: Mailbox, clock: Clock
) -> None:
    springfield.imported(person(5, FIRST_NAME="Ирина", LAST_NAME="李 & Söhne"))
    models.Agency.objects.update(name="Springfield\r\nBcc everybody")
    outbox.send_due("w", clock)
    [mail] = server.to(5)
    assert (mail["Subject"], mail["Bcc"]) == ("Your account at springfield", None)
    assert "Ирина 李 & Söhne" in text(mail)
    assert "Ирина 李 &amp; Söhne" in text(mail, "html")


def test_a_mail_that_cannot_be_made_does_not_keep_the_others(
    springfield: Springfield, server: Mailbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Mail.objects.filter(to="user1@agency.example").update(kind="nothing-we-know")
    outbox.send_due("w", clock)
    assert len(server.to(2)) == 1
    mail = Mail.objects.get(kind="nothing-we-know")
    assert (mail.handed_at, mail.ended_at, mail.next_attempt_at) == (None, None, clock.at + timedelta(minutes=1))
    assert "nothing-we-know" in caplog.text


def test_links_begin_with_the_public_address_for_any_host_of_a_request(
    springfield: Springfield, server: Mailbox, settings: Settings, client: Client
) -> None:
    springfield.registered(2)
    settings.MUSTER_URL = "https://muster.example"
    client.post("/springfield/forgotten-password", {"name": "user.2"}, headers={"Host": "localhost:1234"})
    reset_requests.answer_requests()
    outbox.send_due("w", jobs.now)
    assert server.mails
    for mail in server.mails:
        links = [word for word in text(mail).split() if "://" in word]
        assert links
        assert all(link.startswith("https://muster.example/springfield/") for link in links)


def test_the_workers_round_sends_unlocks_and_forgets(springfield: Springfield, server: Mailbox, client: Client) -> None:
    models.User.objects.filter(external_id="E-1").update(locked_at=NOW)
    assert jobs.run_once() == (0, 2)
    assert springfield.user(1).locked_at is None
    assert lockout.is_locked(springfield.user(1), NOW) is False


def test_a_round_without_mails_writes_nothing(springfield: Springfield, clock: Clock) -> None:
    """Workers look every two seconds, and on SQLite a write waits for whoever imports."""
    Mail.objects.all().delete()
    with CaptureQueriesContext(connection) as queries:
        assert outbox.send_due("w", clock) == 0
    assert [query["sql"].split()[0] for query in queries] == ["SELECT"]
