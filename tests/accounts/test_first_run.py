"""The first page while there is nobody: the agency and its administrator are made by whoever has the setup code."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import first_run
from musterbook.accounts.first_run import NotNew, Problems, SetupData, WrongCode
from musterbook.accounts.models import Account
from musterbook.cli import serving
from musterbook.directory import models
from musterbook.directory.agency.vocabularies import InvalidValue
from tests.accounts.conftest import GOOD, Springfield, context
from tests.directory import cast
from tests.directory.cast import NOW

pytestmark = pytest.mark.any_database


SAID = {
    "name": "Springfield Police", "slug": "springfield", "country": "us", "first_name": "Ann", "last_name": "Berg",
    "email": "ann@springfield.example", "username": "ann", "badge_number": "B-1", "external_id": "E-1",
}  # fmt: skip
ROW = {column.heading: SAID[column.field] for column in first_run.REQUIRED_COLUMNS}


@pytest.fixture(autouse=True)
def _home(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def code() -> str:
    """A setup code that is good today."""
    return first_run.create_code(datetime.now(UTC))


def inputs(slug: str = "springfield", name: str = "Springfield", country: str = "", **cells: str) -> SetupData:
    return SetupData(slug, name, country, ROW | cells)


def seen(client: Client) -> str:
    return client.get("/").content.decode()


def is_empty() -> bool:
    """Whether nothing whatever was made."""
    return not (models.Agency.objects.exists() or models.User.objects.exists() or models.Event.objects.exists())


def test_the_first_page_makes_an_agency_and_its_administrator_who_chooses_a_password(db: None, client: Client) -> None:
    assert "There are no users yet" in seen(client) and "muster agency apply" in seen(client)
    answer = client.post("/", SAID | {"code": code()})
    assert re.fullmatch(r"/springfield/register/[0-9a-z]+-[0-9a-f]{64}", answer.headers["Location"])
    client.post(answer.headers["Location"], {"password1": GOOD, "password2": GOOD})
    account = Account.objects.get()
    assert (account.user.external_id, account.user.role.administrator) == ("E-1", True)
    home = client.get("/springfield/").content.decode()
    assert "First steps" in home
    cast.apply_rows(models.Agency.objects.get(), [cast.person(2, ROLE="Admin")])
    assert "First steps" not in client.get("/springfield/").content.decode()
    kinds = models.Event.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds)[:4] == ["agency.added", "user.added", "user.invited", "user.registered"]
    assert set(models.Event.objects.exclude(of__isnull=False).values_list("through", flat=True)) == {"page"}
    agency = models.Agency.objects.get()
    assert agency.default_country == "US"
    cast.assert_whole(agency)


def test_the_first_page_is_closed_to_everybody_once_there_is_a_user(springfield: Springfield, client: Client) -> None:
    first_run._path().write_text(
        f"{(datetime.now(UTC) + timedelta(1)).isoformat()} {first_run._hash('ABCD')}", encoding="ascii"
    )
    assert client.get("/").headers["Location"] == "/springfield/"
    answer = client.post("/", SAID | {"slug": "mine", "code": "ABCD"})
    assert "Set up" not in answer.content.decode()
    assert models.Agency.objects.count() == 1
    with pytest.raises(NotNew):
        first_run.set_up_agency("ABCD", inputs("mine"), context())
    assert first_run.create_code(NOW) == "" and not first_run._path().exists()


@pytest.mark.parametrize(
    "typed",
    [
        lambda good: "", lambda good: good[:-1], lambda good: "é" * 200, lambda good: good.replace(good[0], "0"),
        lambda good: first_run.create_code(NOW) and good, lambda good: first_run._path().read_text()[-64:],
    ],
    ids=["none", "cut", "strange", "another letter", "an older one", "what is kept of it"],
)  # fmt: skip
def test_nothing_is_made_without_the_code(db: None, client: Client, typed: Callable[[str], str]) -> None:
    said = typed(first_run.create_code(NOW))
    with pytest.raises(WrongCode):
        first_run.set_up_agency(said, inputs(), context())
    answer = client.post("/", SAID | {"code": said})
    assert answer.status_code == 422
    assert is_empty()


def test_nothing_is_made_where_no_code_was_printed(db: None) -> None:
    with pytest.raises(WrongCode):
        first_run.set_up_agency("ABCD-EFGH-JKLM-NPQR", inputs(), context())


def test_a_code_is_good_once_however_it_is_typed_and_for_a_day(db: None) -> None:
    good = first_run.create_code(NOW)
    with pytest.raises(WrongCode):
        first_run.set_up_agency(good, inputs(), context(24 * 60))
    first_run.set_up_agency(f" {good.lower().replace('-', ' ')}", inputs(), context())
    with pytest.raises(WrongCode):
        first_run.set_up_agency(good, inputs("another"), context())
    assert models.Agency.objects.get().slug == "springfield"


def test_a_setup_code_that_was_just_used_is_refused(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    good = first_run.create_code(NOW)
    monkeypatch.setattr(first_run, "check_code", lambda *_: first_run._path().unlink())
    with pytest.raises(WrongCode):
        first_run.set_up_agency(good, inputs(), context())
    assert is_empty()


def test_the_code_is_kept_as_a_hash_that_others_cannot_read(db: None, tmp_path: Path) -> None:
    good = first_run.create_code(NOW)
    assert len(set(first_run._LETTERS)) == 32 and len(good.replace("-", "")) * 5 >= 128
    kept = tmp_path / "setup-code"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert good.replace("-", "") not in kept.read_text() and len(set(good)) > 4


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (inputs(slug="Springfield PD"), "slug"), (inputs(slug="static"), "slug"), (inputs(name="\x01"), "name"),
        (inputs(country="USA"), "country"), (inputs(EMAIL="ann at home"), "EMAIL"), (inputs(USERNAME="\x02"), "USERNAME"),
    ],
)  # fmt: skip
def test_errors_are_shown_at_their_fields_and_the_code_stays_valid(
    db: None, client: Client, said: SetupData, field: str
) -> None:
    good = first_run.create_code(datetime.now(UTC))
    with pytest.raises((InvalidValue, Problems)) as wrong, transaction.atomic():
        first_run.set_up_agency(good, said, context())
    found = wrong.value
    fields = [problem.column for problem in found.found] if isinstance(found, Problems) else [vars(found)["field"]]
    assert field in fields
    assert is_empty()
    cells = {heading.lower(): value for heading, value in said.administrator.items()}
    answer = client.post("/", {"code": good, "slug": said.slug, "name": said.name, "country": said.country} | cells)
    assert answer.status_code == 422 and f'id="id_{field.lower()}_error"' in answer.content.decode()
    assert is_empty()
    first_run.set_up_agency(good, inputs(), context())


def test_who_guesses_codes_is_stopped_soon(db: None, client: Client) -> None:
    good = code()
    for _ in range(10):
        assert client.post("/", SAID | {"code": "ABCD"}).status_code == 422
    assert client.post("/", SAID | {"code": good}).status_code == 429
    assert is_empty()


def test_another_site_cannot_send_the_form(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/", SAID | {"code": code()})
    assert answer.status_code == 403 and is_empty()


def test_an_agency_without_users_gets_its_administrator(db: None) -> None:
    agency = cast.agency()
    first_run.set_up_agency(first_run.create_code(NOW), inputs(name="Springfield Police"), context())
    agency.refresh_from_db()
    assert agency.name == "Springfield Police" and models.Agency.objects.count() == 1
    assert models.User.objects.get().role.administrator


def test_the_server_prints_the_code_while_there_is_nobody(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    serving._print_setup_code()
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("There are no users yet.") and "for 24 hours" in printed
    first_run.set_up_agency(printed.rpartition(" ")[2], inputs(), replace(context(), at=datetime.now(UTC)))
    serving._print_setup_code()
    assert capsys.readouterr().err == ""
