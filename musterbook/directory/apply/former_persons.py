"""The end of all access of a former person, when their account becomes another person's (M12)."""

from collections.abc import Callable, Sequence

import polars as pl

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames

Forget = Callable[[Sequence[int]], None]
MORE_CREDENTIALS: list[Forget] = []
"""What deletes credentials outside the directory: `accounts` adds its own. Each gets the ids of some users."""

_PART = 10_000
_UNSENT = "Not sent: the account belongs to another person now."


def end_access(users: pl.DataFrame, context: AuditContext) -> None:
    """End everything that the former persons have. The users (`id`) are not registered afterwards.

    Their sessions, links and tokens end, because they are older than `access_ended_at`. Mails that wait are not sent.
    """
    if users.is_empty():
        return
    nothing = pl.lit(None, pl.Datetime)
    ended = dict.fromkeys(_FORGOTTEN, nothing)
    frames.update(models.User, users.select("id", **ended, access_ended_at=pl.lit(frames.stamp(context.at))))
    for part in users.iter_slices(_PART):
        ids = part["id"].to_list()
        models.Mail.objects.filter(user__in=ids, ended_at=None).update(ended_at=context.at, problem=_UNSENT)
        for forget in MORE_CREDENTIALS:
            forget(ids)


_FORGOTTEN = (
    "registered_at", "invited_at", "invitation_expires_at", "reset_at", "last_sign_in_at", "locked_at", "email_changed_at",
)  # fmt: skip
"""The fields of a user that are about the person and not about the account."""
