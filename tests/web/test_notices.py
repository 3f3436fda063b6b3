"""Notices on the pages: the bell with its number, the list, and the choice of those that come by email."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports import feed_notices, notice_recipients, notices
from musterbook.directory.imports.options import Options
from musterbook.directory.models import NoticeKind
from musterbook.web import notices as pages
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import NOW, person
from tests.web.conftest import enter
from tests.web.looks import barriers

LIST, CHOICE = "/springfield/notices/", "/springfield/my-account/notices"


@built_once
def _build() -> Springfield:
    made = Springfield(cast.agency(limits=[cast.allow(1)]))
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4, 5))
    for number in (1, 2, 3):
        made.registered(number)
    return made


@pytest.fixture
def springfield(db: None, settings: Settings, tmp_path: Path) -> Springfield:
    settings.MUSTER_HOME = tmp_path
    return _build()


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    signed_in(client, "user.1")
    return client


def run(made: Springfield, rows: list[cast.Row], options: Options | None = None, by: str = "E-2") -> models.Import:
    return cast.run(made.agency, rows, options, by=by, at=datetime.now(UTC)).record


def hold(made: Springfield) -> models.Import:
    return run(made, [person(1, ROLE="Admin"), person(2, ROLE="Chief")], Options(mode=Mode.SYNC))


def read(client: Client, path: str = LIST) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_bell_has_the_number_of_new_notices_on_each_page(springfield: Springfield, boss: Client) -> None:
    assert "m-bell__number" not in read(boss, "/springfield/users/")
    hold(springfield)
    assert ">1 new notice<" in read(boss, "/springfield/users/")
    run(springfield, [person(9, ROLE="x")])
    assert ">2 new notices<" in read(boss, "/springfield/users/")


def test_the_list_says_what_happened_and_leads_to_it(springfield: Springfield, boss: Client) -> None:
    held, problems = hold(springfield), run(springfield, [person(9, ROLE="x")])
    page = read(boss)
    assert page.index("Import applied with problems") < page.index("Import on hold")
    for record in (held, problems):
        assert f'href="/springfield/imports/{record.number}">users.csv</a>' in page
    assert "by First 2 Last 2" in page and page.count(">New</span>") == 2


def test_notices_are_read_by_a_button_and_not_by_looking(springfield: Springfield, boss: Client) -> None:
    hold(springfield)
    read(boss)
    page = read(boss)
    latest = models.Notice.objects.get().pk
    assert f'name="to" value="{latest}"' in page
    assert boss.get("/springfield/notices/read").headers["Location"] == LIST
    assert boss.post("/springfield/notices/read", {"to": f"{latest}"}).headers["Location"] == LIST
    page = read(boss)
    assert ">New</span>" not in page and "Mark all as read" not in page and "m-bell__number" not in page


@pytest.mark.parametrize("sent", ["", "x", "-1", "9" * 30, "²"])
def test_what_cannot_be_read_marks_nothing(springfield: Springfield, boss: Client, sent: str) -> None:
    hold(springfield)
    boss.post("/springfield/notices/read", {"to": sent})
    assert notices.count_unread(springfield.user(1)) == 1
    assert boss.get(f"{LIST}?before={sent}").status_code == 200


def test_a_file_name_is_text(springfield: Springfield, boss: Client) -> None:
    record = hold(springfield)
    models.Import.objects.filter(pk=record.pk).update(file_name="<script>alert(1)</script>.csv")
    assert "<script>alert" not in read(boss)


def test_a_role_that_sees_no_imports_gets_no_bell_and_an_explanation(springfield: Springfield) -> None:
    hold(springfield)
    officer = Client()
    signed_in(officer, "user.3")
    assert "m-bell" not in read(officer, "/springfield/my-account/")
    for path in (LIST, CHOICE):
        page = read(officer, path)
        assert "Your role does not allow you to see imports" in page and "users.csv" not in page


def test_an_agency_without_notices_says_when_there_are_some(boss: Client) -> None:
    assert "There are no notices." in read(boss)


def test_earlier_notices_are_one_page_on(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "PAGE", 1)
    first, _ = hold(springfield), run(springfield, [person(9, ROLE="x")])
    notice = models.Notice.objects.latest("pk")
    assert f'href="?before={notice.pk}"' in read(boss)
    page = read(boss, f"{LIST}?before={notice.pk}")
    assert first.number in page and "Earlier notices" not in page


def test_every_kind_of_notice_has_its_texts() -> None:
    assert set(pages.TITLES) == set(NoticeKind)
    assert tuple(pages.EMAIL_LABELS) == notice_recipients.CHOICES


def feed(made: Springfield) -> models.Feed:
    return models.Feed.objects.create(agency=made.agency, name="hr-sworn", mode="sync", created_at=NOW)


def test_the_list_says_what_keeps_a_feed_from_running(springfield: Springfield, boss: Client) -> None:
    hr = feed(springfield)
    hr.failing_since, hr.problem, hr.stopped = NOW, "hr.example.org does not answer.", "<b>The key</b> has changed."
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED):
        feed_notices.add_notice(hr, kind, NOW, NOW.date(), {"expected_by": NOW})
    hold(springfield)
    models.Import.objects.update(feed=hr)
    page = read(boss)
    assert page.count("hr-sworn") >= 4 and page.count(">New</span>") == 4
    assert "No file has arrived. One was expected by 2 March 2026, 07:00" in page
    assert "It has not been reachable since 2 March 2026, 07:00 UTC: hr.example.org does not answer." in page
    assert "&lt;b&gt;The key&lt;/b&gt; has changed." in page
    assert ">4 new notices<" in page


def test_a_failed_email_to_an_address_is_shown_at_home(springfield: Springfield, boss: Client) -> None:
    models.Mail.objects.create(
        agency=springfield.agency, kind="feed-late", to="boss@hr.example", created_at=NOW, ended_at=datetime.now(UTC),
        problem="The mail server refused the email (550): no such mailbox",
    )  # fmt: skip
    assert "boss@hr.example · Notice: feed late" in read(boss, "/springfield/")


def test_emails_are_chosen_in_my_account(springfield: Springfield, boss: Client) -> None:
    page = read(boss, CHOICE)
    assert page.count(" checked") == 3
    assert boss.post(CHOICE, {"kinds": ["import-problems"]}).headers["Location"] == CHOICE
    assert notices.list_emails(springfield.user(1)) == [NoticeKind.PROBLEMS]
    assert boss.post(CHOICE, {}).status_code == 302
    assert notices.list_emails(springfield.user(1)) == []
    assert boss.post(CHOICE, {"kinds": ["nonsense"]}).status_code == 422
    models.Agency.objects.update(sends_mail=False)
    assert "Your agency has turned off emails" in read(boss, CHOICE)


@pytest.fixture
def window(page: Page, db: None) -> Page:
    made = _build()
    hold(made)
    run(made, [person(9, ROLE="x")])
    feed_notices.add_notice(feed(made), NoticeKind.LATE, NOW, NOW.date(), {"expected_by": NOW})
    enter(page, "user.1", "notices/")
    return page


def test_the_notices_have_no_barriers_and_are_read_in_a_window(window: Page) -> None:
    assert barriers(window) == []
    window.set_viewport_size({"width": 1280, "height": 800})
    expect(window.get_by_role("link", name="Notices 3 new notices")).to_be_visible()
    window.get_by_role("button", name="Mark all as read").click()
    expect(window.locator(".m-bell__number")).to_have_count(0)
    window.get_by_role("link", name="Choose which notices you get by email").click()
    assert barriers(window) == []
