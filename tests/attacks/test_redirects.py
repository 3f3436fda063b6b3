"""Attacks by the address that a page leads on to: it stays within the agency, however it is written."""

import pytest
from django.test import Client

from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.test_entrance import HOME, sign_in

pytestmark = pytest.mark.any_database


OUT = (
    "/springfield/../shelbyville/", "/springfield/..", "/springfield/x/../../shelbyville/", "/springfield/%2e%2e/shelbyville/",
    "/springfield/.%2e/shelbyville/", "/springfield/%2E./shelbyville/", "/springfield/%252e%252e/shelbyville/",
    "/springfield/..%2fshelbyville/", "/springfield/%2e%2e%2fshelbyville/", "/springfield/..%5cshelbyville/",
    "/springfield/..\\shelbyville/", "/springfield\\..\\shelbyville/", "/springfield/.\t./shelbyville/",
    "/springfield/.\n./shelbyville/", "/springfield/..;/shelbyville/", "/springfield/./../shelbyville/",
    "/springfield/%09../shelbyville/", "/springfield//../../shelbyville/", "/springfield/..?next=/", "/springfield/..#x",
    "/springfield/%25252525252e%25252525252e/", "/springfieldx/", "/Springfield/", "/spring%66ield/..", "springfield/",
    "/springfield/\u2028../",
)  # fmt: skip
WITHIN = (
    "/springfield/my-account/", "/springfield/?a=b", "/springfield/users/?q=..%2F..", "/springfield/users/?q=/../x",
    "/springfield/imports/..x", "/springfield/users/?q=%00a", "/springfield/a.b/c..d",
)  # fmt: skip


@pytest.mark.parametrize("out", OUT)
def test_no_page_leads_out_of_its_agency(
    springfield: Springfield, shelbyville: Springfield, client: Client, out: str
) -> None:
    springfield.registered(2)
    paths = {
        "/springfield/sign-in": {"login": "user.2", "password": GOOD},
        "/springfield/sign-in/again": {"password": GOOD},
        "/springfield/sign-out": {},
    }
    for path, fields in paths.items():
        answer = client.post(path, {**fields, "next": out})
        assert answer.headers["Location"] in (HOME, "/springfield/sign-in"), path


@pytest.mark.parametrize("within", WITHIN)
def test_pages_still_lead_on_within_the_agency(springfield: Springfield, client: Client, within: str) -> None:
    springfield.registered(2)
    assert sign_in(client, "user.2", next=within).headers["Location"] == within
