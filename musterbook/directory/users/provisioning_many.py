"""What a provider says of many users at once, which the directory has no column for."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import polars as pl

from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.users.provisioning import DISPLAY_NAME, MANAGED, SOURCE, Kept, add_stored


def keep_many(agency: models.Agency, changes: Mapping[int, tuple[Kept, bool]], context: AuditContext) -> None:
    """Write what is kept of many users (by their ids), who deleted them, and that the provider manages them.

    The value of each: what is kept, and whether the provider has deleted the user. The caller holds the agency's lock.
    """
    events = list[dict[str, Any]]()
    for some in _split(changes):
        users = models.User.objects.filter(agency=agency).in_bulk(some)
        records = {one.user_id: one for one in models.ProvisionedUser.objects.filter(user__in=some)}
        for number, user in users.items():
            kept, is_deleted = changes[number]
            record = records.setdefault(number, models.ProvisionedUser(user=user))
            before, after = (str(one.get(DISPLAY_NAME, "")) for one in (record.kept, kept))
            if before != after:
                events.append(_describe_display_name(user, before, after))
            record.kept, record.deleted_at = add_stored(user, kept), context.at if is_deleted else None
        known = {number for number, record in records.items() if record.pk}
        models.ProvisionedUser.objects.bulk_update([records[one] for one in known], ["kept", "deleted_at"])
        models.ProvisionedUser.objects.bulk_create(one for number, one in records.items() if number not in known)
        models.User.objects.filter(pk__in=some, source__in=("", SOURCE)).update(**MANAGED)
    if events:
        trail.append_events(agency, context, [pl.DataFrame(events)])


def _split(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield the numbers in parts that a query can have."""
    rest = iter(numbers)
    while part := list(islice(rest, _AT_ONCE)):
        yield part


_AT_ONCE = 500


def _describe_display_name(user: models.User, before: str, after: str) -> dict[str, Any]:
    changes = json.dumps({"display_name": [before, after]}, ensure_ascii=False, separators=(",", ":"))
    return {
        "kind": EventKind.USER_UPDATED, "subject_id": user.pk, "subject_external_id": user.external_id, "row": None,
        "changes": changes,
    }  # fmt: skip
