"""Imports by programs, through real requests: a file is sent with its options, planned once, and read."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.accounts.models import Token
from musterbook.api import import_options, waiting
from musterbook.directory import models
from musterbook.directory.imports import given_options, pending_uploads, queue
from musterbook.directory.imports.pending_uploads import ArrivingFile
from musterbook.directory.storage import import_files
from musterbook.server import concurrency
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.import_calls import HERE, MAY, ROSTER, call, done, preview, read, send, send_form, show, work
from tests.api.import_calls import own_folder as own_folder  # noqa: PLC0414
from tests.api.import_calls import secret as secret  # noqa: PLC0414
from tests.api.test_me import make_token, problem
from tests.attacks.bombs import BOMBS
from tests.directory.cast import file, people, person

pytestmark = pytest.mark.any_database


def nothing_taken(springfield: Springfield) -> bool:
    """Whether no import was made, and no file is left on the disk."""
    left = list(pending_uploads._folder(springfield.user(1)).glob("*"))
    return not models.Import.objects.filter(through="api").exists() and not left


def test_a_file_is_imported(springfield: Springfield, secret: str) -> None:
    answer = send(secret, path="?name=roster.csv")
    said = read(answer, 202)
    record = models.Import.objects.get(number=said["number"])
    assert (said["state"], said["through"], said["by"]["external_id"]) == ("waiting", "api", "E-1")
    assert answer.headers["Location"] == said["links"]["self"]
    assert said["links"]["self"] == f"http://localhost:8000/springfield/api/v1/imports/{record.number}"
    assert (said["progress"]["done"], said["progress"]["no_worker"], "cancel" in said["links"]) == (0, True, True)
    assert (record.actor, record.through, record.file_name) == ("E-1", "api", "roster.csv")
    work()
    said = show(secret, said["number"].lower())
    assert (said["state"], said["counts"]["added"], said["counts"]["unchanged"]) == ("applied", 1, 1)
    assert (said["mails"], said["progress"]) == ({"invitation": 1}, None)
    assert said["summary"] == "1 user added, 1 invitation"
    assert said["file"] == {
        "name": "roster.csv", "size": len(ROSTER), "sha256": record.file_sha256, "format": "csv", "encoding": "utf-8",
        "delimiter": ",", "sheet": None, "header_row": 1, "ignored": [], "columns": said["file"]["columns"],
    }  # fmt: skip
    assert {"rows", "problems", "results", "errors", "undo"} <= said["links"].keys()
    assert not {"apply", "confirm", "cancel", "discard"} & said["links"].keys()
    assert models.User.objects.filter(agency=springfield.agency, external_id="E-7").exists()
    assert not list(pending_uploads._folder(springfield.user(1)).iterdir())


def test_a_form_gives_the_options_as_fields(springfield: Springfield, secret: str) -> None:
    content = file([person(7, STATUS="Working")]).replace(b"BADGE_NUMBER", b"Badge")
    answer = send_form(
        secret, content, preview="true", mapping='{"Badge": "BADGE_NUMBER"}', source="HR Sworn", mails="false",
        values='{"STATUS": {"Working": "Active"}}', accept=["looks-damaged", "identity-change=same"],
    )  # fmt: skip
    said = done(secret, answer)
    assert (said["state"], said["counts"]["added"], said["name"]) == ("previewed", 1, "roster.csv")
    options = said["options"]
    assert (options["mapping"], options["source"], options["mails"]) == ({"Badge": "BADGE_NUMBER"}, "hr sworn", False)
    assert options["accept"] == ["looks-damaged", "identity-change=same"]
    assert said["mails"] == {}
    assert {"apply", "discard", "corrections", "rows"} <= said["links"].keys()


EVERY_OPTION: dict[str, Any] = {
    "mode": "sync", "preview": "true", "strict": "true", "mails": "false", "source": "hr", "encoding": "windows-1252",
    "mapping": '{"Badge No": "BADGE_NUMBER"}', "values": '{"ROLE": {"PO": "Officer"}}', "defaults": '{"RANK": "Captain"}',
    "confirm": '{"deactivations": 3, "cut-off": true}', "delimiter": "semicolon", "sheet": "Staff", "header_row": "3",
    "expect_rows": "40", "release_badges": "true", "accept": "looks-damaged",
}  # fmt: skip
SHOWN = {
    "mode": "sync", "preview": True, "strict": True, "mails": False, "source": "hr", "encoding": "windows-1252",
    "mapping": {"Badge No": "BADGE_NUMBER"}, "values": {"ROLE": {"PO": "Officer"}}, "defaults": {"RANK": "Captain"},
    "confirm": {"deactivations": 3, "cut-off": True}, "delimiter": "semicolon", "sheet": "Staff", "header_row": 3,
    "expect_rows": 40, "release_badges": True, "accept": ["looks-damaged"],
}  # fmt: skip


def test_every_option_can_be_given_in_both_ways_and_is_shown_as_it_was_given(
    springfield: Springfield, secret: str
) -> None:
    assert set(EVERY_OPTION) == set(given_options.NAMES) == set(import_options.PROPERTIES)
    by_form = read(send_form(secret, **EVERY_OPTION), 202)
    query = Client().generic(
        "POST", HERE, ROSTER, query_params=EVERY_OPTION, headers={"Authorization": f"Bearer {secret}"}
    )
    by_query = read(query, 202)
    assert by_form["options"] == by_query["options"] == SHOWN
    record = models.Import.objects.get(number=by_query["number"])
    assert record.options["confirmed"] == {"deactivations": 3, "cut-off": None}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dry_run", "true"), ("mode", "replace"), ("preview", "maybe"), ("strict", "1"), ("mails", "sometimes"),
        ("header_row", "first"), ("header_row", "0"), ("expect_rows", "-1"), ("expect_rows", "9" * 30),
        ("encoding", "klingon"), ("delimiter", "space"), ("mapping", "Badge=BADGE_NUMBER"), ("mapping", "[]"),
        ("mapping", '{"Badge": "BADG"}'), ("values", '{"EMAIL": {"a": "b"}}'), ("values", '{"ROLE": "Officer"}'),
        ("defaults", '{"EMAIL": "a@b.example"}'), ("defaults", '{"ROLE": 3}'), ("confirm", '{"everything": 1}'),
        ("confirm", '{"deactivations": true}'), ("confirm", '{"cut-off": 3}'), ("confirm", '{"deactivations": -1}'),
        ("accept", "everything"), ("source", "x" * 64), ("release_badges", "no"), ("mapping", "[" * 100_000),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_used_is_refused_by_its_name(
    springfield: Springfield, secret: str, name: str, text: str
) -> None:
    given: dict[str, Any] = {name: text}
    said = problem(send_form(secret, **given), 422)
    assert [error["pointer"].strip("/") for error in said["errors"]] == [name]
    assert nothing_taken(springfield)


def test_options_beside_a_form_and_options_given_twice_are_refused(springfield: Springfield, secret: str) -> None:
    assert "fields of the form" in problem(send_form(secret, path="?preview=true"), 422)["detail"]
    twice = problem(send(secret, path="?mode=update&mode=sync"), 422)
    assert twice["errors"][0]["pointer"] == "mode"
    assert nothing_taken(springfield)


def test_all_wrong_options_are_named_at_once(springfield: Springfield, secret: str) -> None:
    said = problem(send(secret, path="?mode=all&preview=2&header_row=x"), 422)
    assert {error["pointer"] for error in said["errors"]} == {"/mode", "/preview", "/header_row"}


def test_a_refused_file_is_answered_with_what_is_wrong_with_it(springfield: Springfield, secret: str) -> None:
    said = done(secret, send(secret, b"EXTERNAL_ID,Mail\nE-7,a@b.example\n"))
    assert (said["state"], said["holds"], said["counts"]["added"]) == ("refused", [], 0)
    assert {one["code"] for one in said["problems"]} == {"missing-column"}
    assert all(one["message"] and one["remedy"] for one in said["problems"])
    assert "apply" not in said["links"]
    assert "corrections" in said["links"]


@pytest.mark.parametrize(
    "name",
    ["an attribute of 120 megabytes", "elements within each other", "a part that unpacks to more than it"],
)
def test_a_bomb_is_refused_as_on_the_page(springfield: Springfield, secret: str, name: str) -> None:
    content = next(make for full, make in BOMBS.items() if full.startswith(name))()
    said = done(secret, send(secret, content, "?name=a.csv", "application/octet-stream"))
    assert (said["state"], len(said["problems"])) == ("refused", 1)
    assert said["problems"][0]["remedy"]


@pytest.mark.parametrize("content", [b"%PDF-1.7 ...", b"<!DOCTYPE html><p>Sign in", b"\x89PNG\r\n\x1a\n" + b"x" * 64])
def test_another_kind_of_file_is_refused_whatever_its_type_says(
    springfield: Springfield, secret: str, content: bytes
) -> None:
    said = done(secret, send(secret, content, "?name=roster.csv"))
    assert (said["state"], said["file"]["name"]) == ("refused", "roster.csv")
    assert said["problems"][0]["message"]


def test_a_request_can_wait_for_the_result(springfield: Springfield, secret: str) -> None:
    def run_at_once(record: models.Import, _seconds: float) -> models.Import:
        work()
        record.refresh_from_db()
        return record

    with patch.object(queue, "wait", run_at_once):
        said = read(send(secret, path="?wait=30"))
    assert (said["state"], said["counts"]["added"]) == ("applied", 1)


@pytest.mark.parametrize("seconds", ["-1", "31", "x", "1e3"])
def test_a_request_cannot_wait_for_long(springfield: Springfield, secret: str, seconds: str) -> None:
    assert problem(send(secret, path=f"?wait={seconds}"), 422)["errors"][0]["pointer"] == "wait"
    assert nothing_taken(springfield)


def test_only_a_few_requests_wait_and_others_are_answered_at_once(springfield: Springfield, secret: str) -> None:
    places = [waiting._PLACES.acquire(blocking=False) for _ in range(4)]
    try:
        with patch.object(queue, "wait", side_effect=AssertionError("it waits")):
            assert read(send(secret, path="?wait=30"), 202)["state"] == "waiting"
    finally:
        for _ in filter(None, places):
            waiting._PLACES.release()
    assert all(places)


def test_one_file_with_one_key_is_one_import(springfield: Springfield, secret: str) -> None:
    first = read(send(secret, Idempotency_Key="night-1"), 202)
    assert read(send(secret, Idempotency_Key="night-1"), 202)["number"] == first["number"], "while it waits"
    work()
    again = read(send(secret, Idempotency_Key="night-1"))
    assert (again["number"], again["state"]) == (first["number"], "applied")
    assert models.Import.objects.filter(through="api").count() == 1
    kept = {path.name for path in import_files._prepare_folder().iterdir()}
    assert kept <= set(models.Import.objects.values_list("number", flat=True)), "no other file is kept"


@pytest.mark.parametrize("difference", ["file", "option"])
def test_a_used_key_is_refused_for_another_request(springfield: Springfield, secret: str, difference: str) -> None:
    read(send(secret, Idempotency_Key="night-1"), 202)
    content, path = (file(people(2, 8)), "") if difference == "file" else (ROSTER, "?strict=true")
    said = problem(send(secret, content, path, Idempotency_Key="night-1"), 422)
    assert said["code"] == "key-taken"
    assert models.Import.objects.filter(through="api").count() == 1


def test_a_key_of_another_token_is_another_key(springfield: Springfield, secret: str) -> None:
    Token.objects.update(name="Older")
    _, other = make_token(springfield, *MAY)
    first = read(send(secret, Idempotency_Key="night-1"), 202)
    second = read(send(other, file(people(2, 8)), Idempotency_Key="night-1"), 202)
    assert first["number"] != second["number"]


def test_a_key_is_not_used_up_by_a_file_that_was_refused(springfield: Springfield, secret: str) -> None:
    assert done(secret, send(secret, b"EXTERNAL_ID\nE-7\n", Idempotency_Key="night-1"))["state"] == "refused"
    assert done(secret, send(secret, Idempotency_Key="night-1"))["state"] == "applied"


@pytest.mark.parametrize("key", ["two words", "ключ", "x" * 256])
def test_a_key_has_a_form(springfield: Springfield, secret: str, key: str) -> None:
    given = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
    answer = Client().generic("POST", HERE, ROSTER, content_type="text/csv", headers=given)
    assert problem(answer, 400)["code"] == "invalid-key"
    assert nothing_taken(springfield)


def test_a_file_that_is_too_large_is_refused_before_and_while_it_is_read(
    springfield: Springfield, secret: str, settings: Settings
) -> None:
    settings.MUSTER_MAX_FILE_MB = 0
    small = b"x" * 1000
    said = problem(send(secret, small), 413)
    assert (said["code"], "MUSTER_MAX_FILE_MB" in said["detail"]) == ("too-large", True)
    assert problem(send(secret, b"x" * 100_000), 413)["code"] == "too-large", "by its length"
    assert nothing_taken(springfield)
    refused = models.Event.objects.filter(kind="import.file-refused", outcome="refused")
    assert refused.count() >= 1
    assert refused[0].actor == "E-1"


def test_a_file_larger_than_what_is_waited_for_is_read_after_its_token(springfield: Springfield, secret: str) -> None:
    large = ROSTER + b"\n" * concurrency.MAX_BUFFERED
    said = read(send(secret, large), 202)
    assert said["file"]["size"] == len(large)
    assert problem(send("muster_" + "0" * 64, large), 401)


@pytest.mark.parametrize("length", [None, "", "-1", "x", "1e3"])
def test_a_file_without_a_length_is_refused(springfield: Springfield, secret: str, length: str | None) -> None:
    assert send_raw(secret, b"", length, HTTP_TRANSFER_ENCODING="chunked").status_code in {411, 413}
    assert nothing_taken(springfield)


def send_raw(secret: str, content: bytes, length: str | None, **environ: Any) -> Any:
    """The answer to a request with that body, and another length."""
    given = {"HTTP_AUTHORIZATION": f"Bearer {secret}", "wsgi.input": io.BytesIO(content), **environ}
    given |= {} if length is None else {"CONTENT_LENGTH": length}
    return Client().request(REQUEST_METHOD="POST", PATH_INFO=HERE, CONTENT_TYPE="text/csv", **given)


class Gone(io.BytesIO):
    """A body whose sender goes away."""

    def read(self, size: int | None = -1) -> bytes:
        """Nothing: the connection is gone."""
        raise ConnectionAbortedError(size)


def test_a_file_that_is_shorter_than_its_length_is_refused(springfield: Springfield, secret: str) -> None:
    short = send_raw(secret, ROSTER, str(len(ROSTER) + 10))
    gone = send_raw(secret, b"", "10", **{"wsgi.input": Gone()})
    for answer in (short, gone):
        assert "did not arrive in full" in problem(answer, 400)["detail"]
    assert nothing_taken(springfield)
    assert models.Event.objects.filter(kind="import.file-refused").count() == 2


def test_an_empty_file_and_a_form_without_one_file_are_refused(springfield: Springfield, secret: str) -> None:
    assert "empty" in problem(send_raw(secret, b"", "0"), 400)["detail"]
    headers = {"Authorization": f"Bearer {secret}"}
    assert "exactly one file" in problem(Client().post(HERE, {"preview": "true"}, headers=headers), 400)["detail"]
    two = {"a": SimpleUploadedFile("a.csv", ROSTER), "b": SimpleUploadedFile("b.csv", ROSTER)}
    assert "exactly one file" in problem(Client().post(HERE, two, headers=headers), 400)["detail"]
    encoded = send(secret, Content_Encoding="gzip")
    assert problem(encoded, 415)["code"] == "content-encoding"
    assert nothing_taken(springfield)


def test_a_form_with_too_many_fields_is_refused(springfield: Springfield, secret: str, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5
    many: dict[str, Any] = {f"f{number}": "x" for number in range(10)}
    assert problem(send_form(secret, **many), 400)["detail"] == "The form cannot be read."
    assert nothing_taken(springfield)


def test_a_full_disk_is_said(springfield: Springfield, secret: str) -> None:
    with patch.object(ArrivingFile, "write", side_effect=OSError(28, "No space left")):
        assert problem(send(secret), 507)["code"] == "no-room"
    with patch.object(import_files, "adopt_file", side_effect=OSError(28, "No space left")):
        assert problem(send(secret), 507)["code"] == "no-room"
    assert nothing_taken(springfield)


def test_a_program_sends_few_files_at_a_time_and_quotas_count(
    springfield: Springfield, secret: str, settings: Settings
) -> None:
    folder = pending_uploads._folder(springfield.user(1))
    folder.mkdir(parents=True)
    for number in range(pending_uploads.MAX_ARRIVING):
        (folder / f"arriving-{number}").touch()
    assert problem(send(secret), 429)["code"] == "too-many-files"
    for path in folder.iterdir():
        path.unlink()
    settings.MUSTER_USER_FILES = 0
    assert problem(send(secret), 429)["code"] == "too-many-files"
    assert nothing_taken(springfield)
    assert models.Event.objects.filter(kind="import.file-refused").count() == 2


def test_a_mode_needs_its_permission_of_the_token_and_this_is_in_the_trail(springfield: Springfield) -> None:
    _, weak = make_token(springfield, "users.view", "users.import")
    for answer in (send(weak, path="?mode=sync"), send_form(weak, mode="sync")):
        assert "users.synchronize" in problem(answer, 403)["detail"]
    assert models.Event.objects.filter(kind="act.refused", outcome="refused").count() == 2
    assert nothing_taken(springfield)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""), ("GET", ""), ("GET", "/X"), ("GET", "/X/rows"), ("GET", "/X/problems"), ("GET", "/X/results"),
        ("GET", "/X/errors"), ("POST", "/X/apply"), ("POST", "/X/confirm"), ("POST", "/X/corrections"),
        ("POST", "/X/undo"), ("POST", "/X/cancel"), ("POST", "/X/discard"),
    ],
)  # fmt: skip
def test_everything_about_imports_needs_the_permission_to_import(
    springfield: Springfield, method: str, path: str
) -> None:
    _, weak = make_token(springfield, "users.view")
    events = models.Event.objects.filter(kind="act.refused")
    said = problem(call(weak, method, path.replace("X", "0" * 26), {} if method == "POST" else None), 403)
    assert "users.import" in said["detail"]
    assert events.get().changes.count("users.import") == 1
    assert problem(call("muster_" + "0" * 64, method, path), 401)


def test_an_import_of_another_agency_is_nowhere(
    springfield: Springfield, shelbyville: Springfield, secret: str
) -> None:
    theirs = models.Import.objects.filter(agency=shelbyville.agency).latest("pk").number
    ours = preview(secret)
    for number in (theirs, "0" * 26, "x", f"{ours['number']}0"):
        assert problem(call(secret, "GET", f"/{number}"), 404)
        for act, data in (
            ("apply", {"digest": "x"}), ("confirm", {"digest": "x", "confirm": {"deactivations": 1}}), ("undo", {}),
            ("corrections", {"options": {"strict": True}}), ("cancel", None), ("discard", None),
        ):  # fmt: skip
            assert problem(call(secret, "POST", f"/{number}/{act}", data), 404)
        for part in ("rows", "problems", "results", "errors"):
            assert problem(call(secret, "GET", f"/{number}/{part}"), 404)
    assert problem(
        Client().get(f"/shelbyville/api/v1/imports/{theirs}", headers={"Authorization": f"Bearer {secret}"}), 401
    )


def test_the_list_has_pages_and_filters(springfield: Springfield, secret: str) -> None:
    for number in (4, 5, 6):
        done(secret, send(secret, file(people(number)), f"?name={number}.csv"))
    preview(secret)
    first = read(call(secret, "GET", "?limit=2"))
    second = read(call(secret, "GET", f"?limit=2&cursor={first['next']}"))
    third = read(call(secret, "GET", f"?limit=2&cursor={second['next']}"))
    numbers = [one["number"] for page in (first, second, third) for one in page["items"]]
    expected = models.Import.objects.filter(agency=springfield.agency).order_by("-started_at", "-pk")
    assert numbers == [record.number for record in expected]
    assert third["next"] is None
    top = first["items"][0]
    assert (top["state"], top["is_open"], top["by"]["external_id"], top["by"]["name"]) == (
        "previewed", True, "E-1", "First 1 Last 1",
    )  # fmt: skip

    def count(query: str) -> int:
        return len(read(call(secret, "GET", f"?{query}"))["items"])

    later = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+", "%2B")
    assert (count("q=5.CSV"), count("state=open"), count("state=applied&by=E-1"), count("by=")) == (1, 1, 3, 1)
    assert (count("mode=sync"), count("kind=file"), count(f"since={later}"), count(f"before={later}")) == (0, 5, 0, 5)


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=WyJhIiwxXQ", "cursor=WyIyMDI2LTAxLTAxIiwxXQ", "limit=0", "state=x"]
)
def test_a_list_refuses_what_it_cannot_read(springfield: Springfield, secret: str, query: str) -> None:
    assert problem(call(secret, "GET", f"?{query}"), 422)


def test_an_import_says_what_it_waits_for_and_how_far_it_is(springfield: Springfield, secret: str) -> None:
    first, second = read(send(secret), 202), read(send(secret, file(people(8))), 202)
    said = show(secret, second["number"])
    assert said["progress"]["waits_for"] == {"number": first["number"], "by": "E-1"}


def test_sentences_are_english_whatever_the_language_of_the_agency(springfield: Springfield, secret: str) -> None:
    models.Agency.objects.update(language="es")
    said = done(secret, send(secret, path="?preview=true", Accept_Language="es"))
    assert said["summary"] == "1 user to add, 1 invitation"
    wrong = problem(send(secret, path="?preview=2", Accept_Language="es"), 422)
    assert wrong["detail"] == "“2” is not possible. Write true or false."


def test_other_methods_are_refused(springfield: Springfield, secret: str) -> None:
    assert problem(call(secret, "DELETE", ""), 405)
    assert call(secret, "OPTIONS", "").headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    head: Any = call(secret, "HEAD", "")
    assert head.status_code == 200


def test_a_key_is_used_up_for_a_month_after_its_import(secret: str) -> None:
    first = read(send(secret, Idempotency_Key="night-1"), 202)
    work()
    almost, over = (datetime.now(UTC) - timedelta(days=days) for days in (29, 31))
    models.Import.objects.filter(number=first["number"]).update(finished_at=almost)
    assert read(send(secret, Idempotency_Key="night-1"))["number"] == first["number"]
    models.Import.objects.filter(number=first["number"]).update(finished_at=over)
    again = read(send(secret, Idempotency_Key="night-1"), 202)
    assert again["number"] != first["number"]
    work()
    assert read(send(secret, Idempotency_Key="night-1"))["number"] == again["number"]
