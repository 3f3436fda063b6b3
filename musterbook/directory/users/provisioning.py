"""The users as an identity provider manages them: added, changed, deactivated and found again, one at a time.

Each change is a plan of one row (`users.editing`). A provider has no word for a deactivated user that it wants to be
gone, so a user that it has deleted is Inactive and absent for it, until it adds them again or someone else reactivates
them. What it says of a user and the directory has no column for is kept next to the user.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from musterbook.core.domain.columns import BADGE_NUMBER, COLUMNS, EXTERNAL_ID, STATUS, USERNAME
from musterbook.core.values.keys import make_key
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks
from musterbook.directory.users import editing, marks, versions
from musterbook.directory.users.editing import EditResult, Row, UnknownUser
from musterbook.directory.users.versions import VersionedUser

SOURCE = "scim"
"""The source of the users that a provider adds or changes (S9), and what protects them from other sources (S5)."""
MANAGED = {"source": SOURCE, "managed_by": SOURCE, "missing_since": None, "missing_imports": 0}
"""What is written of a user that the provider manages."""
DISPLAY_NAME = "displayName"
"""The kept value that is recorded in the audit trail, because a person reads it."""
EMAIL_LABEL, PHONE_LABEL = "email", "phone"
"""The kept values that say how the address and the phone number were sent: SENT, and STORED for what that became."""
SENT, STORED = "sent", "stored"
_MADE_ID, _MADE_BADGE = "scim-", "no-badge-"
_RANDOM = 16
_VALUES_SHOWN = 200
_CHANGES = (
    EventKind.USER_ADDED, EventKind.USER_UPDATED, EventKind.USER_DEACTIVATED, EventKind.USER_REKEYED,
    EventKind.USER_REPLACED,
)  # fmt: skip

Kept = Mapping[str, Any]
"""What is kept as it was sent: attribute → value."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A user that the provider sees: the user with state and row, what is kept, and when they last changed."""

    versioned: VersionedUser
    kept: Kept
    changed_at: datetime

    @property
    def user(self) -> models.User:
        """Return the user with their role, rank, group and supervisor."""
        return self.versioned.user

    @property
    def row(self) -> dict[str, str]:
        """Return the user as a row of a file."""
        return self.versioned.row

    @property
    def version(self) -> str:
        """Return a short text that is another one as soon as an attribute of the user is. A sign-in changes none."""
        seen = json.dumps([self.user.pk, self.versioned.state, self.row, self.kept], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()[:32]


def make_id() -> str:
    """Return an external ID for a user whose provider has none."""
    return _MADE_ID + secrets.token_hex(_RANDOM // 2)


def make_badge() -> str:
    """Return a badge number for a user whose provider has none."""
    return _MADE_BADGE + secrets.token_hex(_RANDOM // 2)


def is_made(heading: str, value: str) -> bool:
    """Return whether the external ID or the badge number stands for none."""
    prefix = MADE.get(heading)
    return prefix is not None and value.startswith(prefix) and len(value) == len(prefix) + _RANDOM


MADE = {EXTERNAL_ID.heading: _MADE_ID, BADGE_NUMBER.heading: _MADE_BADGE}
"""Heading → what begins a value that stands for none. It has MADE_LENGTH more characters."""
MADE_LENGTH = _RANDOM


def read_user(agency: models.Agency, number: int, at: datetime) -> Provisioned:
    """Return the user with this number, unless the provider has deleted them. Raise UnknownUser."""
    found = read_users(agency, [number], at)
    if not found:
        raise UnknownUser(str(number))
    return found[0]


def read_users(agency: models.Agency, numbers: Iterable[int], at: datetime) -> list[Provisioned]:
    """Return the users with these numbers that the provider sees, in that order."""
    found = versions.read_users(agency, numbers, at)
    ids = [one.user.pk for one in found]
    records = {one.user_id: one for one in models.ProvisionedUser.objects.filter(user__in=ids)}
    events = models.Event.objects.filter(subject__in=ids, kind__in=_CHANGES).values_list("subject")
    changed = dict(events.annotate(Max("at")))
    return [
        Provisioned(one, record.kept if record else {}, changed.get(one.user.pk) or one.user.created_at)
        for one, record in ((one, records.get(one.user.pk)) for one in found)
        if not _is_absent(one.user, record)
    ]


def _is_absent(user: models.User, record: models.ProvisionedUser | None) -> bool:
    return not user.active and record is not None and record.deleted_at is not None


def add(agency: models.Agency, row: Row, kept: Kept, context: AuditContext) -> EditResult:
    """Add the user of this row, or reactivate the one that the provider has deleted.

    `row`: the headings that the provider has sent; the others have the agency's defaults (F14), or are blank. Raise what
    `editing.edit` raises.
    """
    with _lock(agency):
        deleted = find_deleted(agency, row)
        if deleted is not None:
            return _finish(_edit(deleted, {STATUS.heading: "Active", **row}, context), kept, context)
        external_id = row.get(EXTERNAL_ID.heading)
        if external_id and models.User.objects.filter(agency=agency, external_id=external_id).exists():
            return EditResult(already_exists=True)
        return _finish(editing.add(agency, complete(agency, row), context), kept, context)


def find_deleted(agency: models.Agency, row: Row) -> models.User | None:
    """Return the user who is absent for the provider, and is the same person: by external ID, else by username.

    A username alone names the same person only if either has no external ID. Otherwise another person may have it now.
    """
    users = models.User.objects.filter(agency=agency, active=False, provisioned__deleted_at__isnull=False)
    external_id = row.get(EXTERNAL_ID.heading, "")
    found = users.filter(external_id=external_id).first() if external_id else None
    if found is None:
        named = users.filter(username_key=make_key(row.get(USERNAME.heading, ""))).first()
        same = named is not None and (not external_id or is_made(EXTERNAL_ID.heading, named.external_id))
        found = named if same else None
    return editing.find_user(agency, found.pk) if found else None


def complete(agency: models.Agency, row: Row) -> dict[str, str]:
    """Return the row with all headings, as a new user needs them."""
    blank = {column.heading: "" for column in COLUMNS}
    filled = {**blank, STATUS.heading: "Active", **agency.defaults, **row}
    return {
        **filled,
        EXTERNAL_ID.heading: filled[EXTERNAL_ID.heading] or make_id(),
        BADGE_NUMBER.heading: filled[BADGE_NUMBER.heading] or make_badge(),
    }


Planner = Callable[[Provisioned], tuple[Row, Kept]]
"""Takes the user as they are, and returns the headings to change, and what is kept from now on."""


def change(agency: models.Agency, number: int, plan: Planner, context: AuditContext) -> EditResult:
    """Change the user as `plan` says, which runs under the lock of the change. Raise what it and `editing.edit` raise."""
    with _lock(agency):
        found = read_user(agency, number, context.at)
        row, kept = plan(found)
        return _finish(_edit(found.user, row, context), kept, context)


def delete(
    agency: models.Agency, number: int, check: Callable[[Provisioned], None], context: AuditContext
) -> EditResult:
    """Make the user Inactive, and absent for the provider. `check` may raise. Raise what `editing.edit` raises."""
    with _lock(agency):
        found = read_user(agency, number, context.at)
        check(found)
        result = editing.deactivate(found.user, context)
        return _finish(result, found.kept, context, deleted_at=context.at)


def _edit(user: models.User, row: Row, context: AuditContext) -> EditResult:
    """Change these headings of the user. A blank external ID or badge stands for none."""
    shown = editing.build_row(user)
    filled = fill_made(row, shown)
    if filled.get(STATUS.heading) == "Active" and user.ends_on and user.ends_on < context.at.date():
        filled[marks.ENDS_ON] = ""
    return editing.edit(user, {**shown, **filled}, shown, context)


def fill_made(row: Row, shown: Row) -> dict[str, str]:
    """Return the headings to change, with a value that stands for none where an external ID or a badge is blank."""
    filled = dict(row)
    for heading, make in ((EXTERNAL_ID.heading, make_id), (BADGE_NUMBER.heading, make_badge)):
        if heading in filled and not filled[heading]:
            filled[heading] = shown[heading] if is_made(heading, shown[heading]) else make()
    return filled


def _finish(result: EditResult, kept: Kept, context: AuditContext, deleted_at: datetime | None = None) -> EditResult:
    """Write what is kept of the user, and that the provider manages them, if the change was done."""
    if not result.done or result.user is None:
        return result
    user = result.user
    record, _ = models.ProvisionedUser.objects.get_or_create(user=user)
    before, after = (str(one.get(DISPLAY_NAME, "")) for one in (record.kept, kept))
    if before != after:
        changes = {"display_name": (before, after)}
        trail.record_event(user.agency, context, EventKind.USER_UPDATED, user, changes)
    record.kept, record.deleted_at = add_stored(user, kept), deleted_at
    record.save()
    if user.source in ("", SOURCE) and (user.source, user.managed_by) != (SOURCE, SOURCE):
        models.User.objects.filter(pk=user.pk).update(**MANAGED)
    return result


def add_stored(user: models.User, kept: Kept) -> dict[str, Any]:
    """Return what is kept, with what the phone number was stored as, if it was sent now."""
    phone = kept.get(PHONE_LABEL)
    return {**kept, PHONE_LABEL: {STORED: user.phone, **phone}} if phone else dict(kept)


@contextmanager
def _lock(agency: models.Agency) -> Iterator[None]:
    """Run one transaction in which no other writes the agency's users."""
    with transaction.atomic():
        locks.lock_row(agency)
        yield


def list_values(agency: models.Agency, permissions: frozenset[str]) -> dict[str, list[str] | None]:
    """Return what role, rank and evidence group can be: the names, or None for too many to list.

    `permissions`: those of the token. It cannot assign roles with more.
    """
    vocabulary = snapshot_queries.read_vocabulary(agency)
    groups = [group.external_id for group in vocabulary.groups if group.active]
    return {
        "role": [role.name for role in vocabulary.roles if role.permissions <= permissions],
        "rank": [rank.name for rank in vocabulary.ranks],
        "evidenceGroup": groups if len(groups) <= _VALUES_SHOWN else None,
    }


def find_supervisor(agency: models.Agency, name: str) -> str | None:
    """Return the email address of the user with this number, else with this external ID or address; None for nobody."""
    users = models.User.objects.filter(agency=agency)
    wanted = name.rpartition("/")[2]
    found = None
    if wanted.isascii() and wanted.isdigit():
        found = users.filter(pk=int(wanted[:18])).first() if len(wanted) <= 18 else None
    elif name:
        found = users.filter(external_id=name).first() or users.filter(email_key=make_key(name)).first()
    return found.email if found else None
