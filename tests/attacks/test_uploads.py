"""Uploads that are made to do harm: they take memory and time in proportion to their size, and leave nothing behind."""

import functools
import io
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.core.domain import problems
from musterbook.core.domain.columns import REQUIRED
from musterbook.core.reading import intake
from musterbook.core.reading.budget import FileLimits
from musterbook.core.reporting import results_file
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    cancellation,
    file_import,
    history,
    pending_uploads,
    queue,
    quotas,
    sandbox,
    sandbox_process,
    virus_scan,
)
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.sandbox import ReadingFailed, ReadingStopped
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.installation import doctor
from musterbook.directory.storage import import_files, locks
from tests import databases, forks, worker
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.test_entrance import text
from tests.attacks import bombs, measured_import
from tests.attacks.bombs import BOMBS
from tests.directory import cast
from tests.directory.cast import person

NAMES = [column.heading for column in REQUIRED]
GOOD = ["101", "a@agency.example", "7", "Ann", "Lee", "Active", "alee", "Officer"]
PAGE = "/springfield/users/import"
HERE = AuditContext(datetime(2026, 3, 3, tzinfo=UTC), "", "page")
FEW = (
    "repeated blanks in many cells (.ods)", "a shared string of a megabyte", "a cell far below a thousand headings",
    "a row of faults that repeats (.ods)", "an attribute of 120 megabytes", "elements within each other",
    "a million names", "many parts", "millions of shared strings", "a part that unpacks to more than it says",
    "a thousand headings above blank lines (.csv)", "60 million elements",
    "rows of problems", "as many problems as may be", "rows with a cell too many",
)  # fmt: skip
"""Those that each run of the tests tries; `python -m tests.attacks.measured_import` tries all."""


def workbook(*rows: list[str]) -> bytes:
    return bombs.xlsx("".join(bombs.cells(row) for row in [NAMES, *rows]))


@functools.cache
def make_bomb(name: str) -> bytes:
    """Make it once: each packs hundreds of megabytes into little."""
    return BOMBS[name]()


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Path:
    settings.MUSTER_HOME = tmp_path / "home"
    return tmp_path / "home"


# What is measured


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("measured")
    with databases.template(folder / "muster", ""):
        measured_import.installation(folder)
        yield folder


@pytest.mark.parametrize("name", FEW)
def test_a_file_takes_memory_and_time_by_its_size(installed: Path, name: str) -> None:
    content = make_bomb(next(full for full in BOMBS if full.startswith(name)))
    found = measured_import.preview(installed, content)
    size = len(content) / measured_import.MB
    assert found.status in {0, 1, 3}, found.said
    assert found.peak <= 512 + 20 * size
    assert found.processor <= max(14, 10 * size - 1)  # without what it takes to start the command
    assert list((installed / "muster" / "reading").glob("*")) == []


# The process that reads


def test_a_workbook_is_read_as_it_would_be_in_this_process(home: Path) -> None:
    many = [
        [f"{GOOD[0]}{n}", f"{n}@agency.example", f"0{n}", "Ann", "Lée", "Active", f"u{n}", "Officer"] for n in range(50)
    ]
    rows = [bombs.cells(row) for row in [[*NAMES, "NOTES"], *many, [], ["x", *[""] * 9, "surplus"]]]
    content = bombs.xlsx("".join(rows) + "<row><c t='n'><f/></c></row>")
    options = intake.ReadOptions(mapping={"NOTES": "LOCATION"})
    here, there = intake.read(content, options), sandbox.read_table(content, options, {})
    for name in ("cells", "original", "faults", "skipped"):
        assert getattr(there, name).equals(getattr(here, name)), name
    assert (there.file.mapped, there.file.headings, there.file.samples) == (
        here.file.mapped, here.file.headings, here.file.samples,
    )  # fmt: skip
    assert {row: list(cells) for row, cells in there.surplus.items()} == {r: list(c) for r, c in here.surplus.items()}
    assert (there.problems, there.notes) == (here.problems, here.notes)


def test_a_refused_workbook_says_the_same_and_one_beyond_the_limit_is_not_read_at_all(home: Path) -> None:
    for content in (bombs.xlsx(bombs.cells(["NOTHING"])), workbook(GOOD)[:-30]):
        assert sandbox.read_table(content, intake.ReadOptions(), {}).problems == intake.read(content).problems != ()
    small = intake.ReadOptions(limits=FileLimits(bytes=100))
    assert [problem.code for problem in sandbox.read_table(workbook(GOOD), small, {}).problems] == ["file-too-large"]
    assert not (home / "reading").exists() or list((home / "reading").iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value", "what"), [("MEMORY", 4 << 20, "memory"), ("SECONDS", 0, "time"), ("_TIME_FACTOR", -1, "time")]
)
def test_a_process_that_takes_too_much_is_ended_and_that_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: int, what: str
) -> None:
    monkeypatch.setattr(sandbox, setting, value)
    monkeypatch.setattr(sandbox, "SECONDS_PER_MB", 0)
    monkeypatch.setattr(sandbox, "MEMORY_TIMES", 0)
    content = bombs.ods(bombs.ods_row(NAMES) + bombs.ods_row(GOOD) * 60_000)
    (problem,) = sandbox.read_table(content, intake.ReadOptions(), {}).problems
    assert (problem.code, problem.detail) == ("reading-stopped", what)
    assert "Save the sheet as CSV" in problem.remedy


def test_what_the_process_does_is_the_same_wherever_it_is_done(tmp_path: Path) -> None:
    content = workbook(GOOD, ["x"])
    answers = [(tmp_path / name).open("w+b") for name in "abcd"]
    asked = sandbox._make_task(intake.ReadOptions(), {"2": {"LAST_NAME": "Li"}})
    sandbox_process.run_task(io.BytesIO(json.dumps(asked).encode() + b"\n" + content), answers)
    for answer in answers:
        answer.seek(0)
    table = sandbox_process.read_table(answers)
    for answer in answers:
        answer.close()
    assert table.cells["last_name"].to_list() == ["Li", ""]
    (tmp_path / "upload").write_bytes(content)
    table.original.select("row").with_columns(outcome=pl.lit("errored")).write_parquet(tmp_path / "rows")
    found = problems.build_frame([problems.Problem("required", 3, "EMAIL")]).with_columns(note=pl.lit(False))
    found.write_parquet(tmp_path / "problems")
    fields = {"path": str(tmp_path / "upload"), "which": "errors"}
    fields |= {name: str(tmp_path / name) for name in ("rows", "problems")}
    for form, has in (("csv", b"EMAIL is blank."), ("xlsx", b"xl/worksheets/sheet1.xml")):
        with (tmp_path / "answer").open("wb") as made:
            task = json.dumps(asked | fields | {"form": form}).encode()
            sandbox_process.run_task(io.BytesIO(task + b"\n"), [made])
        assert has in (tmp_path / "answer").read_bytes()


def test_an_error_of_the_process_is_not_blamed_on_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sandbox_process, "__name__", "musterbook.there_is_no_such_module")
    with pytest.raises(ReadingFailed):
        sandbox.read_table(workbook(GOOD), intake.ReadOptions(), {})
    assert "No module named musterbook.there_is_no_such_module" in caplog.text


def test_results_that_cannot_be_made_are_an_error_and_no_empty_file(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, rows = tmp_path / "file.csv", tmp_path / "rows"
    file.write_text("EXTERNAL_ID\nE-1\n")
    rows.write_text("these are no rows")
    with pytest.raises(ReadingFailed):
        sandbox.make_results(file, intake.ReadOptions(), {}, rows, rows, "results", "csv")
    assert "Traceback" in caplog.text


def test_a_workbook_of_exactly_the_limit_is_read_in_the_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook(GOOD)
    monkeypatch.setattr(sandbox_process, "__name__", "musterbook.there_is_no_such_module")
    with pytest.raises(ReadingFailed):
        sandbox.read_table(content, intake.ReadOptions(limits=FileLimits(bytes=len(content))), {})


def test_the_process_has_no_secret_in_its_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUSTER_SECRET_KEY", "DATABASE_URL", "PGPASSWORD", "MUSTER_SMTP_URL"):
        monkeypatch.setenv(name, "a secret")
    assert "a secret" not in sandbox._make_environment().values()


def test_reading_ends_when_somebody_asks_for_that(home: Path) -> None:
    began = time.monotonic()

    def check_stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sandbox.read_table(make_bomb("60 million elements"), intake.ReadOptions(), {}, check_stop)
    assert time.monotonic() - began < 60
    assert list((home / "reading").iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_the_process_ends_with_the_one_that_started_it(installed: Path) -> None:
    path = installed / "upload"
    path.write_bytes(make_bomb("60 million elements"))
    command = [forks.MUSTER, *measured_import.preview_of(path)]
    parent = databases.start(command, measured_import.environment_of(installed), stderr=subprocess.DEVNULL)
    child = _eventually(lambda: _children(parent.pid))
    parent.kill()
    parent.wait()
    _eventually(lambda: not any(Path(f"/proc/{number}").exists() for number in child))
    assert list((installed / "muster" / "reading").iterdir()) == []


def _children(parent: int) -> list[str]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return path.read_text(encoding="ascii").split() if path.exists() else []


def _eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return value


def test_where_the_system_has_no_such_processes_a_workbook_is_read_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert sandbox.read_table(workbook(GOOD), intake.ReadOptions(), {}).cells.height == 1
    assert not home.exists()


def test_the_doctor_says_how_old_the_reader_of_xml_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyexpat.version_info", (2, 5, 0))
    assert "use a Python that has expat 2.6.4 or later" in doctor._xml().found
    monkeypatch.setattr("pyexpat.version_info", (2, 6, 4))
    assert "later" not in doctor._xml().found


# Imports


@pytest.mark.django_db(transaction=True)
def test_a_harmful_file_is_refused_and_recorded_in_the_audit_trail(home: Path) -> None:
    agency = cast.agency()
    bomb = make_bomb("a shared string of a megabyte")
    for preview in (True, False):
        done = file_import.run_import(
            agency, Upload(bomb, "roster.xlsx"), Options(preview=preview), context=AuditContext(cast.NOW, "", "cli")
        )
        assert done.record.state == "refused"
    asked = queue.submit(agency, Upload(bomb, "roster.xlsx"), Options(preview=True), context=HERE)
    assert run_next_import("worker", lambda: cast.NOW)
    asked.refresh_from_db()
    assert asked.state == "refused"
    events = models.Event.objects.filter(agency=agency, kind="import.file-refused")
    assert {event.outcome for event in events} == {"refused"} and events.count() == 3
    assert "roster.xlsx" in events[0].changes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("large", [False, True])
def test_an_import_is_cancelled_while_its_file_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    agency = cast.agency()
    content = make_bomb("60 million elements")
    if large:
        monkeypatch.setattr(file_import, "_LONG_BYTES", 10)
        monkeypatch.setattr(file_import, "read_upload", lambda *_, **__: time.sleep(5))
        content = cast.file(cast.people(1))
    record = queue.submit(agency, Upload(content, "users"), Options(), context=HERE)
    looks: list[str] = []
    usual = cancellation.raise_if_cancelled

    def check_stop(of: models.Import) -> None:
        looks.append(of.state)
        if len(looks) == 2:
            cancellation.request_cancel(of, "E-9")
        usual(of)

    monkeypatch.setattr(cancellation, "raise_if_cancelled", check_stop)
    assert run_next_import("worker", lambda: cast.NOW)
    record.refresh_from_db()
    assert (record.state, record.message) == ("failed", "It was canceled by E-9. Nothing was changed.")


# Results in parts


def test_a_results_file_in_parts_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{n},{n}@agency.example,7{n},Ann,Lee,Active,u{n},Officer{',more' * (n % 3)}" for n in range(20)]
    rows[4] = ""
    table = intake.read("\n".join([",".join(NAMES), *rows]).encode())
    plan = table.original.select("row").with_columns(outcome=pl.lit("errored"))
    found = problems.build_frame(problems.Problem("required", row, "EMAIL") for row in range(2, 20, 2))
    for which in ("results", "errors"):
        whole = b"".join(results_file.stream_parts(table, plan, found, which))
        monkeypatch.setattr(results_file, "_PART", 3)
        assert b"".join(results_file.stream_parts(table, plan, found, which)) == whole
        monkeypatch.undo()
    empty = intake.read(",".join(NAMES).encode())
    assert b"".join(results_file.stream_parts(empty, plan.head(0), found.head(0), "results")).count(b"\r\n") == 1


@pytest.fixture
def chief(springfield: Springfield, client: Client, home: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser in which user 5, who may import, is signed in."""
    worker.at_hand(monkeypatch)
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    signed_in(client, "user.5")
    return client


def send(client: Client, content: bytes) -> Any:
    """Sends a file as the page does, and goes where that leads."""
    form = {"mode": "update", "do": "preview", "file": SimpleUploadedFile("roster.csv", content)}
    return client.post(PAGE, form, follow=True)


@pytest.mark.django_db(transaction=True)
def test_no_page_takes_a_file_into_memory_whole(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    content = cast.file([*cast.people(*range(100, 2000)), person(7, EMAIL="nobody")])

    def whole(number: str) -> bytes:
        message = f"the file of {number} is read whole"
        raise AssertionError(message)

    answer = send(chief, content)
    address = answer.redirect_chain[-1][0]
    monkeypatch.setattr(import_files, "read_content", whole)
    answer = chief.get(f"{address}/results")
    assert answer.streaming
    downloaded = b"".join(answer).decode("utf-8-sig")
    assert downloaded.count("\r\n") == 1902
    errors = chief.get(f"{address}/errors").content.decode("utf-8-sig")
    assert errors.count("\r\n") == 2 and "nobody" in errors


@pytest.mark.django_db(transaction=True)
def test_a_file_that_cannot_be_given_back_is_said(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    address = send(chief, cast.file(cast.people(9))).redirect_chain[-1][0]
    monkeypatch.setattr(history, "RESULTS_PATIENCE", 0.1)
    with locks.hold_named_lock("results", 0) as free:
        assert free
        assert "Another results file is being made" in text(chief.get(f"{address}/results", follow=True))
    for error, said in ((ReadingStopped("time"), "more memory or time"), (ReadingFailed(), "log says more")):
        monkeypatch.setattr(sandbox, "make_results", _raising(error))
        assert said in text(chief.get(f"{address}/results", follow=True))


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


# Quotas


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "setting", ["MUSTER_USER_FILES", "MUSTER_AGENCY_FILES", "MUSTER_USER_FILES_MB", "MUSTER_AGENCY_FILES_MB"]
)
def test_a_file_beyond_a_quota_is_refused_on_the_page(chief: Client, settings: Settings, setting: str) -> None:
    setattr(settings, setting, 1)
    if setting.endswith("MB"):
        models.Import.objects.update(file_size=1024 * 1024, actor="E-5", started_at=datetime.now(UTC))
    else:
        models.Import.objects.update(file_size=1, actor="E-5", started_at=datetime.now(UTC))
    before = models.Import.objects.count()
    answer = send(chief, cast.file(cast.people(9)))
    assert "The limit for imported files that are kept for this" in text(answer)
    assert models.Import.objects.count() == before
    assert models.Event.objects.filter(kind="import.file-refused").exists()


@pytest.mark.django_db(transaction=True)
def test_old_files_and_those_of_others_do_not_count(home: Path, settings: Settings) -> None:
    agency, other = cast.agency(), cast.agency("shelbyville")
    settings.MUSTER_AGENCY_FILES = settings.MUSTER_USER_FILES = 1
    file_import.run_import(
        other, Upload(b"x" * 9, "a"), Options(preview=True), context=AuditContext(cast.NOW, "", "cli")
    )
    file_import.run_import(
        agency,
        Upload(b"x" * 9, "a"),
        Options(preview=True),
        context=AuditContext(cast.NOW - timedelta(days=91), "", "cli"),
    )
    quotas.check_quotas(agency, AuditContext(cast.NOW, "E-1", "page"), 1)
    good = Upload(cast.file([cast.person(1)]), "a.csv")
    file_import.run_import(agency, good, Options(), context=AuditContext(cast.NOW, "", "cli"), key="once")
    with pytest.raises(quotas.OverQuota, match="Nothing was changed"):
        file_import.run_import(
            agency, Upload(b"x" * 9, "a"), Options(preview=True), context=AuditContext(cast.NOW, "", "cli")
        )
    assert models.Event.objects.filter(agency=agency, kind="import.file-refused", outcome="refused").count() == 1
    # Sent again, it is the one of before.
    file_import.run_import(agency, good, Options(), context=AuditContext(cast.NOW, "", "cli"), key="once")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["MUSTER_USER_WAITING_MB", "MUSTER_AGENCY_WAITING_MB"])
def test_what_arrives_is_limited_while_it_arrives(
    chief: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    setattr(settings, setting, 1)
    monkeypatch.setattr("musterbook.web.imports.uploads._CHECKED_EVERY", 1024 * 1024)
    assert "Too many files are being uploaded or are waiting" in text(send(chief, b"x" * (4 * 1024 * 1024)))
    event = models.Event.objects.get(kind="import.file-refused")
    assert event.actor == "E-5" and "Too many files are being uploaded" in event.changes
    assert _left_in(settings) == []


@pytest.mark.django_db(transaction=True)
def test_a_user_sends_two_files_at_a_time(springfield: Springfield, home: Path, settings: Settings) -> None:
    user = springfield.user(2)
    at = datetime.now(UTC)
    with closing(pending_uploads.open_arriving(user, at)) as one, closing(pending_uploads.open_arriving(user, at)):
        with pytest.raises(quotas.OverQuota):
            pending_uploads.open_arriving(user, at)
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o600
    assert _left_in(settings) == []
    # What a process has left that was killed while a file arrived, is let go of; what it says decides nothing.
    left = pending_uploads._folder(user) / "arriving-x"
    left.write_bytes(b'{"at": 99999999999}\n')
    os.utime(left, (0, 0))
    pending_uploads.forget_old(at)
    assert _left_in(settings) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["begins", "arrives"])
def test_a_full_disk_is_said_and_nothing_half_is_kept(
    chief: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    full = _raising(OSError(28, "No space left on device"))
    if where == "begins":
        monkeypatch.setattr(pending_uploads, "open_arriving", full)
    else:
        monkeypatch.setattr(pending_uploads.ArrivingFile, "write", full)
    assert "There is no room for this file now" in text(send(chief, b"x" * 100))
    assert _left_in(settings) == []


def _left_in(settings: Settings) -> list[Path]:
    return [path for path in (settings.MUSTER_HOME / "waiting").rglob("*") if path.is_file()]


# The virus scanner


@pytest.fixture
def scanner(home: Path, tmp_path: Path, settings: Settings) -> Callable[[str], None]:
    def is_now(script: str) -> None:
        path = tmp_path / "scan"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o700)
        settings.MUSTER_SCAN_COMMAND = f"{path} -"

    return is_now


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("script", "code", "detail"),
    [
        ("grep -q EICAR && echo stream: Eicar FOUND && exit 1; exit 0", "infected-file", "stream: Eicar FOUND"),
        ("exit 1", "infected-file", "the scanner gives no name"),
        ("echo no daemon; exit 2", "not-scanned", "the scanner ended with status 2. no daemon"),
        ("sleep 60", "not-scanned", "the scanner did not end in time"),
    ],
)
def test_what_a_virus_scanner_does_not_call_clean_is_refused_before_it_is_read(
    scanner: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str, code: str, detail: str
) -> None:
    scanner(script)
    monkeypatch.setattr("musterbook.directory.imports.virus_scan.SECONDS", 0.5 if script.startswith("sleep") else 5)
    monkeypatch.setattr(sandbox, "read_table", _raising(AssertionError("it is read")))
    agency = cast.agency()
    done = file_import.run_import(
        agency, Upload(b"EICAR", "users.csv"), Options(preview=True), context=AuditContext(cast.NOW, "", "cli")
    )
    (problem,) = models.ImportProblem.objects.filter(of=done.record)
    assert (done.record.state, problem.code, problem.detail) == ("refused", code, detail)
    assert models.Event.objects.filter(kind="import.file-refused").count() == 1
    assert (import_files._prepare_folder() / done.record.number).exists() == (code == "not-scanned")


@pytest.mark.django_db(transaction=True)
def test_a_scanner_may_take_longer_for_a_larger_file(
    scanner: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner("cat > /dev/null; sleep 1")
    monkeypatch.setattr("musterbook.directory.imports.virus_scan.SECONDS", 0)
    monkeypatch.setattr("musterbook.directory.imports.virus_scan.SECONDS_PER_MB", 60)
    small, large = b"a", b"a" * (1 << 20)
    problem = virus_scan.scan_file(small, lambda: None)
    assert problem is not None and problem.detail == "the scanner did not end in time"
    assert virus_scan.scan_file(large, lambda: None) is None


@pytest.mark.django_db(transaction=True)
def test_a_clean_file_is_imported_and_a_scanner_that_is_not_there_refuses(
    scanner: Callable[[str], None], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_SMTP_URL", "a secret")
    scanner('cat > /dev/null; test -z "$MUSTER_SMTP_URL"')
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1))
    settings.MUSTER_SCAN_COMMAND = "/there/is/none"
    done = cast.run(agency, cast.people(2))
    assert [problem.code for problem in models.ImportProblem.objects.filter(of=done.record)] == ["not-scanned"]
