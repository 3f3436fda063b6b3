"""The version of a user: a digest of everything that programs see of them, for `ETag` and `If-Match`."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models.expressions import RawSQL

from musterbook.directory import models
from musterbook.directory.users import editing, states
from musterbook.directory.users.editing import UnknownUser
from musterbook.directory.users.filters import USERS

_TIMES = (
    "created_at", "invited_at", "invitation_expires_at", "registered_at", "last_sign_in_at", "locked_at", "missing_since",
)  # fmt: skip
_SHARED = ("role", "rank", "group")
_OTHERS = ("managed_by", "role_id", "rank_id", "group_id", "supervisor_id")


@dataclass(frozen=True, slots=True)
class VersionedUser:
    """A user, their state (one of states.STATES) and their row as `editing.build_row` gives it, all at one time."""

    user: models.User
    state: str
    row: dict[str, str]

    @property
    def version(self) -> str:
        """Return a short text that is another one as soon as anything that programs see of the user is."""
        others = [str(getattr(self.user, name)) for name in (*_TIMES, *_OTHERS)]
        seen = json.dumps([self.user.pk, self.state, self.row, others], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()[:32]


def read_user(agency: models.Agency, number: int, at: datetime) -> VersionedUser:
    """Return the agency's user with this number, as they are at that time. Raise UnknownUser.

    Within the lock of a change, this is the user that the change meets.
    """
    found = read_users(agency, [number], at)
    if not found:
        raise UnknownUser(str(number))
    return found[0]


def read_users(agency: models.Agency, numbers: Iterable[int], at: datetime) -> list[VersionedUser]:
    """Return the agency's users with these numbers, in that order. Those that the agency does not have are left out."""
    numbers = [number for number in numbers if number <= editing.MOST_NUMBER]
    state = RawSQL(*states.build_state_sql(f"{USERS}.", at))  # noqa: S611  (no part of it comes from outside)
    # With the agency in the condition, SQLite would read all of its users by an index.
    users = models.User.objects.select_related("supervisor").filter(pk__in=numbers).annotate(state=state)
    # Many users share few roles, ranks and groups, and all of them their agency. For one, a query for each takes longer.
    users = users.select_related(*_SHARED) if len(numbers) == 1 else users.prefetch_related(*_SHARED)
    by_number = {user.pk: user for user in users if user.agency_id == agency.pk}
    for user in by_number.values():
        user.agency = agency
    return [
        VersionedUser(user, str(vars(user)["state"]), editing.build_row(user))
        for user in (by_number[number] for number in numbers if number in by_number)
    ]


def find_users(agency: models.Agency, external_id: str, at: datetime) -> list[VersionedUser]:
    """Return the user who has exactly this external ID now, or no one."""
    found = models.User.objects.filter(agency=agency, external_id=external_id)
    return read_users(agency, found.values_list("pk", flat=True), at)
