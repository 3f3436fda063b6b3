"""The language and the time zone of pages and emails: the reader's choice, else the browser's or the agency's."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import translation

from musterbook.accounts import mails
from musterbook.config import languages, time_zones
from musterbook.directory import models
from tests.accounts.conftest import Springfield, make_notice, signed_in
from tests.directory import cast

pytestmark = pytest.mark.any_database

ME = "/springfield/my-account/"
AT = datetime(2026, 3, 2, 20, 4, 5, tzinfo=UTC)


@pytest.fixture
def officer(springfield: Springfield, client: Client) -> Client:
    """A browser in which the officer is signed in."""
    springfield.registered(2)
    signed_in(client, "user.2")
    return client


def read(client: Client, browser: str = "", path: str = ME) -> str:
    answer = client.get(path, headers={"Accept-Language": browser} if browser else {})
    assert answer.headers["Content-Language"] in languages.NAMES
    page: str = answer.content.decode()
    assert f'<html lang="{answer.headers["Content-Language"]}">' in page
    return page


def choose(client: Client, **choices: str) -> int:
    return client.post(ME, {"language": "", "time_zone": ""} | choices).status_code


# Languages


def test_the_language_is_the_users_then_the_browsers_then_the_agencys(
    springfield: Springfield, officer: Client
) -> None:
    assert "<h1>My account</h1>" in read(officer)
    models.Agency.objects.update(language="es")
    assert "<h1>Mi cuenta</h1>" in read(officer)
    assert "<h1>My account</h1>" in read(officer, "en-US,en;q=0.9")
    assert "<h1>Mi cuenta</h1>" in read(officer, "fr-CA, de;q=0.9")
    models.Agency.objects.update(language="")
    assert "<h1>Mi cuenta</h1>" in read(officer, "fr, es-MX;q=0.8, en;q=0.2")
    assert choose(officer, language="en") == 302
    assert "<h1>My account</h1>" in read(officer, "es")
    assert choose(officer, language="es") == 302
    assert "<h1>Mi cuenta</h1>" in read(officer, "en")


@pytest.mark.parametrize("language", ["fr", "EN", "../en", "\x00"])
def test_a_language_that_there_is_not_is_refused(springfield: Springfield, officer: Client, language: str) -> None:
    assert choose(officer, language=language) == 422
    assert springfield.user(2).account.language == ""


@pytest.mark.parametrize("header", ["*", "es;q=0", "x" * 9_000, "es;q=9, en", ",,;;==", "es" * 400])
def test_no_header_of_a_browser_breaks_a_page(springfield: Springfield, officer: Client, header: str) -> None:
    assert "My account" in read(officer, header) or header.startswith("es;q=9")


def test_one_request_says_nothing_of_the_language_of_the_next(springfield: Springfield, officer: Client) -> None:
    read(officer, "es")
    assert translation.get_language() == "en"


@pytest.mark.parametrize(
    ("tag", "code"), [("es", "es"), ("ES-mx", "es"), ("es_US.UTF-8", "es"), ("en_GB", "en"), ("C.UTF-8", ""), ("", "")]
)
def test_a_tag_names_a_language_in_each_notation(tag: str, code: str) -> None:
    assert languages.match_language(tag) == code


# Time zones


def test_a_time_is_in_the_users_zone_then_the_agencys_then_the_browsers(
    springfield: Springfield, officer: Client
) -> None:
    models.User.objects.update(last_sign_in_at=AT)
    assert "2 March 2026, 20:04 UTC</time>" in read(officer)
    officer.cookies["muster_zone"] = "America/Chicago"
    assert "2 March 2026, 14:04</time>" in read(officer)
    models.Agency.objects.update(time_zone="America/Denver")
    assert "2 March 2026, 13:04</time>" in read(officer)
    assert choose(officer, time_zone="Asia/Tokyo") == 302
    assert "3 March 2026, 05:04</time>" in read(officer)
    assert choose(officer, time_zone="UTC") == 302
    assert "2 March 2026, 20:04 UTC</time>" in read(officer)
    assert "2 de marzo de 2026, 20:04 UTC</time>" in read(officer, "es")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "/", "America", "localtime", "x" * 5_000])
def test_a_zone_that_the_browser_makes_up_is_not_used(springfield: Springfield, officer: Client, zone: str) -> None:
    models.User.objects.update(last_sign_in_at=AT)
    officer.cookies["muster_zone"] = zone
    assert "2 March 2026, 20:04 UTC</time>" in read(officer)


def test_zones_are_offered_once_each_without_their_aliases() -> None:
    zones = time_zones.list_zones()
    assert zones[0] == "UTC" and {"America/Chicago", "America/Puerto_Rico", "Pacific/Honolulu"} <= set(zones)
    assert not {"US/Indiana-Starke", "US/Central", "Asia/Ujung_Pandang", "GMT", "EST5EDT", "Etc/UTC"} & set(zones)
    assert len(set(zones)) == len(zones) < 450 and all(map(time_zones.is_zone, zones))


def test_zones_are_offered_where_a_machine_has_no_table_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_zones, "_read_table", lambda: "")
    assert "America/Chicago" in time_zones.list_zones.__wrapped__()
    assert "US/Central" not in time_zones.list_zones.__wrapped__()


@pytest.mark.parametrize("zone", ["US/Central", "Former/Name"])
def test_a_zone_that_was_chosen_earlier_stays_a_choice(springfield: Springfield, officer: Client, zone: str) -> None:
    account = springfield.user(2).account
    account.time_zone = zone
    account.save()
    assert f'<option value="{zone}" selected>{zone}</option>' in read(officer)
    assert choose(officer, time_zone=zone) == 302


def test_former_names_of_zones_are_known_where_the_machine_has_none() -> None:
    known = "from musterbook.config import time_zones as z; print(z.find_zone('US/Central'), len(z.list_zones()) > 300)"
    environment = os.environ | {"PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", known], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("US/Central True\n", "")


# Emails


def compose(springfield: Springfield, kind: str) -> str:
    user = models.User.objects.select_related("agency", "role", "account").get(pk=springfield.user(2).pk)
    mail = models.Mail(kind=kind, user_id=user.pk, to=user.email, created_at=AT, notice=make_notice(user.agency, kind))
    message = mails.compose_mail(mail, user, cast.NOW)
    return f"{message.subject}\n{message.body}\n{message.alternatives[0][0]!s}"


def test_an_email_is_in_the_language_and_the_zone_of_its_recipient(springfield: Springfield, officer: Client) -> None:
    assert "was made inactive on 2 March 2026, 20:04 (UTC)" in compose(springfield, "deactivated")
    models.Agency.objects.update(language="es", time_zone="America/Chicago")
    text = compose(springfield, "deactivated")
    assert "está inactiva" in text and "el 2 de marzo de 2026, 14:04 (CST)" in text and '<html lang="es">' in text
    choose(officer, language="en", time_zone="Asia/Tokyo")
    assert "was made inactive on 3 March 2026, 05:04 (JST)" in compose(springfield, "deactivated")


@pytest.mark.parametrize("kind", mails.KINDS)
def test_every_email_is_one_text_in_each_language(springfield: Springfield, officer: Client, kind: str) -> None:
    texts = {}
    for code in languages.NAMES:
        choose(officer, language=code)
        texts[code] = compose(springfield, kind)
        assert "{" not in texts[code] and "%" not in texts[code].partition("<!doctype")[0]
    assert len(set(texts.values())) == len(languages.NAMES)
