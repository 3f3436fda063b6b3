"""The first steps of a new agency, until its first import of a file was applied."""

from dataclasses import dataclass

from musterbook.directory import models
from musterbook.directory.models import ImportKind

_MOST_USERS = 10
"""An agency with more users got them in another way, and needs no first steps."""


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """How far a new agency is.

    - `sent`: whether a file was ever sent.
    - `named`: whether there is a role besides Admin, or a rank or group.
    - `plan`: the latest plan of a file that can be applied or corrected, None for none.
    """

    sent: bool
    named: bool
    plan: models.Import | None


def read_first_steps(agency: models.Agency) -> FirstSteps | None:
    """Return how far the agency is, or None if an import of a file was applied or it has many users."""
    files = models.Import.objects.filter(agency=agency, kind=ImportKind.FILE)
    if files.filter(state="applied").exists():
        return None
    if len(models.User.objects.filter(agency=agency).values_list("pk")[: _MOST_USERS + 1]) > _MOST_USERS:
        return None
    plans = files.filter(state__in=("previewed", "held", "refused"), ended="")
    others = models.Role.objects.filter(agency=agency, administrator=False)
    ranks, groups = models.Rank.objects.filter(agency=agency), models.Group.objects.filter(agency=agency)
    return FirstSteps(
        files.exists(), others.exists() or ranks.exists() or groups.exists(), plans.order_by("-pk").first()
    )


def is_first(record: models.Import) -> bool:
    """Return whether the agency of the import has no import of a file yet that was applied."""
    return not models.Import.objects.filter(agency=record.agency_id, kind=ImportKind.FILE, state="applied").exists()
