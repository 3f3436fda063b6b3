"""The replacement and removal of secret keys, with all that depends on them."""

import logging
from datetime import datetime

from django.utils.translation import gettext as _

from musterbook.config import key_rotation, secret_keys
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import sealed_values

_LOG = logging.getLogger("musterbook.security")


class KeyInUse(Exception):
    """The key is still needed. The message states its uses and the remedy."""


def rotate(context: AuditContext, *, compromised: bool) -> tuple[secret_keys.Key, int]:
    """Make a new current key and seal all values with it. Return the key, and the number of resealed values.

    All sessions end. Raise rotation.KeptElsewhere.
    """
    key = key_rotation.replace_key(context.at, compromised=compromised)
    _LOG.warning("The secret key was replaced. The new key is %s (compromised: %s)", key.name, compromised)
    return key, sealed_values.reseal(context)


def retire(name: str, at: datetime, *, force: bool) -> None:
    """Remove an old key. Raise KeyInUse, key_rotation.UnknownKey and key_rotation.KeptElsewhere, with nothing changed.

    `force`: remove it even if values need it; they can then be neither read nor verified.
    """
    key = next((key for key in secret_keys.ring()[1:] if key.name == name), None)
    if key is None:
        raise key_rotation.UnknownKey(name)
    needed = list_uses(key, at)
    if needed and not force:
        raise KeyInUse(
            _(
                "Key %(name)s is still needed by %(what)s. `muster keys reseal` seals values with the "
                "current key. With --force, the key is removed anyway. Then nothing that needs it can be "
                "read or verified."
            )
            % {"name": name, "what": ", ".join(needed)}
        )
    if key.source == "MUSTER_OLD_SECRET_KEYS":
        raise key_rotation.KeyInEnvironment(
            _("Key %(name)s is no longer needed. Remove it from MUSTER_OLD_SECRET_KEYS.") % {"name": name}
        )
    key_rotation.remove_key(name)
    _LOG.warning("The old secret key %s was removed (forced: %s)", name, bool(needed))


def list_uses(key: secret_keys.Key, at: datetime) -> list[str]:
    """Return the uses that still need the key, each as a phrase with its count or date."""
    phrases = [f"{use.about} ({use.values:,})" for use in sealed_values.count_uses() if use.key == key.name]
    if key.signs_until and key.signs_until > at:
        phrases.append(f"links in emails (accepted until {key.signs_until:%Y-%m-%d})")
    return phrases
