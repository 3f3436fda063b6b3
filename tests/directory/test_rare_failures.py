"""What seldom happens to backups, anchors and files, and is brought about directly."""

import errno
import io
import tarfile
from pathlib import Path

import pytest
from django.conf import settings as configured
from pytest_django import Settings

from musterbook.config import secret_keys
from musterbook.directory.agency import sign_on_file
from musterbook.directory.audit import anchors, hash_chain, triggers
from musterbook.directory.audit.anchors import Anchor
from musterbook.directory.imports import pending_uploads
from musterbook.directory.installation import backup_encryption, backup_seal, work_folders


def test_every_trail_has_the_head_that_each_begins_with() -> None:
    assert anchors.has_link(1, Anchor(1, "springfield", 0, hash_chain.START))


def test_what_is_encrypted_is_written_out(tmp_path: Path) -> None:
    with (tmp_path / "backup").open("wb") as file:
        sink = backup_encryption._Sink(file, [])
        sink.write(b"some")
        sink.flush()
        assert (tmp_path / "backup").read_bytes() == b"some"


def test_a_disk_that_cannot_be_read_is_named_and_a_member_of_another_name_refused() -> None:
    assert (
        backup_encryption._describe_error(OSError(errno.EIO, "Input/output error"), by_passphrase=True)
        == "Input/output error"
    )
    with pytest.raises(tarfile.ReadError, match=r"does not hold key\.age"):
        backup_encryption._read_size(io.BytesIO(tarfile.TarInfo("other").tobuf()), "key.age")


def test_a_file_that_is_gone_meanwhile_is_no_link(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar, pytest.raises(FileNotFoundError):
        backup_seal.Packing(tar, secret_keys.ring()[0]).add_file("files/01", tmp_path / "gone")


def test_a_header_that_leads_backwards_is_refused() -> None:
    careful = backup_seal._ForwardReader(io.BytesIO(b"0123456789"))
    careful.read(5)
    assert careful.seek(careful.tell()) == 5
    with pytest.raises(tarfile.ReadError, match="backwards"):
        careful.seek(0)


@pytest.mark.parametrize("kept", [512, 513, 8_000, 512 + 65_536, 512 + 99_999])
def test_a_member_that_ends_early_is_refused(tmp_path: Path, kept: int) -> None:
    whole, entry = io.BytesIO(), tarfile.TarInfo("manifest.json")
    entry.size = 100_000
    with tarfile.open(fileobj=whole, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    with pytest.raises(tarfile.ReadError):
        backup_seal.unpack(io.BytesIO(whole.getvalue()[:kept]), tmp_path, {"manifest.json"}, "files")


def test_what_another_backup_has_half_done_is_left_alone() -> None:
    other = configured.MUSTER_HOME / ".backup-other"
    other.mkdir(parents=True)
    try:
        with work_folders.open_work_folder() as work:
            assert work.is_dir() and other.is_dir()
    finally:
        other.rmdir()


def test_a_provider_on_a_host_that_may_not_be_asked_is_refused(settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_HOSTS = ("login.example.org",)
    said = sign_on_file._check_address("server", {"server": "https://login.example.com/x"})
    assert said == ["The address is on login.example.com, which MUSTER_OUTSIDE_HOSTS does not name."]


def test_a_file_that_is_gone_meanwhile_takes_no_room(tmp_path: Path) -> None:
    assert pending_uploads._size(tmp_path / "gone") == 0


def test_where_no_table_is_named_nothing_is_guarded() -> None:
    assert triggers._build_postgres_sql({}) == []
