"""The page that tries the API: by hand in a browser, with no request to others and no complaint of the browser."""

import re

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from tests.accounts.conftest import Springfield, signed_in
from tests.api.test_me import make_token
from tests.web.conftest import enter
from tests.web.looks import barriers

PAGE = "/springfield/api-access/try"


def test_every_signed_in_user_can_open_the_page_and_others_cannot(springfield: Springfield, client: Client) -> None:
    assert client.get(PAGE).headers["Location"].startswith("/springfield/sign-in")
    springfield.registered(2)
    signed_in(client, "user.2")
    answer = client.get(PAGE)
    assert answer.status_code == 200 and "style=" not in answer.content.decode()
    assert client.post(PAGE).status_code == 405


def test_the_page_of_api_access_leads_there(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    signed_in(client, "user.1")
    assert f'href="{PAGE}"' in client.get("/springfield/api-access/").content.decode()


def test_a_request_is_sent_and_its_answer_shown(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    _, secret = make_token(springfield, "ranks.manage", "users.view")
    enter(page, "user.1", "api-access/try")
    page.get_by_role("button", name="Send request").click()
    expect(page.get_by_role("alert").filter(has_text="Enter a token")).to_be_visible()
    assert barriers(page) == []
    page.get_by_label("Token", exact=True).fill(secret)
    page.get_by_label("Operation").select_option("readMe")
    page.get_by_role("button", name="Send request").click()
    expect(page.get_by_role("status")).to_contain_text("200 OK")
    expect(page.get_by_label("Body of the answer")).to_contain_text('"external_id": "E-1"')
    assert secret not in page.get_by_label("Command that sends the same request").inner_text()
    assert barriers(page) == []


def test_an_operation_has_fields_for_what_it_takes(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    _, secret = make_token(springfield, "ranks.manage")
    enter(page, "user.1", "api-access/try#addRank")
    page.get_by_label("Token", exact=True).fill(secret)
    expect(page.get_by_text("This request changes data.")).to_be_visible()
    page.get_by_label("Body (JSON)").fill('{"name": "Lieutenant Colonel", "abbreviation": "LTC"}')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("201 Created")
    rank = models.Rank.objects.get(name="Lieutenant Colonel")
    page.get_by_label("Operation").select_option("changeRank")
    expect(page).to_have_url(re.compile("#changeRank$"))
    page.get_by_label("number (required)").fill(str(rank.pk))
    page.get_by_label("If-Match (optional)").fill('"old"')
    page.get_by_label("Body (JSON)").fill('{"abbreviation": "Lt Col"}')
    page.get_by_role("button", name="Send request").click()
    expect(page.get_by_role("status")).to_contain_text("412")
    expect(page.get_by_label("Body of the answer")).to_contain_text("changed-meanwhile")
    assert barriers(page) == []


@pytest.mark.parametrize("operation", ["listGroups", "deleteGroup"])
def test_every_kind_of_operation_can_be_seen_without_a_barrier(
    page: Page, springfield: Springfield, operation: str
) -> None:
    springfield.registered(1)
    enter(page, "user.1", f"api-access/try#{operation}")
    expect(page.get_by_label("Operation")).to_have_value(operation)
    assert barriers(page) == []
