"""The facts about one user: state, direct reports, monitored groups, the imports that changed them, the last email."""

from datetime import datetime

from django.db.models.expressions import RawSQL

from musterbook.directory import models
from musterbook.directory.users import states, user_list
from musterbook.directory.users.filters import USERS, UserFilters

MOST_REPORTS, MOST_IMPORTS = user_list.PAGE, 10


def read_state(user: models.User, at: datetime) -> str:
    """Return the user's state at that time, one of states.STATES."""
    expression = RawSQL(*states.build_state_sql(f"{USERS}.", at))  # noqa: S611  (no part of it comes from outside)
    return str(models.User.objects.filter(pk=user.pk).values_list(expression, flat=True).get())


def list_reports(user: models.User, at: datetime) -> tuple[list[user_list.ListedUser], int]:
    """Return the first users who report to the user, by name, and the number of all (10,001: more than 10,000)."""
    criteria = UserFilters(supervisor=user.pk)
    first = user_list.read_page(user.agency, criteria, at=at).users
    return first, len(first) if len(first) < MOST_REPORTS else user_list.count_users(user.agency, criteria, at=at)


def list_monitored(user: models.User) -> list[models.Group]:
    """Return the groups that the user monitors, by name."""
    group_ids = models.Monitor.objects.filter(user=user).values("group")
    return list(models.Group.objects.filter(agency=user.agency_id, pk__in=group_ids).order_by("name", "pk"))


def find_last_mail(user: models.User) -> models.Mail | None:
    """Return the latest email to the user, or None if there is none."""
    return models.Mail.objects.filter(agency=user.agency_id, user=user).order_by("-pk").first()


def list_imports(user: models.User) -> list[models.Import]:
    """Return the imports that have changed the user, the latest first."""
    events = models.Event.objects.filter(subject=user, agency=user.agency_id, of__isnull=False)
    ids = events.order_by("-of_id").values_list("of_id", flat=True).distinct()[:MOST_IMPORTS]
    return list(models.Import.objects.filter(pk__in=list(ids)).order_by("-number"))
