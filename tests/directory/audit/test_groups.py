"""The trail in groups: an import is one entry, and nothing is lost or shown twice when one turns the pages."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from musterbook.directory import models
from musterbook.directory.audit import browse, groups, trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.audit.trail import AuditContext
from tests.directory import cast
from tests.directory.cast import person

pytestmark = [pytest.mark.any_database, pytest.mark.django_db]


def fill(people: int) -> models.Agency:
    """An agency with one import of so many users, and then one event of each minute of an hour."""
    agency = cast.agency()
    cast.apply_rows(agency, [person(number) for number in range(1, people + 1)])
    for minute in range(60):
        context = AuditContext(cast.NOW + timedelta(minutes=minute + 1), "E-1", "page")
        trail.record_event(agency, context, EventKind.USER_SIGNED_OUT, cast.user(agency, 1))
    return agency


def test_an_import_is_one_entry_with_its_first_events_and_the_counts_of_its_record() -> None:
    agency = fill(30)
    page = groups.read_page(agency, EventFilters(until=cast.NOW + timedelta(seconds=1)))
    [entry] = page.groups
    assert (entry.number, entry.of_import, entry.counts["added"]) == (30, True, 30)
    assert len(entry.events) == groups.FIRST and {event.file_name for event in entry.events} == {"users.csv"}
    assert (page.newer, page.older) == ("", "")


def test_pages_go_on_where_the_last_one_ended_and_lead_back() -> None:
    agency = fill(30)
    first = groups.read_page(agency, EventFilters())
    second = groups.read_page(agency, EventFilters(), first.older)
    assert (len(first.groups), len(second.groups), second.older) == (50, 11, "")
    assert sum(entry.number for entry in (*first.groups, *second.groups)) == 90
    again = groups.read_page(agency, EventFilters(), second.newer)
    assert [entry.events[0].id for entry in again.groups] == [entry.events[0].id for entry in first.groups]
    with pytest.raises(browse.UnknownCursor):
        groups.read_page(agency, EventFilters(), "nowhere")


def test_what_the_system_did_many_times_on_one_day_is_one_entry() -> None:
    agency = cast.agency()
    cast.apply_rows(agency, [person(number) for number in range(1, 9)])
    for day in (1, 2):
        for number in range(1, 9):
            context = AuditContext(cast.NOW + timedelta(days=day, minutes=number), "", "system")
            trail.record_event(agency, context, EventKind.USER_INVITED, cast.user(agency, number))
    found = groups.read_page(agency, EventFilters()).groups
    assert [(entry.number, entry.of_import) for entry in found] == [(8, False), (8, False), (8, True)]
    assert found[0].counts == {"user.invited": 8}
    assert [event.subject_external_id for event in found[0].events][:2] == ["E-8", "E-7"]


def test_a_page_costs_no_more_for_a_large_import() -> None:
    small = fill(5)
    with CaptureQueriesContext(connection) as few:
        groups.read_page(small, EventFilters())
    cast.apply_rows(small, [person(number) for number in range(100, 400)])
    with CaptureQueriesContext(connection) as many:
        page = groups.read_page(small, EventFilters())
    assert len(many) <= len(few) + 1 and sum(len(entry.events) for entry in page.groups) < 80


def test_an_agency_without_events_has_an_empty_page() -> None:
    agency = cast.agency()
    page = groups.read_page(agency, EventFilters(actors=("nobody",)))
    assert (page.groups, page.newer, page.older) == ([], "", "")


def test_events_of_other_agencies_are_in_no_group() -> None:
    agency = fill(3)
    other = cast.agency("shelbyville")
    cast.apply_rows(other, [person(number) for number in range(1, 4)])
    [entry] = groups.read_page(agency, EventFilters(until=cast.NOW + timedelta(seconds=1))).groups
    assert entry.number == 3 and {event.subject for event in entry.events} == set(
        models.User.objects.filter(agency=agency).values_list("pk", flat=True)
    )
