"""Agency settings through their pages: each section saves by itself, and says before it stops anybody."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page

from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.directory import models
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.accounts.test_entrance import sign_in
from tests.accounts.test_factors import set_up
from tests.built_once import built_once
from tests.certificates import CERTIFICATE
from tests.directory import cast
from tests.directory.cast import allow, person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

SECTIONS = ("", "imports", "limits", "accounts", "mails", "second-factors", "sign-on/")
OIDC = {
    "slug": "entra", "name": "Microsoft", "server": "https://login.example/v2.0", "client_id": "muster",
    "client_secret": "hush", "match": "email",
}  # fmt: skip
SAML = {
    "slug": "state", "name": "the State", "entity_id": "https://idp.example/", "sso_url": "https://idp.example/sso",
    "certificate": CERTIFICATE, "match": "external_id", "claim": "employee",
}  # fmt: skip


@built_once
def fill() -> Springfield:
    """An agency with an administrator (1), an officer (2), and one who may configure it and no more (5)."""
    made = Springfield(cast.agency())
    models.Role.objects.filter(agency=made.agency, name="Chief").update(permissions=["agency.configure"])
    made.imported(person(1, ROLE="Admin"), person(2), person(5, ROLE="Chief"))
    made.registered(1)
    made.registered(5)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    return fill()


@pytest.fixture
def admin(springfield: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which user 5 is signed in."""
    signed_in(client, "user.5")
    return client


def at(section: str) -> str:
    return f"/springfield/settings/{section}"


def read_page(client: Client, section: str) -> str:
    answer = client.get(at(section))
    assert answer.status_code == 200
    return answer.content.decode()


def fields(page: str) -> dict[str, Any]:
    """What the page's form would send as it stands."""
    form = page[re.search(r'<form class="m-form[^"]*" method="post"', page).start() :]  # type: ignore[union-attr]
    form = form[: form.index("</form>")]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        values = {"value": "on" if "checkbox" in tag else "", **dict(re.findall(r'(\w+)="([^"]*)"', tag))}
        if values.get("type") != "checkbox" or "checked" in tag:
            found.setdefault(values["name"], []).append(unescape(values["value"]))
    return found


def post(client: Client, section: str, **values: Any) -> str:
    """Sends the section's form as it stands, but with these values; gives the page that follows."""
    sent = fields(read_page(client, section)) | values
    return client.post(at(section), sent, follow=True).content.decode()


def agency() -> models.Agency:
    return models.Agency.objects.get(slug="springfield")


def test_each_section_is_shown_with_what_is_set_and_saved_as_it_is_changes_nothing(admin: Client) -> None:
    for section in SECTIONS[:6]:
        assert "saved." in post(admin, section)
    assert "There is no provider yet." in read_page(admin, "sign-on/")
    assert not models.Event.objects.filter(kind="agency.changed").exists()


@pytest.mark.parametrize(
    ("section", "values", "setting", "value"),
    [
        ("", {"name": "Springfield Police"}, "name", "Springfield Police"),
        ("", {"default_country": "ca"}, "default_country", "CA"),
        ("limits", {"handovers_percent": "2.5"}, "limits", [allow(5, 10, 500), allow(0, 2.5, kind="handovers")]),
        ("limits", {"second_approver": ["on"]}, "second_approver", True),
        ("accounts", {"password_length": "8"}, "password_length", 8),
        ("mails", {"kinds": ["invitation"]}, "mails_off", ["welcome", "reactivated", "deactivated"]),
        ("mails", {"sends_mail": []}, "sends_mail", False),
    ],
)  # fmt: skip
def test_a_setting_is_saved_with_one_event(
    chief: Client, section: str, values: dict[str, Any], setting: str, value: object
) -> None:
    assert "saved." in post(chief, section, **values)
    assert getattr(agency(), setting) == value
    event = models.Event.objects.get(kind="agency.changed")
    assert (event.actor, event.through) == ("E-5", "page")


@pytest.mark.parametrize(
    ("section", "values", "sentence"),
    [
        ("accounts", {"password_length": "7"}, "Enter a whole number from 8 to 64."),
        ("accounts", {"lock_failures": "five"}, "Enter a whole number from 2 to 5."),
        ("accounts", {"idle_minutes": ""}, "Enter a whole number from 1 to 720."),
        ("limits", {"privileges_percent": "nan"}, "Enter a number from 0 to 100."),
        ("limits", {"deactivations_most": "1.5"}, "Enter a whole number, 0 or more."),
        ("", {"default_country": "USA"}, "Enter the two letters"), ("", {"name": "a\u2028b"}, "another control character"),
        ("mails", {"kinds": ["reset"]}, "reset is not one of the available choices"),
        ("second-factors", {"roles": ["0"]}, "0 is not one of the available choices"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_reported_at_its_field_and_changes_nothing(
    chief: Client, section: str, values: dict[str, str], sentence: str
) -> None:
    page = post(chief, section, **values)
    assert sentence in page and page.count("usa-error-message") == 1
    assert not models.Event.objects.filter(kind="agency.changed").exists()


def test_a_concurrent_change_is_shown_and_saving_again_overwrites_it(admin: Client) -> None:
    sent = fields(read_page(admin, "accounts"))
    models.Agency.objects.update(idle_minutes=60, invitation_days=3)
    first = admin.post(at("accounts"), sent | {"idle_minutes": "5"})
    assert first.status_code == 422 and "Someone else set this to “60” while" in first.content.decode()
    assert agency().idle_minutes == 60
    admin.post(at("accounts"), fields(first.content.decode()))
    assert (agency().idle_minutes, agency().invitation_days) == (5, 3)
    sent = fields(read_page(admin, "mails"))
    models.Agency.objects.update(sends_mail=False, mails_off=["welcome"])
    page = admin.post(at("mails"), sent | {"kinds": [], "shown": "[]"}).content.decode()
    assert "Someone else set this to no while" in page and "Someone else set this to “welcome” while" in page


def test_what_a_page_was_shown_cannot_be_made_up(admin: Client) -> None:
    for shown in ("{", "[" * 100_000, "5", ""):
        assert "Someone else set this" in post(admin, "", name="Other", shown=shown)
    assert agency().name == "Springfield"
    assert "saved." in post(admin, "second-factors", shown="² 5 x")


@pytest.mark.parametrize(
    "section", ["accounts", "second-factors", "sign-on/add-oidc", "sign-on/entra/", "sign-on/entra/remove"]
)
def test_who_signed_in_long_ago_signs_in_again_before_what_is_about_safety_changes(admin: Client, section: str) -> None:
    admin.post(at("sign-on/add-oidc"), OIDC)
    sent = (
        OIDC | {"slug": "another"}
        if "add" in section
        else fields(read_page(admin, section))
        if "remove" not in section
        else {}
    )
    age_session(admin, 16)
    assert admin.get(at(section)).status_code == 200
    assert "/sign-in/again" in admin.post(at(section), sent).headers["Location"]
    assert [one["slug"] for one in agency().sign_on] == ["entra"]
    assert admin.post(at(""), fields(read_page(admin, ""))).headers["Location"] == at("")


def test_a_page_that_was_loaded_before_does_not_take_the_second_factor_of_everyone_away(admin: Client) -> None:
    set_up(admin)
    before = fields(read_page(admin, "second-factors"))
    models.Agency.objects.update(second_factor=True)
    assert "saved." in admin.post(at("second-factors"), before, follow=True).content.decode()
    assert agency().second_factor
    now = fields(read_page(admin, "second-factors"))
    assert "saved." in admin.post(at("second-factors"), {**now, "everyone": []}, follow=True).content.decode()
    assert not agency().second_factor


def test_before_a_role_requires_a_second_factor_the_page_lists_the_users_without_one(admin: Client) -> None:
    pk = str(models.Role.objects.get(agency=agency(), name="Admin").pk)
    sent = fields(read_page(admin, "second-factors")) | {"roles": [pk]}
    page = admin.post(at("second-factors"), sent).content.decode()
    assert "Nothing has been saved yet" in page and "Admin: 1 user</li>" in page and "This applies to you" in page
    assert not models.Role.objects.filter(second_factor=True).exists()
    answer = admin.post(at("second-factors"), sent | {"agreed": pk}, follow=True)
    assert models.Role.objects.get(second_factor=True).name == "Admin"
    assert answer.redirect_chain[-1][0] == "/springfield/my-account/second-factors/"


def test_a_role_that_asks_no_more_needs_no_word(admin: Client) -> None:
    models.Role.objects.filter(agency=agency(), name="Officer").update(second_factor=True)
    assert "saved." in post(admin, "second-factors", roles=[])
    assert not models.Role.objects.filter(second_factor=True).exists()


def test_roles_that_may_do_more_are_shown_and_not_changed(chief: Client) -> None:
    admin = str(models.Role.objects.get(agency=agency(), name="Admin").pk)
    assert "<li>Admin: not required</li>" in read_page(chief, "second-factors")
    assert "is not one of the available choices" in post(chief, "second-factors", roles=[admin], agreed=admin)
    assert not models.Role.objects.filter(second_factor=True).exists()


def test_limits_are_blank_where_they_are_the_default(chief: Client) -> None:
    models.Agency.objects.update(limits=[])
    page = read_page(chief, "limits")
    assert "Blank = the default: the larger of 3 users and 1% of the active users, at most 20" in page
    assert "Blank = the default: no limit" in page
    assert {value for name, values in fields(page).items() for value in values if "_users" in name} == {""}
    post(chief, "limits", privileges_users="2", updates_off=["on"])
    assert agency().limits == [allow(2, kind="privileges"), {**allow(0, kind="updates"), "off": True}]
    assert "Users who are updated: no limit" in read_page(chief, "limits")
    post(chief, "limits", privileges_users="", updates_off=[])
    assert agency().limits == []


def test_limits_that_somebody_has_changed_meanwhile_are_not_lost(chief: Client) -> None:
    sent = fields(read_page(chief, "limits")) | {"privileges_users": "2"}
    models.Agency.objects.update(limits=[allow(9)])
    page = chief.post(at("limits"), sent).content.decode()
    assert "Someone else changed these settings while you were editing." in page and agency().limits == [allow(9)]
    assert "saved." in chief.post(at("limits"), fields(page), follow=True).content.decode()
    assert agency().limits == [allow(5, 10, 500), allow(2, kind="privileges")]


def test_a_role_gets_a_limit_of_its_own_and_loses_it(chief: Client) -> None:
    role = models.Role.objects.get(agency=agency(), name="Officer").pk
    sent = {"kind": "deactivations", "of": f"role-{role}", "users": "0", "percent": "", "most": ""}
    page = chief.post(at("imports/add-limit"), sent, follow=True).content.decode()
    assert "The limit was added." in page and "Users who lose access: role Officer</td>" in page
    assert ">0 users</td>" in page
    assert agency().limits[-1] == {**allow(0), "role": role}
    assert "saved." in post(chief, "limits", handovers_users="1")
    assert {**allow(0), "role": role} in agency().limits
    name = {"limit": "limit deactivations of role Officer"}
    page = chief.post(at("imports/remove-limit"), name, follow=True).content.decode()
    assert "The limit was removed." in page and "limit deactivations of role Officer" not in page
    chief.post(at("imports/remove-limit"), name)
    assert agency().limits == [allow(5, 10, 500), allow(1, kind="handovers")]


def test_a_limit_of_a_role_that_cannot_be_is_reported(chief: Client) -> None:
    answer = chief.post(at("imports/add-limit"), {"kind": "deactivations", "of": "", "users": "-1"})
    page = answer.content.decode()
    assert answer.status_code == 422 and "Enter a whole number, 0 or more." in page
    assert agency().limits == [allow(5, 10, 500)]


def test_headings_that_imports_remember_are_shown_and_forgotten(chief: Client) -> None:
    assert "None yet." in read_page(chief, "imports")
    models.Agency.objects.update(mapping={"Personnel no.": "EXTERNAL_ID", "Shoes": ""})
    page = read_page(chief, "imports")
    assert "<code>EXTERNAL_ID</code>" in page and "ignored" in page
    for left in ("was forgotten", "Remembered headings"):
        assert left in chief.post(at("imports/forget"), {"heading": "Shoes"}, follow=True).content.decode()
    assert agency().mapping == {"Personnel no.": "EXTERNAL_ID"}


def test_how_imports_read_files_is_shown_and_forgotten(chief: Client) -> None:
    """F2, F12."""
    assert "How files are read" not in read_page(chief, "imports")
    models.Agency.objects.update(reading={"encoding": "windows-1250", "header_row": 3})
    page = read_page(chief, "imports")
    assert "<code>windows-1250</code>" in page and "Row with the headings" in page
    answer = chief.post(at("imports/forget"), {"reading": "header_row"}, follow=True).content.decode()
    assert "Row with the headings: forgotten." in answer
    chief.post(at("imports/forget"), {"reading": "nonsense"}, follow=True)
    assert agency().reading == {"encoding": "windows-1250"}


def test_without_a_mail_server_the_page_says_where_mails_go(chief: Client) -> None:
    assert "Email is not set up (MUSTER_SMTP_URL)" in read_page(chief, "mails")


@pytest.mark.parametrize(("kind", "values"), [("oidc", OIDC), ("saml", SAML)])
def test_a_provider_is_added_changed_and_removed(admin: Client, kind: str, values: dict[str, str]) -> None:
    page = admin.post(at(f"sign-on/add-{kind}"), values, follow=True).content.decode()
    assert "was added." in page
    address = f"/springfield/sign-in/with/{kind}/{values['slug']}/"
    assert f"http://localhost:8000{address}" in page
    assert values["name"] in read_page(admin, "sign-on/")
    assert values["name"] in Client().get("/springfield/sign-in").content.decode()
    one = f"sign-on/{values['slug']}/"
    sent = values | {"shown": fields(read_page(admin, one))["shown"], "name": "Another", "client_secret": ""}
    assert "Another was saved." in admin.post(at(one), sent, follow=True).content.decode()
    assert "Users who have no password" in read_page(admin, f"{one}remove")
    shown = re.search(r'name="shown" value="(\w+)"', read_page(admin, f"{one}remove"))
    assert shown
    page = admin.post(at(f"{one}remove"), {"shown": shown[1]}, follow=True).content.decode()
    assert "Another was removed." in page and agency().sign_on == []


def test_a_secret_is_kept_and_shown_nowhere(admin: Client) -> None:
    admin.post(at("sign-on/add-oidc"), OIDC)
    assert encryption.unseal(agency().sign_on[0]["secret"]) == "hush"
    sealed = agency().sign_on[0]["secret"]
    for section in ("sign-on/", "sign-on/entra/", "sign-on/entra/remove"):
        assert "hush" not in read_page(admin, section) and sealed not in read_page(admin, section)
    page = admin.post(at("sign-on/add-oidc"), OIDC | {"slug": "Not So", "client_secret": "quiet"}).content.decode()
    assert "Write lowercase letters" in page and "quiet" not in page
    assert "hush" not in str(list(models.Event.objects.values_list("changes", flat=True)))


def test_errors_of_a_provider_are_shown_at_their_fields(admin: Client) -> None:
    admin.post(at("sign-on/add-oidc"), OIDC)
    shown = fields(read_page(admin, "sign-on/entra/"))["shown"]
    page = admin.post(at("sign-on/entra/"), OIDC | {"server": "http://evil.example", "shown": shown}).content.decode()
    assert 'id="id_server_error"' in page and agency().sign_on[0]["server"] == OIDC["server"]
    assert (
        "There is already a provider with that short name" in admin.post(at("sign-on/add-oidc"), OIDC).content.decode()
    )


def test_a_provider_that_somebody_has_changed_meanwhile_is_looked_at_again(admin: Client) -> None:
    admin.post(at("sign-on/add-oidc"), OIDC)
    for section in ("sign-on/entra/", "sign-on/entra/remove"):
        page = admin.post(at(section), OIDC | {"shown": "00000000", "name": "Other"}, follow=True).content.decode()
        assert "Someone else changed or removed this provider" in page
    assert agency().sign_on[0]["name"] == "Microsoft"


@pytest.mark.parametrize("section", ["sign-on/nobody/", "sign-on/nobody/remove", "sign-on/add-ldap"])
def test_what_is_not_there_is_not_found(admin: Client, section: str) -> None:
    assert admin.get(at(section)).status_code == admin.post(at(section)).status_code == 404


def test_who_comes_in_by_the_provider_alone_is_warned_before_it_goes(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.post(at("sign-on/add-oidc"), OIDC)
    assert "You have no password here." not in read_page(admin, "sign-on/entra/remove")
    monkeypatch.setattr(Account, "has_usable_password", lambda _: False)
    assert "You have no password here." in read_page(admin, "sign-on/entra/remove")


def test_who_lacks_a_permission_sees_providers_and_changes_none(chief: Client, springfield: Springfield) -> None:
    admin = Client()
    sign_in(admin, "user.1")
    admin.post(at("sign-on/add-oidc"), OIDC)
    page = read_page(chief, "sign-on/")
    assert "Microsoft" in page and "Add OpenID" not in page and "Remove" not in page
    for section in ("sign-on/add-oidc", "sign-on/entra/", "sign-on/entra/remove"):
        assert chief.get(at(section)).status_code == chief.post(at(section), OIDC).status_code == 403
    assert models.Event.objects.filter(kind="act.refused").count() == 6
    assert agency().sign_on[0]["name"] == "Microsoft"


def test_an_administrator_sets_up_their_agency_in_a_browser(page: Page, transactional_db: None) -> None:
    fill()
    enter(page, "user.1")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Agency settings", exact=True).click()
    side = page.get_by_role("navigation", name="Agency settings")
    side.get_by_role("link", name="Sign-in and passwords").click()
    page.get_by_label("Minimum password length").fill("7")
    page.keyboard.press("Enter")
    page.locator(".usa-alert--error").wait_for()
    assert barriers(page) == []
    page.get_by_label("Minimum password length").fill("8")
    page.keyboard.press("Enter")
    page.get_by_text("The rules were saved.").wait_for()
    side.get_by_role("link", name="Single sign-on").click()
    page.get_by_role("link", name="Add SAML provider").click()
    for name, value in SAML.items():
        if name != "match":
            page.fill(f"[name={name}]", value)
    page.get_by_label("by external ID").check(force=True)
    page.get_by_role("button", name="Add provider").click()
    page.get_by_text("the State was added.").wait_for()
    assert barriers(page) == []
    side.get_by_role("link", name="Second factors").click()
    page.get_by_role("checkbox", name="Admin").check(force=True)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("This applies to you").wait_for()
    assert barriers(page) == []
    page.get_by_role("button", name="Require it").click()
    page.wait_for_url("**/my-account/second-factors/")


def test_everybody_reads_the_notice_before_they_sign_in_or_register(springfield: Springfield, admin: Client) -> None:
    notice = "For official use only.\r\nUse is <b>recorded</b>."
    admin.post(at("accounts"), fields(read_page(admin, "accounts")) | {"sign_in_notice": notice})
    springfield.agency.refresh_from_db()
    assert springfield.agency.sign_in_notice == "For official use only.\nUse is <b>recorded</b>."
    for page in ("sign-in", f"register/{springfield.invitation_now(2)}"):
        shown = Client().get(f"/springfield/{page}", follow=True).content.decode()
        assert "For official use only.<br>Use is &lt;b&gt;recorded&lt;/b&gt;." in shown
    answer = admin.post(at("accounts"), fields(read_page(admin, "accounts")) | {"sign_in_notice": "x" * 4001})
    assert "at most 4,000 characters" in answer.content.decode()
