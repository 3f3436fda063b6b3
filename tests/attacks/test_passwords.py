"""Attacks on passwords: what attackers try first is refused wherever a password is set, and good ones are not."""

import hashlib
import time
import unicodedata
from pathlib import Path

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import Settings

from musterbook.accounts.models import Account
from musterbook.config import refused_passwords
from musterbook.directory import models
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.test_entrance import read_username, sign_in, text
from tests.directory import cast

pytestmark = pytest.mark.any_database

TRIED_FIRST = (
    """
aaaaaaaaaaaa|passwordpassword|Password1234!|Password123!|123456789012|Welcome2026!|admin123456789|changeme1234|P@ssw0rd1234
qwertyuiop12|1qaz2wsx3edc|zaq12wsxcde3|!QAZ2wsx#EDC|asdfghjkl;'#|1234qwerasdf|qazwsxedcrfv|!@#$%^&*()_+|poiuytrewq12
01/02/1985 x|01021985 01021985|15January1985|January 15, 1985|2026-11-28 !!|20262026202620|111111111111|121212121212
drowssapdrowssap|4321drowssap!|p455w0rdp455w0rd|Passw0rd!Passw0rd!|password-password|Password 2026 Password|admin.123.admin.123
abcabcabcabc|abcdefghijkl|zyxwvutsrqpon|Summer2026!!|Winter2025!!!|SpringSummer2026|Monday123456|Football2024!|iloveyou2024!
Police2026!!|Sergeant2026!|Officer12345!|Chief-2026-Chief|Sheriff#12345|monkey123456!|Secret123456!|Admin@123456|letmein-letmein
Ｐａｓｓｗｏｒｄ１２３４|passwоrd1234|pássword2026|йцукенгшщзхъ|йцукен123456|пароль123456|Contraseña2026|Senha@123456|lösenord1234
adgangskode12|Willkommen2026|Bienvenue2026|Verano2026!!|Diciembre2026!|ThisIsMyPassword|thinblueline1|protectandserve1|lawandorder1
TrustNo1TrustNo1|dragon123dragon|Hello12345678|Jennifer1985!|Chicago12345|P@$$w0rd2026!|password!@#$
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
OWN = (
    """
off22off22off22|Off22-2026!!|22ffo22ffo22ffo|Riverton2026!|riverton-pd-2026|RivertonPD2026!|2026RivertonPD|R1vert0n2026!|notrevir2026!
marge.officer@riverton.example|MargeOfficer1!|Officer.Marge.22|S-4711-S-4711
555-010-2345|marge marge marge|Sergeant Marge 1
rivertonriverton|Riverton Police 1|musterbook2026!
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
RANDOM = [
    "correct horse battery staple", "a quiet brown heron", "mauve kettle drum sock", "tablewindowcactusriver",
    "Plum-Desk-Fifteen-Moss", "x4kQ9!zzLp2w", "9f8a7d6c5b4e", "пароль для меня и тебя", "zufällige wörter hier da",
    "police badge river lamp", "another good password", "good morning police",
    "marge lamp onion cloud", "riverton lamp onion cloud",
]  # fmt: skip


@pytest.fixture
def riverton(db: None) -> Springfield:
    """Another agency, and an officer of whom attackers know everything."""
    made = Springfield(cast.agency("riverton-pd"))
    models.Agency.objects.filter(pk=made.agency.pk).update(name="Riverton PD")
    about = {
        "FIRST_NAME": "Marge",
        "LAST_NAME": "Officer",
        "USERNAME": "off22",
        "EMAIL": "marge.officer@riverton.example",
    }
    made.imported(cast.person(2, **about, BADGE_NUMBER="S-4711", PHONE="+1 555 010 2345"))
    models.User.objects.update(phone="+15550102345")
    return made


def find_refusal(made: Springfield, password: str) -> str:
    """Why the officer may not choose it; "" if they may."""
    try:
        validate_password(password, Account(user=made.user(2)))
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def test_what_attackers_try_first_is_refused(riverton: Springfield) -> None:
    assert [one for one in TRIED_FIRST if not find_refusal(riverton, one)] == []


def test_what_is_made_of_the_users_own_data_is_refused(riverton: Springfield) -> None:
    assert [one for one in OWN if not find_refusal(riverton, one)] == []


def test_random_words_are_not_refused_in_any_agency(riverton: Springfield) -> None:
    assert [(one, find_refusal(riverton, one)) for one in RANDOM if find_refusal(riverton, one)] == []
    for name in ("Horse", "Quiet", "Mauve", "Lamp", "Battery", "Desk", "An"):
        models.Agency.objects.update(name=name)
        assert [one for one in RANDOM if find_refusal(riverton, one)] == []


def test_letters_in_common_with_the_users_data_are_no_reason(riverton: Springfield) -> None:
    models.User.objects.update(first_name="Al", last_name="Art", username="or", email="a@b.c")
    assert [one for one in RANDOM if find_refusal(riverton, one)] == []


def test_a_refusal_says_what_to_do_instead(riverton: Springfield) -> None:
    for password in ("Password1234!", "off22off22off22"):
        assert "four random words" in find_refusal(riverton, password)


@pytest.mark.parametrize("password", ["Password1234!", "springfield 2026", "user.2user.2"])
def test_the_pages_refuse_them_wherever_a_password_is_set(
    springfield: Springfield, client: Client, password: str
) -> None:
    sent = {"password1": password, "password2": password}
    register = f"/springfield/register/{springfield.invitation_now(2)}"
    assert "four random words" in text(client.post(register, sent))
    springfield.registered(2)
    assert "four random words" in text(client.post(f"/springfield/reset/{springfield.reset_now(2)}", sent))
    sign_in(client, "user.2")
    change = client.post("/springfield/my-account/password", sent | {"oldpassword": GOOD})
    assert "four random words" in text(change)
    client.post("/springfield/sign-out")
    sign_in(client, "user.2", password)
    assert read_username(client) == ""


LONG = [
    "".join(chr(33 + i % 90) for i in range(128)), "a" * 128, "ab1" * 42, "lL1I|!" * 21, "@4$5a" * 25, "1qaz" * 32, "é" * 128,
    "password" * 16,
]  # fmt: skip


def test_no_password_makes_the_estimate_slow(riverton: Springfield) -> None:
    for password in LONG:
        before = time.process_time()
        find_refusal(riverton, password)
        assert time.process_time() - before < 1


def test_a_long_password_is_kept_whole(springfield: Springfield, client: Client) -> None:
    long = (
        "".join(f"{word}-" for word in ("mauve", "kettle", "drum", "sock", "heron", "moss", "plum", "desk") * 3)[:127]
        + "x"
    )
    springfield.registered(2, long)
    sign_in(client, "user.2", f"{long[:-1]}y")
    assert read_username(client) == ""
    sign_in(client, "user.2", long)
    assert read_username(client) == "user.2"


def test_blanks_at_the_ends_belong_to_a_password(springfield: Springfield, client: Client) -> None:
    springfield.registered(2, f" {GOOD} ")
    sign_in(client, "user.2", GOOD)
    assert read_username(client) == ""
    sign_in(client, "user.2", f" {GOOD} ")
    assert read_username(client) == "user.2"


def test_the_same_letters_from_another_keyboard_are_the_same_password(springfield: Springfield, client: Client) -> None:
    typed = "größe übung ähre öl"
    springfield.registered(2, unicodedata.normalize("NFD", typed))
    sign_in(client, "user.2", unicodedata.normalize("NFC", typed))
    assert read_username(client) == "user.2"


def test_a_password_from_before_normalization_still_works(springfield: Springfield, client: Client) -> None:
    account = springfield.registered(2)
    old = unicodedata.normalize("NFD", "größe übung ähre öl")
    account.set_password(old)
    account.save()
    sign_in(client, "user.2", old)
    assert read_username(client) == "user.2"


def _list(path: Path, passwords: list[str], *, hashed: bool) -> Path:
    lines = [hashlib.sha1(one.encode()).hexdigest().upper() + ":7" for one in passwords] if hashed else passwords
    path.write_bytes(b"".join(line + b"\n" for line in sorted(line.encode() for line in lines)))
    return path


@pytest.mark.parametrize("hashed", [True, False])
def test_a_list_of_breached_passwords_is_searched_to_its_ends(tmp_path: Path, hashed: bool) -> None:
    passwords = [f"breached {number}" for number in range(500)]
    listed = _list(tmp_path / "list", passwords, hashed=hashed)
    assert all(refused_passwords.contains(listed, one) for one in passwords)
    assert not any(refused_passwords.contains(listed, f"breached {number}x") for number in range(500))
    assert refused_passwords.contains(listed, "BREACHED 7")
    assert refused_passwords.find_fault(listed) == ""


def test_a_listed_password_is_refused(riverton: Springfield, tmp_path: Path, settings: Settings) -> None:
    good = "correct horse battery staple"
    settings.MUSTER_REFUSED_PASSWORDS = _list(tmp_path / "list", [good, "another", "zebra"], hashed=True)
    assert "breach" in find_refusal(riverton, good)
    assert find_refusal(riverton, "a quiet brown heron") == ""


def test_a_list_that_is_of_no_use_is_found_by_the_doctor(tmp_path: Path) -> None:
    assert "cannot be read" in refused_passwords.find_fault(tmp_path / "nowhere")
    assert not refused_passwords.contains(tmp_path / "nowhere", "x")
    (tmp_path / "list").write_bytes(b"")
    assert refused_passwords.find_fault(tmp_path / "list") == "It is empty."
    assert not refused_passwords.contains(tmp_path / "list", "x")
    (tmp_path / "list").write_bytes(b"b\na\n")
    assert "not sorted" in refused_passwords.find_fault(tmp_path / "list")
    (tmp_path / "list").write_bytes(b"".join(b"%07d\n" % (number * 7919 % 1_000_003) for number in range(200_000)))
    assert "not sorted" in refused_passwords.find_fault(tmp_path / "list")


def test_a_large_list_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"".join(b"%040X:1\n" % (number << 100) for number in range(400_000)))
    before = time.process_time()
    assert refused_passwords.find_fault(path) == ""
    for number in range(100):
        refused_passwords.contains(path, f"some password {number}")
    assert time.process_time() - before < 2
