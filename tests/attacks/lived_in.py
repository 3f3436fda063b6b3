"""Fill an installation with everything that is sealed: `python -m tests.attacks.lived_in NUMBER`; `check` reads it all back.

Both print the number of sealed values. Half of them are as older versions sealed them.
"""

import sys

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.db import SessionStore

from musterbook.accounts.models import Account
from musterbook.config import encryption, secret_keys
from musterbook.directory import models
from tests.directory import cast

PROVIDER = {
    "slug": "county", "name": "County", "kind": "oidc", "server": "https://login.example", "client_id": "musterbook",
    "match": "email", "claim": "", "trust_email": False, "second_factor": False,
}  # fmt: skip


def seal_as_older(text: str, *, named: bool) -> str:
    """Seal the text as older versions did: by Fernet, with the name of the key or without."""
    key = secret_keys.ring()[0]
    token = encryption._make_old_cipher(key.derive("secrecy")).encrypt(text.encode()).decode()
    return f"fernet:{key.name}:{token}" if named else token


def fill(number: int) -> None:
    """Two agencies with a provider each, users with one-time codes and recovery codes, and a session that holds a form."""
    for slug in ("alpha-pd", "beta-fd"):
        cast.agency(slug, sign_on=[PROVIDER | {"secret": encryption.seal("hush hush")}])
    cast.apply_rows(models.Agency.objects.get(slug="alpha-pd"), cast.people(*range(number)))
    users = models.User.objects.order_by("pk")
    accounts = Account.objects.bulk_create([Account(user=user) for user in users])
    codes = [
        Authenticator(user=account, type="totp", data={"secret": encryption.seal(f"totp {account.user.external_id}")})
        for account in accounts
    ]
    before = [
        Authenticator(
            user=account, type="recovery_codes",
            data={"seed": seal_as_older(f"seed {account.user.external_id}", named=account.pk % 2 == 0), "used_mask": 0},
        )
        for account in accounts
    ]  # fmt: skip
    Authenticator.objects.bulk_create([*codes, *before])
    session = SessionStore()
    session["kept"] = encryption.seal("a form")
    session.save()
    address = {"ip": "192.0.2.1", "user_agent": "Firefox", "session_key": session.session_key}
    UserSession.objects.create(user=accounts[0], **address)


def check() -> int:
    """Read every sealed value; fails for one that is lost or another than it was."""
    found = [provider["secret"] for agency in models.Agency.objects.all() for provider in agency.sign_on]
    assert [encryption.unseal(secret) for secret in found] == ["hush hush"] * 2
    rows = Authenticator.objects.select_related("user__user")
    for row in rows:
        name, word = ("secret", "totp") if row.type == "totp" else ("seed", "seed")
        assert encryption.unseal(row.data[name]) == f"{word} {row.user.user.external_id}"
    return len(found) + len(rows)


if __name__ == "__main__":
    if sys.argv[1] != "check":
        fill(int(sys.argv[1]))
    sys.stdout.write(f"{check()}\n")
