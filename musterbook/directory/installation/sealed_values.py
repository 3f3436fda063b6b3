"""The encrypted values in the database: which keys they need, and their re-encryption with the current key."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.signing import BadSignature, TimestampSigner
from django.db import transaction
from django.db.models import Count, Exists, Model, OuterRef, QuerySet
from django.utils.translation import gettext as _

from musterbook.config import encryption, secret_keys
from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage.locks import AgencyPaused

_BATCH, _PASSES = 500, 5
_Unseal: TypeAlias = Callable[[str], str]


class Unfinished(Exception):
    """The command was interrupted, and some values are not sealed with the current key. The message says what to do."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A JSON column with sealed values: an object or a list of objects, each with such values under the names."""

    about: str
    model: type[Model]
    field: str
    names: tuple[str, ...]

    def rows(self) -> "QuerySet[Model]":
        """Return all rows of the table, ordered by primary key."""
        queryset: QuerySet[Model] = self.model.objects.order_by("pk")  # type: ignore[attr-defined]  # each has one
        return queryset


COLUMNS = (
    SealedColumn("sign-on providers", models.Agency, "sign_on", ("secret",)),
    SealedColumn("secrets of feeds", models.Feed, "secrets", ("password", "key", "passphrase", "header")),
    SealedColumn("secrets of webhooks", models.WebhookEndpoint, "secrets", ("secret",)),
    SealedColumn("second factors", Authenticator, "data", ("secret", "seed")),
    SealedColumn("keys of moved trails", models.MovedTrail, "keys", ("secret",)),
)
"""All columns of the database that hold sealed values.

Sessions hold some as well, but they end with their key.
"""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The number of values in one place that need one key.

    `key`: its name, "" for values that no key of the ring reads.
    """

    key: str
    about: str
    values: int


def count_uses() -> list[KeyUse]:
    """Count the values that need each key: sealed values, and links of audit trails."""
    counts = Counter(
        (encryption.find_key_name(value), column.about) for column in COLUMNS for value in _read_values(column)
    )
    counts.update(_count_links())
    return [KeyUse(key, about, number) for (key, about), number in sorted(counts.items())]


def count_older() -> int:
    """Count the values that an algorithm of older versions sealed, with any key."""
    return sum(encryption.is_older(value) for column in COLUMNS for value in _read_values(column))


TRAILS = "links of audit trails"


def _count_links() -> dict[tuple[str, str], int]:
    # The links of another installation need its key, which is kept with them (`audit.moved_trails`).
    moved = models.MovedTrail.objects.filter(agency=OuterRef("agency"), until__gte=OuterRef("number"))
    links = models.TrailLink.objects.exclude(key="").exclude(Exists(moved)).order_by().values_list("key")
    return {(key, TRAILS): number for key, number in links.annotate(number=Count("pk"))}


def _read_values(column: SealedColumn) -> Iterator[str]:
    for data in column.rows().values_list(column.field, flat=True).iterator(_BATCH):
        for entry in list_entries(data):
            yield from (entry[name] for name in column.names if _is_sealed(entry.get(name)))


def list_entries(data: Any) -> list[dict[str, Any]]:
    """Return the objects of a column that may hold sealed values."""
    return [entry for entry in (data if isinstance(data, list) else [data]) if isinstance(entry, dict)]


def _is_sealed(value: object) -> bool:
    return isinstance(value, str) and value != ""


def reseal(context: AuditContext) -> int:
    """Seal all values with the current key, and end sessions that an old key signed.

    Return the number of changed values. This can run at any time and be stopped at any time: each batch is a
    transaction of its own, and completed batches stay. Raise Unfinished if the command is interrupted.
    """
    try:
        return _reseal_all(context)
    except KeyboardInterrupt:
        raise Unfinished(
            _("The secret key is %(name)s, but not all values are sealed with it. Run `muster keys reseal`.")
            % {"name": secret_keys.ring()[0].name}
        ) from None


def _reseal_all(context: AuditContext) -> int:
    _record_change(context)
    _end_sessions()
    total = 0
    # Another process may write back a value that it read before, so repeat until there is nothing to do.
    for _pass in range(_PASSES):
        passed = sum(_reseal(column) for column in COLUMNS)
        total += passed
        if not passed:
            break
    return total


def reseal_older(key: secret_keys.Key) -> int:
    """Seal with the current key what an older version sealed with that key, which the ring need not have; give how many rows."""
    return sum(_reseal(column, partial(encryption.unseal_older, key=key)) for column in COLUMNS)


def _reseal(column: SealedColumn, unseal: _Unseal = encryption.unseal) -> int:
    last, done = 0, 0
    while True:
        with transaction.atomic():
            rows = list(column.rows().select_for_update(no_key=True).filter(pk__gt=last)[:_BATCH])
            changed = [row for row in rows if _reseal_row(row, column, unseal)]
            for row in changed:
                row.save(update_fields=[column.field])
        if not rows:
            return done
        last, done = rows[-1].pk, done + len(changed)


def _reseal_row(row: Model, column: SealedColumn, unseal: _Unseal) -> bool:
    changed = False
    for entry in list_entries(getattr(row, column.field)):
        for name in column.names:
            again = _reseal_value(entry.get(name), unseal)
            if again:
                entry[name], changed = again, True
    return changed


def _reseal_value(value: object, unseal: _Unseal) -> str:
    """Return the value sealed with the current key, or "" if it already is, or cannot be read."""
    if not isinstance(value, str) or value.startswith(encryption.get_prefix()):
        return ""
    try:
        return encryption.seal(unseal(value)) if value else ""
    except InvalidToken:
        return ""


def _end_sessions() -> None:
    """Delete the sessions that an old key signed.

    They are no longer valid, because they hold a hash made with that key. They may also hold sealed values.
    """
    salt = import_module(settings.SESSION_ENGINE).SessionStore().key_salt
    signer = TimestampSigner(key=secret_keys.get_current(), fallback_keys=[], salt=salt)
    for key, data in Session.objects.values_list("pk", "session_data").iterator(_BATCH):
        try:
            signer.unsign(data)
        except BadSignature:
            Session.objects.filter(pk=key, session_data=data).delete()


def _record_change(context: AuditContext) -> None:
    """Record once in each agency's audit trail that the key has changed.

    This also records a change whose rotation was killed before it could. The trail of a paused agency stays as it is: another
    installation may have it by now. A later rotation or reseal records the change if the agency is resumed here.
    """
    ring = secret_keys.ring()
    if len(ring) == 1:
        return
    changes = {"secret key": (ring[1].name, ring[0].name), "old signatures": ("", _describe_until(ring[1].signs_until))}
    for agency in models.Agency.objects.order_by("pk"):
        events = models.Event.objects.filter(agency=agency, kind=EventKind.AGENCY_SECRET_KEY_CHANGED).order_by("-pk")
        if any(ring[0].name in changes for changes in events.values_list("changes", flat=True)[:1]):
            continue
        with suppress(AgencyPaused):
            trail.record_event(agency, context, EventKind.AGENCY_SECRET_KEY_CHANGED, changes=changes)


def _describe_until(until: datetime | None) -> str:
    return f"accepted until {until:%Y-%m-%d}" if until else "refused"
