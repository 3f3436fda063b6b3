"""Files that programs send to a feed, through real requests: taken once, bounded, and by the token of that feed only."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import FakePayload
from pytest_django import Settings

from musterbook.accounts import limits
from musterbook.api import arriving
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import pending_uploads
from musterbook.directory.imports.pending_uploads import ArrivingFile
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.storage import import_files
from musterbook.server import concurrency
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.accounts.test_entrance import sign_in
from tests.api.test_me import make_token, problem
from tests.directory.cast import file, people

pytestmark = pytest.mark.any_database

HERE = "/springfield/api/v1/feeds/hr/file"
ROSTER = file(people(1, 2, 3))
OTHER = file(people(1, 2, 4))


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def make_feed(agency: models.Agency, name: str = "hr") -> str:
    """A feed whose files are sent; its token."""
    context = AuditContext(datetime.now(UTC), "", "cli")
    feed = feeds.add(agency, {"name": name, "location": {"kind": "sent"}}, context, None)
    return feeds.make_token(feed, context, None)


@pytest.fixture
def token(springfield: Springfield) -> str:
    return make_feed(springfield.agency)


def send(token: str, content: bytes = ROSTER, path: str = HERE, **headers: str) -> Any:
    """The answer to a program that sends the file as the body."""
    given = {"Authorization": f"Bearer {token}", "User-Agent": "curl/8"} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    return Client().generic("POST", path, content, content_type="text/csv", headers=given)


def send_form(token: str, *files: SimpleUploadedFile, **fields: str) -> Any:
    """The answer to a program that sends a form, as `curl -F` does."""
    content = {**fields, **{f"file{number}": one for number, one in enumerate(files)}}
    return Client().post(HERE, content, headers={"Authorization": f"Bearer {token}"})


def read(answer: Any, status: int = 202) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer.content)
    assert answer.status_code == status, content
    return content


def nothing_taken() -> bool:
    """Whether no file was taken, and none is left on the disk."""
    feed = models.Feed.objects.get(name="hr", agency__slug="springfield")
    waiting = pending_uploads._folder_of_feed(feed)
    left = list(waiting.iterdir()) if waiting.exists() else []
    return (
        not models.FeedFile.objects.exists()
        and not models.Import.objects.filter(feed__isnull=False).exists()
        and not left
    )


def test_a_file_that_is_sent_is_imported(springfield: Springfield, token: str) -> None:
    said = read(send(token, Content_Disposition='attachment; filename="roster.csv"'))
    record = models.Import.objects.get(feed__name="hr")
    assert said == {
        "feed": "hr", "import": record.number, "state": "waiting",
        "page": f"http://localhost:8000/springfield/imports/{record.number}",
        "file": {"name": "roster.csv", "size": len(ROSTER), "sha256": record.file_sha256},
    }  # fmt: skip
    assert (record.actor, record.through, record.address, record.agent) == ("", "feed", "127.0.0.1", "curl/8")
    assert import_files.read_content(record.number) == ROSTER
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass
    record.refresh_from_db()
    assert record.state == "previewed", "the first file waits for a person"


def test_the_same_content_again_is_nothing_new(springfield: Springfield, token: str) -> None:
    first = read(send(token))
    again = read(send(token), 200)
    assert (again["state"], again["import"]) == ("nothing-new", first["import"])
    assert models.Import.objects.filter(feed__isnull=False).count() == 1
    assert read(send(token, OTHER))["import"] != first["import"]


def test_a_request_with_the_same_key_is_answered_the_same(springfield: Springfield, token: str) -> None:
    first = read(send(token, Idempotency_Key="night-1"))
    again = read(send(token, Idempotency_Key="night-1"))
    assert again == first
    assert models.FeedFile.objects.count() == 1
    refused = problem(send(token, OTHER, Idempotency_Key="night-1"), 422)
    assert "another file" in refused["detail"]
    assert models.FeedFile.objects.count() == 1
    assert read(send(token, OTHER, Idempotency_Key="night-2"))["import"] != first["import"]


def test_a_key_is_only_of_its_feed(springfield: Springfield, token: str) -> None:
    other = make_feed(springfield.agency, "civil")
    read(send(token, Idempotency_Key="night-1"))
    read(send(other, OTHER, HERE.replace("/hr/", "/civil/"), Idempotency_Key="night-1"))


def test_a_failed_import_has_not_used_up_its_key(springfield: Springfield, token: str) -> None:
    first = read(send(token, Idempotency_Key="night-1"))
    models.Import.objects.update(state="failed", finished_at=datetime.now(UTC))
    assert read(send(token, Idempotency_Key="night-1"))["import"] != first["import"]


def test_a_process_that_ended_before_it_kept_the_key_has_taken_the_file_once(
    springfield: Springfield, token: str
) -> None:
    first = read(send(token, Idempotency_Key="night-1"))
    models.FeedFile.objects.update(key="")
    again = read(send(token, Idempotency_Key="night-1"), 200)
    assert (again["state"], again["import"]) == ("nothing-new", first["import"])
    assert models.Import.objects.filter(feed__isnull=False).count() == 1


@pytest.mark.parametrize("key", ["two words", "x" * 256, "é", "\x7f"])
def test_a_key_that_is_none_is_refused(springfield: Springfield, token: str, key: str) -> None:
    assert "Idempotency-Key" in problem(send(token, Idempotency_Key=key), 400)["detail"]
    assert nothing_taken()


def test_a_form_with_one_file_is_a_file(springfield: Springfield, token: str) -> None:
    said = read(send_form(token, SimpleUploadedFile("roster.csv", ROSTER), note="x"))
    assert said["file"]["name"] == "roster.csv"
    assert import_files.read_content(said["import"]) == ROSTER


def test_a_form_with_another_number_of_files_is_refused(springfield: Springfield, token: str) -> None:
    two = (SimpleUploadedFile("a.csv", ROSTER), SimpleUploadedFile("b.csv", OTHER))
    for answer in (send_form(token, *two), send_form(token, note="x")):
        assert "exactly one file" in problem(answer, 400)["detail"]
    assert nothing_taken()


@pytest.mark.parametrize(
    "body", [b"--x", b"--x\r\n", b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nA']
)
def test_a_form_that_is_cut_off_is_refused(springfield: Springfield, token: str, body: bytes) -> None:
    given = {"Authorization": f"Bearer {token}"}
    for kind in (
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=" + "y" * 300,
    ):
        problem(Client().generic("POST", HERE, body, content_type=kind, headers=given), 400)
    assert nothing_taken()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('attachment; filename="a.csv"', "a.csv"), ("attachment; filename*=UTF-8''na%C3%AFve.csv", "naïve.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"), ('attachment; filename="C:\\\\hr\\\\a.csv"', "a.csv"),
        ("attachment; filename*=UTF-8''..%2F..%2Fa%00%0A.csv", "a.csv"), ("attachment", "file"), ("", "file"),
        ("attachment; filename*=nonsense''%ff", "file"), (";;;=", "file"), ('attachment; filename=".htaccess"', "htaccess"),
        ("attachment; filename*=UTF-8''a%E2%80%AEvsc.exe", "avsc.exe"), ('attachment; filename=".."', "file"),
        ('attachment; filename="' + "x" * 900 + '.csv"', "x" * 200 + ".csv"), ('attachment; filename="a/"', "file"),
        ('attachment; filename="<b>.csv"', "<b>.csv"), ('attachment; filename="' + "x" * 900 + '"', "x" * 200),
    ],
)  # fmt: skip
def test_the_name_of_a_file_is_cleaned(springfield: Springfield, token: str, given: str, name: str) -> None:
    assert read(send(token, Content_Disposition=given))["file"]["name"] == name


def test_the_address_may_have_the_name(springfield: Springfield, token: str) -> None:
    answer = send(token, path=f"{HERE}?name=..%2Fnight.csv", Content_Disposition='attachment; filename="a.csv"')
    assert read(answer)["file"]["name"] == "night.csv"
    assert arriving.clean_name(".csv") == "csv" and arriving.clean_name(" .csv. ") == "csv."


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    springfield: Springfield, token: str, settings: Settings
) -> None:
    settings.MUSTER_MAX_FILE_MB = 0
    read_nothing = FakePayload(b"x" * 70_000)
    given: dict[str, Any] = {
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "CONTENT_LENGTH": "70000",
        "wsgi.input": read_nothing,
    }
    assert "MUSTER_MAX_FILE_MB" in problem(Client().post(HERE, content_type="text/csv", **given), 413)["detail"]
    assert read_nothing.read(1) == b"x"
    assert "MUSTER_MAX_FILE_MB" in problem(send(token), 413)["detail"], "within what a form may have around it"
    assert "MUSTER_MAX_FILE_MB" in problem(send_form(token, SimpleUploadedFile("a.csv", ROSTER)), 413)["detail"]
    assert nothing_taken()


def test_a_large_file_is_read_only_with_the_token_of_the_feed(springfield: Springfield, token: str) -> None:
    large = ROSTER + b"\n" * concurrency.MAX_BUFFERED
    body = FakePayload(large)
    given: dict[str, Any] = {
        "HTTP_AUTHORIZATION": "Bearer muster_feed_wrong",
        "CONTENT_LENGTH": str(len(large)),
        "wsgi.input": body,
    }
    problem(Client().post(HERE, content_type="text/csv", **given), 401)
    assert body.read(1) == ROSTER[:1], "nothing of it was read"
    assert read(send(token, large))["file"]["size"] == len(large)
    for path in ("/springfield/api/v1/me", "/springfield/api/v1/nothing", "/nowhere/api/v1/feeds/hr/file"):
        assert send(token, large, path).status_code == 413


@pytest.mark.parametrize("length", [None, "", "-1", "x", "1e3"])
def test_a_file_without_its_length_is_refused(springfield: Springfield, token: str, length: str | None) -> None:
    given: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_TRANSFER_ENCODING": "chunked"}
    if length is not None:
        given["CONTENT_LENGTH"] = length
    answer = Client().request(REQUEST_METHOD="POST", PATH_INFO=HERE, CONTENT_TYPE="text/csv", **given)
    assert answer.status_code in (411, 413)
    assert nothing_taken()


def test_a_file_that_does_not_arrive_in_full_is_not_taken(springfield: Springfield, token: str) -> None:
    given: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "CONTENT_LENGTH": f"{len(ROSTER) + 1}"}
    payload = _Short(ROSTER)
    answer = Client().post(HERE, content_type="text/csv", **given | {"wsgi.input": payload})
    assert "in full" in problem(answer, 400)["detail"]
    assert (
        "in full"
        in problem(Client().post(HERE, content_type="text/csv", **given | {"wsgi.input": _Gone(b"")}), 400)["detail"]
    )
    assert nothing_taken()


class _Short:
    """A body that ends early."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        part, self._content = self._content[:size], self._content[size:]
        return part

    readline = read


class _Gone(_Short):
    """A body whose sender goes away."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionAbortedError(size)


def test_an_empty_file_and_an_encoded_one_are_refused(springfield: Springfield, token: str) -> None:
    given: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "CONTENT_LENGTH": "0"}
    nothing = Client().request(REQUEST_METHOD="POST", PATH_INFO=HERE, CONTENT_TYPE="text/csv", **given)
    assert "empty" in problem(nothing, 400)["detail"]
    assert "empty" in problem(send_form(token, SimpleUploadedFile("a.csv", b"")), 400)["detail"]
    assert "Content-Encoding" in problem(send(token, Content_Encoding="gzip"), 415)["detail"]
    assert nothing_taken()


def test_a_full_disk_is_said(springfield: Springfield, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArrivingFile, "write", full)
    assert "no room" in problem(send(token), HTTPStatus.INSUFFICIENT_STORAGE)["detail"]
    assert nothing_taken()


def test_a_feed_receives_few_files_at_a_time(springfield: Springfield, token: str) -> None:
    feed = models.Feed.objects.get()
    opened = [pending_uploads.open_for_feed(feed, datetime.now(UTC)) for _ in range(pending_uploads.MAX_ARRIVING)]
    assert "at a time" in problem(send(token), 429)["detail"]
    for one in opened:
        one.close()
    read(send(token))


def test_files_that_arrive_count_toward_the_quotas(
    springfield: Springfield, token: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_USER_WAITING_MB = 0
    monkeypatch.setattr(arriving, "CHECKED_EVERY", 10)
    assert "this feed" in problem(send(token), 429)["detail"]
    settings.MUSTER_USER_WAITING_MB, settings.MUSTER_AGENCY_FILES = 100, 0
    assert "this agency" in problem(send(token), 429)["detail"]
    assert nothing_taken()


def test_a_paused_feed_takes_nothing(springfield: Springfield, token: str) -> None:
    feeds.pause(feeds.find_feed(springfield.agency, "hr"), "", AuditContext(datetime.now(UTC), "", "cli"), None)
    assert "paused" in problem(send(token), 409)["detail"]
    assert nothing_taken()


def test_only_so_many_files_are_sent_to_a_feed_in_a_while(springfield: Springfield, token: str) -> None:
    few = replace(limits.RATES["sent file"], most=2)
    with patch.dict("musterbook.accounts.limits.RATES", {"sent file": few}):
        assert [send(token, b"x" * number).status_code for number in (1, 2, 3)] == [202, 202, 429]
        answer = send(token)
    assert problem(answer, 429) and answer.headers["Retry-After"] == "600"
    assert models.Event.objects.filter(kind="request.refused").exists()


# Who gets in


def _wrong(springfield: Springfield, token: str) -> Iterator[tuple[str, str]]:
    """Tokens that give no access, each with the address that it is tried at."""
    other = make_feed(springfield.agency, "civil")
    yield other, HERE
    yield token, HERE.replace("/hr/", "/civil/")
    yield token, HERE.replace("/hr/", "/none/")
    yield token, HERE.replace("/hr/", "/HR/")
    yield token.upper(), HERE
    yield token[:-1], HERE
    yield token.removeprefix("muster_feed_"), HERE
    yield "", HERE
    yield make_token(springfield)[1], HERE


def test_a_wrong_token_opens_nothing_and_is_recorded(springfield: Springfield, token: str) -> None:
    pairs = list(_wrong(springfield, token))
    details = {problem(send(wrong, path=path), 401)["detail"] for wrong, path in pairs}
    assert len(details) == 1, "an unknown feed is as a wrong token"
    assert models.Event.objects.filter(kind="api.token-refused", outcome="failed").count() == len(pairs)
    assert not any(token in event.changes for event in models.Event.objects.all())
    assert nothing_taken()
    assert send(pairs[0][0], path=pairs[0][1]).headers["WWW-Authenticate"].endswith('error="invalid_token"')


def test_another_agencys_feed_of_the_same_name_has_its_own_token(
    springfield: Springfield, shelbyville: Springfield, token: str
) -> None:
    theirs = make_feed(shelbyville.agency)
    there = HERE.replace("springfield", "shelbyville")
    problem(send(theirs), 401)
    problem(send(token, path=there), 401)
    read(send(theirs, path=there))
    assert models.FeedFile.objects.get().feed.agency.slug == "shelbyville"
    assert nothing_taken() is False


def test_a_token_of_a_feed_opens_nothing_else(springfield: Springfield, token: str) -> None:
    given = {"Authorization": f"Bearer {token}"}
    problem(Client().get("/springfield/api/v1/me", headers=given), 401)
    for method in ("get", "head", "put", "patch", "delete", "options"):
        answer = getattr(Client(), method)(HERE, headers=given)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    for path in ("", "users/", "imports/", "feeds/hr", "my-account/"):
        answer = Client().get(f"/springfield/{path}", headers=given)
        assert answer.status_code in (302, 404), path


def test_without_a_token_it_is_said_where_it_goes(springfield: Springfield, token: str) -> None:
    for answer in (
        Client().post(HERE, ROSTER, content_type="text/csv"),
        Client().post(f"{HERE}?token={token}", ROSTER, content_type="text/csv"),
        Client().post(HERE, ROSTER, content_type="text/csv", headers={"Authorization": f"Basic {token}"}),
    ):
        assert "Authorization: Bearer" in problem(answer, 401)["detail"]
    assert nothing_taken()


def test_a_token_that_was_replaced_opens_nothing(springfield: Springfield, token: str) -> None:
    feed = feeds.find_feed(springfield.agency, "hr")
    new = feeds.make_token(feed, AuditContext(datetime.now(UTC), "", "cli"), None)
    problem(send(token), 401)
    read(send(new))


def test_too_many_wrong_tokens_are_put_off_and_good_ones_are_not(springfield: Springfield, token: str) -> None:
    codes = [send(f"muster_feed_{number:064x}").status_code for number in range(32)]
    assert codes == [401] * 30 + [429] * 2
    assert send(token).status_code == 202


def test_a_session_and_a_page_of_another_site_send_nothing(
    springfield: Springfield, token: str, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    problem(client.post(HERE, {"file": SimpleUploadedFile("a.csv", ROSTER)}), 401)
    assert nothing_taken()
