"""Notices of feeds: to those that the feed names, to those who chose them, nobody twice, and only while they are true."""

import email
import email.policy
import re
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from musterbook.accounts import outbox
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    feed_notices,
    notice_facts,
    notice_recipients,
    notices,
    plan_ends,
)
from musterbook.directory.imports.options import Options
from musterbook.directory.models import Mail, Notice, NoticeKind
from musterbook.directory.users import open_tasks
from tests.directory import cast
from tests.directory.cast import NOW, agency, allow, apply_rows, people, person, user

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 3, 2)
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "notices.md"
EVERY = ("held", "failed", "problems", "finished", "late")


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def made() -> models.Agency:
    """An administrator (1), a chief who may import (2), and officers (3 to 6), all registered, without any email."""
    made = agency(limits=[allow(1)])
    apply_rows(made, [person(1, ROLE="Admin"), person(2, ROLE="Chief"), *people(3, 4, 5, 6)])
    cast.register(made, *range(1, 7))
    Mail.objects.all().delete()
    return made


def make_feed(made: models.Agency, *named: str, kinds: tuple[str, ...] = EVERY, name: str = "hr-sworn") -> models.Feed:
    """A feed that names these for all kinds. Nobody chooses notices for themselves."""
    for one in models.User.objects.filter(agency=made):
        notices.choose_emails(one, [])
    return models.Feed.objects.create(
        agency=made, name=name, mode="sync", created_at=NOW, notify={kind: list(named) for kind in kinds}
    )


def end(feed: models.Feed, state: str = "held", **more: Any) -> models.Import:
    """An import of the feed that ends in this state, with its notice."""
    count = models.Import.objects.count()
    values: dict[str, Any] = {
        "number": f"{count:026}", "agency": feed.agency, "feed": feed, "kind": "file", "mode": "sync", "state": state,
        "through": "feed", "digest": "d", "options": Options(mode=Mode.SYNC).as_json(), "started_at": NOW, "finished_at": NOW,
        "file_name": "secret-roster.csv", "counts": {"rows": 9, "added": 3, "updated": 2},
    }  # fmt: skip
    record = models.Import.objects.create(**(values | more))
    with transaction.atomic():
        notices.add(record)
    return record


def preview(feed: models.Feed, **more: Any) -> models.Import:
    return end(feed, "previewed", options=Options(mode=Mode.SYNC, preview=True).as_json(), **more)


def tell(feed: models.Feed, kind: NoticeKind = NoticeKind.LATE, **facts: Any) -> bool:
    return feed_notices.add_notice(feed, kind, NOW, DAY, facts)


def recipients() -> list[str]:
    """The users by external ID, and the addresses."""
    return sorted(mail.user.external_id if mail.user else mail.to for mail in Mail.objects.select_related("user"))


def kinds() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("kind", flat=True))


def send() -> list[EmailMessage]:
    """Send what is due; return the emails that have left since, in their order."""
    folder = outbox.get_folder()
    before = set(folder.glob("*.eml")) if folder.exists() else set()
    while outbox.send_due("w", lambda: datetime.now(UTC)):
        pass
    new = sorted(set(folder.glob("*.eml")) - before, key=lambda path: int(path.name.split("-")[1].split(".")[0]))
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in new]


def read(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body
    return str(body.get_content())


def problems() -> set[str]:
    return set(Mail.objects.filter(sent_at=None).values_list("problem", flat=True))


@pytest.mark.parametrize(
    ("state", "more", "kind"),
    [
        ("held", {}, NoticeKind.HELD),
        ("failed", {}, NoticeKind.FAILED),
        ("refused", {}, NoticeKind.FAILED),
        ("applied", {"counts": {"errored": 1}}, NoticeKind.PROBLEMS),
        ("applied", {}, NoticeKind.FINISHED),
        ("failed", {"stop": True}, None),
    ],
)
def test_each_end_of_an_import_of_a_feed_has_its_notice(
    made: models.Agency, state: str, more: dict[str, Any], kind: str | None
) -> None:
    end(make_feed(made, "boss@hr.example"), state, **more)
    assert kinds() == ([kind] if kind else [])
    assert recipients() == (["boss@hr.example"] if kind else [])


def test_the_first_file_waits_for_a_person_and_a_preview_by_hand_does_not(made: models.Agency) -> None:
    feed = make_feed(made, "E-1", kinds=("held",))
    preview(feed)
    preview(feed, through="page", actor="E-1")
    assert kinds() == [NoticeKind.FIRST]
    assert recipients() == ["E-1"]


@pytest.mark.parametrize("state", ["failed", "refused"])
def test_a_first_file_that_cannot_be_used_is_a_failure(made: models.Agency, state: str) -> None:
    feed = make_feed(made, "E-1", kinds=("failed",))
    end(feed, state, options=Options(preview=True).as_json())
    assert kinds() == [NoticeKind.FAILED]
    assert recipients() == ["E-1"]


@pytest.mark.parametrize("kind", [NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED])
def test_a_notice_about_a_feed_comes_once_each_day(made: models.Agency, kind: NoticeKind) -> None:
    feed = make_feed(made, "E-1", "boss@hr.example", kinds=("late",))
    assert tell(feed, kind)
    assert not tell(feed, kind)
    assert not feed_notices.add_notice(feed, kind, NOW + timedelta(hours=9), DAY, {})
    assert recipients() == ["E-1", "boss@hr.example"]
    assert feed_notices.add_notice(feed, kind, NOW + timedelta(days=1), DAY + timedelta(days=1), {})
    assert len(recipients()) == 4
    assert tell(make_feed(made, name="other"), kind), "another feed has its own"


def test_a_rolled_back_notice_is_sent_to_nobody(made: models.Agency) -> None:
    feed = make_feed(made, "E-1")
    with pytest.raises(OSError, match="disk"), transaction.atomic():
        tell(feed)
        raise OSError("disk")
    assert kinds() == recipients() == []


def test_named_users_must_still_be_active_and_allowed_to_see_it(made: models.Agency) -> None:
    models.User.objects.filter(external_id="E-2").update(active=False)
    end(make_feed(made, "E-1", "E-2", "E-3", "E-404"))
    assert recipients() == ["E-1"], "2 is Inactive, 3 may not import, 404 is nobody"


def test_users_of_another_agency_are_not_named(made: models.Agency) -> None:
    other = agency("shelbyville")
    apply_rows(other, [person(1, ROLE="Admin"), person(9, ROLE="Admin", EMAIL="nine@agency.example")])
    cast.register(other, 1, 9)
    Mail.objects.all().delete()
    end(make_feed(made, "E-1", "E-9"))
    assert [mail.user.agency.slug for mail in Mail.objects.all() if mail.user] == ["springfield"]


def test_nobody_gets_it_twice(made: models.Agency) -> None:
    feed = make_feed(
        made, "E-1", "E-1", "USER1@agency.example", "boss@HR.example", "Boss@hr.example", "boss@hr.example"
    )
    notices.choose_emails(user(made, 1), [NoticeKind.HELD])
    notices.choose_emails(user(made, 2), [NoticeKind.HELD, NoticeKind.FINISHED])
    record = end(feed)
    assert recipients() == ["E-1", "E-2", "boss@HR.example"]
    notices.add(record)
    assert len(recipients()) == 3
    mail = Mail.objects.get(user=None)
    mail.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        mail.save(force_insert=True)


def test_forgotten_addresses_do_not_count_as_the_same(made: models.Agency, settings: Settings) -> None:
    end(make_feed(made, "a@hr.example", "b@hr.example"))
    send()
    outbox.forget_old(datetime.now(UTC) + timedelta(days=settings.MUSTER_KEEP_MAILS_DAYS + 1))
    assert set(Mail.objects.values_list("to", flat=True)) == {""}


def test_those_who_are_not_named_get_what_they_chose(made: models.Agency) -> None:
    feed = make_feed(made, kinds=())
    models.NoticeSettings.objects.filter(user__external_id="E-1").delete()
    notices.choose_emails(user(made, 2), [NoticeKind.FINISHED])
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED):
        tell(feed, kind)
    preview(feed)
    assert recipients() == ["E-1"] * 4, "by default, a user hears when a person is needed"
    Mail.objects.all().delete()
    end(feed, "applied")
    assert recipients() == ["E-2"], "a night that was fine is for those who asked for it"
    end(feed, "applied", counts={"errored": 2})
    assert recipients() == ["E-2", "E-2"], "and every night is asked for, also one with problems"


def test_a_night_that_was_fine_rings_no_bell(made: models.Agency) -> None:
    end(make_feed(made, "E-1"), "applied")
    assert notices.count_unread(user(made, 1)) == 0
    assert notices.read_page(user(made, 1)).notices == []
    assert recipients() == ["E-1"]


def test_imports_by_hand_are_as_before(made: models.Agency) -> None:
    notices.choose_emails(user(made, 1), list(NoticeKind.values))
    cast.run(made, people(8))
    assert kinds() == []


def test_the_bell_rings_for_a_feed(made: models.Agency) -> None:
    feed = make_feed(made)
    tell(feed)
    record = preview(feed)
    assert notices.count_unread(user(made, 1)) == 2
    assert notices.count_unread(user(made, 3)) == 0
    assert [notices.get_feed(notice) for notice in notices.read_page(user(made, 1)).notices] == [feed, feed]
    plan_ends.discard(record, AuditContext(NOW, "E-1", "page"))
    assert notices.count_unread(user(made, 1)) == 1


def test_an_agency_that_sends_no_emails_sends_none_to_addresses(made: models.Agency) -> None:
    models.Agency.objects.update(sends_mail=False)
    made.refresh_from_db()
    tell(make_feed(made, "boss@hr.example", "E-1"))
    assert kinds() == [NoticeKind.LATE]
    assert recipients() == []


def test_the_number_of_addresses_is_limited(made: models.Agency) -> None:
    many = [f"a{number}@hr.example" for number in range(500)]
    end(make_feed(made, *many))
    assert len(recipients()) == notice_recipients.MOST_ADDRESSES


def test_named_users_come_before_those_who_chose_it(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_recipients, "MOST_EMAILS", 1)
    feed = make_feed(made, "E-2")
    notices.choose_emails(user(made, 1), [NoticeKind.HELD])
    end(feed)
    assert recipients() == ["E-2"]


@pytest.mark.parametrize(
    "address",
    [
        "boss@hr.example\nBcc: all@agency.example", "boss@hr.example\r\n\r\nHello", "boss@hr.example,all@hr.example",
        "Boss <boss@hr.example>", "@", "boss@", "@hr.example", "x" * 300 + "@hr.example",
        "boss@hr.example\u2028Bcc: x@y.example", "=?utf-8?q?x?= <boss@hr.example>", "", 7, None, ["boss@hr.example"],
    ],
)  # fmt: skip
def test_what_is_no_address_gets_nothing(made: models.Agency, address: Any) -> None:
    feed = make_feed(made, "good@hr.example")
    feed.notify = {"held": [address, "good@hr.example"]}
    feed.save()
    end(feed)
    assert recipients() == ["good@hr.example"]
    [message] = send()
    assert (message["To"], message["Bcc"], message["Cc"]) == ("good@hr.example", None, None)


def test_an_external_id_with_an_at_sign_is_no_address(made: models.Agency) -> None:
    models.User.objects.filter(external_id="E-3").update(external_id="three@hr.example")
    end(make_feed(made, "three@hr.example"))
    assert recipients() == [], "3 may not see imports, and the name is theirs"


def test_the_address_of_a_user_who_left_gets_nothing(made: models.Agency) -> None:
    models.User.objects.filter(external_id="E-3").update(active=False)
    end(make_feed(made, "USER3@agency.example", "user4@agency.example"))
    assert recipients() == ["user4@agency.example"]


def test_an_email_has_one_sentence_the_numbers_and_one_link(made: models.Agency) -> None:
    record = end(make_feed(made, "boss@hr.example", "E-1"))
    to_user, to_address = send()
    assert (to_user["To"], to_address["To"]) == ("user1@agency.example", "boss@hr.example")
    for message in (to_user, to_address):
        text = read(message)
        assert message["Subject"] == "On hold: hr-sworn"
        assert "An import of the feed hr-sworn at Springfield is on hold" in text
        assert "3 users to add, 2 to update." in text
        assert re.findall(r"https?://\S+", text) == [f"http://localhost:8000/springfield/imports/{record.number}"]
        assert message["Auto-Submitted"] == "auto-generated"
    assert "Hello First 1 Last 1," in read(to_user)
    assert "the settings of the feed hr-sworn name you" in read(to_user)
    assert "the settings of the feed hr-sworn name this address" in read(to_address)


def test_an_email_says_why_an_import_is_on_hold_in_numbers_only(made: models.Agency) -> None:
    limit = {"code": "limit", "kind": "deactivations", "users": 3, "active": 4, "limit": 1, "total": 3}
    holds = [
        {"code": "shrunk", "rows": 99, "fact": "1,239"},
        {"code": "row-count", "rows": 99, "fact": "https://evil.example"},
        {**limit, "group": "Ada Lovelace"}, {**limit, "role": "https://evil.example"},
    ]  # fmt: skip
    end(make_feed(made, "boss@hr.example"), holds=holds)
    text = read(send()[0])
    assert "The file has 99 rows. The last one had 1,239. 3 users would lose access. The limit is 1" in text
    assert "evil" not in text and "Ada" not in text and text.count("would lose access") == 1


def test_an_address_gets_nothing_that_is_about_a_person(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example")
    models.Feed.objects.filter(pk=feed.pk).update(problem="The server says: call Ada Lovelace, +1 555 0100")
    feed.refresh_from_db()
    end(feed, message="Row 7: Ada Lovelace (E-7)", actor="E-2", leavers={"deactivated": ["E-3"], "protected": []})
    end(feed, "failed", message="Ada Lovelace")
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED, NoticeKind.FAILED):
        tell(feed, kind, problem="Ada Lovelace", file="Ada-Lovelace.csv")
    models.Feed.objects.filter(pk=feed.pk).update(stopped="Ada Lovelace", failing_since=NOW)
    sent = send()
    assert len(sent) == 6
    for message in sent:
        # The boundary between the parts is random, so the whole text could have any digits in it.
        html = message.get_body(("html",))
        assert html
        whole = f"{message['Subject']} {read(message)} {html.get_content()}"
        assert not re.search(r"Ada|Lovelace|555|E-[237]|First|Last \d|roster|user\d", whole), whole


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_phone_shows_every_subject_in_full(made: models.Agency, language: str) -> None:
    models.Agency.objects.update(language=language, name="A".ljust(80, "a"))
    made.refresh_from_db()
    feed = make_feed(made, "boss@hr.example", name="a" * 63)
    send_each(feed)
    sent = send()
    of_feeds = [kind for kind in NoticeKind if kind is not NoticeKind.WEBHOOK]
    assert len(sent) == len(of_feeds)
    subjects = {message["Subject"] for message in sent}
    assert len(subjects) == len(of_feeds)
    assert max(map(len, subjects)) <= 40, subjects


def send_each(feed: models.Feed) -> None:
    """Make a notice of each kind."""
    end(feed)
    end(feed, "failed")
    end(feed, "applied", counts={"errored": 2, "rows": 3})
    end(feed, "applied")
    preview(feed)
    feed.failing_since, feed.failures, feed.stopped = NOW, 7, "The key of the server has changed."
    feed.save()
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED):
        tell(feed, kind)


def test_each_reads_it_in_their_language_and_an_address_in_the_agencys(made: models.Agency) -> None:
    models.Agency.objects.update(language="es", time_zone="America/Chicago")
    made.refresh_from_db()
    tell(make_feed(made, "boss@hr.example"), expected_by=NOW)
    [message] = send()
    assert message["Subject"] == "Con retraso: hr-sworn"
    assert "01:00 (CST)" in read(message)
    html = message.get_body(("html",))
    assert html and '<html lang="es">' in html.get_content()


def test_a_late_file_and_an_unreachable_server_have_their_numbers(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example")
    feed.arrived_at, feed.failing_since, feed.failures = NOW - timedelta(days=1), NOW, 7
    feed.save()
    tell(feed, expected_by=NOW)
    tell(feed, NoticeKind.UNREACHABLE)
    late, unreachable = map(read, send())
    assert "One was expected by 2 March 2026, 07:00 (UTC)." in late
    assert "The last file arrived on 1 March 2026, 07:00 (UTC)." in late
    assert "has not been reachable since 2 March 2026, 07:00 (UTC)." in unreachable
    assert "7 attempts have failed." in unreachable
    for text in (late, unreachable):
        assert re.findall(r"https?://\S+", text) == ["http://localhost:8000/springfield/feeds/hr-sworn/"]


def test_an_email_of_a_plan_that_is_settled_is_not_sent(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example", "E-1")
    held, first = end(feed), preview(feed)
    plan_ends.discard(held, AuditContext(NOW, "E-1", "page"))
    models.Import.objects.filter(pk=first.pk).update(ended=plan_ends.PlanEnd.APPLIED)
    assert send() == []
    assert problems() == {"Not sent: the import is no longer on hold."}


def test_an_email_about_a_feed_is_sent_only_while_it_is_true(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example")
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED):
        tell(feed, kind)
    models.Feed.objects.update(arrived_at=NOW + timedelta(minutes=1), failing_since=None, stopped="")
    assert send() == []
    assert problems() == {
        "Not sent: the file has arrived.", "Not sent: the location can be reached again.", "Not sent: the feed runs again.",
    }  # fmt: skip


def test_an_address_that_is_no_longer_named_gets_nothing(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example")
    end(feed)
    models.Feed.objects.update(notify={})
    assert send() == []
    assert problems() == {"Not sent: the feed no longer names the address."}


def test_a_feed_that_was_removed_sends_nothing(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example", "E-1")
    end(feed, "applied")
    tell(feed)
    feed.delete()
    assert send() == []
    assert Mail.objects.filter(sent_at=None, ended_at__isnull=False).count() == 4
    assert notices.count_unread(user(made, 1)) == 0


def test_a_user_who_chose_it_is_shown_where_to_change_that(made: models.Agency) -> None:
    feed = make_feed(made)
    notices.choose_emails(user(made, 1), [NoticeKind.HELD])
    end(feed)
    [message] = send()
    assert "under My account" in read(message)


def test_a_reset_does_not_wait_behind_many_notices(
    made: models.Agency, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_MAILS_PER_MINUTE = 1
    tell(make_feed(made, "boss@hr.example"))
    Mail.objects.create(
        agency=made, user=user(made, 3), kind="password-changed", to="user3@agency.example", created_at=NOW
    )
    outbox.send_due("w", lambda: datetime.now(UTC))
    assert [mail.kind for mail in Mail.objects.filter(sent_at__isnull=False)] == ["password-changed"]


def test_an_email_to_an_address_that_could_not_be_sent_is_shown_to_administrators(made: models.Agency) -> None:
    feed = make_feed(made, "boss@hr.example", "other@hr.example")
    end(feed)
    Mail.objects.update(ended_at=NOW, problem="The mail server refused the email (550): no such mailbox")
    [other, boss] = open_tasks.list_failed_emails(made, NOW).emails
    assert (boss.user_id, boss.name, other.name) == (None, "boss@hr.example", "other@hr.example")
    end(feed)
    Mail.objects.filter(ended_at=None, to="boss@hr.example").update(ended_at=NOW, sent_at=NOW)
    Mail.objects.filter(ended_at=None).update(ended_at=NOW, problem="550")
    assert [one.name for one in open_tasks.list_failed_emails(made, NOW).emails] == ["other@hr.example"]


def test_each_kind_has_one_documented_shape(made: models.Agency) -> None:
    feed = make_feed(made)
    send_each(feed)
    tell(feed, NoticeKind.FAILED, file="a.csv", problem="It is larger than 200 MB.", rubbish=1)
    documented = _read_documented()
    assert set(documented) == set(notice_facts.SHAPES) == set(NoticeKind)
    for notice in Notice.objects.all():
        kind = NoticeKind(notice.kind)
        assert tuple(notice.facts) == notice_facts.SHAPES[kind] or set(notice.facts) == set(notice_facts.SHAPES[kind])
        assert set(documented[kind]) == set(notice.facts), kind
        assert (notice.facts["agency"], notice.facts["feed"], notice.facts["kind"]) == ("springfield", "hr-sworn", kind)
        for name in ("at", "since", "expected_by"):
            notice_facts.read_time(notice.facts, name)
    unimported = Notice.objects.get(kind=NoticeKind.FAILED, of=None).facts
    assert (unimported["import"], unimported["file"], unimported["problem"]) == (
        None,
        "a.csv",
        "It is larger than 200 MB.",
    )
    stopped = Notice.objects.get(kind=NoticeKind.STOPPED).facts
    assert stopped["problem"] == "The key of the server has changed."


def _read_documented() -> dict[str, list[str]]:
    """Kind → the keys of its shape, as the reference has them in its table."""
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]* \| ([^|]*) \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    return {kind: re.findall(r"`([a-z_]+)`", keys) for kind, keys in rows}


def test_an_import_without_a_feed_has_the_same_shape(made: models.Agency) -> None:
    cast.run(made, [person(9, ROLE="x")])
    facts = Notice.objects.get().facts
    assert set(facts) == set(notice_facts.SHAPES[NoticeKind.PROBLEMS])
    assert (facts["feed"], facts["file"], facts["counts"]["errored"]) == (None, "users.csv", 1)


def test_a_bad_file_of_a_clock_that_was_ahead_keeps_no_email_back(made: models.Agency) -> None:
    feed = make_feed(made, "E-2")
    for minutes in (24 * 60, 0, 10):
        end(feed, "failed", finished_at=NOW + timedelta(minutes=minutes))
    assert (len(kinds()), recipients()) == (3, ["E-2", "E-2"])


def test_many_bad_files_of_a_feed_are_one_email_an_hour(made: models.Agency) -> None:
    feed, other = make_feed(made, "E-2"), make_feed(made, "E-2", name="hr-civil")
    for minutes in (0, 10, 50, 59, 61, 90):
        end(feed, "failed", finished_at=NOW + timedelta(minutes=minutes))
    assert (len(kinds()), recipients()) == (6, ["E-2", "E-2"])
    end(other, "failed", finished_at=NOW + timedelta(minutes=90))
    end(feed, "applied", counts={"rows": 2, "errored": 1}, finished_at=NOW + timedelta(minutes=90))
    held = [end(feed, "held", finished_at=NOW + timedelta(minutes=minutes)) for minutes in (91, 92)]
    assert sorted(Mail.objects.values_list("kind", flat=True)) == [
        *["import-failed"] * 3, *["import-held"] * len(held), "import-problems",
    ]  # fmt: skip
