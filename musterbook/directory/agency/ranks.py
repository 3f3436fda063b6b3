"""Ranks: list, add, change, move up and down, and delete them."""

from typing import Literal

from django.db.models import Max
from django.utils.translation import gettext as _

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency import agencies, vocabularies
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext


def list_ranks(agency: models.Agency) -> list[tuple[models.Rank, int]]:
    """Return the agency's ranks, the highest first, each with the number of its users."""
    ranks = list(models.Rank.objects.filter(agency=agency).order_by("position", "pk"))
    users = vocabularies.count_users(agency, "rank", [rank.pk for rank in ranks])
    return [(rank, users.get(rank.pk, 0)) for rank in ranks]


def add(agency: models.Agency, name: str, abbreviation: str, context: AuditContext) -> models.Rank:
    """Add a new rank, below all others, and return it. Raise InvalidValue."""
    with agencies.changing(agency, context):
        return insert(agency, name, abbreviation)


def insert(agency: models.Agency, name: str, abbreviation: str = "") -> models.Rank:
    """Add a new rank as `add` does. The caller records the change (`agencies.changing`)."""
    fields = _clean_fields(agency, name, abbreviation)
    last = models.Rank.objects.filter(agency=agency).aggregate(last=Max("position"))["last"]
    return models.Rank.objects.create(agency=agency, position=0 if last is None else last + 1, **fields)


def change(rank: models.Rank, name: str, abbreviation: str, context: AuditContext) -> None:
    """Rename a rank. Raise InvalidValue."""
    with agencies.changing(rank.agency, context):
        models.Rank.objects.filter(pk=rank.pk).update(**_clean_fields(rank.agency, name, abbreviation, rank.pk))


def _clean_fields(agency: models.Agency, name: str, abbreviation: str, except_id: int = 0) -> dict[str, str]:
    name, key = vocabularies.clean_name(name, models.Rank, agency, except_id)
    short = vocabularies.clean_text(abbreviation, "abbreviation", required=False)
    # Files name a rank by its name or its abbreviation (rule C6).
    for other in models.Rank.objects.filter(agency=agency).exclude(pk=except_id):
        taken = {other.name_key, fold(other.abbreviation)} - {""}
        for field, value in (("name", key), ("abbreviation", fold(short))):
            if value in taken:
                raise InvalidValue(
                    field, _("The rank %(name)s already uses this. Enter another.") % {"name": other.name}
                )
    return {"name": name, "name_key": key, "abbreviation": short}


def move(rank: models.Rank, direction: Literal["up", "down"], context: AuditContext) -> None:
    """Swap a rank with the next one above or below it, if there is one."""
    with agencies.changing(rank.agency, context):
        ranks = list(models.Rank.objects.filter(agency=rank.agency).order_by("position", "pk"))
        index = next(number for number, one in enumerate(ranks) if one.pk == rank.pk)
        other = index - 1 if direction == "up" else index + 1
        if 0 <= other < len(ranks):
            ranks[index], ranks[other] = ranks[other], ranks[index]
        for number, one in enumerate(ranks):
            one.position = number
        models.Rank.objects.bulk_update(ranks, ["position"])


def delete(rank: models.Rank, context: AuditContext) -> None:
    """Delete a rank that no user has. Raise InUse."""
    with agencies.changing(rank.agency, context):
        vocabularies.delete_entry(rank, "rank")
