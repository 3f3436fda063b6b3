"""Attacks on second factors, recovery codes, passkeys and sessions."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from musterbook.accounts import first_run
from musterbook.directory import agencies, agency_file, models
from musterbook.directory.trail import Act
from tests.accounts.conftest import Springfield, age
from tests.accounts.test_entrance import HOME, sign_in, who
from tests.accounts.test_factors import PAGES, set_up
from tests.accounts.test_first_run import SAID
from tests.directory.cast import person

NOW = datetime.now(UTC)
SETTINGS = "/springfield/settings/second-factors"


def everyone(wanted: bool = True) -> None:
    """Has the agency ask every user for a second factor."""
    models.Agency.objects.update(second_factor=wanted)


# Second factors for everyone


def test_nobody_gets_past_a_demand_for_everyone(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    assert client.get(HOME).status_code == 200
    everyone()
    for path in (HOME, "/springfield/my-account/sessions/", "/springfield/users/export.csv"):
        assert client.get(path).headers["Location"] == PAGES
    assert client.get(HOME, headers={"Accept": "application/json"}).status_code == 403
    set_up(client)
    assert who(client) == "user.2"
    client.post(f"{PAGES}totp/deactivate/")
    assert client.get(HOME).status_code == 200  # the last one stays


def test_an_administrator_asks_it_of_everyone_once_it_is_said_how_many_that_stops(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    sent = {"everyone": "on", "shown": ""}
    page = client.post(SETTINGS, sent).content.decode()
    assert "Everyone: 2 users" in page
    assert "This holds for you" in page
    assert not models.Agency.objects.get().second_factor
    assert client.post(SETTINGS, sent | {"agreed": "everyone"}, follow=True).redirect_chain[-1][0] == PAGES
    assert models.Agency.objects.get().second_factor
    event = models.Event.objects.filter(kind="agency.changed").latest("id")
    assert '"second_factor":["false","true"]' in event.changes


def test_who_may_less_than_an_administrator_does_not_take_it_back(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["agency.configure"])
    springfield.imported(person(2, ROLE="Chief"))
    springfield.registered(2)
    everyone()
    sign_in(client, "user.2")
    set_up(client)
    client.post(SETTINGS, {"shown": ""})
    client.post(SETTINGS, {"shown": "", "everyone": ""})
    assert models.Agency.objects.get().second_factor


def test_an_agency_file_asks_it_of_everyone(springfield: Springfield) -> None:
    said = b'slug = "springfield"\nname = "Springfield"\n[accounts]\nsecond_factor = true\n'
    agencies.apply(agency_file.read(said), Act(NOW, "", "command"))
    assert models.Agency.objects.get().second_factor
    agencies.apply(agency_file.read(said.replace(b"second_factor = true", b"")), Act(NOW, "", "command"))
    assert models.Agency.objects.get().second_factor
    with pytest.raises(agency_file.Faulty):
        agency_file.read(said.replace(b"true", b"1"))


def test_the_first_page_suggests_it_for_administrators(db: None, client: Client) -> None:
    assert 'name="second_factor"' in (page := client.get("/").content.decode())
    assert "checked" in page[page.index('name="second_factor"') :][:200]
    client.post("/", SAID | {"code": first_run.new_code(NOW), "second_factor": "on"})
    assert [role.name for role in models.Role.objects.filter(second_factor=True)] == ["Admin"]


# Sessions


def test_more_sessions_than_are_allowed_end_the_ones_unused_for_longest(springfield: Springfield) -> None:
    models.Agency.objects.update(sessions_most=3)
    springfield.registered(2)
    clients = [Client() for _ in range(5)]
    for place, client in enumerate(clients):
        sign_in(client, "user.2")
        age(client, 10 - place)
    assert [who(client) for client in clients] == ["", "", "user.2", "user.2", "user.2"]
    assert [kind for kind, *_ in springfield.events()].count("user.session-ended") == 2
