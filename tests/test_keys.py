"""The ring of secret keys: where they come from, what each may do, and how running processes hear of a new one."""

import base64
import errno
import os
import pwd
import random
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core import signing
from django.core.exceptions import ImproperlyConfigured

from musterbook.config import encryption, home, secret_keys

STRONG, OTHER = secrets.token_urlsafe(48), secrets.token_urlsafe(48)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    for name in ("MUSTER_SECRET_KEY", "MUSTER_SECRET_KEY_FILE", "MUSTER_OLD_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _old(folder: Path, *lines: str) -> None:
    (folder / secret_keys.OLD_FILE).write_text("".join(f"{line}\n" for line in lines))


def test_the_key_is_made_in_the_home_when_it_is_first_needed(folder: Path) -> None:
    (key,) = secret_keys.ring()
    assert key.secret == home.read_or_make_key(folder) == secret_keys.get_current()
    assert secret_keys.find_key_file() == folder / home.KEY_FILE


def test_the_environment_comes_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = secret_keys.get_current()
    monkeypatch.setenv("MUSTER_SECRET_KEY", STRONG)
    assert secret_keys.get_current() == STRONG != kept
    assert secret_keys.find_key_file() is None


def test_a_secret_store_can_provide_the_key_as_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "from-the-vault").write_text(f"{STRONG}\n")
    monkeypatch.setenv("MUSTER_SECRET_KEY_FILE", str(folder / "from-the-vault"))
    assert secret_keys.get_current() == STRONG
    assert not (folder / home.KEY_FILE).exists()
    monkeypatch.setenv("MUSTER_SECRET_KEY", STRONG)
    with pytest.raises(ImproperlyConfigured, match="both set"):
        secret_keys.ring()


def test_a_file_of_the_environment_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_SECRET_KEY_FILE", str(folder / "nothing"))
    with pytest.raises(ImproperlyConfigured, match="nothing of MUSTER_SECRET_KEY_FILE cannot be read: No such file"):
        secret_keys.ring()
    (folder / "nothing").write_bytes(b"\xff\xfe" * 40)
    with pytest.raises(ImproperlyConfigured, match="it is not text"):
        secret_keys.ring()


@pytest.mark.parametrize(
    "weak",
    ["a", "a" * 64, "chosen by the operator", "ab" * 32, "0123456789abcdef" * 4, "changeme-" * 5, "password1234" * 4,
     "abcdefghijklmnopqrstuvwxyz0123456789", "1111111111222222222233333333334444444444abcdef",
     "django-insecure-change-me-please-now-1", "your-secret-key-here-please-change-it", "qwertyuiopasdfghjklzxcvbnm1234567890"],
)  # fmt: skip
def test_a_weak_key_is_refused_with_the_command_that_makes_a_strong_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("MUSTER_SECRET_KEY", weak)
    with pytest.raises(ImproperlyConfigured) as refused:
        secret_keys.ring()
    assert "Make a new one: python3 -c" in str(refused.value)
    assert weak == "a" or weak not in str(refused.value)


def test_keys_of_all_usual_makers_are_strong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the same keys: of ten thousand with 32 hexadecimal digits, one has fewer than ten different ones."""
    monkeypatch.setattr(secrets, "token_bytes", random.Random(1).randbytes)
    for _ in range(500):
        for made in (
            secrets.token_urlsafe(48),
            secrets.token_urlsafe(24),
            secrets.token_hex(16),
            secrets.token_hex(32),
        ):
            assert secret_keys.find_weakness(made) == "", made


def test_an_empty_key_file_is_refused_and_not_replaced(folder: Path) -> None:
    (folder / home.KEY_FILE).write_text("")
    with pytest.raises(ImproperlyConfigured, match="has 0 characters"):
        secret_keys.ring()
    assert (folder / home.KEY_FILE).read_text() == ""


def test_old_keys_follow_the_current_one_each_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = secret_keys.get_current()
    _old(folder, "older", "", kept, "from both")
    monkeypatch.setenv("MUSTER_OLD_SECRET_KEYS", " from both ,, given")
    assert [key.secret for key in secret_keys.ring()] == [kept, "from both", "given", "older"]


def test_names_are_short_stable_and_one_way() -> None:
    key = secret_keys.Key(STRONG, "here")
    assert key.name == secret_keys.Key(STRONG, "elsewhere").name != secret_keys.Key(OTHER, "here").name
    assert len(key.name) == 10
    assert int(key.name, 16) >= 0
    assert STRONG not in repr(key)


def test_each_purpose_has_a_key_of_its_own() -> None:
    key = secret_keys.Key(STRONG, "here")
    assert len(key.derive("audit-trail")) == 32
    assert key.derive("audit-trail") == key.derive("audit-trail") != key.derive("secrecy")


def test_a_running_process_uses_a_new_key_at_once(folder: Path) -> None:
    before = str(settings.SECRET_KEY)
    signed = signing.Signer().sign("x")
    (folder / "draft").write_text(STRONG)
    (folder / "draft").replace(folder / home.KEY_FILE)
    assert str(settings.SECRET_KEY) == STRONG != before
    with pytest.raises(signing.BadSignature):
        signing.Signer().unsign(signed)
    _old(folder, f"{before}\t{datetime.now(UTC).isoformat()}\t{secret_keys.SIGNS}")
    assert signing.Signer().unsign(signed) == "x"


def test_signatures_of_an_old_key_are_accepted_for_thirty_days_unless_it_only_reads(folder: Path) -> None:
    signed = signing.Signer(key=OTHER).sign("x")
    secret_keys.get_current()
    for age, use, accepted in ((29, secret_keys.SIGNS, 1), (31, secret_keys.SIGNS, 0), (0, secret_keys.READS, 0)):
        replaced = datetime.now(UTC) - timedelta(days=age)
        _old(folder, f"{OTHER}\t{replaced.isoformat()}\t{use}")
        assert len(settings.SECRET_KEY_FALLBACKS) == accepted
        try:
            assert (signing.Signer().unsign(signed) == "x") is bool(accepted)
        except signing.BadSignature:
            assert not accepted


@pytest.mark.parametrize(
    "line", ["k\tyesterday\tsigns", "k\t2026-01-01T00:00:00\tsigns", "k\t2026-01-01T00:00:00+00:00\t"]
)
def test_a_line_of_old_keys_that_is_wrong_is_named_and_not_shown(folder: Path, line: str) -> None:
    _old(folder, "fine", line.replace("k\t", f"{OTHER}\t"))
    with pytest.raises(ImproperlyConfigured, match=f"^Line 2 of {folder}") as refused:
        secret_keys.ring()
    assert OTHER not in str(refused.value)


def test_old_keys_that_cannot_be_read_stop_everything(folder: Path) -> None:
    secret_keys.get_current()
    (folder / secret_keys.OLD_FILE).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ImproperlyConfigured, match="of old keys cannot be read"):
        secret_keys.ring()


def test_old_keys_that_musterbook_may_not_read_are_named_with_owner_mode_and_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_keys.get_current()
    _old(folder, OTHER)
    old = folder / secret_keys.OLD_FILE
    old.chmod(0o040)

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    me = pwd.getpwuid(os.geteuid()).pw_name
    cause = f"^The old keys cannot be read: {old} cannot be used: Permission denied. It belongs to {me}, and its mode is 0040"
    with pytest.raises(ImproperlyConfigured, match=rf"{cause}. Run: chmod -R u\+rwX {folder}$"):
        secret_keys.read_kept_old()
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(ImproperlyConfigured, match=rf"{cause}, .* Run as root: chown -R 4000000 {folder}$"):
        secret_keys.read_kept_old()


def test_a_current_key_that_is_not_text_stops_everything(folder: Path) -> None:
    (folder / home.KEY_FILE).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ImproperlyConfigured, match=f"in {folder / home.KEY_FILE} cannot be read: it is not text"):
        secret_keys.ring()


def test_what_any_key_of_the_ring_sealed_is_read_and_nothing_else(folder: Path) -> None:
    sealed, old = encryption.seal("hush"), secret_keys.get_current()
    assert encryption.find_key_name(sealed) == secret_keys.ring()[0].name
    assert "hush" not in sealed
    (folder / home.KEY_FILE).write_text(STRONG)
    with pytest.raises(InvalidToken):
        encryption.unseal(sealed)
    _old(folder, old)
    assert encryption.unseal(sealed) == "hush"
    assert encryption.find_key_name(encryption.seal("hush")) == secret_keys.ring()[0].name != secret_keys.ring()[1].name


def test_what_older_versions_sealed_is_read_with_every_key_of_the_ring(folder: Path) -> None:
    _old(folder, OTHER)
    name = secret_keys.ring()[1].name
    token = encryption._make_old_cipher(secret_keys.ring()[1].derive("secrecy")).encrypt(b"hush").decode()
    assert encryption.find_key_name(token) == name
    assert encryption.unseal(token) == encryption.unseal(f"fernet:{name}:{token}") == "hush"
    assert encryption.find_key_name(token[:-4]) == ""
    assert [encryption.is_older(one) for one in (token, f"fernet:{name}:{token}", encryption.seal("x"))] == [
        True,
        True,
        False,
    ]
    with pytest.raises(InvalidToken):
        encryption.unseal(f"fernet:{secret_keys.ring()[0].name}:{token}")


def test_values_are_sealed_by_aes_256_gcm_with_a_nonce_each_and_a_key_for_nothing_else(folder: Path) -> None:
    key = secret_keys.ring()[0]
    tokens = [base64.urlsafe_b64decode(encryption.seal("hush").removeprefix(f"aesgcm:{key.name}:")) for _ in range(50)]
    assert len({token[:12] for token in tokens}) == 50
    assert {len(token) for token in tokens} == {12 + 4 + 16}
    box = AESGCM(key.derive("secrecy-aesgcm"))
    assert {box.decrypt(token[:12], token[12:], None) for token in tokens} == {b"hush"}
    assert key.derive("secrecy-aesgcm") != key.derive("secrecy")
    for text in ("", "é" * 5000, "a:b"):
        assert encryption.unseal(encryption.seal(text)) == text


def test_a_sealed_value_that_was_changed_anywhere_is_refused(folder: Path) -> None:
    start, token = encryption.seal("hush").rsplit(":", 1)
    sealed = base64.urlsafe_b64decode(token)
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    for forged in (*changed, *cut, sealed + b"\0"):
        with pytest.raises(InvalidToken):
            encryption.unseal(f"{start}:{base64.urlsafe_b64encode(forged).decode()}")


def test_a_key_that_somebody_may_know_opens_nothing_that_comes_from_outside(folder: Path) -> None:
    old, sealed = secret_keys.get_current(), encryption.seal("hush")
    (folder / home.KEY_FILE).write_text(STRONG)
    _old(folder, f"{old}\t{datetime.now(UTC).isoformat()}\t{secret_keys.SIGNS}")
    assert encryption.unseal(sealed, stored=False) == "hush"
    _old(folder, f"{old}\t{datetime.now(UTC).isoformat()}\t{secret_keys.READS}")
    with pytest.raises(InvalidToken):
        encryption.unseal(sealed, stored=False)
    assert encryption.unseal(sealed) == "hush"


@pytest.mark.parametrize(
    "forged",
    ["", "aesgcm", "aesgcm:", "aesgcm::", "none:{name}:{token}", "aesgcm:{name}:é", "aesgcm::{token}", ":{name}:{token}",
     "{token}", "fernet:{name}:{token}", "aesgcm:{name}:", "aesgcm:{name}:x", "aesgcm:{name}:{token}x",
     "aesgcm:{name}: {token}", "aesgcm:{name}:AAAA", "AESGCM:{name}:{token}", "aesgcm:{name}x:{token}",
     "fernet", "fernet:", "fernet::", "fernet:{name}:é", "fernet::{token}"],
)  # fmt: skip
def test_a_sealed_value_with_other_parts_is_refused(folder: Path, forged: str) -> None:
    _, name, token = encryption.seal("hush").split(":")
    with pytest.raises(InvalidToken):
        encryption.unseal(forged.format(name=name, token=token))


def test_existing_installations_read_what_they_sealed_before_there_was_a_ring(folder: Path) -> None:
    (folder / home.KEY_FILE).write_text("0Gq1Yc5mW3vJ8sT2uXr7LpZ4dNfHkBaE6iOjQyVwRtUxMnCb")
    token = "gAAAAABrCnIvTNjTj8xXHpAWXXRE13W-Wka9ANlDllARlvRMTr8TR5zcreWHJN_KsXVLDslLCtUPlGyYG5SOgIIS-Uzk-9wdHw=="
    assert encryption.unseal(token) == "hush"
    assert secret_keys.ring()[0].name == "384fc4dd99"
