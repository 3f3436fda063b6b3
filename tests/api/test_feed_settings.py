"""Feeds through the API: seen by tokens that may import, changed only by tokens with every permission."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.agency import feed_secrets
from musterbook.directory.permissions import ALL
from musterbook.feeds import asking
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import LocationError
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.calls import Program, make_program, read
from tests.api.test_me import make_token, problem

pytestmark = pytest.mark.any_database
SFTP = {"kind": "sftp", "host": "sftp.example.org", "user": "muster"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUv4WyCFsPUoBaOjT2RdYlKvTPcO7fFAqk7tuFGF2wG"


@pytest.fixture
def program(springfield: Springfield) -> Program:
    """A program with every permission."""
    return make_program(springfield)


def add(program: Program, name: str = "hr", **settings: Any) -> Any:
    return program.send("POST", "feeds", {"name": name, "location": {"kind": "sent"}, **settings})


def kinds() -> list[tuple[str, str]]:
    events = models.Event.objects.filter(kind__startswith="feed.").order_by("pk")
    return list(events.values_list("kind", "through"))


def test_a_feed_is_added_read_changed_and_removed(program: Program) -> None:
    answer = add(
        program, location={"kind": "folder", "path": "hr", "pattern": "*.csv"}, every_minutes=15, source="payroll",
        windows=[{"days": ["mon"], "from": "01:00", "to": "06:00"}], expected_by=[{"at": "06:00"}],
        blackout=["2026-12-25"], header_row=2, mapping={"Mail": "EMAIL"}, defaults={"ROLE": "Officer"},
        values={"ROLE": {"Ofc": "Officer"}}, accept=["looks-damaged"], notify={"held": ["hr@example.org"]},
        limits=[{"kind": "deactivations", "users": 3, "percent": 1.5}], least_percent=50, strict=True, mails=False,
    )  # fmt: skip
    made = read(answer, 201)
    settings = made["settings"]
    assert answer.headers["Location"] == "/springfield/api/v1/feeds/hr"
    assert settings["location"] == {"kind": "folder", "path": "hr", "pattern": "*.csv"}
    assert settings["windows"] == [{"days": ["mon"], "from": "01:00", "to": "06:00"}]
    assert (settings["every_minutes"], settings["header_row"], settings["encoding"]) == (15, 2, None)
    assert (settings["mails"], settings["release_badges"], settings["strict"]) == (False, None, True)
    assert settings["limits"] == [{"kind": "deactivations", "users": 3, "percent": 1.5}]
    assert (made["state"], made["new"], made["secrets"], made["has_token"]) == ("first", True, [], False)
    read(program.send("PATCH", "feeds/hr", settings, If_Match=answer.headers["ETag"]))
    assert kinds() == [("feed.added", "api")]
    changed = program.send("PATCH", "feeds/hr", {"mode": "sync", "header_row": None}, If_Match=answer.headers["ETag"])
    now = read(changed)["settings"]
    assert (now["mode"], now["header_row"], now["source"]) == ("sync", None, "payroll")
    refused = program.send("PATCH", "feeds/hr", {"strict": False}, If_Match=answer.headers["ETag"])
    assert problem(refused, 412)["code"] == "changed-meanwhile"
    assert [one["name"] for one in program.get("feeds")["items"]] == ["hr"]
    assert read(program.send("DELETE", "feeds/hr", If_Match=changed.headers["ETag"]), 204) is None
    problem(program.send("GET", "feeds/hr"), 404)
    assert kinds() == [("feed.added", "api"), ("feed.changed", "api"), ("feed.removed", "api")]


def test_every_wrong_setting_is_named(program: Program) -> None:
    found = problem(
        add(program, location={"kind": "folder", "path": "/etc"}, encoding="klingon", notify={"x": []}), 422
    )
    assert {one["pointer"] for one in found["errors"]} == {"/location.path", "/encoding", "/notify"}
    assert not models.Feed.objects.exists()
    read(add(program), 201)
    assert problem(add(program), 422)["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize("lacking", sorted(ALL))
def test_only_a_token_with_every_permission_changes_a_feed(
    springfield: Springfield, program: Program, lacking: str
) -> None:
    read(add(program, location=SFTP), 201)
    less = make_program(springfield, *(ALL - {lacking}))
    before = (kinds(), models.Feed.objects.values().get())
    acts: list[tuple[str, str, Any]] = [
        ("POST", "feeds", {"name": "other", "location": {"kind": "sent"}}),
        ("PATCH", "feeds/hr", {"strict": True}),
        ("DELETE", "feeds/hr", None),
        ("PUT", "feeds/hr/secrets/password", {"value": "hush"}),
        ("DELETE", "feeds/hr/secrets/password", None),
        ("POST", "feeds/hr:token", None),
        ("POST", "feeds/hr:accept-host-key", {"fingerprint": "SHA256:x"}),
    ]
    for method, path, body in acts:
        assert lacking in problem(less.send(method, path, body), 403)["detail"], (method, path)
    assert (kinds(), models.Feed.objects.values().get()) == before
    assert models.Event.objects.filter(kind="act.refused", through="api").count() == len(acts)


def test_a_token_that_may_import_sees_runs_and_pauses_a_feed(springfield: Springfield, program: Program) -> None:
    read(add(program, location=SFTP), 201)
    read(add(program, "nightly", location=SFTP, mode="sync"), 201)
    less = make_program(springfield, "users.import")
    assert [one["name"] for one in less.get("feeds")["items"]] == ["hr"]
    assert less.get("feeds/hr")["name"] == "hr"
    assert read(less.send("POST", "feeds/hr:run"), 202)["name"] == "hr"
    assert read(less.send("POST", "feeds/hr:pause", {"why": "Maintenance"}))["paused"]["why"] == "Maintenance"
    assert problem(less.send("POST", "feeds/hr:run"), 422)["code"] == "invalid-value"
    assert read(less.send("POST", "feeds/hr:resume"))["paused"] is None
    assert [kind for kind, _ in kinds()][2:] == ["feed.check-asked", "feed.paused", "feed.resumed"]
    for method, path in (("GET", ""), ("GET", "/files"), ("POST", ":run"), ("POST", ":resume"), ("POST", ":check")):
        assert "users.synchronize" in problem(less.send(method, f"feeds/nightly{path}"), 403)["detail"]
    problem(make_program(springfield, "users.view").send("GET", "feeds"), 403)


def test_secrets_are_set_and_never_shown(program: Program) -> None:
    read(add(program, location=SFTP), 201)
    assert read(program.send("PUT", "feeds/hr/secrets/password", {"value": "hush hush"}), 204) is None
    shown = program.send("GET", "feeds/hr")
    assert read(shown)["secrets"] == ["password"] and b"hush" not in shown.content
    assert "hush" not in str(list(models.Event.objects.values_list("changes", flat=True)))
    assert (
        problem(program.send("PUT", "feeds/hr/secrets/header", {"value": "x"}), 422)["errors"][0]["pointer"]
        == "/header"
    )
    assert read(program.send("DELETE", "feeds/hr/secrets/password"), 204) is None
    assert program.get("feeds/hr")["secrets"] == []


def test_a_token_of_a_feed_sends_files_to_it_and_nothing_else(springfield: Springfield, program: Program) -> None:
    read(add(program), 201)
    old = read(program.send("POST", "feeds/hr:token"), 201)["token"]
    new = read(program.send("POST", "feeds/hr:token"), 201)["token"]
    assert program.get("feeds/hr")["has_token"] is True
    assert [one["name"] for one in program.get("tokens")["items"]] == ["Program 0"]
    for token, status in ((old, 401), (new, 202)):
        answer = Client().post(
            "/springfield/api/v1/feeds/hr/file?name=a.csv", b"EXTERNAL_ID,EMAIL\r\nE-9,e9@agency.example\r\n",
            content_type="text/csv", headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        assert answer.status_code == status
    problem(Program(new).send("GET", "feeds/hr"), 401)
    (file,) = program.get("feeds/hr/files")["items"]
    assert (file["name"], file["result"], len(file["import_number"])) == ("a.csv", "running", 26)
    assert problem(program.send("POST", "feeds/hr:run"), 422)["code"] == "invalid-value"
    read(add(program, "other", location=SFTP), 201)
    problem(program.send("POST", "feeds/other:token"), 422)


def test_files_are_listed_page_by_page(springfield: Springfield, program: Program) -> None:
    read(add(program), 201)
    feed = models.Feed.objects.get()
    for number in range(25):
        models.FeedFile.objects.create(
            feed=feed, name=f"{number}.csv", size=1, modified="1", sha256=str(number), at=datetime.now(UTC),
            parts=[f"{number}.csv"], problem="No",
        )  # fmt: skip
    first = program.get("feeds/hr/files")
    second = program.get(f"feeds/hr/files?cursor={first['next']}")
    third = program.get(f"feeds/hr/files?cursor={second['next']}")
    names = [one["name"] for page in (first, second, third) for one in page["items"]]
    assert names == [f"{number}.csv" for number in reversed(range(25))] and third["next"] is None
    assert first["items"][0]["about"] == "No"


def test_a_check_says_what_would_be_taken_and_takes_nothing(
    program: Program, tmp_path: Path, settings: Settings
) -> None:
    settings.MUSTER_FEED_FOLDERS = [tmp_path]
    folder = tmp_path / "springfield" / "hr"
    folder.mkdir(parents=True)
    (folder / "a.csv.part").write_text("x")
    (folder / "notes.txt").write_text("x")
    read(add(program, location={"kind": "folder", "path": "hr", "pattern": "*.csv"}), 201)
    report = read(program.send("POST", "feeds/hr:check"))
    assert {one["name"]: one["reason"] for one in report["left"]} == {"a.csv.part": "temporary", "notes.txt": "pattern"}
    assert (report["arrivals"], report["problem"]) == ([], "")
    read(program.send("PATCH", "feeds/hr", {"location": {"kind": "folder", "path": "nowhere"}}))
    assert read(program.send("POST", "feeds/hr:check"))["problem"]
    assert not models.FeedFile.objects.exists()


def test_only_one_server_of_an_agency_is_asked_at_a_time(springfield: Springfield, program: Program) -> None:
    read(add(program, location=SFTP), 201)
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with asking.take_turn(springfield.agency):
            begun.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(30)
    try:
        assert problem(program.send("POST", "feeds/hr:check"), 409)["code"] == "server-asked"
    finally:
        done.set()
        thread.join()


def test_a_host_key_is_accepted_by_its_fingerprint(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    read(add(program, location=SFTP), 201)
    monkeypatch.setattr(host_keys, "read_host_key", lambda _: f"sftp.example.org {KEY}")
    wrong = program.send("POST", "feeds/hr:accept-host-key", {"fingerprint": "SHA256:wrong"})
    assert problem(wrong, 409)["code"] == "other-host-key" and program.get("feeds/hr")["host_key"] is None
    shown = feed_secrets.get_fingerprint(KEY)
    accepted = read(program.send("POST", "feeds/hr:accept-host-key", {"fingerprint": f" {shown} "}))
    assert accepted["host_key"] == shown and kinds()[-1] == ("feed.host-key-accepted", "api")

    def unreachable(_: object) -> str:
        raise LocationError("The server cannot be reached.")

    monkeypatch.setattr(host_keys, "read_host_key", unreachable)
    found = problem(program.send("POST", "feeds/hr:accept-host-key", {"fingerprint": shown}), 409)
    assert (found["code"], found["detail"]) == ("unreachable", "The server cannot be reached.")


def test_no_feed_of_another_agency_is_found(
    springfield: Springfield, shelbyville: Springfield, program: Program
) -> None:
    models.Feed.objects.create(
        agency=shelbyville.agency, name="theirs", mode="update", source="x", location={"kind": "sent"},
        created_at=datetime.now(UTC), schedule={"every_minutes": 5}, reading={"mode": "update"},
    )  # fmt: skip
    for method, path, body in (
        ("GET", "", None), ("GET", "/files", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", ":token", None),
        ("POST", ":run", None), ("PUT", "/secrets/password", {"value": "x"}),
        ("POST", ":accept-host-key", {"fingerprint": "x"}),
    ):  # fmt: skip
        problem(program.send(method, f"feeds/theirs{path}", body), 404)
    assert program.get("feeds")["items"] == []


def test_the_token_of_a_feed_can_be_limited_to_addresses(springfield: Springfield, program: Program) -> None:
    wrong = problem(add(program, location={"kind": "sent", "addresses": "192.0.2.7, nowhere"}), 422)
    assert wrong["errors"][0]["pointer"] == "/location.addresses" and "nowhere" in wrong["detail"]
    made = read(add(program, location={"kind": "sent", "addresses": "192.0.2.7,198.51.100.0/24"}), 201)
    assert made["settings"]["location"] == {"kind": "sent", "addresses": "192.0.2.7, 198.51.100.0/24"}
    token = read(program.send("POST", "feeds/hr:token"), 201)["token"]

    def send(address: str) -> Any:
        return Client().post(
            "/springfield/api/v1/feeds/hr/file?name=a.csv", b"EXTERNAL_ID,EMAIL\r\nE-9,e9@agency.example\r\n",
            content_type="text/csv", headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR=address,
        )  # fmt: skip

    assert "may not be used from this address" in problem(send("203.0.113.9"), 401)["detail"]
    event = models.Event.objects.get(kind="api.token-refused")
    assert (event.address, event.outcome) == ("203.0.113.9", "failed") and "feed hr" in event.changes
    assert send("198.51.100.9").status_code == 202
    read(program.send("PATCH", "feeds/hr", {"location": {"kind": "sent"}}))
    assert program.get("feeds/hr")["has_token"] is True
    assert send("203.0.113.9").status_code in {200, 202}


def test_a_token_limited_to_addresses_makes_no_feed_token_without_the_limit(springfield: Springfield) -> None:
    within = ["192.0.2.0/24"]
    secret = make_token(springfield, *ALL, addresses=tuple(within))[1]
    limited, free = Program(secret), make_program(springfield)

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return Client().generic(
            method, f"/springfield/api/v1/{path}", json.dumps(body or {}), content_type="application/json",
            headers=headers, REMOTE_ADDR="192.0.2.7",
        )  # fmt: skip

    problem(limited.send("GET", "feeds"), 401)
    read(add(free), 201)
    assert read(ask("POST", "feeds/hr:token"), 201)["token"].startswith("muster_feed_")
    shown = free.get("feeds/hr")
    assert (shown["has_token"], shown["settings"]["location"]["addresses"]) == (True, "192.0.2.0/24")
    for wider in ("0.0.0.0/0", "198.51.100.7"):
        location = {"location": {"kind": "sent", "addresses": wider}}
        assert "outside the addresses" in problem(ask("PATCH", "feeds/hr", location), 422)["detail"]
        assert "outside the addresses" in problem(ask("POST", "feeds", {"name": "other", **location}), 422)["detail"]
    read(ask("PATCH", "feeds/hr", {"location": {"kind": "sent"}}))
    assert free.get("feeds/hr")["settings"]["location"]["addresses"] == "192.0.2.0/24"
    read(free.send("PATCH", "feeds/hr", {"location": {"kind": "sent", "addresses": "198.51.100.7"}}))
    assert "outside the addresses" in problem(ask("POST", "feeds/hr:token"), 422)["detail"]


def test_a_secret_in_an_address_is_refused_and_an_older_one_is_hidden(program: Program) -> None:
    url = "https://files.example.org/hr.csv?day=1&token=hush"
    refused = problem(add(program, location={"kind": "https", "url": url}), 422)
    assert "name of a header" in refused["detail"] and "hush" not in json.dumps(refused)
    read(add(program, location={"kind": "https", "url": "https://files.example.org/hr.csv?day=1"}), 201)
    models.Feed.objects.update(location={"kind": "https", "url": url})
    shown = program.get("feeds/hr")["settings"]["location"]["url"]
    assert shown == "https://files.example.org/hr.csv?day=1&token=…"
    problem(program.send("PATCH", "feeds/hr", {"location": {"kind": "https", "url": shown}}), 422)
    read(program.send("DELETE", "feeds/hr"), 204)
    assert not models.Event.objects.filter(changes__contains="hush").exists()
