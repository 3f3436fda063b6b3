"""Attacks on second factors, recovery codes, passkeys and sessions."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from musterbook.accounts import first_run
from musterbook.accounts.models import Token
from musterbook.directory import agencies, agency_file, models
from musterbook.directory.trail import Act
from musterbook.web import recent
from tests.accounts.conftest import GOOD, Springfield, age
from tests.accounts.test_entrance import HOME, sign_in, who
from tests.accounts.test_factors import PAGES, set_up
from tests.accounts.test_first_run import SAID
from tests.directory.cast import person
from tests.web import every_page

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


# A recent sign-in


@pytest.fixture
def aged(springfield: Springfield, client: Client) -> Client:
    """An administrator who signed in more than a quarter of an hour ago."""
    springfield.registered(1)
    springfield.registered(2)
    sign_in(client, "user.1")
    age(client, 16)
    return client


def _asks(answer: object) -> bool:
    return "/sign-in/again" in answer.headers.get("Location", "")  # type: ignore[attr-defined]


def test_each_page_says_whether_it_needs_a_recent_sign_in(springfield: Springfield, aged: Client) -> None:
    listed: dict[str, str] = {**recent.ALWAYS, **recent.SOMETIMES, **recent.NEVER}
    assert len(listed) == len(recent.ALWAYS) + len(recent.SOMETIMES) + len(recent.NEVER)
    maker, at = springfield.user(1), datetime.now(UTC)
    Token.objects.create(agency=springfield.agency, name="t", permissions=[], maker=maker, made_at=at, expires_at=at)
    pages = list(every_page.pages())
    assert set(listed) <= {page.name for page in pages}
    wrong, silent = [], []
    asked = [
        (page, f"/springfield/{page.path(springfield.agency)}") for page in pages if page.name not in recent.SOMETIMES
    ]
    for page, path in asked:
        answer = aged.post(path, {})
        download = page.name in recent.DOWNLOADS  # which refuse any form
        if _asks(aged.get(path)) != download or _asks(answer) != (page.name in recent.ALWAYS and not download):
            wrong.append(page.name)
        if page.name not in listed and answer.status_code != 405:
            silent.append(page.name)
    assert wrong == []
    assert set(silent) <= ONLY_SHOW, "say in web/recent.py whether these need a recent sign-in"


ONLY_SHOW = {
    "home", "roles", "ranks", "rank", "groups", "group", "imports", "api_access", "agency_sign_on", "account_set_password",
}  # fmt: skip
"""Pages that look at no form."""


@pytest.mark.parametrize(
    ("heading", "value"), [("username", "another.name"), ("email", "elsewhere@agency.example"), ("role", "Chief")]
)
def test_what_a_user_signs_in_with_changes_only_after_a_recent_sign_in(
    springfield: Springfield, aged: Client, heading: str, value: str
) -> None:
    page = f"/springfield/users/{springfield.user(2).pk}/edit"
    form = aged.get(page).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    assert _asks(aged.post(page, sent | {heading: value}))
    user = springfield.user(2)
    assert (user.username, user.email, user.role.name) == ("user.2", "user2@agency.example", "Officer")


def test_an_export_comes_after_the_recent_sign_in_that_it_asked_for(springfield: Springfield, aged: Client) -> None:
    asked = aged.get("/springfield/users/export.csv")
    assert _asks(asked)
    answer = aged.post(
        asked.headers["Location"].partition("?")[0],
        {"password": GOOD, "next": "/springfield/users/export.csv"},
        follow=True,
    )
    assert answer["Content-Type"].startswith("text/csv")


def test_a_limit_that_was_typed_is_saved_after_signing_in_again(springfield: Springfield, aged: Client) -> None:
    page = "/springfield/settings/imports"
    form = aged.get(page).context["form"]
    sent = {name: form[name].value() for name in form.fields} | {"limit_users": "2000"}
    assert _asks(aged.post(page, sent))
    assert models.Agency.objects.get().limit_users == 5
    aged.post("/springfield/sign-in/again", {"password": GOOD, "next": page})
    assert models.Agency.objects.get().limit_users == 2000
