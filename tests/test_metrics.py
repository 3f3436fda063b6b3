"""The metrics: true, without names, cheap, and shown to nobody without the token."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from musterbook import metrics
from musterbook.config import counters, serve_run
from musterbook.directory import models
from musterbook.directory.imports import totals
from musterbook.feeds import schedule
from tests.accounts.conftest import Springfield, build_springfield
from tests.accounts.test_entrance import sign_in
from tests.directory import cast

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-32-characters-at-least"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _token(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_METRICS_TOKEN = TOKEN
    settings.MUSTER_HOME = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def springfield() -> Springfield:
    return build_springfield()


def scrape() -> dict[str, float]:
    """The samples by their names and labels, as Prometheus itself reads them."""
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        "/".join([sample.name, *map(str, sample.labels.values())]): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_imports_rows_and_the_queue_are_in_the_metrics(springfield: Springfield) -> None:
    totals.add_finished(NOW)
    read = scrape()
    assert read["musterbook_imports_total/applied"] == 1
    assert read["musterbook_import_rows_total/added"] == 3
    assert read["musterbook_import_stage_seconds_count/planning"] == 1
    assert read["musterbook_import_stage_seconds_bucket/+Inf/planning"] == 1
    assert read["musterbook_imports_open/waiting"] == 0
    assert read["musterbook_database_up"] == 1
    assert read["musterbook_workers"] == 0


def test_late_feeds_and_waiting_and_failed_emails_are_in_the_metrics(springfield: Springfield) -> None:
    agency, now = springfield.agency, datetime.now(UTC)
    daily = {"expected_by": [{"days": list(schedule.DAYS), "at": "00:00"}]}
    facts = {"agency": agency, "mode": "update", "created_at": NOW - timedelta(days=9)}
    states: dict[str, dict[str, object]] = {
        "fine": {}, "late": {"schedule": daily}, "paused": {"paused_at": NOW}, "stopped": {"stopped": "It failed."},
        "away": {"unreachable": True}, "failing": {"failing_since": NOW - timedelta(hours=2)},
    }  # fmt: skip
    for name, more in states.items():
        models.Feed.objects.create(name=name, **facts, **more)
    models.Mail.objects.all().delete()
    mail = {"agency": agency, "user": springfield.user(1), "kind": "invitation", "to": "ann@agency.example"}
    models.Mail.objects.create(created_at=now - timedelta(seconds=90), **mail)
    models.Mail.objects.create(created_at=NOW, ended_at=NOW, problem="It was refused.", **mail)
    models.Mail.objects.create(created_at=NOW, ended_at=NOW, sent_at=NOW, **mail)
    read = scrape()
    feeds = {name.rpartition("/")[2]: value for name, value in read.items() if name.startswith("musterbook_feeds/")}
    assert feeds == {"on time": 1, "late": 1, "paused": 1, "stopped": 1, "unreachable": 2}
    assert [read["musterbook_emails/waiting"], read["musterbook_emails/failed"]] == [1, 1]
    assert 90 <= read["musterbook_email_oldest_waiting_seconds"] < 120


def test_waiting_webhooks_and_their_endpoints_are_in_the_metrics(springfield: Springfield) -> None:
    ages, now = {"payroll": 90, "access": 4_000}, datetime.now(UTC)
    for number, (name, age) in enumerate(ages.items()):
        endpoint = models.WebhookEndpoint.objects.create(
            agency=springfield.agency, name=name, address="https://hooks.example/secret", created_at=NOW,
            disabled_at=NOW if number else None,
        )  # fmt: skip
        facts = {"endpoint": endpoint, "kind": "user.changed", "subject": "user:7", "body": "{}", "until": NOW}
        models.WebhookMessage.objects.create(at=now - timedelta(seconds=age), **facts)
        models.WebhookMessage.objects.create(at=NOW, ended_at=NOW, delivered=bool(number), **facts)
    # The oldest is the one that was written first.
    read = scrape()
    assert [read["musterbook_webhooks/waiting"], read["musterbook_webhooks/given up"]] == [2, 1]
    assert 90 <= read["musterbook_webhook_oldest_waiting_seconds"] < 120
    states = {name.rpartition("/")[2]: value for name, value in read.items() if "webhook_endpoints" in name}
    assert states == {"sending": 1, "paused": 0, "disabled": 1}
    assert not any("payroll" in name or "hooks.example" in name for name in read)


def test_what_waits_in_a_paused_agency_raises_no_alert(springfield: Springfield) -> None:
    agency, long_ago = springfield.agency, NOW - timedelta(days=9)
    facts = {"agency": agency, "created_at": long_ago}
    daily = {"expected_by": [{"days": list(schedule.DAYS), "at": "00:00"}]}
    troubles: list[dict[str, object]] = [{"schedule": daily}, {"stopped": "It failed."}, {"unreachable": True}]
    for number, more in enumerate(troubles):
        models.Feed.objects.create(name=f"hr{number}", mode="update", **facts, **more)
    endpoint = models.WebhookEndpoint.objects.create(name="payroll", disabled_at=NOW, **facts)
    models.WebhookMessage.objects.create(
        endpoint=endpoint, kind="user.changed", subject="user:7", body="{}", until=NOW, at=long_ago
    )
    models.Mail.objects.create(kind="invitation", to="ann@agency.example", **facts)
    for state, ended in (("held", NOW), ("waiting", None)):
        models.Import.objects.create(
            agency=agency, number=f"i-{state}", mode="update", state=state, finished_at=ended, started_at=long_ago
        )
    alerts = (
        "musterbook_feeds/late", "musterbook_feeds/stopped", "musterbook_feeds/unreachable", "musterbook_imports_held",
        "musterbook_imports_open/waiting", "musterbook_import_oldest_waiting_seconds", "musterbook_emails/waiting",
        "musterbook_email_oldest_waiting_seconds", "musterbook_webhooks/waiting",
        "musterbook_webhook_oldest_waiting_seconds", "musterbook_webhook_endpoints/disabled",
    )  # fmt: skip
    assert all(scrape()[name] > 0 for name in alerts)
    models.Agency.objects.update(paused_at=NOW)
    read = scrape()
    assert [name for name in alerts if read[name]] == []
    assert (read["musterbook_feeds/paused"], read["musterbook_webhook_endpoints/paused"]) == (3, 1)


def test_sign_ins_and_requests_are_in_the_metrics(springfield: Springfield) -> None:
    springfield.registered(1)
    before = scrape()
    sign_in(Client(), "user.1", password="wrong")
    sign_in(Client(), "user.1")
    Client().generic("BREW", "/springfield/users/")
    Client().get("/springfield/no/such/page/at/all")
    after = scrape()
    more = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    assert more["musterbook_sign_ins_total/signed in"] == 1
    assert more["musterbook_sign_ins_total/failed"] == 1
    assert more["musterbook_request_duration_seconds_count/POST//<agency>/sign-in/2xx"] == 1
    assert more["musterbook_request_duration_seconds_count/POST//<agency>/sign-in/3xx"] == 1
    assert [name for name in more if "other" in name and "_count" in name]
    assert more["musterbook_request_duration_seconds_count/GET/none/4xx"] == 1


def test_no_metric_has_a_name_of_anybody(springfield: Springfield) -> None:
    springfield.registered(1)
    client = Client()
    sign_in(client, "user.1")
    for path in ("users/", "users/E-1/", "users/?q=smith-quokka", "no-such-page-7/", "imports/"):
        client.get(f"/springfield/{path}", headers={"User-Agent": "Browser-Quokka"})
    Client().get("/springfield-quokka/x", headers={"Host": "localhost"})
    totals.add_finished(NOW)
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    for hidden in ("springfield", "Springfield", "E-1", "agency.example", "user.1", "no-such-page", TOKEN):
        assert hidden not in text
    assert "quokka" not in text.lower()


def test_no_client_makes_new_series(springfield: Springfield) -> None:
    def count() -> int:
        return len(scrape())

    Client().get("/springfield/a"), Client().generic("A", "/springfield/b"), count(), count()
    before = count()
    for number in range(30):
        Client().get(f"/springfield/none-{number}/{number}", {f"q{number}": "x"})
        Client().generic(f"METHOD{number}", f"/none{number}")
        Client().get("/springfield/sign-in", headers={"Host": f"host{number}.example"})
    assert count() - before <= 26  # at most two new kinds of answers: another method, another host


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        TOKEN,
        "Bearer é",
        "Bearer \0",
    ],
)
def test_nobody_reads_them_without_the_token(header: str) -> None:
    answer = Client().get("/metrics", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert b"musterbook_" not in answer.content


def test_without_a_token_in_the_settings_there_is_nothing(settings: Settings) -> None:
    settings.MUSTER_METRICS_TOKEN = ""
    for header in ("", "Bearer ", f"Bearer {TOKEN}"):
        assert Client().get("/metrics", headers={"Authorization": header}).status_code == 404


def test_the_processes_of_one_run_know_each_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    settings.MUSTER_METRICS_TOKEN = ""
    with serve_run.begin(worker=False):
        secret = serve_run.get_secret()
        assert Client().get("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
        assert Client().get("/metrics", headers={"Authorization": f"Bearer {secret}x"}).status_code == 404
    assert Client().get("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 404


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "evil.example", "", "a b", "x" * 300])
def test_they_are_the_same_under_any_host(settings: Settings, host: str) -> None:
    settings.MUSTER_URL = "https://muster.example.org"
    answer = Client(headers={"Host": host}).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert host.encode() not in answer.content or not host
    assert Client(headers={"Host": host}).get("/metrics").status_code == 401


def test_nothing_but_reading_is_possible() -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = Client().generic(method, "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 405
    assert Client().head("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content == b""


def test_without_the_database_the_processes_still_have_theirs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", away)
    read = scrape()
    assert read["musterbook_database_up"] == 0
    assert "musterbook_sign_ins_total/failed" in read
    assert not any(name.startswith("musterbook_imports_total") for name in read)
    assert "The metrics could not be read" in caplog.text


def test_a_scrape_asks_little_and_changes_nothing(springfield: Springfield) -> None:
    scrape()
    with CaptureQueriesContext(connection) as queries:
        scrape()
    asked = [query["sql"] for query in queries]
    assert len(asked) <= 18
    assert [
        sql for sql in asked if not re.match(r"\s*(DECLARE .* CURSOR FOR SELECT|SELECT|SAVEPOINT|RELEASE)", sql)
    ] == []
    assert [sql for sql in asked if '"directory_user"' in sql or '"directory_event"' in sql] == []


def test_every_metric_is_in_the_reference_and_none_besides(springfield: Springfield) -> None:
    counters.count_refused(503)
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    shown = {family.name: family for family in text_string_to_metric_families(text)}
    named = {family.name.removesuffix("_total"): family for family in metrics.list_families()}
    assert set(shown) == set(named)
    assert {name: family.type for name, family in shown.items()} == {name: one.kind for name, one in named.items()}
    assert all(re.fullmatch(r"musterbook_[a-z_]+", name) and one.about.endswith(".") for name, one in named.items())


def test_a_held_import_and_a_notice_of_it_wait_for_a_person() -> None:
    agency = cast.agency(limits=[cast.allow(0)])
    cast.apply_rows(agency, cast.people(1))
    assert scrape()["musterbook_imports_held"] == 0


_FIRST_REQUESTS = """
import threading
from concurrent.futures import ThreadPoolExecutor
from musterbook.config import counters
start = threading.Barrier(8)
def answer(_):
    start.wait()
    counters.count_request("users", "GET", 200, 0.1)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(answer, range(8)))
print(sum(sample.value for family in counters.open_registry().collect() for sample in family.samples
          if sample.name == "musterbook_request_duration_seconds_count"))
"""


def test_the_first_requests_of_a_process_are_counted_when_they_come_at_the_same_time() -> None:
    done = subprocess.run([sys.executable, "-c", _FIRST_REQUESTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8.0\n"), done.stderr
