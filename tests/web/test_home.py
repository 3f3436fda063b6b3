"""Home as a status page: what waits for somebody, the last import, users by state, and the chart with its table."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports.options import Options
from musterbook.directory.models import Mail
from tests import worker
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

HOME = "/springfield/"


@built_once
def _build() -> Springfield:
    made = Springfield(cast.agency(limits=[cast.allow(1)]))
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4, 5))
    for number in (1, 2, 3):
        made.registered(number)
    Mail.objects.all().delete()
    models.User.objects.filter(external_id__in=["E-4", "E-5"]).update(invitation_expires_at=None)
    return made


@pytest.fixture
def springfield(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> Springfield:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)
    return _build()


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    signed_in(client, "user.1")
    return client


def signed_in_as(name: str, permissions: list[str] | None = None) -> Client:
    if permissions is not None:
        models.Role.objects.filter(name="Chief").update(permissions=permissions)
    client = Client()
    signed_in(client, name)
    return client


def read(client: Client) -> str:
    answer = client.get(HOME)
    assert answer.status_code == 200
    return answer.content.decode()


def run(made: Springfield, rows: list[cast.Row], **options: Any) -> models.Import:
    return cast.run(made.agency, rows, Options(**options), by="E-2", at=datetime.now(UTC)).record


def hold(made: Springfield) -> models.Import:
    return run(made, [person(1, ROLE="Admin"), person(2, ROLE="Chief")], mode=Mode.SYNC)


def fail_email(made: Springfield, number: int, kind: str = "invitation", **fields: Any) -> Mail:
    now = datetime.now(UTC)
    usual = {"created_at": now, "ended_at": now, "problem": "The mail server refused the email (550): no such user"}
    user = made.user(number)
    return Mail.objects.create(agency=made.agency, user=user, kind=kind, to=user.email, **(usual | fields))


def test_nothing_waits(boss: Client) -> None:
    page = read(boss)
    assert "Nothing is waiting." in page and ">Review" not in page


def test_held_imports_come_before_previews_each_with_its_button(springfield: Springfield, boss: Client) -> None:
    held, seen = hold(springfield), run(springfield, [person(4, FIRST_NAME="Bea")], preview=True)
    page = read(boss)
    assert page.index("Import on hold:") < page.index("Preview not applied yet:")
    for record in (held, seen):
        assert f'<a class="usa-button usa-button--outline" href="/springfield/imports/{record.number}">Review' in page
    assert "3 users will lose access" in page and "1 user to update" in page
    boss.post(f"/springfield/imports/{seen.number}/discard")
    assert "Preview not applied yet" not in read(boss)


def test_more_plans_than_fit_are_one_link(springfield: Springfield, boss: Client) -> None:
    for number in range(6):
        run(springfield, [person(4, FIRST_NAME=f"Bea {number}")], preview=True)
    page = read(boss)
    assert page.count("Preview not applied yet") == 5
    assert 'href="/springfield/imports/?state=open"' in page


def test_an_email_that_failed_is_shown_until_a_later_one_takes_its_place(
    springfield: Springfield, boss: Client
) -> None:
    fail_email(springfield, 4)
    page = read(boss)
    user = springfield.user(4)
    assert "1 email could not be sent" in page and "no such user" in page
    assert f'<a href="/springfield/users/{user.pk}/">First 4 Last 4</a>' in page
    answer = boss.post("/springfield/users/bulk", {"act": "invite", "chosen": f"{user.pk}"})
    plan = answer.headers["Location"]
    assert plan.startswith("/springfield/users/bulk/")
    boss.post(plan)
    assert "could not be sent" not in read(boss)


@pytest.mark.parametrize(
    "fields",
    [
        {"problem": "Not sent: the user has registered."},
        {"ended_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"problem": "The mail server refused", "ended_at": None},
    ],
)
def test_an_email_that_needs_nobody_is_not_shown(
    springfield: Springfield, boss: Client, fields: dict[str, Any]
) -> None:
    fail_email(springfield, 4, **fields)
    assert "could not be sent" not in read(boss)


def test_an_email_to_a_user_who_is_inactive_now_is_not_shown(springfield: Springfield, boss: Client) -> None:
    fail_email(springfield, 4)
    models.User.objects.filter(external_id="E-4").update(active=False)
    assert "could not be sent" not in read(boss)


def test_invitations_that_expire_soon_are_renewed_through_a_preview(springfield: Springfield, boss: Client) -> None:
    now = datetime.now(UTC)
    for number, days in ((4, 1), (5, 6)):
        models.User.objects.filter(external_id=f"E-{number}").update(invitation_expires_at=now + timedelta(days=days))
    page = read(boss)
    assert "1 invitation expires within two days" in page
    chosen = re.search(r'name="chosen" value="(\d+)"', page)
    assert chosen and int(chosen.group(1)) == springfield.user(4).pk
    answer = boss.post("/springfield/users/bulk", {"act": "invite", "chosen": chosen.group(1)})
    assert not Mail.objects.exists(), "the button only makes a preview"
    assert "First 4 Last 4" in boss.get(answer.headers["Location"]).content.decode()


def test_many_invitations_lead_to_the_list(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterbook.directory.users.open_tasks.MOST_EXPIRING", 1)
    models.User.objects.filter(registered_at=None).update(invitation_expires_at=datetime.now(UTC) + timedelta(hours=1))
    page = read(boss)
    assert "More than 1 invitations expire" in page and 'href="/springfield/users/?status=Invited"' in page


def test_users_by_state_are_numbers_that_open_the_list(springfield: Springfield, boss: Client) -> None:
    models.User.objects.filter(external_id="E-5").update(active=False)
    page = read(boss)
    for state, label, number in (("Active", "Active", 3), ("Invited", "Invited", 1), ("Inactive", "Inactive", 1)):
        assert f'href="/springfield/users/?status={state}"><strong>{number}</strong><span>{label}</span>' in page
    assert "?status=Invitation%20expired" in page


def test_the_last_import_has_its_sentence(springfield: Springfield, boss: Client) -> None:
    record = run(springfield, [person(7), person(8, ROLE="x")])
    run(springfield, [person(4, FIRST_NAME="Bea")], preview=True)
    page = read(boss)
    last = page[page.index("Last import") :]
    assert f'href="/springfield/imports/{record.number}"' in last
    assert "1 user added, 1 invitation, 1 row with problems." in last


def test_the_chart_and_its_table_have_the_same_numbers(springfield: Springfield, boss: Client) -> None:
    run(springfield, [*cast.people(6, 7, 8), person(4, FIRST_NAME="Bea")])
    earlier = run(springfield, cast.people(9))
    old, ahead = run(springfield, cast.people(10)), run(springfield, cast.people(11))
    models.Import.objects.filter(pk=earlier.pk).update(started_at=datetime.now(UTC) - timedelta(days=29))
    models.Import.objects.filter(pk=old.pk).update(started_at=datetime.now(UTC) - timedelta(days=31))
    # Its server's clock was wrong.
    models.Import.objects.filter(pk=ahead.pk).update(started_at=datetime.now(UTC) + timedelta(days=2))
    page = read(boss)
    assert 'aria-label="Added: 4 in 30 days, at most 3 in a day"' in page
    assert 'aria-label="Updated: 1 in 30 days, at most 1 in a day"' in page
    assert 'aria-label="Lost access: 0 in 30 days, at most 0 in a day"' in page
    assert page.count('class="m-chart__bar"') == 3
    assert '<td class="m-number">3</td><td class="m-number">1</td><td class="m-number">0</td>' in page
    assert '<td class="m-number">4</td><td class="m-number">1</td><td class="m-number">0</td></tr></tfoot>' in page
    assert "style=" not in page


def test_nobody_sees_more_than_their_permissions_allow(springfield: Springfield) -> None:
    hold(springfield)
    fail_email(springfield, 4)
    parts = {
        "users.import": ("Import on hold", "Last import", "Changes in the last 30 days"),
        "users.view": ("?status=Active",),
        "credentials.manage": ("could not be sent",),
    }
    for permission, own in parts.items():
        page = read(signed_in_as("user.2", [permission]))
        for other, texts in parts.items():
            for text in texts:
                assert (text in page) == (text in own), (permission, other, text)
    page = read(signed_in_as("user.3"))
    assert all(text not in page for texts in parts.values() for text in texts)
    assert "My account" in page and "Waiting for you" not in page


def test_another_agency_is_not_on_the_page(springfield: Springfield, boss: Client) -> None:
    other = Springfield(cast.agency("shelbyville", limits=[cast.allow(0)]))
    other.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4))
    hold(other)
    fail_email(other, 2)
    models.User.objects.filter(agency=other.agency).update(invitation_expires_at=datetime.now(UTC) + timedelta(hours=1))
    page = read(boss)
    assert "Nothing is waiting." in page and "<strong>3</strong><span>Active" in page


def test_the_number_of_queries_does_not_grow(springfield: Springfield, boss: Client) -> None:
    read(boss)
    with CaptureQueriesContext(connection) as few:
        read(boss)
    for number in range(8):
        run(springfield, [person(4, FIRST_NAME=f"Bea {number}"), person(10 + number)], preview=number % 2 == 0)
        fail_email(springfield, 4 + number % 2)
    read(boss)
    with CaptureQueriesContext(connection) as many:
        read(boss)
    assert len(many) <= len(few) + 6


@pytest.fixture
def window(page: Page, db: None) -> Page:
    made = _build()
    hold(made)
    run(made, [*cast.people(6, 7), person(8, ROLE="x")])
    fail_email(made, 4)
    models.User.objects.filter(external_id="E-5").update(invitation_expires_at=datetime.now(UTC) + timedelta(hours=1))
    enter(page, "user.1")
    return page


def test_home_has_no_barriers(window: Page) -> None:
    window.get_by_text("Show as a table").click()
    assert barriers(window) == []
    window.set_viewport_size({"width": 1280, "height": 800})
    expect(window.get_by_role("img", name="Added: ")).to_be_visible()
    window.get_by_role("link", name="Review").first.click()
    expect(window.get_by_role("heading", level=1)).to_contain_text("hold")
