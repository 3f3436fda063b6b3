"""The agencies of the laws are those that imports make: their users are written without one."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from musterbook.core.domain.decisions import DAMAGE
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from tests.directory import cast
from tests.examples import examples
from tests.laws import directory
from tests.laws.people import people
from tests.laws.world import Case, File, Person, export

pytestmark = pytest.mark.django_db


@given(people())
@settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))
def test_the_users_of_a_law_are_those_that_an_import_of_their_file_adds(known: tuple[Person, ...]) -> None:
    written, imported = directory.agency(known), directory.agency([])
    groups = models.Group.objects.filter(agency=imported)
    inactive = list(groups.filter(active=False).values_list("pk", flat=True))
    groups.update(active=True)
    done = directory.run(imported, File(export(known)), Case((), File({}), Mode.UPDATE, accepted={DAMAGE: ""}))
    groups.filter(pk__in=inactive).update(active=False)
    directory.add_marks(imported, known)
    assert done.plan
    assert done.plan.counts["added"] == len(known)
    assert done.plan.notes.filter(pl.col("code") != "inactive-supervisor").is_empty()
    assert read_users(written) == read_users(imported)
    assert read_events(written) == read_events(imported)
    for agency in (written, imported):
        cast.assert_whole(agency)


def read_users(agency: models.Agency) -> list[dict[str, Any]]:
    """All columns of the agency's users, with what they refer to by its name."""
    refers = {
        "role_id": "role__name", "rank_id": "rank__name", "group_id": "group__external_id",
        "supervisor_id": "supervisor__external_id",
    }  # fmt: skip
    names = [refers.get(field.attname, field.attname) for field in models.User._meta.concrete_fields]
    wanted = [name for name in names if name not in ("id", "agency_id")]
    return list(models.User.objects.filter(agency=agency).order_by("pk").values(*wanted))


def read_events(agency: models.Agency) -> list[tuple[Any, ...]]:
    """Who was added, with which values, in the order of the trail."""
    events = models.Event.objects.filter(agency=agency).order_by("pk")
    return list(events.values_list("kind", "subject_external_id", "row", "changes"))
