"""The second approver: another user must confirm what is held (rule S8)."""

from musterbook.core.domain.policy import Confirmed
from musterbook.directory import models

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


def check_approver(shown: models.Import, by: str) -> None:
    """Raise NeedsApprover if the operator applies a held plan that another user must confirm."""
    if shown.holds and not is_approver(shown.agency, shown.actor, by):
        raise NeedsApprover(shown.actor)
