"""Passkeys as the database keeps them: the account and the counter of each. `web.accounts.passkeys` has their forms."""

from collections.abc import Iterator
from contextlib import contextmanager

from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction

from musterbook.accounts.models import Account
from musterbook.directory.models import Agency

_COUNTER = "counter"
"""The key of the device's counter in a passkey's data."""
_INDEX = "passkey_once"
"""The unique index of the ids of passkeys (`migrations/0013_passkeys_once.py`)."""


class Taken(Exception):
    """An account of the installation has the passkey already."""


def find_account(agency: Agency, handle: bytes | None) -> Account | None:
    """Return the account of the agency with that handle, which its passkeys state, or None."""
    return Account.objects.filter(user__agency=agency, handle=(handle or b"").hex()).first()


@contextmanager
def refuse_taken() -> Iterator[None]:
    """Raise Taken if a passkey is added that an account of any agency has already (WebAuthn level 2, 7.1, step 22).

    The database decides it by an index, so it holds for two requests at the same moment, and no passkey of others is read.
    """
    try:
        yield
    except IntegrityError as error:
        if _INDEX in str(error):
            raise Taken from None
        raise


def rename_passkey(passkey: Authenticator, name: str) -> bool:
    """Rename a passkey, and leave the rest of it as it is by now. Return False if it was removed meanwhile."""
    with transaction.atomic():
        stored = Authenticator.objects.select_for_update().filter(pk=passkey.pk).first()
        if stored is None:
            return False
        stored.data = stored.data | {"name": name}
        stored.save(update_fields=["data"])
        return True


def store_counter(passkey: Authenticator, counter: int) -> bool:
    """Store the device's counter. Return False, and store nothing, if the counter does not increase.

    Such a counter belongs to a copy of the passkey (WebAuthn level 2, 7.2, step 21).
    """
    with transaction.atomic():
        stored = Authenticator.objects.select_for_update().get(pk=passkey.pk)
        before = stored.data.get(_COUNTER, stored.wrap().authenticator_data.counter)
        if (counter or before) and counter <= before:
            return False
        if counter:
            passkey.data = stored.data = stored.data | {_COUNTER: counter}
            stored.save(update_fields=["data"])
        return True
