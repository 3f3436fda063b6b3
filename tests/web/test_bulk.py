"""Users chosen in All Users and acted on together: through the pages, as a person does and as one who means ill."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from musterbook.directory.imports import expiry, queue, selection
from musterbook.web.users import chosen_users
from tests import worker
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.accounts.test_entrance import sign_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import people, person
from tests.web.conftest import enter
from tests.web.looks import barriers
from tests.web.test_all_users_journey import filled

pytestmark = pytest.mark.any_database


USERS = "/springfield/users/"
BULK = "/springfield/users/bulk"


@built_once
def make_agency(slug: str = "springfield") -> Springfield:
    """An agency with an administrator (1), one who may edit users alone (2), and three officers."""
    one = Springfield(cast.agency(slug))
    models.Role.objects.filter(agency=one.agency, name="Chief").update(permissions=["users.view", "users.edit"])
    one.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), *people(3, 4, 5))
    one.registered(1)
    one.registered(2)
    return one


@pytest.fixture
def agency(db: None, monkeypatch: pytest.MonkeyPatch) -> Springfield:
    """That agency, and a worker at hand."""
    worker.at_hand(monkeypatch)
    return make_agency()


@pytest.fixture
def boss(agency: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


def ids(agency: Springfield, *numbers: int) -> list[int]:
    return [agency.user(number).pk for number in numbers]


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))


def plan(client: Client, query: str = "", **sent: Any) -> str:
    """The address of the plan that the page leads to."""
    answer = client.post(f"{BULK}{query}", sent)
    assert answer.status_code == 302, text(answer)
    address = answer.headers["Location"]
    assert address.startswith(f"{BULK}/"), address
    return str(address)


def rank(agency: Springfield, number: int) -> str:
    return getattr(agency.user(number).rank, "name", "")


def test_a_rank_is_chosen_previewed_and_set(agency: Springfield, boss: Client) -> None:
    asked = boss.post(BULK, {"act": "rank", "user": ids(agency, 3, 4)})
    assert "2 users are selected." in text(asked) and 'value="=Captain"' in asked.content.decode()
    assert f'{USERS}?chosen={chosen_users.join_ids(ids(agency, 3, 4))}"' in asked.content.decode()
    assert boss.post(BULK, {"act": "rank", "user": ids(agency, 3), "value": "=Emperor"}).status_code == 422
    address = plan(boss, act="rank", user=ids(agency, 3, 4), value="=Captain")
    seen = boss.get(address)
    assert (
        "2 users will have the rank Captain." in text(seen) and "First 3 Last 3" in text(seen) and rank(agency, 3) == ""
    )
    done = boss.get(boss.post(address).headers["Location"])
    assert "Applied" in text(done) and [rank(agency, n) for n in (3, 4, 5)] == ["Captain", "Captain", ""]
    listed = text(boss.get("/springfield/imports/"))
    assert "Set rank: Captain" in listed and "Bulk action" in listed
    number = address.rpartition("/")[2]
    assert boss.get(f"/springfield/imports/{number}").headers["Location"] == address


def test_an_import_of_a_file_is_no_act_on_many(agency: Springfield, boss: Client) -> None:
    file = models.Import.objects.filter(agency=agency.agency).latest("pk")
    assert boss.get(f"{BULK}/{file.number}").status_code == boss.post(f"{BULK}/{file.number}").status_code == 404


def test_a_plan_is_discarded_by_a_user_who_may_apply_it(agency: Springfield, boss: Client) -> None:
    """Rule A4."""
    address = plan(boss, act="rank", user=ids(agency, 3, 4), value="=Captain")
    number = address.rpartition("/")[2]
    models.Role.objects.filter(name="Officer").update(permissions=["users.view"])
    agency.registered(3)
    viewer = Client()
    signed_in(viewer, "user.3")
    assert viewer.post(f"/springfield/imports/{number}/discard").status_code == 403
    assert ">Discard</button>" in boss.get(address).content.decode()
    boss.post(f"/springfield/imports/{number}/discard")
    page = text(boss.get(address))
    assert "was discarded. It cannot be applied." in page
    assert "was discarded. Nothing was changed." in text(boss.get(boss.post(address).headers["Location"]))
    assert rank(agency, 3) == ""


def test_no_rank_is_a_choice(agency: Springfield, boss: Client) -> None:
    agency.imported(person(3, RANK="Captain"))
    boss.post(plan(boss, act="rank", user=ids(agency, 3), value="="))
    assert rank(agency, 3) == ""


def test_all_that_match_and_all_on_the_page_are_chosen(agency: Springfield, boss: Client) -> None:
    boss.post(plan(boss, "?q=b-4", act="rank", value="=Captain", all="1", user=ids(agency, 3)))
    shown = chosen_users.join_ids(ids(agency, 5))
    boss.post(plan(boss, "?q=b-4", act="rank", value="=Captain", all="page", shown=shown))
    assert [rank(agency, n) for n in (1, 2, 3, 4, 5)] == ["", "", "", "Captain", "Captain"]


@pytest.mark.parametrize(
    ("query", "sent", "said"),
    [
        ("", {"act": "invite"}, "Select at least one user."),
        ("", {"user": "1"}, "Choose an action."),
        ("", {"act": "delete", "user": "1"}, "Choose an action."),
        ("", {"act": "invite", "user": ["x", "", "1" * 30, "²"]}, "Select at least one user."),
        ("?supervisor=nobody", {"act": "invite", "all": "1"}, "A filter cannot be read"),
        ("", {"act": "invite", "user": list(range(501))}, "You can select at most 500 users one by one."),
        ("", {"keep": "1", "user": list(range(501))}, "You can select at most 500 users one by one."),
    ],
)
def test_what_is_not_clear_is_asked_again(boss: Client, query: str, sent: dict[str, Any], said: str) -> None:
    answer = boss.post(f"{BULK}{query}", sent, follow=True)
    assert answer.redirect_chain[0][0].startswith(USERS) and said in text(answer)
    assert not models.Import.objects.filter(kind=models.ImportKind.BULK).exists()


def test_who_is_ticked_stays_so_on_other_pages(agency: Springfield, boss: Client) -> None:
    three, four, five = ids(agency, 3, 4, 5)
    kept = boss.post(f"{BULK}?q=agency&sort=email", {"keep": "1", "user": [three, four], "act": "", "shown": ""})
    address = kept.headers["Location"]
    assert f"chosen={three}.{four}" in address and "q=agency" in address and "sort=email" in address
    page = boss.get(address).content.decode()
    assert (
        len(re.findall('name="user" value="[0-9]+" checked', page)) == 2
        and f"chosen={three}.{four}&amp;sort=name" in page
    )
    sent = f"chosen={three}.{four}&shown={four}.{five}&user={five}"
    turned = boss.get(f"{USERS}?{sent}", headers={"HX-Request": "true"})
    assert turned.headers["HX-Push-Url"] == f"{USERS}?chosen={three}.{five}"
    assert boss.get(f"{BULK}?chosen={three}").headers["Location"] == f"{USERS}?chosen={three}"


def test_more_than_an_address_can_bear_are_not_taken(boss: Client) -> None:
    for many in (".".join(map(str, range(501))), f"1&{'&'.join(f'user={n}' for n in range(501))}"):
        answer = boss.get(f"{USERS}?chosen={many}")
        assert answer.status_code == 200 and "at most 500 users" in text(answer)


def test_users_of_another_agency_are_not_chosen(agency: Springfield, boss: Client) -> None:
    other = make_agency("shelbyville")
    theirs = ids(other, 3)
    answer = boss.post(BULK, {"act": "invite", "user": theirs}, follow=True)
    assert "Select at least one user." in text(answer)
    address = plan(boss, act="rank", value="=Captain", user=[*theirs, *ids(agency, 3)])
    assert "1 user will have the rank Captain." in text(boss.get(address))
    boss.post(address)
    assert (rank(agency, 3), rank(other, 3)) == ("Captain", "")
    stranger = Client()
    sign_in(stranger, "user.1", agency="shelbyville")
    for answer in (
        stranger.get(address.replace("springfield", "shelbyville")),
        stranger.post(address.replace("springfield", "shelbyville")),
    ):
        assert answer.status_code == 404


def test_each_act_takes_its_permission_when_chosen_and_when_done(agency: Springfield, boss: Client) -> None:
    address = plan(boss, act="invite", user=ids(agency, 3))
    lesser = Client()
    sign_in(lesser, "user.2")
    page = lesser.get(USERS).content.decode()
    assert 'value="rank"' in page and 'value="invite"' not in page
    before = models.Event.objects.filter(kind="act.refused").count()
    assert lesser.post(BULK, {"act": "reset", "user": ids(agency, 3)}).status_code == 403
    assert lesser.post(address).status_code == 403
    assert lesser.post(f"{address}/cancel").status_code == 403
    assert models.Event.objects.filter(kind="act.refused").count() == before + 3
    assert (
        "Reset credentials" not in text(lesser.get(address)) and not models.Mail.objects.filter(kind="reset").exists()
    )


def test_a_user_who_may_only_view_can_tick_no_one(agency: Springfield) -> None:
    models.Role.objects.filter(agency=agency.agency, name="Chief").update(permissions=["users.view"])
    looker = Client()
    sign_in(looker, "user.2")
    page = looker.get(USERS).content.decode()
    assert 'name="user"' not in page and "select-page" not in page and 'id="act"' not in page


def test_no_user_changes_users_that_they_may_not_manage(agency: Springfield) -> None:
    lesser = Client()
    sign_in(lesser, "user.2")
    asked = lesser.post(BULK, {"act": "role", "user": ids(agency, 3)}).content.decode()
    assert "=Admin" not in asked and "=Chief" in asked
    assert lesser.post(BULK, {"act": "role", "value": "=Admin", "user": ids(agency, 3)}).status_code == 422
    page = text(lesser.get(plan(lesser, act="deactivate", user=ids(agency, 1, 2, 3))))
    assert (
        "2 users will be left out, for the reasons below." in page
        and "permissions that yours does not" in page
        and "your own account" in page
    )


def test_a_permission_lost_meanwhile_counts(agency: Springfield, monkeypatch: pytest.MonkeyPatch) -> None:
    lesser = Client()
    sign_in(lesser, "user.2")
    address = plan(lesser, act="rank", value="=Captain", user=ids(agency, 3))
    monkeypatch.setattr("musterbook.web.users.bulk.may", lambda *_: True)
    models.Role.objects.filter(name="Chief").update(permissions=["users.view"])
    assert lesser.post(address).status_code == 403
    assert rank(agency, 3) == ""


def test_sent_twice_it_is_done_once_and_an_end_is_no_plan(agency: Springfield, boss: Client) -> None:
    address = plan(boss, act="invite", user=ids(agency, 3))
    first, second = boss.post(address), boss.post(address)
    assert first.headers["Location"] == second.headers["Location"]
    assert models.Mail.objects.filter(kind="invitation", user=agency.user(3), of__state="applied").count() == 2
    answer = boss.post(first.headers["Location"], follow=True)
    assert "This plan cannot be applied." in text(answer)


def test_who_is_chosen_does_not_change_after_the_preview(agency: Springfield, boss: Client) -> None:
    address = plan(boss, "?q=user", act="rank", value="=Captain", all="1")
    agency.imported(person(9))
    boss.post(address, {"user": ids(agency, 9), "act": "deactivate"})
    assert (rank(agency, 5), rank(agency, 9)) == ("Captain", "") and agency.user(9).active


def test_what_has_changed_since_is_shown_before_it_is_done(agency: Springfield, boss: Client) -> None:
    address = plan(boss, act="rank", value="=Captain", user=ids(agency, 3, 4))
    agency.imported(person(3, RANK="Captain"))
    refused = boss.post(address).headers["Location"]
    page = text(boss.get(refused))
    assert "The plan has changed: nothing was applied" in page
    assert "Users have changed since the preview." in page
    assert "1 user will have the rank Captain. 1 user needs no change." in page
    boss.post(refused)
    assert rank(agency, 4) == "Captain"


def test_many_deactivations_want_their_number(agency: Springfield, boss: Client) -> None:
    models.Agency.objects.update(limits=[cast.allow(1, 1)])
    address = plan(boss, act="deactivate", user=ids(agency, 3, 4))
    wrong = boss.post(address, {"deactivations": "3"})
    assert wrong.status_code == 422 and "Enter that number" in text(wrong) and agency.user(3).active
    boss.post(address, {"deactivations": "2"})
    assert not agency.user(3).active and not agency.user(4).active


def test_a_preview_says_first_who_loses_access_and_who_gets_email_and_then_what_was_done(
    agency: Springfield, boss: Client
) -> None:
    agency.registered(3)
    agency.imported(person(5, STATUS="Inactive"))
    address = plan(boss, act="deactivate", user=ids(agency, 1, 3, 4, 5))
    page = text(boss.get(address))
    said = "2 users will lose access. 2 users will be deactivated. 1 user needs no change. 1 user will be left out, for the"
    assert said in page and "1 notice of a deactivation will be sent." in page
    content = boss.get(address).content.decode()
    assert "Deactivate 2 users</button>" in content and content.partition("</main>")[0].count('class="usa-button"') == 1
    done = text(boss.get(boss.post(address).headers["Location"]))
    assert (
        "2 users lost access. 2 users were deactivated. 1 user needed no change. 1 user was left out, for the" in done
    )
    assert "1 notice of a deactivation was sent." in done
    boss.post(plan(boss, act="group", value="=PATROL", user=ids(agency, 3)))
    assert "1 user will be in no group." in text(boss.get(plan(boss, act="group", value="=", user=ids(agency, 3))))
    nothing = boss.get(plan(boss, act="rank", value="=", user=ids(agency, 3)))
    assert "Nothing will change. 1 user needs no change." in text(nothing) and "Set rank of" not in text(nothing)


def test_who_requested_it_cannot_confirm_it_if_another_user_must(agency: Springfield, boss: Client) -> None:
    """Rule S8."""
    models.Agency.objects.update(limits=[cast.allow(1)], second_approver=True)
    address = plan(boss, act="deactivate", user=ids(agency, 3, 4))
    page = text(boss.get(address))
    assert "2 users will lose access. The limit is 1" in page and "First 3 Last 3 E-3" in page
    assert "If you apply this, it is on hold until another user confirms it." in page
    held = boss.post(address, {"deactivations": "2"}).headers["Location"]
    page = text(boss.get(held))
    assert "On hold: nothing has changed" in page and "You requested this, so another user must confirm it." in page
    refused = boss.post(held, {"deactivations": "2"}, follow=True)
    assert "another user must confirm it. Nothing was changed." in text(refused) and agency.user(3).active


def test_it_is_done_by_somebody_who_has_signed_in_recently(agency: Springfield, boss: Client) -> None:
    address = plan(boss, act="rank", value="=Captain", user=ids(agency, 3))
    age_session(boss, 20)
    assert "/sign-in/again" in boss.post(address).headers["Location"]
    assert rank(agency, 3) == ""


def test_an_act_on_columns_can_be_undone_and_mails_cannot(agency: Springfield, boss: Client) -> None:
    done = boss.post(plan(boss, act="rank", value="=Captain", user=ids(agency, 3))).headers["Location"]
    number = done.rpartition("/")[2]
    assert f"/imports/{number}/undo" in boss.get(done).content.decode()
    undo = boss.post(f"/springfield/imports/{number}/undo").headers["Location"]
    boss.post(undo)
    assert rank(agency, 3) == "" and "This action was undone" in text(boss.get(done))
    sent = boss.post(plan(boss, act="invite", user=ids(agency, 3))).headers["Location"]
    assert "/undo" not in boss.get(sent).content.decode()


def test_rows_are_shown_by_their_outcome(agency: Springfield, boss: Client) -> None:
    address = plan(boss, act="reset", user=ids(agency, 1, 3))
    left = boss.get(f"{address}?show=errored", headers={"HX-Request": "true"}).content.decode()
    assert "has not registered yet" in left and "<h1" not in left
    assert "Reset credentialsBulk action" in text(boss.get("/springfield/imports/"))
    assert "a link to choose a new password" in boss.get(f"{address}?show=updated").content.decode()
    ended = boss.get(f"{address}?progress", headers={"HX-Request": "true"})
    assert ended.headers["HX-Refresh"] == "true"


def test_what_waits_shows_how_far_it_is_and_can_be_stopped(
    agency: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterbook.directory.imports.queue.wait", lambda record, _: record)
    address = plan(boss, act="invite", user=ids(agency, 3))
    assert "Waiting to start" in text(boss.get(address))
    part = boss.get(f"{address}?progress", headers={"HX-Request": "true"}).content.decode()
    assert 'id="progress"' in part and "<h1" not in part
    answer = boss.post(f"{address}/cancel", follow=True)
    assert "The action was asked to stop." in text(answer) and "Canceled: nothing has changed" in text(answer)
    assert boss.get(f"{address}/cancel").headers["Location"] == address


def test_it_says_so_if_it_cannot_be_kept_who_is_chosen(
    agency: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = plan(boss, act="invite", user=ids(agency, 3))
    selection.delete_ids(address.rpartition("/")[2])
    assert "The list of selected users is no longer available." in text(boss.post(address, follow=True))

    def full(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(selection, "keep_ids", full)
    answer = boss.post(BULK, {"act": "invite", "user": ids(agency, 3)}, follow=True)
    assert "There is no room to save this." in text(answer)


def test_users_are_ticked_on_two_pages_and_given_a_rank(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    enter(page, "user.1", "users/")
    page.set_viewport_size({"width": 1280, "height": 800})
    rows = page.locator("#found tbody tr")
    page.get_by_role("checkbox", name="Select First 10").check()
    page.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(13)
    expect(page.locator("#found")).to_contain_text("1 user selected (1 on other pages)")
    rows.first.get_by_role("checkbox").check()
    assert barriers(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("searchbox").fill("b-1")
    expect(page.get_by_role("checkbox", name="Select First 10")).to_be_checked()
    page.get_by_label("Action", exact=True).select_option(label="Set rank")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("main")).to_contain_text("2 users are selected.")
    assert barriers(page) == []
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a rank")
    page.get_by_label("Rank").select_option(label="Captain")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/users/bulk/*")
    assert barriers(page) == []
    page.get_by_role("button", name="Set rank of 1 user").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Applied")
    assert barriers(page) == []
    assert springfield.user(10).rank


def test_without_scripts_ticks_are_kept_by_a_button(scriptless: Page, springfield: Springfield) -> None:
    page = scriptless
    filled(springfield)
    enter(page, "user.1", "users/")
    page.get_by_role("checkbox", name="Select First 10").check()
    page.get_by_role("button", name="Keep the selection and choose more").click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#found")).to_contain_text("1 user selected on other pages")
    page.get_by_label("Action", exact=True).select_option(label="Invite again")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Invite 1 user again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Applied")


def test_a_plan_that_nobody_chose_says_why_it_was_made(agency: Springfield, boss: Client) -> None:
    models.Agency.objects.update(unused_days=90, limits=[cast.allow(0)])
    at = datetime.now(UTC)
    models.User.objects.filter(external_id="E-2").update(registered_at=at - timedelta(days=100), last_sign_in_at=None)
    expiry.submit_due(at)
    record = queue.wait(models.Import.objects.latest("pk"), 0)
    seen = text(boss.get(f"{BULK}/{record.number}"))
    assert "Deactivate · 1 user. Reason: No sign-in for 90 days." in seen
    assert "selected in All Users" not in seen
    chosen_here = text(boss.get(plan(boss, act="rank", user=ids(agency, 3), value="=Captain")))
    assert "Set rank: Captain · 1 user selected in All Users" in chosen_here
