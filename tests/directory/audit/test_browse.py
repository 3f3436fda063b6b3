"""The trail looked at: page by page and whole, by every filter."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit import browse, export, trail
from musterbook.directory.audit.browse import UnknownCursor
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from tests.built_once import built_once
from tests.directory.cast import NOW, agency, apply_rows, people, person, user

pytestmark = pytest.mark.django_db


def list_events(made: models.Agency, criteria: EventFilters) -> list[tuple[str, str]]:
    """Kind and subject of all events that are wanted, the newest first: by pages, back again, and as a whole."""
    pages = [browse.read_page(made, criteria)]
    while pages[-1].older:
        pages.append(browse.read_page(made, criteria, pages[-1].older))
    assert pages[0].newer == ""
    for earlier, later in pairwise(pages):
        assert browse.read_page(made, criteria, later.newer).events == earlier.events
    events = [event for page in pages for event in page.events]
    whole = [number for part in export.read_events(made, criteria) for number in part["id"]]
    assert [event.id for event in events] == whole[::-1]
    return [(event.kind, event.subject_external_id) for event in events]


@built_once
def springfield() -> models.Agency:
    """Two imports, one of them by user 1, and acts at two pages, one of which was refused."""
    made = agency()
    apply_rows(made, people(*range(1, 131), ROLE="Chief"))
    apply_rows(made, [person(2, LAST_NAME="New"), person(131)], at=NOW + timedelta(hours=1), by="E-1", through="page")
    for minutes, actor, kind, about, outcome in (
        (90, "E-1", EventKind.USER_SIGNED_IN, 1, ""),
        (95, "E-2", EventKind.USER_SIGNED_IN, 2, ""),
        (95, "", EventKind.USER_SIGN_IN_FAILED, 2, "failed"),
        (99, "E-2", EventKind.ACT_REFUSED, None, "refused"),
    ):
        context = AuditContext(NOW + timedelta(minutes=minutes), actor, "page", "192.0.2.7", "Browser/1")
        trail.record_event(made, context, kind, user(made, about) if about else None, outcome=outcome)
    return made


def test_all_events_are_listed_the_newest_first_and_each_once() -> None:
    made = springfield()
    apply_rows(agency("shelbyville"), people(1))
    listed = list_events(made, EventFilters())
    assert listed[:6] == [
        ("act.refused", ""), ("user.sign-in-failed", "E-2"), ("user.signed-in", "E-2"), ("user.signed-in", "E-1"),
        ("user.updated", "E-2"), ("user.added", "E-131"),
    ]  # fmt: skip
    assert len(listed) == 136 == len(set(listed))


FILTERS: dict[str, tuple[Callable[[models.Agency], EventFilters], Any]] = {
    "an actor": (lambda made: EventFilters(actors=("E-1",)), ["user.signed-in", "user.updated", "user.added"]),
    "two actors": (lambda made: EventFilters(actors=("E-1", "E-2")), 5),
    "the system": (lambda made: EventFilters(actors=("",)), 131),
    "nobody": (lambda made: EventFilters(actors=()), []),
    "a subject": (
        lambda made: EventFilters(subjects=(user(made, 2).pk,)),
        ["user.sign-in-failed", "user.signed-in", "user.updated", "user.added"],
    ),
    "no subject": (lambda made: EventFilters(subjects=()), []),
    "an import": (
        lambda made: EventFilters(import_id=models.Import.objects.latest("pk").pk),
        ["user.updated", "user.added"],
    ),
    "a long import": (lambda made: EventFilters(import_id=models.Import.objects.earliest("pk").pk), 130),
    "a kind": (lambda made: EventFilters(kinds=("user.updated",)), ["user.updated"]),
    "two kinds": (lambda made: EventFilters(kinds=("user.signed-in", "user.added")), 133),
    "what it came through": (lambda made: EventFilters(through="cli"), 130),
    "what was refused": (lambda made: EventFilters(outcome="refused"), ["act.refused"]),
    "what failed": (lambda made: EventFilters(outcome="failed"), ["user.sign-in-failed"]),
    "what was done": (lambda made: EventFilters(outcome="done"), 134),
    "a time": (
        lambda made: EventFilters(since=NOW + timedelta(minutes=90), until=NOW + timedelta(minutes=95)),
        ["user.signed-in"],
    ),
    "all at once": (
        lambda made: EventFilters(("E-2",), (user(made, 2).pk,), None, ("user.signed-in",), "page", "done", NOW),
        ["user.signed-in"],
    ),
    "an actor and kinds": (
        lambda made: EventFilters(actors=("E-1", ""), kinds=("user.updated", "user.added")),
        132,
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_lets_through_what_it_names(name: str) -> None:
    made = springfield()
    criteria, expected = FILTERS[name]
    listed = list_events(made, criteria(made))
    assert (len(listed) if isinstance(expected, int) else [kind for kind, _ in listed]) == expected


def test_pages_do_not_shift_while_events_are_added() -> None:
    made = springfield()
    second = browse.read_page(made, EventFilters(), browse.read_page(made, EventFilters()).older)
    place = browse.read_page(made, EventFilters()).older
    trail.record_event(
        made, AuditContext(NOW + timedelta(days=1), "E-1", "page"), EventKind.USER_SIGNED_IN, user(made, 1)
    )
    assert browse.read_page(made, EventFilters(), place).events == second.events


@pytest.mark.usefixtures("as_owner")
def test_events_of_two_agencies_that_were_written_at_once_stay_apart() -> None:
    made, other = springfield(), agency("shelbyville")
    apply_rows(other, people(1))
    passage = models.Passage.objects.filter(agency=made).order_by("first")[2]
    # As on PostgreSQL, where two imports may take their numbers in turn.
    models.Passage.objects.filter(pk=passage.pk).update(last=models.Event.objects.latest("pk").pk)
    models.Passage.objects.filter(agency=made, first__gt=passage.first).delete()
    models.Event.objects.filter(agency=made, pk__gt=passage.first).delete()
    listed = list_events(made, EventFilters())
    assert len(listed) == 132
    assert listed[0] == ("user.updated", "E-2")


@pytest.mark.parametrize(
    "place", ["x", "20260302T070000.000000-x", f"20260302T070000.000000-{2**63}", "~", "-1", "2026-1"]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(UnknownCursor):
        browse.read_page(springfield(), EventFilters(), place)


def test_an_event_shows_the_names_of_its_actor_and_subject() -> None:
    made = springfield()
    (event,) = browse.read_page(made, EventFilters(kinds=("user.updated",))).events
    assert (event.actor, event.actor_name) == ("E-1", "First 1 Last 1")
    assert (event.subject, event.subject_external_id, event.subject_name) == (user(made, 2).pk, "E-2", "First 2 New")
    assert (event.through, event.row, event.number) == ("page", 2, models.Import.objects.latest("pk").number)
    assert event.changes == {"LAST_NAME": ("Last 2", "New"), "ROLE": ("Chief", "Officer")}


def test_a_page_takes_few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PAGE", 10)
    made = springfield()
    for number in range(12):
        apply_rows(made, [person(1, ROLE="Chief", LAST_NAME=f"N{number}"), person(2, LAST_NAME=f"N{number}")])
    for criteria in (
        EventFilters(),
        EventFilters(kinds=("user.added", "user.updated")),
        EventFilters(subjects=(user(made, 1).pk,)),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert len(browse.read_page(made, criteria).events) == 10
        assert len(queries) <= 5


@pytest.mark.parametrize(("batch", "before"), [(2, 0), (100, 1)])
def test_the_whole_is_read_in_parts(monkeypatch: pytest.MonkeyPatch, batch: int, before: int) -> None:
    made = springfield()
    for _ in range(before):
        trail.record_event(made, AuditContext(NOW - timedelta(days=1), "", "cli"), EventKind.AGENCY_CHANGED)
    filters = (EventFilters(), EventFilters(subjects=tuple(user(made, n).pk for n in range(1, 9))))
    whole = [list_events(made, criteria) for criteria in filters]
    for name, value in (("_PART", 3), ("_BATCH", batch), ("_FEW", 2)):
        monkeypatch.setattr(export, name, value)
    assert [list_events(made, criteria) for criteria in filters] == whole


def test_csv_is_guarded_and_has_its_headings_where_nothing_matches() -> None:
    made = agency()
    apply_rows(made, [person(1, EXTERNAL_ID="=1+1")])
    csv = b"".join(export.export_events(made, EventFilters(), "csv")).decode("utf-8-sig")
    assert ",'=1+1," in csv
    nothing = b"".join(export.export_events(made, EventFilters(actors=()), "csv")).decode("utf-8-sig")
    assert nothing == ",".join(export.HEADINGS) + "\r\n"


def test_who_was_deactivated_by_an_import_is_found_by_the_kind() -> None:
    made = agency()
    apply_rows(made, people(*range(1, 61)))
    apply_rows(made, people(*range(1, 60)), Options(mode=Mode.SYNC))
    assert list_events(made, EventFilters(kinds=("user.deactivated",))) == [("user.deactivated", "E-60")]
