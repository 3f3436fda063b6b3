"""What differs between a plan, the plan that was shown before, and the last import of the same source (A4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports import plan_differences
from musterbook.directory.imports.people import find_people
from musterbook.directory.imports.plan_differences import MovedUser
from musterbook.web.imports import sentences

_LABELS = {
    "rows": gettext_lazy("Rows"),
    "errored": gettext_lazy("Rows with problems"),
    "skipped": gettext_lazy("Rows skipped"),
    "unchanged": gettext_lazy("Already up to date"),
    "added": gettext_lazy("Users added"),
    "updated": gettext_lazy("Users updated"),
    "reactivated": gettext_lazy("Users reactivated"),
    "losing_access": gettext_lazy("Users who lose access"),
    "privileges": gettext_lazy("Users who gain a permission"),
    "handovers": gettext_lazy("Users who take another user’s address or username"),
    "identity_changes": gettext_lazy("Accounts that change identity"),
    "cleared": gettext_lazy("Users who lose a value"),
    "released": gettext_lazy("Users who lose their badge"),
}
_OUTCOMES = {
    "": gettext_lazy("not in the plan"),
    "added": gettext_lazy("added"),
    "updated": gettext_lazy("updated"),
    "unchanged": gettext_lazy("up to date"),
    "errored": gettext_lazy("with problems"),
    "skipped": gettext_lazy("skipped"),
    "deactivated": gettext_lazy("deactivated"),
    "protected": gettext_lazy("stays active"),
    "added otherwise": gettext_lazy("added with other values"),
    "updated otherwise": gettext_lazy("updated in another way"),
}


@dataclass(frozen=True, slots=True)
class CountLine:
    """One count of a plan, of the plan before, and of the last import. None: there is no such import."""

    label: str
    now: int
    before: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class ShownUser:
    """A user whose outcome or values are not those of the plan before."""

    external_id: str
    name: str
    pk: int
    before: str
    now: str


def describe(request: HttpRequest, record: models.Import) -> dict[str, Any]:
    """Return what differs: the counts side by side, and the users if they are requested, or if the plan has changed."""
    before, last = plan_differences.find_shown_before(record), plan_differences.find_last_import(record)
    if not record.counts or not (before or last):
        return {}
    wanted = before is not None and (sentences.has_changed(record) or "differs" in request.GET)
    moved = plan_differences.list_moved(before, record) if before and wanted else plan_differences.Moved()
    return {
        "plan_before": before,
        "last_import": last,
        "last_rows": _describe_last(record, last) if last else "",
        "differences": _list_counts(record, before, last),
        "moved": _name_moved(record, moved.users),
        "more_moved": moved.total - len(moved.users),
        "can_list_moved": before is not None and not wanted,
        "differs_open": "differs" in request.GET,
    }


def _describe_last(record: models.Import, last: models.Import) -> str:
    """Return how many rows the last import of the source had, in a sentence."""
    numbers = {"rows": sentences.count(last.counts.get("rows", 0)), "source": record.options.get("source", "")}
    if numbers["source"]:
        return _("The last import of %(source)s had %(rows)s.") % numbers
    if last.mode == Mode.SYNC:
        return _("The last synchronize import had %(rows)s.") % numbers
    return _("The last import had %(rows)s.") % numbers


def _list_counts(record: models.Import, before: models.Import | None, last: models.Import | None) -> list[CountLine]:
    """Return the counts that are not zero everywhere."""
    lines = [
        CountLine(
            str(label),
            record.counts.get(name, 0),
            before.counts.get(name, 0) if before else None,
            last.counts.get(name, 0) if last else None,
        )
        for name, label in _LABELS.items()
    ]
    return [line for line in lines if line.now or line.before or line.last]


def _name_moved(record: models.Import, users: Sequence[MovedUser]) -> list[ShownUser]:
    people = find_people(record, [user.external_id for user in users])
    return [
        ShownUser(
            user.external_id,
            people[user.external_id].name if user.external_id in people else "",
            people[user.external_id].pk if user.external_id in people else 0,
            str(_OUTCOMES.get(user.before, user.before)),
            str(_OUTCOMES.get(user.now, user.now)),
        )
        for user in users
    ]
