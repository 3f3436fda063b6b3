"""The common parts of roles, ranks and groups: lookups, valid names, deletion, and the number of their users."""

import unicodedata
from collections.abc import Collection
from typing import Any, Literal, TypeAlias, TypeVar

from django.db.models import Count
from django.utils.translation import gettext as _

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency.setting_values import ILLEGAL

_LONGEST = 255
Entry = TypeVar("Entry", models.Role, models.Rank, models.Group)
Noun: TypeAlias = Literal["role", "rank", "group"]
_ORDERS: dict[Noun, tuple[Any, str]] = {
    "role": (models.Role, "name_key"),
    "rank": (models.Rank, "position"),
    "group": (models.Group, "name"),
}
"""The order in which the entries of each kind are listed."""


class UnknownEntry(Exception):
    """The agency has no such role, rank or group."""


class InvalidValue(Exception):
    """A value cannot be accepted; `field` names the field, `sentence` the reason."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field, self.sentence = field, sentence


class InUse(Exception):
    """It cannot be deleted, because this number of users have it."""

    def __init__(self, users: int) -> None:
        super().__init__(users)
        self.users = users


class NotAllowed(Exception):
    """The operator's role does not allow it, or no role does; the message gives the reason."""


def clean_text(text: str, field: str, *, required: bool = True) -> str:
    """Return the text as it is stored. Raise InvalidValue."""
    value = unicodedata.normalize("NFC", text).strip()
    if required and not value:
        raise InvalidValue(field, _("Enter a value."))
    if len(value) > _LONGEST:
        raise InvalidValue(
            field,
            _("Shorten this to %(most)s characters. It has %(number)s.") % {"most": _LONGEST, "number": len(value)},
        )
    if ILLEGAL.search(value):
        raise InvalidValue(field, _("This contains a line break or another control character. Enter it again."))
    return value


def is_name(text: str) -> bool:
    """Return whether a role, rank or group can have this name."""
    try:
        return clean_text(text, "name") == text
    except InvalidValue:
        return False


def clean_name(text: str, model: Any, agency: models.Agency, except_id: int = 0) -> tuple[str, str]:
    """Return a name as it is stored, and its key for comparisons.

    Raise InvalidValue if an entry other than `except_id` has it.
    """
    name = clean_text(text, "name")
    key = fold(name)
    if model.objects.filter(agency=agency, name_key=key).exclude(pk=except_id).exists():
        raise InvalidValue("name", _("The name %(name)s is taken. Enter another name.") % {"name": name})
    return name, key


def find_entry(model: type[Entry], agency: models.Agency, number: int) -> Entry:
    """Return the agency's role, rank or group with this id. Raise UnknownEntry."""
    entry = model.objects.filter(agency=agency, pk=number).first()
    if entry is None:
        raise UnknownEntry(number)
    return entry


def list_names(agency: models.Agency, noun: Noun) -> list[tuple[int, str]]:
    """Return the id and the name of each of the agency's roles, ranks or groups, in their order."""
    model, order = _ORDERS[noun]
    return list(model.objects.filter(agency=agency).order_by(order, "pk").values_list("pk", "name"))


def count_users(agency: models.Agency, noun: Noun, ids: Collection[int]) -> dict[int, int]:
    """Return how many users have each of these roles, ranks or groups. An id without users is left out."""
    holders = models.User.objects.filter(agency=agency, **{f"{noun}__in": ids})
    return dict(holders.order_by().values_list(noun).annotate(number=Count("id")))


def count_entry_users(agency: models.Agency, noun: str, number: int) -> int:
    """Return how many users have this role, rank or group (`noun`), active or not."""
    return models.User.objects.filter(agency=agency, **{noun: number}).count()


def delete_entry(entry: Any, noun: str) -> None:
    """Delete an entry that no user has; the caller holds the agency's lock. Raise InUse."""
    number = count_entry_users(entry.agency, noun, entry.pk)
    if number:
        raise InUse(number)
    entry.delete()
