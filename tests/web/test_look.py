"""How pages look and are used: without barriers in any state, by keyboard alone, without scripts, asking nobody but us."""

from dataclasses import replace

import pytest
from django import forms
from django.core.exceptions import PermissionDenied
from django.template import Context, Origin, Template
from django.test import RequestFactory
from django.views import defaults
from playwright.sync_api import Page, Route, expect

from musterbook.accounts import limits
from musterbook.web import menu
from tests.accounts.conftest import GOOD, Springfield
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


def send(page: Page, button: str, **cells: str) -> None:
    """Fills in the form's fields, presses its button, and waits for the answer."""
    for name, value in cells.items():
        page.fill(f"[name={name}]", value)
    with page.expect_navigation():
        page.get_by_role("main").get_by_role("button", name=button, exact=True).click()


def sign_in(page: Page, springfield: Springfield) -> None:
    """The officer registers, and signs in."""
    springfield.registered(2)
    page.goto("/springfield/sign-in")
    send(page, "Sign in", login="user.2", password=GOOD)
    page.wait_for_url("**/springfield/")


def get_focus(page: Page) -> str:
    """What has the keyboard: its class."""
    return str(page.evaluate("document.activeElement.className"))


def test_signing_in_has_no_barriers(page: Page, springfield: Springfield) -> None:
    page.goto("/springfield/sign-in")
    assert barriers(page) == []
    send(page, "Sign in")
    assert page.title().startswith("Error: ")
    assert barriers(page) == []
    send(page, "Sign in", login="user.2", password="wrong")
    assert page.get_by_role("alert").first.inner_text().startswith("There is a problem\n\nWrong username or password")
    assert barriers(page) == []


def test_signing_in_at_a_provider_has_no_barriers(page: Page, springfield: Springfield) -> None:
    springfield.agency.sign_on = [
        {"kind": "oidc", "slug": "county", "name": "the county", "server": "https://county.example"},
        {"kind": "saml", "slug": "state", "name": "the state", "sso_url": "https://state.example/in"},
    ]  # fmt: skip
    springfield.agency.save()
    page.goto("/springfield/sign-in")
    assert page.get_by_role("button", name="Sign in with the state").is_visible()
    assert barriers(page) == []
    page.goto("/springfield/sign-in/failed")
    assert barriers(page) == []


def test_a_forgotten_password_has_no_barriers(page: Page, springfield: Springfield) -> None:
    page.goto("/springfield/forgotten-password")
    assert barriers(page) == []
    send(page, "Send link")
    assert barriers(page) == []
    send(page, "Send link", name="user.2")
    assert page.get_by_role("heading").inner_text() == "Check your email"
    assert barriers(page) == []


def test_registering_has_no_barriers(page: Page, springfield: Springfield) -> None:
    page.goto(f"/springfield/register/{springfield.invitation_now(2)}")
    assert barriers(page) == []
    send(page, "Register", password1="short", password2="another")
    assert barriers(page) == []
    send(page, "Register", password1="short", password2="short")
    assert "This password has 5" in page.locator("#id_password1_error").inner_text()
    send(page, "Register", password1=GOOD, password2=GOOD)
    assert page.get_by_role("heading", level=1).inner_text() == "Welcome, First 2"


def test_a_reset_has_no_barriers(page: Page, springfield: Springfield) -> None:
    springfield.registered(2)
    page.goto(f"/springfield/reset/{springfield.reset_now(2)}")
    assert barriers(page) == []
    page.goto("/springfield/reset/void")
    assert barriers(page) == []
    page.goto("/springfield/register/void")
    assert barriers(page) == []


def test_the_first_pages_have_no_barriers(page: Page, springfield: Springfield) -> None:
    page.goto("/")
    assert barriers(page) == []
    sign_in(page, springfield)
    assert barriers(page) == []
    page.goto("/springfield/sign-out")
    assert barriers(page) == []
    send(page, "Sign out")
    assert page.get_by_role("status").inner_text() == "You have signed out."
    assert barriers(page) == []


def test_my_account_has_no_barriers(page: Page, springfield: Springfield) -> None:
    sign_in(page, springfield)
    page.get_by_role("link", name="My account", exact=True).click()
    assert page.get_by_role("link", name="Details").get_attribute("aria-current") == "page"
    assert barriers(page) == []
    page.get_by_role("link", name="Password").click()
    assert barriers(page) == []
    send(page, "Change password")
    assert barriers(page) == []
    page.goto("/springfield/my-account/sessions/")
    assert barriers(page) == []
    page.goto("/springfield/sign-in/again")
    assert barriers(page) == []
    send(page, "Sign in again", password="wrong")
    assert barriers(page) == []


_LIBRARY_PAGE = """{% extends "allauth/layouts/manage.html" %}{% load allauth %}
{% block head_title %}Parts{% endblock %}
{% block content %}
{% element h1 %}Parts{% endelement %}
{% element p %}A sentence, and {% element badge title="A badge" %}a badge{% endelement %}.{% endelement %}
{% element alert level="warning" %}{% slot message %}Take care.{% endslot %}{% endelement %}
{% element hr %}{% endelement %}
{% element panel %}{% slot title %}A panel{% endslot %}{% slot body %}Its body.{% endslot %}
{% slot actions %}{% element button href="/" tags="panel" %}Go{% endelement %}{% endslot %}
{% slot actions %}{% element button href="/" tags="danger,panel" %}Remove{% endelement %}{% endslot %}{% endelement %}
{% element h2 %}A form{% endelement %}
{% element form method="post" action="/" id="one" %}{% slot body %}
{% element field id="typed" type="text" name="typed" value="so" disabled=True %}{% slot label %}Typed{% endslot %}
{% slot help_text %}As it is.{% endslot %}{% endelement %}
{% element field id="codes" type="textarea" rows=3 readonly=True %}{% slot label %}Codes{% endslot %}
{% slot value %}1 2 3{% endslot %}{% endelement %}
{% element field id="saved" type="checkbox" name="saved" %}{% slot label %}Saved{% endslot %}{% endelement %}
{% element fields form=form %}{% endelement %}
{% endslot %}{% slot actions %}{% element button type="submit" tags="primary" %}Save{% endelement %}{% endslot %}{% endelement %}
{% element button_group vertical=True %}
{% element button type="submit" form="one" name="a" value="b" tags="outline" %}Another{% endelement %}
{% element button type="submit" form="one" tags="link,cancel" id="cancel" %}Cancel{% endelement %}{% endelement %}
{% element details %}{% slot summary %}More{% endslot %}{% slot body %}All of it.{% endslot %}{% endelement %}
{% element img src="/x.svg" alt="A picture" %}{% endelement %}
{% element table %}{% element thead %}{% element tr %}{% element th %}Key{% endelement %}{% endelement %}{% endelement %}
{% element tbody %}{% element tr %}{% element td align="right" %}One{% endelement %}{% endelement %}{% endelement %}
{% endelement %}
{% element provider_list %}{% element provider name="The county" href="/" %}{% endelement %}{% endelement %}
{% endblock %}"""


def test_pages_of_the_library_that_are_not_our_own_have_no_barriers(page: Page, springfield: Springfield) -> None:
    class Kinds(forms.Form):
        one = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect, help_text="One of them.")
        listed = forms.ChoiceField(choices=[("a", "A"), ("b", "B")])
        words = forms.CharField(widget=forms.Textarea, required=False)
        file = forms.FileField()
        yes = forms.BooleanField()
        hidden = forms.CharField(widget=forms.HiddenInput, initial="x")

    sign_in(page, springfield)
    for form in (Kinds(), Kinds({"hidden": "x"})):
        said = Template(_LIBRARY_PAGE, Origin("parts", "parts.html"), "parts.html").render(Context({"form": form}))
        _answer(page, "**/parts", said, "text/html")
        _answer(page, "**/x.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
        page.goto("/parts")
        assert barriers(page) == []
        page.unroute_all()


def _answer(page: Page, address: str, body: str, kind: str) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body=body, content_type=kind)

    page.route(address, answer)


def test_the_menu_bar_has_what_the_user_may_open(
    page: Page, springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = (menu.Entry("Home", "home"), menu.Entry("Users", "usersessions_list", permission="users.view"))
    sections = (menu.Section("First", entries), menu.Section("None", ()))
    monkeypatch.setattr(menu, "ADMIN", sections)
    sign_in(page, springfield)
    bar = page.get_by_role("navigation", name="Admin")
    assert bar.get_by_role("link").all_inner_texts() == ["Home"]
    assert barriers(page) == []
    springfield.registered(1)
    page.context.clear_cookies()
    page.goto("/springfield/sign-in")
    send(page, "Sign in", login="user.1", password=GOOD)
    assert bar.get_by_role("link").all_inner_texts() == ["Home", "Users"]


def test_refusals_are_in_plain_words_and_have_no_barriers(
    page: Page, springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RATES", {**limits.RATES, "reset": replace(limits.RATES["reset"], most=1)})
    page.goto("/springfield/nothing/here")
    assert page.get_by_role("heading").inner_text() == "Page not found"
    assert barriers(page) == []
    page.goto("/springfield/forgotten-password")
    page.context.clear_cookies()
    send(page, "Send link", name="user.2")
    assert page.get_by_role("heading").inner_text() == "Continue where you were"
    assert barriers(page) == []
    for _ in range(2):
        page.goto("/springfield/forgotten-password")
        send(page, "Send link", name="user.2")
    assert page.get_by_role("heading").inner_text() == "Too many attempts"
    assert barriers(page) == []


@pytest.mark.django_db
def test_other_failures_have_pages_as_well(rf: RequestFactory) -> None:
    request = rf.get("/")
    assert b"You do not have permission" in defaults.permission_denied(request, PermissionDenied()).content
    assert b"We could not read this request" in defaults.bad_request(request, ValueError()).content
    assert b"This is our mistake" in defaults.server_error(request).content


def test_one_signs_in_by_keyboard_alone(page: Page, springfield: Springfield) -> None:
    springfield.registered(2)
    page.goto("/springfield/sign-in")
    press = page.keyboard.press
    press("Tab")
    assert get_focus(page) == "usa-skipnav"
    press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    press("Tab")
    page.keyboard.type("user.2")
    press("Tab")
    page.keyboard.type("wrong")
    press("Enter")
    page.wait_for_selector(".m-summary")
    expect(page.locator(".m-summary")).to_be_focused()
    press("Tab")
    press("Tab")
    page.keyboard.type(GOOD)
    press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Show password"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Tab")
    press("Enter")
    page.wait_for_url("**/springfield/")


def test_an_error_leads_to_its_field(page: Page, springfield: Springfield) -> None:
    page.goto("/springfield/sign-in")
    send(page, "Sign in", login="user.2")
    expect(page.locator(".m-summary")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "password"
    password = page.locator("[name=password]")
    assert password.get_attribute("aria-invalid") == "true"
    assert (
        page.locator(f"#{password.get_attribute('aria-describedby')}").inner_text() == "Enter a value for “Password”."
    )


def test_passwords_can_be_seen_while_they_are_typed(page: Page, springfield: Springfield) -> None:
    page.goto(f"/springfield/register/{springfield.invitation_now(2)}")
    kinds = "[...document.querySelectorAll('[name^=password]')].map((field) => field.type)"
    page.get_by_role("button", name="Show passwords").click()
    assert page.evaluate(kinds) == ["text", "text"]
    page.get_by_role("button", name="Hide passwords").click()
    assert page.evaluate(kinds) == ["password", "password"]


def test_one_signs_in_without_scripts(scriptless: Page, springfield: Springfield) -> None:
    springfield.registered(2)
    scriptless.goto("/springfield/sign-in")
    assert scriptless.get_by_role("button").count() == 1
    send(scriptless, "Sign in", login="user.2", password=GOOD)
    assert scriptless.get_by_role("heading", level=1).inner_text() == "Welcome, First 2"
