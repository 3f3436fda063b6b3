"""What applied imports did, day by day."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory.imports import activity
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, people, person, run

pytestmark = pytest.mark.django_db

SYNC = Options(mode=Mode.SYNC)


def test_each_day_has_the_users_that_all_its_imports_added_updated_and_took_access_from() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3), at=NOW - timedelta(days=2))
    apply_rows(made, [person(1, LAST_NAME="New"), person(4)], at=NOW - timedelta(hours=3))
    apply_rows(made, people(1, 4, LAST_NAME="Newer"), SYNC, at=NOW)
    assert [
        (day.day.day, day.added, day.updated, day.losing_access) for day in activity.read_days(made, NOW, UTC, 3)
    ] == [
        (28, 3, 0, 0),
        (1, 0, 0, 0),
        (2, 1, 3, 2),
    ]


def test_the_days_are_thirty_with_today_and_an_older_import_is_in_none() -> None:
    made = agency()
    apply_rows(made, people(1), at=NOW - timedelta(days=30))
    apply_rows(made, people(2, 3), at=NOW - timedelta(days=29))
    days = activity.read_days(made, NOW, UTC)
    assert len(days) == 30 and days[0].added == 2 and sum(day.added for day in days) == 2
    assert (days[0].day, days[-1].day) == (date(2026, 2, 1), date(2026, 3, 2))


def test_a_day_begins_at_midnight_of_the_time_zone() -> None:
    made, west = agency(), timezone(timedelta(hours=-8))
    midnight = datetime(2026, 3, 2, 8, tzinfo=UTC)
    apply_rows(made, people(1), at=midnight - timedelta(days=1, seconds=1))
    apply_rows(made, people(2, 3), at=midnight - timedelta(seconds=1))
    apply_rows(made, people(4), at=midnight)
    days = activity.read_days(made, midnight, west, 2)
    assert [(day.day, day.added) for day in days] == [(date(2026, 3, 1), 2), (date(2026, 3, 2), 1)]


def test_an_import_that_is_held_or_of_another_agency_has_no_effect_yet() -> None:
    made = agency()
    apply_rows(agency("shelbyville"), people(1, 2))
    apply_rows(made, people(*range(1, 21)), at=NOW - timedelta(days=1))
    assert run(made, people(1), SYNC).record.state == "held"
    assert [(day.added, day.losing_access) for day in activity.read_days(made, NOW, UTC, 2)] == [(20, 0), (0, 0)]
