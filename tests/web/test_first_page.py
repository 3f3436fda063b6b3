"""The first page `/`: it leads to the agency's pages, and does not reveal which agencies exist."""

import pytest
from django.test import Client

from tests.accounts.conftest import Springfield, build_springfield
from tests.accounts.test_entrance import sign_in
from tests.directory import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def springfield() -> Springfield:
    made = build_springfield()
    made.registered(1)
    return made


def test_with_one_agency_it_leads_there(springfield: Springfield) -> None:
    answer = Client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/springfield/")


def test_with_several_agencies_it_asks_for_the_address_and_names_none(springfield: Springfield) -> None:
    cast.agency("shelbyville")
    answer = Client().get("/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Agency address" in page
    assert "springfield" not in page.replace("springfield-pd", "").lower()
    assert "shelbyville" not in page.lower()


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ("springfield", "springfield"),
        (" Springfield ", "springfield"),
        ("https://muster.example/springfield/sign-in", "springfield"),
        ("muster.example:8000/springfield/", "springfield"),
        ("/springfield", "springfield"),
        ("ogdenville", "ogdenville"),
    ],
)
def test_an_address_leads_on_whether_or_not_the_agency_exists(springfield: Springfield, given: str, slug: str) -> None:
    cast.agency("shelbyville")
    answer = Client().get("/", {"address": given})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/{slug}/")


@pytest.mark.parametrize("given", ["", "  ", "//evil.example", "https://evil.example", "a b", "health", "x" * 501, "é"])
def test_an_address_that_is_none_is_explained_and_leads_nowhere(springfield: Springfield, given: str) -> None:
    cast.agency("shelbyville")
    answer = Client().get("/", {"address": given})
    assert answer.status_code == 422
    assert 'href="#id_address"' in answer.content.decode()


def test_users_who_are_signed_in_get_to_their_agency_until_they_sign_out(springfield: Springfield) -> None:
    cast.agency("shelbyville")
    client = Client()
    sign_in(client, "user.1")
    client.get("/springfield/")
    assert client.get("/").headers["Location"] == "/springfield/"
    client.post("/springfield/sign-out")
    assert client.get("/").status_code == 200


def test_a_cookie_that_somebody_wrote_reveals_no_agency(springfield: Springfield) -> None:
    cast.agency("shelbyville")
    client = Client()
    client.cookies["muster_agency"] = "springfield"
    assert client.get("/").status_code == 200


def test_the_cookie_of_an_agency_that_is_gone_is_no_dead_end(springfield: Springfield) -> None:
    gone, _ = cast.agency("shelbyville"), cast.agency("ogdenville")
    client = Client()
    sign_in(client, "user.1")
    client.get("/springfield/")
    type(gone).objects.filter(slug="springfield").update(slug="renamed")
    assert client.get("/").status_code == 200
