"""An upload is moved and never copied: what is kept, what a crash leaves, and how much memory it takes."""

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import pending_uploads, queue
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.pending_uploads import KEEP_FOR, UploadGone
from musterbook.directory.storage import import_files
from tests.directory.cast import NOW, agency, apply_rows, file, keep_waiting, people, user

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = file(people(2))
_MB = 1024 * 1024


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def chief() -> models.User:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))
    return user(made, 1)


def submit(chief: models.User, token: str) -> models.Import:
    """The import of the file that waits, as the page submits it."""
    kept = pending_uploads.find_waiting(chief, token, NOW)
    record = queue.submit(chief.agency, kept.file, Options(preview=True), context=AuditContext(NOW, "E-1", "page"))
    pending_uploads.delete_waiting(chief, token)
    return record


def no_links(*_: object) -> None:
    raise PermissionError("Operation not permitted")


def list_left(settings: Settings, folder: str) -> list[Path]:
    return [path for path in (settings.MUSTER_HOME / folder).rglob("*") if path.is_file()]


def test_the_bytes_that_arrive_are_those_that_are_kept(chief: models.User, settings: Settings) -> None:
    token = keep_waiting(chief, CONTENT, NOW)
    arrived = pending_uploads._folder(chief) / token
    node = arrived.stat().st_ino
    record = submit(chief, token)
    path = import_files.find_path(record.number)
    assert (path.read_bytes(), path.stat().st_ino, path.stat().st_mode & 0o777) == (CONTENT, node, 0o600)
    assert (record.file_size, record.file_sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert list_left(settings, "waiting") == []


def test_on_a_file_system_without_links_the_file_is_copied(
    chief: models.User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    record = submit(chief, keep_waiting(chief, CONTENT, NOW))
    assert import_files.read_content(record.number) == CONTENT
    assert list_left(settings, "waiting") == []


def test_a_file_that_is_gone_when_it_is_submitted_is_no_import(chief: models.User) -> None:
    token = keep_waiting(chief, CONTENT, NOW)
    kept = pending_uploads.find_waiting(chief, token, NOW)
    pending_uploads.delete_waiting(chief, token)
    before = models.Import.objects.count()
    with pytest.raises(FileNotFoundError):
        queue.submit(chief.agency, kept.file, Options(), context=AuditContext(NOW, "E-1", "page"))
    assert models.Import.objects.count() == before


# A process that ends in the middle


@pytest.mark.parametrize("where", ["touch", "write_text", "rename"])
def test_a_crash_while_a_file_is_kept_leaves_nothing_that_waits(
    chief: models.User, settings: Settings, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    half = pending_uploads.open_arriving(chief, NOW)
    half.write(CONTENT)
    half.flush()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Path, where, killed)
        pending_uploads.keep_file(chief, "a.csv", Options(), half, NOW)
    half._file.close()  # as the system does when a process ends
    for path in list_left(settings, "waiting"):
        with pytest.raises(UploadGone):
            pending_uploads.find_waiting(chief, path.stem, NOW)
    pending_uploads.forget_old(datetime.now(UTC) + KEEP_FOR)
    assert list_left(settings, "waiting") == []


def test_a_description_that_was_not_written_whole_is_swept(chief: models.User, settings: Settings) -> None:
    half = pending_uploads._folder(chief) / f"{'x' * 32}.json"
    half.parent.mkdir(parents=True)
    half.write_text('{"name": "a', encoding="utf-8")
    os.utime(half, (NOW.timestamp(), NOW.timestamp()))
    pending_uploads.forget_old(NOW + KEEP_FOR - timedelta(seconds=1))
    assert half.exists()
    pending_uploads.forget_old(NOW + KEEP_FOR)
    assert not half.exists()


def test_a_crash_before_the_import_is_recorded_loses_nothing(
    chief: models.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    token = keep_waiting(chief, CONTENT, NOW)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(models.Import, "save", killed)
        submit(chief, token)
    record = submit(chief, token)
    assert import_files.read_content(record.number) == CONTENT


# Memory


def parts(size: int) -> Iterator[bytes]:
    """A file of that many megabytes, in the parts in which a server receives it."""
    yield from (b"x" * (64 * 1024) for _ in range(size * 16))


def peak(chief: models.User, size: int) -> int:
    """The most memory that an upload of that many megabytes takes from its first byte to its import."""
    tracemalloc.start()
    try:
        with closing(pending_uploads.open_arriving(chief, NOW)) as arriving:
            for part in parts(size):
                arriving.write(part)
            token = pending_uploads.keep_file(chief, "a.csv", Options(), arriving, NOW)
        submit(chief, token)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_upload_takes_no_more_memory_than_a_small_one(
    chief: models.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = min(peak(chief, 1) for _ in range(2))
    assert peak(chief, 64) < small + _MB
    monkeypatch.setattr(os, "link", no_links)
    # A copy has two parts of one megabyte in memory at a time.
    assert peak(chief, 64) < small + 3 * _MB


def test_no_more_than_three_files_wait_for_a_user_and_the_oldest_goes_first(chief: models.User) -> None:
    tokens = [keep_waiting(chief, CONTENT, NOW + timedelta(minutes=minute)) for minute in range(4)]
    with pytest.raises(UploadGone):
        pending_uploads.find_waiting(chief, tokens[0], NOW + timedelta(minutes=4))
    for token in tokens[1:]:
        assert pending_uploads.find_waiting(chief, token, NOW + timedelta(minutes=4)).file.name == "a.csv"
