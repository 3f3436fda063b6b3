"""Passkeys as the database keeps them: the account and the counter of each. `web.accounts.passkeys` has their forms."""

from allauth.mfa.models import Authenticator
from django.db import transaction

from musterbook.accounts.models import Account
from musterbook.directory.models import Agency
from musterbook.directory.storage import isolation

_COUNTER = "counter"
"""The key of the device's counter in a passkey's data."""


def find_account(agency: Agency, handle: bytes | None) -> Account | None:
    """Return the account of the agency with that handle, which its passkeys state, or None."""
    return Account.objects.filter(user__agency=agency, handle=(handle or b"").hex()).first()


def is_known(credential_id: str) -> bool:
    """Return whether any account of any agency has a passkey with that id, base64url-encoded (WebAuthn level 2, 7.1, step 22)."""
    with isolation.open_to_all():
        return bool(
            Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN, data__credential__id=credential_id).exists()
        )


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
