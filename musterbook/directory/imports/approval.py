"""What a person has seen before it is applied: the second approver (rule S8), and the files that no person sees (N3)."""

from typing import Literal

from musterbook.core.domain.policy import Confirmed
from musterbook.directory import models
from musterbook.directory.permissions import Authority

SOMEONE_ELSE = " --as EXTERNAL_ID"
"""The option of a command that another user confirms: it names that user."""


class NeedsApprover(Exception):
    """The import is held, and the agency requires that another user confirms it. The message is who requested it."""


def is_approver(agency: models.Agency, requester: str, by: str) -> bool:
    """Return whether the operator may confirm what `requester` has requested. The system never may, if a user must."""
    return not agency.second_approver or by not in ("", requester)


def list_valid(agency: models.Agency, record: models.Import, confirmed: Confirmed) -> Confirmed:
    """Return what the operator of the import has confirmed, or nothing if they may not confirm it."""
    return confirmed if is_approver(agency, record.requester, record.actor) else {}


def can_confirm(shown: models.Import, by: str) -> bool:
    """Return whether the operator may confirm what this import shows, if it is or would be held."""
    return is_approver(shown.agency, shown.requester, by)


def check_approver(shown: models.Import, by: str) -> None:
    """Raise NeedsApprover if the operator applies a held import that another user must confirm.

    A preview that would be held can be applied by who made it: that requests it, and it is held.
    """
    if shown.state == "held" and not can_confirm(shown, by):
        raise NeedsApprover(shown.requester)


def find_authority(record: models.Import) -> Authority:
    """Return the authority by whose permissions the import is planned.

    It is that of the operator. What is held, and confirmed by another user, is planned by the permissions of who requested it:
    otherwise it would be another plan than the one that they confirm.
    """
    return read_authority(record, "requester" if record.options.get("approves") else "actor")


def read_authority(record: models.Import, role: Literal["actor", "requester"]) -> Authority:
    """Return the authority of the operator of the import, or of who requested it, as it was then."""
    granted = record.granted.get(role)
    return Authority(getattr(record, role), None if granted is None else frozenset(granted))


def reads_alone(record: models.Import) -> bool:
    """Return whether no person has seen how the file is read: a feed imports it, or a person confirms what that has held.

    A feed reads its files as a person has approved it. What another import teaches the agency meanwhile has no effect,
    because it would decide what the system imports.
    """
    shown = record
    while shown.origin is not None and not shown.options["preview"]:
        shown = shown.origin
    return shown.feed_id is not None and shown.through == "feed" and not shown.options["preview"]
