"""The groups as an identity provider manages them: listed, read with their members, added and changed.

A group has an external ID in any case, because files name it by that. If a provider sends none, its name becomes its
external ID. The members of large groups are read only if they are asked for.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Count, F, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, Left, Right, StrIndex
from django.db.models.lookups import Exact, GreaterThan

from musterbook.directory import models
from musterbook.directory.agency import groups, vocabularies
from musterbook.directory.agency.vocabularies import UnknownEntry
from musterbook.directory.audit.trail import AuditContext

MOST_MEMBERS = 100_000
"""The most members of one response."""
COLUMNS = {
    "id": "id_text", "externalId": "external_id", "displayName": "name", "active": "active", "created": "created_at",
    "lastModified": "changed_at",
}  # fmt: skip
"""Attribute of a group → its column, for conditions."""
ORDERS = {"id": "pk", "externalId": "external_id", "displayName": "name"}
"""The attributes that groups are sorted by, with their columns."""
MEMBER_COLUMNS = {"value": "id_text", "display": "full_name"}
"""Attribute of a member → its column, for conditions."""
Condition = Q
"""A condition of groups or members, which interfaces put together without a query of their own."""
ALL, NONE = Q(), Q(pk__in=())
"""The conditions that every group, and that no group fulfills."""


_PREFIX, _MOST_DIGITS = "g", 18


def format_id(number: int) -> str:
    """Return the id of a group as programs see it. No user has the same: an id of SCIM names one resource of any type."""
    return f"{_PREFIX}{number}"


def parse_id(text: str) -> int | None:
    """Return the number of the group that the id names, or None if it is the id of no group."""
    digits = text.removeprefix(_PREFIX)
    plain = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    return int(digits) if plain and text == format_id(int(digits)) else None


class TooManyMembers(Exception):
    """The groups of one response have more members together than a response holds."""

    def __init__(self, members: int) -> None:
        super().__init__(members)
        self.members = members


class AlreadyExists(Exception):
    """Another group has the external ID; `id` is the id of that group."""

    def __init__(self, group: models.Group) -> None:
        super().__init__(group.external_id)
        self.id, self.external_id = format_id(group.pk), group.external_id


@dataclass(frozen=True, slots=True)
class Member:
    """A user or a group that is a member: the id as programs see it, and the name."""

    id: str
    name: str
    is_group: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of groups, and how many there are on all pages. `has_more`: whether another page follows."""

    groups: Sequence[models.Group]
    total: int
    has_more: bool


def read_group(agency: models.Agency, number: int) -> models.Group:
    """Return the agency's group with this id. Raise UnknownEntry."""
    group = models.Group.objects.select_related("agency").filter(agency=agency, pk=number).first()
    if group is None:
        raise UnknownEntry(number)
    return group


def compare(column: str, operator: str, value: Any, *, exact: bool) -> Q:
    """Return the condition that a value compares so with another. `operator`: as SCIM writes it.

    `exact`: whether the case of letters counts.
    """
    if operator == "ne":
        return ~compare(column, "eq", value, exact=exact)
    if not isinstance(value, str):
        return Q(**{column if operator == "eq" else f"{column}__{_ORDERINGS[operator]}": value})
    if operator in _ORDERINGS:
        return Q(**{f"{column}__{_ORDERINGS[operator]}": value})
    if not exact:
        # What a database folds can be ASCII alone, so an equal text is found in any case.
        plain = Q(**{column: value}) if operator == "eq" else Q(_compare_part(column, operator, value))
        return plain | Q(**{f"{column}__{_FOLDED[operator]}": value})
    return Q(**{column: value}) if operator == "eq" else Q(_compare_part(column, operator, value))


_ORDERINGS = {"gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
_FOLDED = {"eq": "iexact", "co": "icontains", "sw": "istartswith", "ew": "iendswith"}


def _compare_part(column: str, operator: str, part: str) -> Any:
    if operator == "co" or not part:
        return GreaterThan(StrIndex(F(column), Value(part)), 0) if part else Exact(Value(1), Value(1))
    cut = Left if operator == "sw" else Right
    return Exact(cut(F(column), len(part)), Value(part))


def has_part(agency: models.Agency, condition: Q) -> Q:
    """Return the condition that a group that fulfills another condition is a member."""
    parts = _select(agency).filter(parent__isnull=False).annotate(full_name=F("name"))
    return Q(pk__in=parts.filter(condition).values("parent"))


def has_member(agency: models.Agency, condition: Q) -> Q:
    """Return the condition that a user who fulfills another condition is a member."""
    users = models.User.objects.filter(agency=agency, group__isnull=False)
    named = users.annotate(
        id_text=Cast("pk", CharField()),
        full_name=Concat("first_name", Value(" "), "last_name", output_field=CharField()),
    )
    return Q(pk__in=named.filter(condition).values("group"))


def is_member_number(number: int) -> Q:
    """Return the condition that a member has this id."""
    return Q(pk=number)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page of groups that is wanted: those after `skip` others, or after the place `after` of a group in the order.

    `order`: a column of ORDERS.
    """

    most: int
    order: str = "pk"
    descending: bool = False
    skip: int = 0
    after: tuple[Any, int] | None = None


def list_page(agency: models.Agency, condition: Q, wanted: Wanted) -> Page:
    """Return a page of the groups that fulfill the condition."""
    found = _select(agency).filter(condition)
    sign, side = ("-", "lt") if wanted.descending else ("", "gt")
    ordered = found.order_by(f"{sign}{wanted.order}", f"{sign}pk")
    if wanted.after is not None:
        value, number = wanted.after
        same = Q(**{wanted.order: value, f"pk__{side}": number})
        ordered = ordered.filter(Q(**{f"{wanted.order}__{side}": value}) | same)
    page = list(ordered[wanted.skip : wanted.skip + wanted.most + 1])
    return Page(page[: wanted.most], found.count(), len(page) > wanted.most)


def _select(agency: models.Agency) -> "QuerySet[models.Group]":
    groups_of_agency = models.Group.objects.filter(agency=agency)
    return groups_of_agency.annotate(id_text=Concat(Value(_PREFIX), Cast("pk", CharField()), output_field=CharField()))


def read_members(shown: Sequence[models.Group]) -> Mapping[int, Sequence[Member]]:
    """Return the members of each group, by their ids. Raise TooManyMembers."""
    if not shown:
        return {}
    agency, ids = shown[0].agency_id, [group.pk for group in shown]
    users = models.User.objects.filter(agency=agency, group__in=ids)
    number = users.aggregate(number=Count("pk"))["number"]
    if number > MOST_MEMBERS:
        raise TooManyMembers(number)
    members: dict[int, list[Member]] = {group_id: [] for group_id in ids}
    for group_id, pk, first, last in users.order_by("pk").values_list("group", "pk", "first_name", "last_name"):
        members[group_id].append(Member(str(pk), f"{first} {last}"))
    parts = models.Group.objects.filter(agency=agency, parent__in=ids)
    for part in parts.order_by("pk"):
        members[part.parent_id or 0].append(Member(format_id(part.pk), part.name, is_group=True))
    return members


def list_part_numbers(group: models.Group) -> list[int]:
    """Return the numbers of the groups that are members, in ascending order."""
    parts = models.Group.objects.filter(agency=group.agency_id, parent=group)
    return list(parts.order_by("pk").values_list("pk", flat=True))


def find_known(agency: models.Agency, numbers: Iterable[int]) -> set[int]:
    """Return those of the numbers that groups of the agency have."""
    return set(models.Group.objects.filter(agency=agency, pk__in=list(numbers)).values_list("pk", flat=True))


def find_circle(group: models.Group, numbers: Iterable[int]) -> set[int]:
    """Return those of the numbers whose groups cannot be members: the group itself, and those that it is part of."""
    above = set[int]()
    one: models.Group | None = group
    while one is not None and one.pk not in above:
        above.add(one.pk)
        one = one.parent
    return above & set(numbers)


def change_parts(group: models.Group, joining: Iterable[int], leaving: Iterable[int], context: AuditContext) -> None:
    """Let groups (their numbers) become part of the group, and others no longer be. Those as wanted already stay so."""
    wanted = models.Group.objects.select_related("agency").filter(agency=group.agency_id)
    for one in wanted.filter(pk__in=list(joining)).exclude(parent=group).order_by("pk"):
        groups.change(one, one.external_id, one.name, one.active, context, parent=group.external_id)
    for one in wanted.filter(pk__in=list(leaving), parent=group).order_by("pk"):
        groups.change(one, one.external_id, one.name, one.active, context, parent="")


def count_members(group: models.Group) -> int:
    """Return the number of the group's members."""
    return vocabularies.count_entry_users(group.agency, "group", group.pk)


def make_version(group: models.Group) -> str:
    """Return a short text that is another one as soon as an attribute of the group is, its members not counted."""
    return _digest([group.pk, group.external_id, group.name, group.active])


def digest_members(ids: Iterable[str]) -> str:
    """Return a short text that is another one as soon as there are other members. `ids`: in the order of `read_members`."""
    return _digest(list(ids))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def add(agency: models.Agency, external_id: str, name: str, context: AuditContext) -> models.Group:
    """Add a group, and return it. `external_id`: "" to take the name. Raise AlreadyExists, InvalidValue."""
    wanted = external_id or name
    check(wanted, name)
    wanted = vocabularies.clean_text(wanted, "external_id")
    other = models.Group.objects.filter(agency=agency, external_id=wanted).first()
    if other is not None:
        raise AlreadyExists(other)
    return groups.add(agency, wanted, name, context)


def check(external_id: str, name: str) -> None:
    """Raise InvalidValue if no group can have this external ID or this name."""
    vocabularies.clean_text(external_id, "externalId")
    vocabularies.clean_text(name, "displayName")


def change(group: models.Group, external_id: str, name: str, active: bool, context: AuditContext) -> bool:
    """Change the group if anything differs; return whether it did. Raise AlreadyExists, InvalidValue."""
    if (external_id, name, active) == (group.external_id, group.name, group.active):
        return False
    check_free(group, external_id)
    groups.change(group, external_id, name, active, context)
    group.refresh_from_db()
    return True


def check_free(group: models.Group, external_id: str) -> None:
    """Raise AlreadyExists if another group has the external ID."""
    stored = vocabularies.clean_text(external_id, "externalId")
    others = models.Group.objects.filter(agency=group.agency_id, external_id=stored).exclude(pk=group.pk)
    other = others.first()
    if other is not None:
        raise AlreadyExists(other)
