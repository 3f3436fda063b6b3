"""What is sealed, by which key, and how it is sealed again; and where a backup's encryption cannot do its work."""

import io
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from pyrage import x25519

from musterbook.config import encryption, home, key_rotation, secret_keys
from musterbook.directory import models
from musterbook.directory.agency import pausing, webhook_secrets, webhooks
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import backup_encryption, backups, doctor, key_changes, sealed_values
from musterbook.directory.installation.backup_encryption import CannotOpen, Lock, Opener
from tests.directory import cast

NOW = datetime.now(UTC)
CONTEXT = AuditContext(NOW, "", "cli")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None, settings: object) -> Path:
    """A home of its own, whose key is made, and an agency whose provider has a secret."""
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    settings.MUSTER_HOME = tmp_path  # type: ignore[attr-defined]
    cast.agency(sign_on=[{"slug": "county", "secret": encryption.seal("hush")}, {"slug": "state", "secret": ""}])
    return tmp_path


def _secret() -> str:
    found: str = models.Agency.objects.get().sign_on[0]["secret"]
    return found


def _uses() -> dict[str, int]:
    """By the key's name, what needs it, but for audit trails."""
    return {use.key: use.values for use in sealed_values.count_uses() if use.about != sealed_values.TRAILS}


def test_a_rotation_seals_everything_again_and_a_second_pass_has_nothing_to_do(folder: Path) -> None:
    old = secret_keys.ring()[0]
    made, number = key_changes.rotate(CONTEXT, compromised=False)
    assert (number, _uses(), sealed_values.reseal(CONTEXT)) == (1, {made.name: 1}, 0)
    assert encryption.unseal(_secret()) == "hush"
    events = models.Event.objects.filter(kind=EventKind.AGENCY_SECRET_KEY_CHANGED)
    assert [
        old.name in changes and "accepted until" in changes for changes in events.values_list("changes", flat=True)
    ] == [True]
    key_changes.rotate(CONTEXT, compromised=True)
    assert events.count() == 2
    assert "refused" in events.latest("pk").changes
    assert not any(key.signs_until for key in secret_keys.ring())


@pytest.mark.parametrize("compromised", [False, True])
def test_a_rotation_seals_the_values_of_a_paused_agency_and_leaves_its_trail(folder: Path, compromised: bool) -> None:
    old, paused = secret_keys.ring()[0], models.Agency.objects.get()
    pausing.pause(paused, CONTEXT)
    running = cast.agency("shelbyville")
    made, number = key_changes.rotate(CONTEXT, compromised=compromised)
    assert (number, _uses(), sealed_values.reseal(CONTEXT)) == (1, {made.name: 1}, 0)
    assert encryption.unseal(models.Agency.objects.get(pk=paused.pk).sign_on[0]["secret"]) == "hush"
    events = models.Event.objects.filter(kind=EventKind.AGENCY_SECRET_KEY_CHANGED).order_by("pk")
    assert [event.agency_id for event in events] == [running.pk]
    with pytest.raises(key_changes.KeyInUse, match="links of audit trails"):
        key_changes.retire(old.name, NOW, force=False)
    pausing.resume(paused, CONTEXT)
    sealed_values.reseal(CONTEXT)
    assert [event.agency_id for event in events.all()] == [running.pk, paused.pk]
    pausing.pause(paused, CONTEXT)
    key_changes.retire(old.name, NOW, force=True)
    assert [key.name for key in secret_keys.ring()] == [made.name]


def test_a_rotation_that_is_interrupted_says_how_to_complete_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(sealed_values.Unfinished) as caught:
        patch.setattr(sealed_values, "_end_sessions", interrupt)
        key_changes.rotate(CONTEXT, compromised=True)
    name = secret_keys.ring()[0].name
    assert name in str(caught.value) and "muster keys reseal" in str(caught.value)
    assert sealed_values.reseal(CONTEXT) == 1
    assert _uses() == {name: 1}


def test_a_rotation_seals_the_secrets_of_feeds_again(folder: Path) -> None:
    names = ("password", "key", "passphrase", "header")
    secrets_of_feed = {name: encryption.seal(f"hush {name}") for name in names}
    models.Feed.objects.create(
        agency=models.Agency.objects.get(), name="hr", mode="sync", created_at=NOW, secrets=secrets_of_feed
    )
    made, number = key_changes.rotate(CONTEXT, compromised=True)
    assert number == 2
    assert {(use.key, use.about, use.values) for use in sealed_values.count_uses() if use.about != sealed_values.TRAILS} == {
        (made.name, "sign-on providers", 1), (made.name, "secrets of feeds", 4),
    }  # fmt: skip
    stored = models.Feed.objects.get().secrets
    assert all(stored[name].startswith(encryption.get_prefix()) for name in names)
    assert {name: encryption.unseal(stored[name]) for name in names} == {name: f"hush {name}" for name in names}


def test_a_rotation_seals_the_secrets_of_webhooks_again(folder: Path) -> None:
    made = models.Agency.objects.get()
    endpoint, first = webhooks.add(
        made, {"name": "payroll", "address": "https://payroll.example.org/", "kinds": ["*"]}, CONTEXT, None
    )
    second = webhooks.rotate(endpoint, 24, CONTEXT, None)
    key, number = key_changes.rotate(CONTEXT, compromised=True)
    assert number == 2
    assert (key.name, "secrets of webhooks", 2) in {
        (use.key, use.about, use.values) for use in sealed_values.count_uses()
    }
    endpoint.refresh_from_db()
    assert all(one["secret"].startswith(encryption.get_prefix()) for one in endpoint.secrets)
    assert webhook_secrets.unseal_valid(endpoint.secrets, NOW) == [second, first]


def test_what_an_older_version_sealed_with_the_current_key_is_sealed_again(folder: Path) -> None:
    key = secret_keys.ring()[0]
    token = encryption._make_old_cipher(key.derive("secrecy")).encrypt(b"hush").decode()
    for older in (token, f"fernet:{key.name}:{token}"):
        models.Agency.objects.update(sign_on=[{"slug": "county", "secret": older}])
        assert (_uses(), sealed_values.count_older()) == ({key.name: 1}, 1)
        assert doctor._keys().notice and "sealed by an older version: 1." in doctor._keys().found
        assert (sealed_values.reseal(CONTEXT), sealed_values.count_older(), doctor._keys().notice) == (1, 0, False)
        assert _secret().startswith(f"aesgcm:{key.name}:") and encryption.unseal(_secret()) == "hush"


def test_a_value_that_no_key_reads_is_counted_and_left_as_it_is(folder: Path) -> None:
    lost = _secret()
    name = secret_keys.ring()[0].name
    (folder / home.KEY_FILE).write_text(secrets.token_urlsafe(48))
    assert (sealed_values.reseal(CONTEXT), _secret(), _uses()) == (0, lost, {name: 1})
    assert f"the key is missing: {name}" in doctor._keys().found
    models.Agency.objects.update(sign_on=[{"slug": "county", "secret": lost.split(":")[2]}])
    assert _uses() == {"": 1}
    assert "missing: unknown" in doctor._keys().found


def test_a_value_that_another_process_writes_back_again_and_again_does_not_hold_it_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_values, "_reseal", lambda column: 1)
    assert sealed_values.reseal(CONTEXT) == 5 * len(sealed_values.COLUMNS)


def test_doctor_says_what_to_do_about_keys(folder: Path) -> None:
    assert doctor._keys().remedy == ""
    key_rotation.replace_key(NOW, compromised=False)
    assert doctor._keys().remedy == "Run: muster keys reseal"
    (folder / secret_keys.OLD_FILE).chmod(0o644)
    assert doctor._keys().remedy.startswith(f"Run: chmod 600 {folder / secret_keys.OLD_FILE}")


def test_a_key_is_retired_when_nothing_needs_it_or_when_forced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = secret_keys.ring()[0]
    key_rotation.replace_key(NOW, compromised=False)
    for name in (secret_keys.ring()[0].name, "0123456789"):
        with pytest.raises(key_rotation.UnknownKey):
            key_changes.retire(name, NOW, force=True)
    with pytest.raises(key_changes.KeyInUse, match=r"sign-on providers \(1\).*links in emails"):
        key_changes.retire(old.name, NOW, force=False)
    sealed_values.reseal(CONTEXT)
    later = NOW + timedelta(days=31)
    if not any(use.key == old.name for use in sealed_values.count_uses()):
        key_changes.retire(old.name, later, force=False)
    else:  # the audit trail needs it
        key_changes.retire(old.name, later, force=True)
    assert [key.name for key in secret_keys.ring()] == [secret_keys.ring()[0].name]
    with pytest.raises(key_rotation.UnknownKey):
        key_rotation.remove_key(old.name)
    monkeypatch.setenv("MUSTER_OLD_SECRET_KEYS", "another old one")
    with pytest.raises(key_rotation.KeyInEnvironment, match="Remove it from MUSTER_OLD_SECRET_KEYS"):
        key_changes.retire(secret_keys.ring()[1].name, NOW, force=False)


def test_a_key_of_the_environment_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_SECRET_KEY", secrets.token_urlsafe(48))
    with pytest.raises(key_rotation.KeyInEnvironment, match="comes from MUSTER_SECRET_KEY"):
        key_rotation.replace_key(NOW, compromised=False)


def test_an_old_key_without_a_time_stays_one_that_only_reads(folder: Path) -> None:
    home.write_private(folder / secret_keys.OLD_FILE, "an old one\n")
    assert [key.secret for key in secret_keys.ring()[1:]] == ["an old one"]
    key_rotation.replace_key(NOW, compromised=True)
    assert (folder / secret_keys.OLD_FILE).read_text().splitlines()[1:] == ["an old one"]


def test_a_key_that_is_not_ours_reads_only_what_an_older_version_sealed(folder: Path) -> None:
    theirs = secret_keys.Key(secrets.token_urlsafe(48), "a backup")
    token = encryption._make_old_cipher(theirs.derive("secrecy")).encrypt(b"hush").decode()
    for older in (token, f"fernet:{theirs.name}:{token}"):
        models.Agency.objects.update(sign_on=[{"slug": "county", "secret": older}])
        assert sealed_values.reseal_older(theirs) == 1
        assert encryption.unseal(_secret()) == "hush"
    newer = (folder / home.KEY_FILE).read_text()
    (folder / home.KEY_FILE).write_text(theirs.secret)
    value = encryption.seal("hush")
    (folder / home.KEY_FILE).write_text(newer)
    models.Agency.objects.update(sign_on=[{"slug": "county", "secret": value}])
    assert (sealed_values.reseal_older(theirs), _secret()) == (0, value)
    assert [key.name for key in secret_keys.ring()] == [secret_keys.ring()[0].name]


def test_a_disk_without_room_is_named_before_anything_is_unpacked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "backup.tar"
    path.write_bytes(bytes(1024))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(backups.CannotRestore, match=r"The restore needs 0\.0 GB of free space"):
        backups.restore_backup(path)


class _Full(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_a_disk_that_fills_up_ends_the_encryption(size: int) -> None:
    lock = Lock((x25519.Identity.generate().to_public(),))
    with pytest.raises(OSError, match="No space left"), backup_encryption.encrypting(_Full(), lock) as into:
        into.write(os.urandom(size))


@pytest.mark.parametrize("change", [b"key.age\0", b"key.age\0" + bytes(2000), b"age-encryption.org/v1\n-> X25519 x\n"])
def test_what_only_begins_as_an_encrypted_backup_cannot_be_opened(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "backup.age"
    path.write_bytes(change)
    opener = Opener((x25519.Identity.generate(),), "a quiet brown heron")
    assert backup_encryption.is_encrypted(path)
    with pytest.raises(CannotOpen):
        backup_encryption.decrypt(path, io.BytesIO(), opener)


def test_a_container_without_the_backup_cannot_be_opened(tmp_path: Path) -> None:
    path, words = tmp_path / "backup.age", "a quiet brown heron"
    with path.open("w+b") as file, backup_encryption.encrypting(file, Lock((), words)) as into:
        into.write(b"x")
    path.write_bytes(path.read_bytes().replace(b"backup.age", b"backup.agf"))
    with pytest.raises(CannotOpen):
        backup_encryption.decrypt(path, io.BytesIO(), Opener((), words))


def test_a_rotation_ends_the_sessions_that_the_old_key_signed_and_no_other(folder: Path) -> None:
    SessionStore().create()
    key_changes.rotate(CONTEXT, compromised=False)
    assert not Session.objects.exists()
    SessionStore().create()
    sealed_values.reseal(CONTEXT)
    assert Session.objects.count() == 1
