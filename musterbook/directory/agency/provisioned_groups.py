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
ALL, NONE = Q(), Q(pk__in=())
"""The conditions that every group, and that no group fulfills."""


class TooManyMembers(Exception):
    """The groups of one response have more members together than a response holds."""

    def __init__(self, members: int) -> None:
        super().__init__(members)
        self.members = members


class AlreadyExists(Exception):
    """Another group has the external ID; `number` is the id of that group."""

    def __init__(self, group: models.Group) -> None:
        super().__init__(group.external_id)
        self.number, self.external_id = group.pk, group.external_id


@dataclass(frozen=True, slots=True)
class Member:
    """A user who is a member: their id, and their name."""

    id: int
    name: str


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
    return groups_of_agency.annotate(id_text=Cast("pk", CharField()))


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
        members[group_id].append(Member(pk, f"{first} {last}"))
    return members


def count_members(group: models.Group) -> int:
    """Return the number of the group's members."""
    return vocabularies.count_entry_users(group.agency, "group", group.pk)


def make_version(group: models.Group) -> str:
    """Return a short text that is another one as soon as an attribute of the group is, its members not counted."""
    return _digest([group.pk, group.external_id, group.name, group.active])


def digest_members(ids: Iterable[int]) -> str:
    """Return a short text that is another one as soon as there are other members. `ids`: in ascending order."""
    return _digest(list(ids))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def add(agency: models.Agency, external_id: str, name: str, context: AuditContext) -> models.Group:
    """Add a group, and return it. `external_id`: "" to take the name. Raise AlreadyExists, InvalidValue."""
    wanted = vocabularies.clean_text(external_id or name, "external_id" if external_id else "name")
    other = models.Group.objects.filter(agency=agency, external_id=wanted).first()
    if other is not None:
        raise AlreadyExists(other)
    return groups.add(agency, wanted, name, context)


def change(group: models.Group, external_id: str, name: str, active: bool, context: AuditContext) -> bool:
    """Change the group if anything differs; return whether it did. Raise AlreadyExists, InvalidValue."""
    if (external_id, name, active) == (group.external_id, group.name, group.active):
        return False
    others = models.Group.objects.filter(agency=group.agency_id, external_id=external_id).exclude(pk=group.pk)
    other = others.first()
    if other is not None:
        raise AlreadyExists(other)
    groups.change(group, external_id, name, active, context)
    group.refresh_from_db()
    return True
