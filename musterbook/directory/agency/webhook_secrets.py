"""The secrets of a webhook, and the signatures that they make, as Standard Webhooks 1.0 specifies them.

A secret is `whsec_` and 32 random bytes in base64. It is stored sealed, and shown once. After a rotation the former secret
signs as well until it ends, so a receiver can change its secret at any time in between.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from musterbook.config import encryption

PREFIX = "whsec_"
MOST = 3
"""The most secrets that are valid at once: the current one, and former ones that have not ended."""
_BYTES = 32


def make_secret() -> str:
    """Return a new secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def seal_first(secret: str) -> list[dict[str, Any]]:
    """Return the secrets of a new webhook as they are stored."""
    return [{"secret": encryption.seal(secret), "until": None}]


def rotate(stored: Sequence[dict[str, Any]], secret: str, at: datetime, overlap: timedelta) -> list[dict[str, Any]]:
    """Return the stored secrets after a rotation: the new one, and those that are valid for the time of the overlap.

    A former secret never becomes valid for longer than it was.
    """
    until = (at + overlap).isoformat(timespec="seconds")
    kept = [{**one, "until": min(one["until"] or until, until)} for one in list_valid(stored, at)]
    return [*seal_first(secret), *(one for one in kept if overlap)][:MOST]


def list_valid(stored: Sequence[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Return the stored secrets that sign messages at that time."""
    return [one for one in stored if one["until"] is None or datetime.fromisoformat(one["until"]) > at]


def unseal_valid(stored: Sequence[dict[str, Any]], at: datetime) -> list[str]:
    """Return the secrets that sign messages at that time, the current one first."""
    return [encryption.unseal(one["secret"]) for one in list_valid(stored, at)]


def sign(valid: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that identify and sign a message: one signature for each valid secret."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    signatures = [
        f"v1,{base64.b64encode(hmac.digest(_decode(secret), content, hashlib.sha256)).decode()}" for secret in valid
    ]
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def _decode(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))
