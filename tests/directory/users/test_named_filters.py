"""The filters of a list by names: they find the same users as the ids of a page, and name what there is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from musterbook.directory import models
from musterbook.directory.users import named_filters
from musterbook.directory.users.filters import UserFilters
from musterbook.directory.users.named_filters import NamedFilters, UnknownName
from tests.directory import cast
from tests.directory.cast import NOW, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def agency() -> models.Agency:
    """An administrator, and another agency with the same names."""
    for slug in ("shelbyville", "springfield"):
        made = cast.agency(slug)
        cast.apply_rows(made, [person(1, ROLE="Admin")])
    return made


def test_each_name_is_read_as_the_id_of_what_the_agency_has(agency: models.Agency) -> None:
    rank = models.Rank.objects.get(agency=agency, name="Captain").pk
    number = models.Import.objects.get(agency=agency)
    day = NOW + timedelta(days=1)
    named = NamedFilters(
        "x", "invitation EXPIRED", " ADMIN", "captain", "PATROL", "E-1", NOW, day, True, f" {number.number.lower()} "
    )  # fmt: skip
    assert named_filters.resolve_filters(agency, named) == UserFilters(
        "x",
        "Invitation expired",
        models.Role.objects.get(agency=agency, name="Admin").pk,
        rank,
        models.Group.objects.get(agency=agency).pk,
        cast.user(agency, 1).pk,
        NOW,
        day,
        True,
        number.pk,
    )
    assert named_filters.resolve_filters(agency, NamedFilters(rank="CAP")).rank == rank
    assert named_filters.resolve_filters(agency, NamedFilters()) == UserFilters()


@pytest.mark.parametrize("name", ["state", "role", "rank", "group", "supervisor", "touched_by"])
def test_a_name_that_the_agency_does_not_have_is_said(agency: models.Agency, name: str) -> None:
    given: dict[str, Any] = {name: "Nowhere"}
    with pytest.raises(UnknownName) as unknown:
        named_filters.resolve_filters(agency, replace(NamedFilters(), **given))
    assert (unknown.value.name, unknown.value.value) == (name, "Nowhere")
