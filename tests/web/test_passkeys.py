"""Passkeys in a real browser: added, used beside a password and alone, and attacked."""

import json
from itertools import pairwise

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from musterbook.accounts import factors
from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.directory import models
from tests.accounts.conftest import GOOD, Springfield, context
from tests.directory import cast
from tests.web.looks import barriers
from tests.web.passkeys import Device

pytestmark = pytest.mark.any_database

PAGES = "/springfield/my-account/second-factors/"
HOME = "/springfield/"


@pytest.fixture
def officer(springfield: Springfield) -> Account:
    """The officer's account."""
    return springfield.registered(2)


def sign_in(page: Page, name: str = "user.2", agency: str = "springfield") -> None:
    """Types name and password."""
    page.goto(f"/{agency}/sign-in")
    page.get_by_label("Login").or_(page.get_by_label("Username or email address")).fill(name)
    page.locator("input[type=password]").fill(GOOD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    """Ends the session."""
    page.goto(HOME)
    page.get_by_role("button", name="Sign out").click()


def add(page: Page, name: str = "Work phone", *, alone: bool = True, agency: str = "springfield") -> None:
    """Adds a passkey, as somebody who has signed in."""
    page.goto(f"/{agency}/my-account/second-factors/webauthn/add/")
    page.get_by_label("Name").fill(name)
    if not alone:
        page.locator("label", has_text="Sign in with this passkey alone").click()
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("The passkey is added.")).to_be_visible()


def with_passkey(page: Page, agency: str = "springfield") -> None:
    """Presses the button of the sign-in page."""
    page.goto(f"/{agency}/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()


def assert_signed_in(page: Page, name: str = "user.2") -> None:
    """Asserts who is signed in."""
    expect(page.get_by_text(f"as {name}")).to_be_visible()


def assert_signed_out(page: Page) -> None:
    """Asserts that nobody is signed in."""
    assert page.request.get(HOME).url.endswith("/springfield/sign-in?next=/springfield/")


def kinds(springfield: Springfield) -> list[str]:
    return [kind for kind, *_ in springfield.events()]


def list_factors() -> str:
    """By which factors somebody signed in last."""
    changes = models.Event.objects.filter(kind="user.signed-in").latest("id").changes
    return str(json.loads(changes)["factors"][1])


def test_a_passkey_replaces_the_password(page: Page, springfield: Springfield, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    sign_out(page)
    with_passkey(page)
    assert_signed_in(page)
    assert list_factors() == "webauthn"
    made = ["user.second-factor-added", "user.recovery-codes-made"]
    assert kinds(springfield)[3:5] == made
    assert springfield.mails() == ["welcome", "second-factor"]


def test_the_first_recovery_codes_are_shown_once_and_can_be_kept(page: Page, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    shown = page.locator("li code").all_inner_texts()
    assert len(shown) == 10
    assert barriers(page) == []
    # In the narrow window of a phone a code takes two lines: it is a block, apart from the next one.
    edges = "(all) => all.map((one) => [...one.getClientRects()].map((part) => [part.top, part.bottom]))"
    parts = page.locator("li code").evaluate_all(edges)
    assert [len(one) for one in parts] == [1] * 10
    assert all(after[0][0] - before[0][1] >= 4 for before, after in pairwise(parts))
    with page.expect_download() as kept:
        page.get_by_role("link", name="Download codes").click()
    assert kept.value.path().read_text().split() == shown
    assert kept.value.suggested_filename == "recovery-codes.txt"
    expect(page.get_by_role("button", name="Print this page")).to_be_visible()
    page.reload()
    expect(page.get_by_text("You have 10 of 10 codes left")).to_be_visible()
    assert not set(shown) & set(page.content().split())
    page.get_by_role("link", name="Create new recovery codes").click()
    page.get_by_role("button", name="Create new recovery codes").click()
    assert not set(page.locator("li code").all_inner_texts()) & set(shown)


def test_a_passkey_in_addition_to_a_password(page: Page, officer: Account) -> None:
    Device.plugged_into(page, verifies=False)
    sign_in(page)
    add(page, alone=False)
    sign_out(page)
    sign_in(page)
    page.get_by_role("button", name="Use a passkey").click()
    assert_signed_in(page)
    assert list_factors() == "password+webauthn"


def test_signing_in_again_with_a_passkey(page: Page, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    page.goto(f"{PAGES}webauthn/reauthenticate/?next={PAGES}webauthn/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Passkeys")).to_be_visible()


def test_several_passkeys_have_names_and_are_removed_one_by_one(
    page: Page, springfield: Springfield, officer: Account
) -> None:
    first = Device.plugged_into(page)
    sign_in(page)
    add(page, "Work phone")
    first.unplug()
    Device.plugged_into(page)
    add(page, "<b>Key</b>")
    page.goto(f"{PAGES}webauthn/")
    page.get_by_role("link", name="Rename Work phone").click()
    page.get_by_label("Name").fill("Old phone")
    page.get_by_role("button", name="Save name").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(["Old phone", "<b>Key</b>"])
    models.Role.objects.update(second_factor=True)
    page.get_by_role("link", name="Remove Old phone").click()
    page.get_by_role("button", name="Remove passkey").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(["<b>Key</b>"])
    page.get_by_role("link", name="Remove <b>Key</b>").click()
    expect(page.get_by_text("this is your last")).to_be_visible()
    expect(page.get_by_role("button", name="Remove passkey")).to_have_count(0)
    assert kinds(springfield).count("user.second-factor-removed") == 1


def test_the_last_required_passkey_cannot_be_removed(page: Page, springfield: Springfield, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    models.Role.objects.update(second_factor=True)
    page.goto(f"{PAGES}webauthn/")
    token = page.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value")
    address = f"{PAGES}webauthn/keys/{Authenticator.objects.get(type='webauthn').pk}/remove/"
    answer = page.request.post(address, form={"csrfmiddlewaretoken": token or ""}, headers={"Referer": page.url})
    assert "this is your last" in answer.text()
    assert factors.has_factor(officer)
    models.Role.objects.update(second_factor=False)
    page.request.post(address, form={"csrfmiddlewaretoken": token or ""}, headers={"Referer": page.url})
    assert not Authenticator.objects.exists()
    assert kinds(springfield)[-1] == "user.second-factor-removed"


def test_who_needs_a_second_factor_is_led_to_set_one_up(page: Page, officer: Account) -> None:
    models.Role.objects.update(second_factor=True)
    Device.plugged_into(page)
    sign_in(page)
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    page.goto(HOME)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("The passkey is added.")).to_be_visible()
    page.goto(HOME)
    assert_signed_in(page)


def test_a_key_without_a_pin_never_replaces_a_password(page: Page, springfield: Springfield, officer: Account) -> None:
    """A colleague has found the officer's key, and answers the question of their own second step with it, to sign in."""
    springfield.registered(1)
    key = Device.plugged_into(page, verifies=False)
    sign_in(page, "user.1")
    add(page, alone=False)
    sign_out(page)
    [own] = key.passkeys()
    sign_in(page)
    add(page, alone=False)
    sign_out(page)
    [found] = [passkey for passkey in key.passkeys() if passkey["credentialId"] != own["credentialId"]]
    sign_in(page, "user.1")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    page.evaluate(
        """async ([id, handle, address]) => {
            const form = document.querySelector("form[data-passkey]");
            const asked = JSON.parse(document.getElementById("passkey-options").textContent).publicKey;
            const urlSafe = id.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
            const sent = answer(await use({ ...asked, allowCredentials: [{ type: "public-key", id: urlSafe }] }));
            sent.response.userHandle = text(Uint8Array.from(handle.match(/../g), (pair) => parseInt(pair, 16)));
            form.elements.credential.value = JSON.stringify(sent);
            // Ends the second step; what was asked of the browser stays in the session.
            await fetch(document.querySelector("form[action$=sign-out]").action, {
                method: "POST", body: new URLSearchParams(new FormData(form)),
            });
            form.action = address;
            form.submit();
        }""",
        [found["credentialId"], officer.handle, f"{PAGES}webauthn/login/"],
    )
    expect(page.get_by_text("did not check who you are")).to_be_visible()
    assert_signed_out(page)
    assert springfield.events()[-1] == ("user.sign-in-failed", "", "", "failed")


def test_a_passkey_of_another_agency_is_none_here(page: Page, springfield: Springfield, officer: Account) -> None:
    other = Springfield(cast.agency("shelbyville"))
    other.imported(cast.person(2))
    other.registered(2)
    Device.plugged_into(page)
    sign_in(page, agency="shelbyville")
    add(page, agency="shelbyville")
    with_passkey(page)
    expect(page.get_by_text("This passkey was not accepted")).to_be_visible()
    assert_signed_out(page)
    assert springfield.events()[-1] == ("user.sign-in-failed", "", "", "failed")


def test_a_passkey_of_who_is_inactive_opens_nothing(page: Page, springfield: Springfield, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    springfield.imported(cast.person(2, STATUS="Inactive"))
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        with_passkey(page)
    assert_signed_out(page)
    assert kinds(springfield)[-1] == "user.sign-in-failed"


def test_a_removed_passkey_opens_nothing(page: Page, springfield: Springfield, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    sign_out(page)
    factors.remove_all(springfield.user(2), context())
    assert json.loads(models.Event.objects.latest("id").changes) == {"factor": ["recovery codes, passkey", ""]}
    with_passkey(page)
    expect(page.get_by_text("This passkey was not accepted")).to_be_visible()
    assert_signed_out(page)


def test_an_answer_to_the_question_of_another_tab_is_refused_and_the_next_is_good(
    page: Page, springfield: Springfield, officer: Account
) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    sign_out(page)
    sign_in(page)
    page.context.new_page().goto(f"{PAGES}authenticate/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("This passkey was not accepted")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    assert_signed_in(page)
    assert kinds(springfield)[-2:] == ["user.sign-in-failed", "user.signed-in"]
    assert springfield.user(2).locked_at is None


def test_an_answer_cannot_be_sent_twice(page: Page, officer: Account) -> None:
    Device.plugged_into(page)
    sign_in(page)
    add(page)
    sign_out(page)
    page.goto("/springfield/sign-in")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or "") if request.method == "POST" else None)
    page.get_by_role("button", name="Sign in with a passkey").click()
    assert_signed_in(page)
    sign_out(page)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": page.url}
    page.request.post(f"{PAGES}webauthn/login/", data=sent[0], headers=headers)
    assert_signed_out(page)


def test_no_passkey_is_said_in_words(page: Page, officer: Account) -> None:
    Device.plugged_into(page)
    with_passkey(page)
    expect(page.locator("[data-problem]")).to_contain_text("No passkey was used")


def test_without_scripts_there_are_codes_and_the_page_says_so(scriptless: Page, officer: Account) -> None:
    page = scriptless
    page.goto("/springfield/sign-in")
    expect(page.get_by_text("Passkeys need scripts")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page)
    page.goto(f"{PAGES}webauthn/add/")
    expect(page.get_by_text("Passkeys need scripts")).to_be_visible()
    page.goto(f"{PAGES}totp/activate/")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()


def test_the_qr_code_is_black_on_white_on_a_dark_page_too(page: Page, officer: Account) -> None:
    page.emulate_media(color_scheme="dark")
    sign_in(page)
    page.goto(f"{PAGES}totp/activate/")
    corner = page.get_by_role("img", name="QR code").evaluate(
        """async (picture) => {
            await picture.decode();
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [picture.width, picture.height];
            canvas.getContext("2d").drawImage(picture, 0, 0, picture.width, picture.height);
            return [...canvas.getContext("2d").getImageData(2, 2, 1, 1).data];
        }"""
    )
    assert corner == [255, 255, 255, 255]


def test_the_pages_of_second_factors_have_no_barriers(page: Page, officer: Account) -> None:
    models.Role.objects.update(second_factor=True)
    Device.plugged_into(page)
    sign_in(page)
    assert barriers(page) == []
    add(page, "A long name. " * 7)
    assert barriers(page) == []
    key = Authenticator.objects.get(type="webauthn").pk
    paths = ["", "totp/activate/", "recovery-codes/", "recovery-codes/generate/", "webauthn/", "webauthn/add/"]
    paths += [
        "reauthenticate/",
        "webauthn/reauthenticate/",
        f"webauthn/keys/{key}/edit/",
        f"webauthn/keys/{key}/remove/",
    ]
    for path in paths:
        page.goto(f"{PAGES}{path}")
        assert (path, barriers(page)) == (path, [])
    Authenticator.objects.create(user=officer, type="totp", data={"secret": encryption.seal("A" * 32)})
    page.goto(f"{PAGES}totp/deactivate/")
    assert barriers(page) == []
    sign_out(page)
    sign_in(page)
    page.get_by_label("Code from your app").fill("000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong")
    assert barriers(page) == []
