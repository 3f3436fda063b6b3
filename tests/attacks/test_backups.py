"""Attacks by backups: changed, cut off, forged, of another installation, and made to write where they should not."""

import functools
import gzip
import io
import json
import os
import random
import secrets
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from pyrage import passphrase, x25519

from musterbook.config import home, secret_keys
from musterbook.directory.installation import backup_encryption, backup_seal, backups, migration
from musterbook.directory.installation.backup_encryption import CannotUse, Lock, Opener
from musterbook.directory.installation.backups import CannotRestore
from musterbook.directory.storage import frames
from tests import databases
from tests.attacks.old_installations import dump_database, seal_as_before
from tests.attacks.test_keys import DUMP, check_sealed, fill, listed, make_keyed, secret
from tests.databases import Home

IDENTITY = x25519.Identity.generate()
Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> Path:
    """A backup that this installation has sealed; its database is none, for nothing here gets so far as to load it."""

    def dump(work: Path) -> Path:
        path = work / ("database.dump" if frames.on_postgres() else "database.sqlite3")
        path.write_bytes(b"a database " * 2000)
        return path

    folder = settings.MUSTER_HOME / "files"
    shutil.rmtree(folder, ignore_errors=True)  # other tests leave theirs, and each makes the backup larger
    folder.mkdir()
    (folder / "01ATTACK").write_bytes(b"EXTERNAL_ID\n")
    monkeypatch.setattr(backups, "_dump_database", dump)
    monkeypatch.setattr(backups, "_load_database", _never)
    backups.write_backup(tmp_path / "good.tar")
    (folder / "01ATTACK").unlink()
    return tmp_path / "good.tar"


@pytest.fixture
def opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase opens the same key once: it takes a second each time, and the same comes of it."""
    monkeypatch.setattr(passphrase, "decrypt", functools.cache(passphrase.decrypt))


class BackupLoaded(Exception):
    """The backup got as far as being loaded."""


def _never(database: Path) -> None:
    raise BackupLoaded(database)


def members(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return [(entry, (tar.extractfile(entry) or io.BytesIO()).read()) for entry in tar]


def pack(path: Path, what: Members) -> Path:
    with tarfile.open(path, "w") as tar:
        for entry, content in what:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry, content


def find_refusal(path: Path, opener: Opener | None = None, *, unsealed: bool = False) -> str:
    with pytest.raises(CannotRestore) as refused:
        backups.restore_backup(path, replace=True, opener=opener, unsealed=unsealed)
    assert not list(settings.MUSTER_HOME.glob(".backup-*"))
    return str(refused.value)


def test_what_this_installation_sealed_gets_as_far_as_being_loaded(good: Path) -> None:
    with pytest.raises(BackupLoaded):
        backups.restore_backup(good, replace=True)


def _other_content(of: Members) -> Members:
    return [(entry, content.replace(b"a database", b"A database")) for entry, content in of]


def _without_seal(of: Members) -> Members:
    return of[:-1]


def _one_more(of: Members) -> Members:
    return [*of[:-1], member("files/01MORE", b"x"), of[-1]]


def _after_the_seal(of: Members) -> Members:
    return [*of, member("files/01MORE", b"x")]


def _renamed(of: Members) -> Members:
    return [(member("files/01OTHER")[0] if entry.name == "files/01ATTACK" else entry, text) for entry, text in of]


def _one_less(of: Members) -> Members:
    return [pair for pair in of if pair[0].name != "files/01ATTACK"]


def _reordered(of: Members) -> Members:
    return [of[1], of[0], *of[2:]]


def _moved_between_members(of: Members) -> Members:
    """One byte of a member is the first of the next: the same bytes, in other files."""
    return [*of[:1], (of[1][0], of[1][1][:-1]), (of[2][0], of[1][1][-1:] + of[2][1]), *of[3:]]


def _as_an_older_version(of: Members) -> Members:
    manifest = json.loads(of[0][1]) | {"format": 1}
    return [(of[0][0], json.dumps(manifest).encode()), *of[1:]]


def _without_format(of: Members) -> Members:
    manifest = {name: value for name, value in json.loads(of[0][1]).items() if name != "format"}
    return [(of[0][0], json.dumps(manifest).encode()), *of[1:]]


def _key_beside(of: Members) -> Members:
    return [*of[:-1], member("secret-key", secrets.token_urlsafe(48).encode()), of[-1]]


def _later(of: Members) -> Members:
    of[2][0].mtime += 86_400
    return of


CHANGES = [
    _other_content, _without_seal, _one_more, _after_the_seal, _renamed, _one_less, _reordered, _moved_between_members,
    _as_an_older_version, _without_format, _key_beside, _later,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_backup_that_was_changed_is_refused(good: Path, change: Callable[[Members], Members]) -> None:
    assert "changed" in find_refusal(pack(good.with_name("changed.tar"), change(members(good))))


def test_a_backup_that_another_installation_sealed_names_its_key_and_is_refused(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = secret_keys.ring()[0].name
    monkeypatch.setenv("MUSTER_SECRET_KEY", secrets.token_urlsafe(48))
    assert f"sealed with the secret key {name}, which is missing" in find_refusal(good)
    with pytest.raises(BackupLoaded):
        backups.restore_backup(good, replace=True, without_key=True)


def test_a_seal_that_claims_a_key_of_ours_does_not_pass(good: Path) -> None:
    forged = members(good)[:-1]
    seal = f"{secret_keys.ring()[0].name}:{'0' * 64}".encode()
    assert "changed" in find_refusal(pack(good, [*_other_content(forged), member("seal", seal)]))
    assert "seal is not one" in find_refusal(pack(good, [*forged, member("seal", b"0" * 5000)]))


@pytest.mark.parametrize(
    "strange",
    [
        member("../outside", b"x"), member("/tmp/muster-outside", b"x"), member("files/../../outside", b"x"),
        member("files/link", kind=tarfile.SYMTYPE, link="/etc/passwd"), member("files/hard", kind=tarfile.LNKTYPE, link="seal"),
        member("files/device", kind=tarfile.CHRTYPE), member("files/pipe", kind=tarfile.FIFOTYPE),
        member("files/deep/er", b"x"), member("files/.hidden", b"x"), member("muster.sqlite3", b"x"), member("files/a\nb", b"x"),
        member("files", kind=tarfile.SYMTYPE, link="/tmp"), member("old-secret-keys", b"x"), member("setup-code", b"x"),
        member("files/" + "x" * 300, b"x"), member("files\\..\\x", b"x"), member("manifest.json", kind=tarfile.DIRTYPE),
    ],
    ids=lambda pair: repr(pair[0].name[:20]) + pair[0].type.decode(),
)  # fmt: skip
def test_nothing_but_plain_files_with_names_of_a_backup_is_ever_written(
    good: Path, strange: tuple[tarfile.TarInfo, bytes]
) -> None:
    there = members(good)
    for place in (0, len(there) - 1):
        found = find_refusal(pack(good.with_name("strange.tar"), [*there[:place], strange, *there[place:]]))
        assert "changed" in found or "cannot be read" in found
    for folder in (settings.MUSTER_HOME.parent, settings.MUSTER_HOME):
        assert not (folder / "outside").exists()
    assert not Path("/tmp/muster-outside").exists()


def _header(size: int, kind: bytes = tarfile.REGTYPE, name: str = "manifest.json") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    head = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    head[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % (sum(head) % 2**18)
    return bytes(head)


@pytest.mark.parametrize(
    "content",
    [
        _header(1 << 40), _header(1 << 62), _header(-512) * 2, _header(-(1 << 40)), _header(1 << 33, tarfile.XHDTYPE),
        _header(1 << 33, tarfile.GNUTYPE_LONGNAME), _header(1 << 33, tarfile.XGLTYPE), _header(1 << 40, tarfile.GNUTYPE_SPARSE),
        _header(0, tarfile.GNUTYPE_LONGNAME) * 3000, b"\xff" * 5000, b"", b"\0" * 10240,
    ],
    ids=range(12),
)  # fmt: skip
def test_headers_that_claim_anything_are_refused_at_once(good: Path, content: bytes) -> None:
    for lead in (b"", _header(0, name="files/x")):
        good.write_bytes(lead + content + bytes(1024))
        assert str(good) in find_refusal(good)


def test_a_backup_that_is_packed_to_be_a_bomb_is_not_unpacked(good: Path) -> None:
    bomb = good.with_name("bomb.tar.gz")
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert "cannot be read as a file that `muster backup` wrote" in find_refusal(bomb)


@pytest.mark.parametrize(
    "manifest",
    [
        b"", b"null", b"[]", b"{}", b"[" * 200_000, b'{"version": 1, "at": "", "database": "", "changes": []}', b"\xff",
        b'{"version": "", "at": "", "database": ["x"], "changes": []}', b'{"format": "2", "version": ""}',
        b'{"version": "", "at": "", "database": "../../etc/passwd", "changes": [], "format": 2}', b"1" * (1 << 21),
        b'{"version": "", "at": "", "database": "", "changes": "abc", "format": 2}', b'{"format": 3, "later": true}',
        b'{"version": "", "at": "", "database": "", "changes": [["a"]], "format": 2}', b'{"format": true}', b'{"format": [2]}',
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(good: Path, manifest: bytes) -> None:
    assert find_refusal(pack(good, [(members(good)[0][0], manifest), *members(good)[1:]]))


def test_cut_off_anywhere_it_is_refused(good: Path) -> None:
    whole = good.read_bytes()
    end = whole.rindex(secret_keys.ring()[0].name.encode())
    chance = random.Random(1)
    for length in [0, 1, 511, 512, end, end + 20, *(chance.randrange(end) for _ in range(60))]:
        good.write_bytes(whole[:length])
        assert find_refusal(good)


def test_with_any_bit_changed_it_is_refused_or_the_same(good: Path) -> None:
    whole, same = good.read_bytes(), [(entry.name, content) for entry, content in members(good)]
    chance = random.Random(2)
    changed = good.with_name("changed.tar")
    for _ in range(300):
        copy = bytearray(whole)
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
        changed.write_bytes(copy)
        with pytest.raises((CannotRestore, BackupLoaded)) as end:
            backups.restore_backup(changed, replace=True)
        if isinstance(end.value, BackupLoaded):
            # Only what fills a block up, which is nobody's content.
            assert [(entry.name, content) for entry, content in members(changed)] == same


def _locked(good: Path, lock: Lock) -> Path:
    path = good.with_suffix(".age")
    with path.open("w+b") as file, backup_encryption.encrypting(file, lock) as into:
        into.write(good.read_bytes())
    return path


def _encrypted(path: Path) -> list[int]:
    """The places of the bytes that age wrote: all of the file, or all but what tar fills its blocks with."""
    if not tarfile.is_tarfile(path):
        return [*range(path.stat().st_size)]
    with tarfile.open(path) as tar:
        return [place for entry in tar for place in range(entry.offset_data, entry.offset_data + entry.size)]


@pytest.mark.parametrize(("by", "tries"), [("recipient", 12), ("passphrase", 2)])  # a passphrase takes a second
def test_an_encrypted_backup_opens_with_its_key_alone_and_only_whole(
    good: Path, opened_once: None, by: str, tries: int
) -> None:
    words = "a quiet brown heron"
    lock = Lock((IDENTITY.to_public(),)) if by == "recipient" else Lock((), words)
    opener = Opener((IDENTITY,)) if by == "recipient" else Opener((), words)
    path = _locked(good, lock)
    with pytest.raises(BackupLoaded):
        backups.restore_backup(path, replace=True, opener=opener)
    assert "encrypted" in find_refusal(path)
    for wrong in (Opener((x25519.Identity.generate(),)), Opener((), "another passphrase")):
        refusal = find_refusal(path, wrong)
        assert "encrypted" in refusal or "cannot be decrypted" in refusal
    whole = path.read_bytes()
    assert b"a database" not in whole
    encrypted = _encrypted(path)
    chance = random.Random(3)
    for _ in range(tries):
        path.write_bytes(whole[: chance.randrange(70, len(whole) - 1500)])
        assert find_refusal(path, opener)
        copy = bytearray(whole)
        copy[chance.choice(encrypted)] ^= 1 << chance.randrange(8)
        path.write_bytes(copy)
        assert find_refusal(path, opener)


def test_a_passphrase_that_would_take_years_is_refused_at_once(good: Path) -> None:
    path = _locked(good, Lock((), "a quiet brown heron"))
    content = path.read_bytes()
    start = content.index(b"-> scrypt ")
    end = content.index(b"\n", start)
    line = content[start:end].rpartition(b" ")[0] + b" 63"
    path.write_bytes(content[:start] + line + content[end:])
    assert "cannot be decrypted" in find_refusal(path, Opener((), "a quiet brown heron"))


def test_a_recipient_or_identity_that_is_none_is_named_and_a_secret_is_not_repeated() -> None:
    for wrong in (str(IDENTITY), "ssh-ed25519 AAAA", "age1x", "", str(IDENTITY.to_public())[:-1] + "é"):
        with pytest.raises(CannotUse) as refused:
            backup_encryption.parse_recipient(wrong)
        assert "SECRET" not in str(refused.value)
    for wrong in ("", "# nothing", "AGE-SECRET-KEY-1", str(IDENTITY.to_public())):
        with pytest.raises(CannotUse):
            backup_encryption.parse_identities(wrong)
    assert len(backup_encryption.parse_identities(f"# made by age-keygen\n{IDENTITY}\n")) == 1


def test_links_devices_and_pipes_in_the_folder_of_files_are_not_packed(good: Path) -> None:
    folder = settings.MUSTER_HOME / "files"
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    try:
        backups.write_backup(good, overwrite=True)
    finally:
        (folder / "link").unlink()
        (folder / "folder").rmdir()
        (folder / "pipe").unlink()
    names = {entry.name for entry, _ in members(good)}
    assert names.isdisjoint({"files/link", "files/folder", "files/pipe"}) and "seal" in names


def test_what_a_killed_backup_left_is_removed(good: Path) -> None:
    left = settings.MUSTER_HOME / ".backup-left"
    left.mkdir()
    os.utime(left, (0, 0))
    backups.write_backup(good, overwrite=True)
    assert not left.exists()


def _pg_dump(of: Home) -> None:
    if of.database_url and not (shutil.which("pg_dump") or list(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))):
        pytest.skip("there is no pg_dump here")


def test_the_secret_key_is_in_no_backup_and_a_restore_names_the_key_that_it_needs(
    fresh_home: Home, tmp_path: Path
) -> None:
    _pg_dump(fresh_home)
    number, path = fill(fresh_home, 3), tmp_path / "muster.tar"
    key = secret(fresh_home)
    done = fresh_home.muster("backup", str(path))
    name = secret_keys.Key(key, "").name
    assert (done.returncode, "not encrypted" in done.stderr, f"{name} is not in it" in done.stderr) == (0, True, True)
    assert key.encode() not in path.read_bytes()
    elsewhere = make_keyed(fresh_home, MUSTER_SECRET_KEY=secrets.token_urlsafe(48))
    refused = elsewhere.muster("restore", str(path), "--yes")
    assert (refused.returncode, f"secret key {name}, which is missing" in refused.stderr) == (3, True)
    assert check_sealed(fresh_home) == number
    lost = elsewhere.muster("restore", str(path), "--yes", "--without-key")
    assert (lost.returncode, f"need the secret key {name}, which is missing" in lost.stderr) == (0, True)
    assert fresh_home.muster("restore", str(path), "--yes").returncode == 0
    assert check_sealed(fresh_home) == number


@pytest.mark.parametrize("by", ["recipient", "passphrase"])
def test_an_encrypted_backup_is_restored_and_age_opens_it(fresh_home: Home, tmp_path: Path, by: str) -> None:
    _pg_dump(fresh_home)
    number, path = fill(fresh_home, 3), tmp_path / "muster.age"
    (tmp_path / "identity").write_text(f"# key\n{IDENTITY}\n")
    (tmp_path / "words").write_text("a quiet brown heron\n")
    lock = (
        ["--recipient", str(IDENTITY.to_public())]
        if by == "recipient"
        else ["--passphrase-file", str(tmp_path / "words")]
    )
    done = fresh_home.muster("backup", str(path), *lock)
    assert (done.returncode, "not encrypted" in done.stderr) == (0, False), done.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"manifest" not in path.read_bytes()
    if by == "recipient" and shutil.which("age"):
        plain = subprocess.run(
            ["age", "--decrypt", "-i", str(tmp_path / "identity"), str(path)], capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(plain.stdout)) as tar:
            assert tar.getnames()[0] == "manifest.json"
    opens = ["--identity", str(tmp_path / "identity")] if by == "recipient" else lock
    assert fresh_home.muster("restore", str(path), "--yes").returncode == 3
    done = fresh_home.muster("restore", str(path), "--yes", *opens)
    assert done.returncode == 0, done.stderr
    assert check_sealed(fresh_home) == number
    kept = [
        path for path in fresh_home.folder.rglob("*") if path.parent.name == "files" or path.name == "muster.sqlite3"
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_age_s_own_file_is_restored(good: Path) -> None:
    if not shutil.which("age"):
        pytest.skip("there is no age here")
    path = good.with_suffix(".age")
    subprocess.run(["age", "-r", str(IDENTITY.to_public()), "-o", str(path), str(good)], check=True)
    with pytest.raises(BackupLoaded):
        backups.restore_backup(path, replace=True, opener=Opener((IDENTITY,)))


FIRST_SEALED = ("directory.0012_mails_to_forget", "accounts.0005_identities")
"""The first changes of the versions that seal backups."""


def unsealed(of: Members, key: str, *more: str) -> Members:
    """What an old version could have written: no format, no names of keys, no seal, but the key itself."""
    manifest = json.loads(of[0][1])
    old = [name for name in manifest["changes"] if not _is_sealed_since(name)]
    manifest_facts = {
        "version": "0.1.0",
        "at": manifest["at"],
        "database": manifest["database"],
        "changes": [*old, *more],
    }
    return [(of[0][0], json.dumps(manifest_facts).encode()), member("secret-key", key.encode()), *of[1:-1]]


def _is_sealed_since(change: str) -> bool:
    return any(change.partition(".")[0] == first.partition(".")[0] and change >= first for first in FIRST_SEALED)


def test_what_calls_itself_an_old_backup_is_refused_unless_the_operator_says_that_it_is_one(good: Path) -> None:
    forged = pack(good, unsealed(members(good), secrets.token_urlsafe(48)))
    found = find_refusal(forged)
    assert str(forged) in found and "has no seal" in found and "--unsealed" in found
    with pytest.raises(CannotRestore):
        backups.restore_backup(forged, replace=True, without_key=True)
    with pytest.raises(BackupLoaded):
        backups.restore_backup(forged, replace=True, unsealed=True)


def test_an_unsealed_backup_of_a_version_that_seals_is_refused_with_any_option(good: Path) -> None:
    there, key = members(good), secrets.token_urlsafe(48)
    later = [name for name in migration.list_required() if _is_sealed_since(name)]
    assert set(FIRST_SEALED) < set(later)
    for change in later:
        assert "seals backups" in find_refusal(pack(good, unsealed(there, key, change)), unsealed=True), change


@pytest.mark.parametrize(
    "change",
    [
        _as_an_older_version, lambda of: [*of, member("seal", b"0123456789:" + b"0" * 64)],
        lambda of: [(of[0][0], of[0][1].replace(b"{", b'{"keys": [], ', 1)), *of[1:]], lambda of: [of[0], *of[2:]],
    ],
    ids=["format", "seal", "keys", "no key"],
)  # fmt: skip
def test_an_unsealed_backup_with_what_no_old_version_wrote_is_refused(
    good: Path, change: Callable[[Members], Members]
) -> None:
    old = unsealed(members(good), secrets.token_urlsafe(48))
    assert "changed" in find_refusal(pack(good, change(old)), unsealed=True)


def test_the_option_for_unsealed_backups_lets_no_changed_seal_pass(good: Path) -> None:
    assert "changed" in find_refusal(pack(good, _other_content(members(good))), unsealed=True)


def test_a_key_in_an_old_backup_cannot_be_more_than_a_key(good: Path) -> None:
    for text in ("key\nsecond\t2026-01-01T00:00:00+00:00\tsigns", "a\tb\tsigns", "\udcff", "a\0b"):
        there = unsealed(members(good), "")
        there[1] = member("secret-key", text.encode(errors="surrogateescape"))
        assert "cannot be read" in find_refusal(pack(good.with_name("old.tar"), there), unsealed=True)


@pytest.mark.parametrize("opener", [Opener((IDENTITY,)), Opener((), "a quiet brown heron")])
def test_an_unencrypted_file_in_place_of_an_encrypted_backup_is_refused(good: Path, opener: Opener) -> None:
    found = find_refusal(good, opener)
    assert f"{good} is not encrypted" in found and "--identity" in found and "MUSTER_BACKUP_PASSPHRASE" in found


@pytest.mark.parametrize("empty", [True, False])
def test_the_key_in_a_forged_old_backup_is_trusted_for_nothing(fresh_home: Home, tmp_path: Path, empty: bool) -> None:
    _pg_dump(fresh_home)
    theirs, path, forged = secrets.token_urlsafe(48), tmp_path / "theirs.tar", tmp_path / "forged.tar"
    attacker = make_keyed(fresh_home, MUSTER_SECRET_KEY=theirs)
    fill(attacker, 2)
    assert attacker.muster("backup", str(path), "--unencrypted").returncode == 0
    pack(forged, unsealed(members(path), theirs))
    shutil.rmtree(fresh_home.folder / "audit-heads", ignore_errors=True)
    (fresh_home.folder / home.KEY_FILE).unlink(missing_ok=True)
    if not empty:
        (fresh_home.folder / home.KEY_FILE).write_text(secrets.token_urlsafe(48))
    refused = fresh_home.muster("restore", str(forged), "--yes")
    assert (refused.returncode, "--unsealed" in refused.stderr) == (3, True), refused.stderr
    done = fresh_home.muster("restore", str(forged), "--yes", "--unsealed")
    assert done.returncode == 0, done.stderr
    name = secret_keys.Key(theirs, "").name
    assert [(key["name"] == name, key["state"]) for key in listed(fresh_home)] in (
        [(False, "current"), (True, "missing")], [(False, "current")],
    )  # fmt: skip
    for kept in fresh_home.folder.iterdir():
        assert kept.suffix or kept.is_dir() or theirs.encode() not in kept.read_bytes(), kept
    verified = fresh_home.muster("audit", "verify")
    assert (verified.returncode, f"names the key {name}, which" in verified.stdout) == (1, True), verified.stdout
    again = fresh_home.muster("restore", str(path), "--yes")
    assert (again.returncode, f"secret key {name}, which is missing" in again.stderr) == (3, True)


def test_a_genuine_old_backup_is_restored_and_its_secrets_are_sealed_with_the_installation_s_key(
    unsealed_home: Home, database_server: str, tmp_path: Path
) -> None:
    _pg_dump(unsealed_home)
    path, theirs = tmp_path / "old.tar", secrets.token_urlsafe(48)
    seal_as_before(unsealed_home, theirs)
    facts = {"version": "0.1.0", "at": "2026-01-03T00:00:00+00:00"} | dump_database(unsealed_home, tmp_path)
    database = str(facts["database"])
    pack(
        path,
        [
            member("manifest.json", json.dumps(facts).encode()), member("secret-key", theirs.encode()),
            member(database, (tmp_path / database).read_bytes()), member("files/01OLD", b"EXTERNAL_ID\n"),
        ],
    )  # fmt: skip
    with databases.make_empty(database_server) as url:
        empty = Home(tmp_path / "empty", url)
        empty.folder.mkdir()
        mine = secrets.token_urlsafe(48)
        (empty.folder / home.KEY_FILE).write_text(mine)
        refused = empty.muster("restore", str(path))
        assert (refused.returncode, "--unsealed" in refused.stderr) == (3, True), refused.stderr
        # Over the tables of a newer version, PostgreSQL's own program refuses to restore those of an older one.
        for _ in range(1 if empty.database_url else 2):
            done = empty.muster("restore", str(path), "--unsealed", "--yes")
            assert (done.returncode, "contains a secret key. Delete it" in done.stderr) == (0, True), done.stderr
            assert "which is missing" not in done.stderr
            assert secret(empty) == mine
            assert not (empty.folder / secret_keys.OLD_FILE).exists()
            assert [key["state"] for key in listed(empty)] == ["current"]
            read = empty.run(sys.executable, "-c", SECRETS)
            assert read.stdout.split() == ["named", "nameless"], read.stderr
            assert "django_session " not in empty.run(sys.executable, "-c", DUMP).stdout
            verified = empty.muster("audit", "verify")
            assert verified.stdout == "springfield: whole (events: 7, links: 3)\n", verified.stdout
        assert (empty.folder / "files" / "01OLD").read_bytes() == b"EXTERNAL_ID\n"


SECRETS = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from musterbook.config import encryption
from musterbook.directory.models import Agency
for provider in Agency.objects.get().sign_on:
    assert provider["secret"].startswith(encryption.get_prefix())
    print(encryption.unseal(provider["secret"]))
"""


def test_a_restore_ends_every_session_that_the_backup_holds(fresh_home: Home, tmp_path: Path) -> None:
    _pg_dump(fresh_home)
    fill(fresh_home, 2)
    rows = fresh_home.run(sys.executable, "-c", DUMP).stdout
    assert "django_session " in rows and "usersessions_usersession " in rows
    assert fresh_home.muster("backup", str(tmp_path / "muster.tar")).returncode == 0
    done = fresh_home.muster("restore", str(tmp_path / "muster.tar"), "--yes")
    assert (done.returncode, "All users must sign in again" in done.stderr) == (0, True), done.stderr
    rows = fresh_home.run(sys.executable, "-c", DUMP).stdout
    assert "django_session " not in rows and "usersessions_usersession " not in rows
    assert "accounts_account " in rows


def test_a_large_backup_is_encrypted_and_decrypted_in_little_memory(fresh_home: Home, tmp_path: Path) -> None:
    _pg_dump(fresh_home)
    assert fresh_home.muster("agency", "list").returncode == 0
    (fresh_home.folder / "files").mkdir(exist_ok=True)
    with (fresh_home.folder / "files" / "01LARGE").open("wb") as file:
        file.truncate(200 << 20)
    (tmp_path / "identity").write_text(str(IDENTITY))
    path = str(tmp_path / "muster.age")
    for command in (
        ["backup", path, "--recipient", str(IDENTITY.to_public())],
        ["restore", path, "--yes", "--identity", str(tmp_path / "identity")],
    ):
        done = fresh_home.run(sys.executable, "-c", PEAK, *command, timeout=300)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[-1]) < 250 << 10, "kilobytes; the file alone has 204,800"
    assert (fresh_home.folder / "files" / "01LARGE").stat().st_size == 200 << 20


PEAK = """
from pathlib import Path
from musterbook.cli import commands
try:
    commands.app()
except SystemExit as end:
    assert not end.code, end.code
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
"""Runs a command and prints its peak in kilobytes; `ru_maxrss` would count what the process that started it held."""


def test_wrong_calls_say_what_to_write_and_repeat_no_secret(fresh_home: Home, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short")
    for wrong in (
        ["--recipient", str(IDENTITY)], ["--passphrase-file", str(tmp_path / "short")],
        ["--passphrase-file", str(tmp_path / "absent")], ["--recipient", str(IDENTITY.to_public()), "--unencrypted"],
    ):  # fmt: skip
        done = fresh_home.muster("backup", str(tmp_path / "no.age"), *wrong)
        assert done.returncode == 2, done
        assert "SECRET-KEY" not in done.stderr
    assert not (tmp_path / "no.age").exists()


def test_programs_of_postgresql_inherit_no_secret_of_ours(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_SECRET_KEY", secrets.token_urlsafe(48))
    monkeypatch.setenv("MUSTER_BACKUP_PASSPHRASE", "a quiet brown heron")
    record = tmp_path / "told"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nenv > {record}\n")
    program.chmod(0o700)
    monkeypatch.setattr(backups, "_find_program", lambda name: str(program))
    backups._run_postgres("pg_dump", error=CannotRestore)
    assert "MUSTER_" not in record.read_text()
    assert migration.list_recorded()


def test_a_negative_size_is_refused_whether_or_not_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer releases of Python refuse it when they read the header, and older ones return it."""
    entry = tarfile.TarInfo("manifest.json")
    entry.size = -1
    monkeypatch.setattr(tarfile.TarFile, "next", lambda _: entry)
    with pytest.raises(tarfile.ReadError, match="negative size"):
        next(backup_seal._read_members(io.BytesIO(bytes(tarfile.RECORDSIZE))))
