"""The trail: one event for each changed user, sealed so that whoever meddles with it is found."""

import json
from importlib import import_module

import polars as pl
import pytest
from django.db import connection

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit import hash_chain, trail, verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.imports.options import Options
from tests.built_once import built_once
from tests.directory.cast import NOW, agency, apply_rows, people, person, run, user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("as_owner")]


@built_once
def three_links() -> models.Agency:
    made = agency()
    for number in (1, 3, 5):
        apply_rows(made, people(number, number + 1))
    assert verify.verify_trail(made) == verify.TrailFinding("springfield", 3, 6, "", verify.verify_trail(made).digest)
    return made


def find_error(made: models.Agency) -> str:
    return verify.verify_trail(made).error


def test_an_agency_without_events_is_whole() -> None:
    assert verify.verify_trail(agency()) == verify.TrailFinding("springfield", 0, 0)


def test_an_event_names_who_when_how_the_import_the_row_and_each_field() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))
    done = apply_rows(
        made, [person(1, ROLE="Chief", LAST_NAME='O"Neil\\'), person(2)], Options(), by="E-1", through="api"
    )
    added, updated = models.Event.objects.filter(of=done.record).order_by("kind")
    assert (updated.at, updated.actor, updated.through, updated.row) == (NOW, "E-1", "api", 2)
    assert (updated.subject_id, updated.subject_external_id) == (user(made, 1).pk, "E-1")
    assert json.loads(updated.changes) == {"LAST_NAME": ["Last 1", 'O"Neil\\']}
    assert (added.kind, added.row) == ("user.added", 3)
    assert json.loads(added.changes)["EMAIL"] == ["", "user2@agency.example"]


def test_who_leaves_has_an_event_without_a_row() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    done = apply_rows(made, people(1), Options(mode=Mode.SYNC))
    (event,) = models.Event.objects.filter(of=done.record)
    assert (event.kind, event.subject_external_id, event.row) == ("user.deactivated", "E-2", None)
    assert json.loads(event.changes) == {"STATUS": ["Active", "Inactive"]}


def test_the_events_of_an_undo_name_it_and_its_rows() -> None:
    made = agency()
    done = undo.run_undo(apply_rows(made, people(1)).record, context=AuditContext(NOW, "", "cli"))
    (event,) = models.Event.objects.filter(of=done.record)
    assert (event.row, json.loads(event.changes)) == (2, {"STATUS": ["Active", "Inactive"]})


_COVERED = sorted((hash_chain.SEALED | hash_chain.ALSO | hash_chain.LATER).keys() - {"id", "agency_id"})
"""Every column that the hash chain covers; events of another agency and with another id have tests of their own."""


@pytest.mark.parametrize("field", _COVERED)
def test_a_changed_event_is_found(field: str) -> None:
    made = three_links()
    event = models.Event.objects.filter(agency=made).order_by("pk")[2]
    other = {"row": 99, "at": NOW.replace(microsecond=1), "subject_id": None, "of_id": None}.get(field, "other")
    models.Event.objects.filter(pk=event.pk).update(**{field: other})
    assert find_error(made) == "the events of link 2 are not those that were sealed"


@pytest.mark.parametrize("place", range(6))
def test_a_removed_event_is_found_wherever_it_stood(place: int) -> None:
    made = three_links()
    models.Event.objects.filter(agency=made).order_by("pk")[place].delete()
    assert find_error(made) == f"the events of link {place // 2 + 1} are not those that were sealed"


def inserted(made: models.Agency, pk: int) -> None:
    models.Event.objects.create(pk=pk, agency=made, at=NOW, actor="", through="cli", kind="user.updated")


def test_an_inserted_event_is_found_before_between_within_and_after() -> None:
    made = three_links()
    first, last = (models.Event.objects.order_by(by).values_list("pk", flat=True)[0] for by in ("pk", "-pk"))
    inserted(made, first - 1)
    assert find_error(made) == "events that nothing seals stand before link 1"
    models.Event.objects.filter(pk=first - 1).delete()
    inserted(made, last + 1)
    assert find_error(made) == "events that nothing seals stand after the last link"


def test_an_event_of_another_agency_is_no_event_of_this_one() -> None:
    made = three_links()
    other = agency("shelbyville")
    apply_rows(other, people(1))
    models.Event.objects.filter(agency=made, pk=models.Event.objects.filter(agency=made).order_by("pk")[1].pk).update(
        agency=other
    )
    assert find_error(made) == "the events of link 1 are not those that were sealed"
    assert find_error(other) == "events that nothing seals stand before link 1"


@pytest.mark.parametrize("number", [1, 2])
def test_a_removed_link_is_found(number: int) -> None:
    made = three_links()
    models.TrailLink.objects.filter(agency=made, number=number).delete()
    assert find_error(made) == f"link {number} is missing"


def test_a_removed_link_with_its_events_and_new_numbers_is_found() -> None:
    made = three_links()
    link = models.TrailLink.objects.get(agency=made, number=2)
    models.Event.objects.filter(agency=made, pk__gte=link.first, pk__lte=link.last).delete()
    link.delete()
    models.TrailLink.objects.filter(agency=made, number=3).update(number=2)
    assert find_error(made) == "the events of link 2 are not those that were sealed"


def test_a_lost_end_is_missed() -> None:
    made = three_links()
    link = models.TrailLink.objects.get(agency=made, number=3)
    models.Event.objects.filter(agency=made, pk__gte=link.first).delete()
    link.delete()
    assert find_error(made) == "the trail should have 3 links and ends after link 2, or its end was changed"


def test_a_lost_trail_is_missed_and_a_lost_end_of_it_too() -> None:
    made = three_links()
    models.TrailEnd.objects.filter(agency=made).delete()
    assert find_error(made).startswith("the trail should have 0 links")
    assert verify.verify_trail(made).events == 6


def test_what_is_appended_while_it_is_verified_is_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    made = three_links()
    ends = iter([(2, "an older digest")])
    now = hash_chain.read_head
    monkeypatch.setattr(hash_chain, "read_head", lambda of: next(ends, None) or now(of))
    assert find_error(made) == ""


def test_an_ordinary_act_is_sealed_as_well() -> None:
    made = three_links()
    happened = pl.DataFrame({
        "kind": ["agency.configured", "signed-in"], "subject_id": [None, user(made, 1).pk], "subject_external_id": ["", "E-1"],
        "row": [None, None], "changes": [json.dumps({"name": ["a\nb", "ü"]}), "{}"],
    })  # fmt: skip
    before = verify.verify_trail(made)
    trail.append_events(made, AuditContext(NOW, "E-1", "page", "192.0.2.1"), [happened])
    after = verify.verify_trail(made)
    assert (after.links, after.events, after.error) == (4, 8, "")
    assert after.digest != before.digest
    models.Event.objects.filter(kind="signed-in").update(address="192.0.2.2")
    assert find_error(made) == "the events of link 4 are not those that were sealed"


def test_the_changes_of_an_event_are_stored_as_they_are_read() -> None:
    made = agency()
    trail.record_event(
        made, AuditContext(NOW, "", "system"), EventKind.AGENCY_CHANGED, changes={"name": ("Zoë", "Łódź “2”")}
    )
    assert models.Event.objects.get(agency=made).changes == '{"name":["Zoë","Łódź “2”"]}'


def test_nothing_that_happened_is_no_link() -> None:
    made = three_links()
    assert run(made, people(1)).record.counts["unchanged"] == 1
    assert verify.verify_trail(made).links == 3


def test_a_long_link_is_verified_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = three_links()
    monkeypatch.setattr(verify, "_PART", 1)
    monkeypatch.setattr(verify, "_LINKS", 2)
    assert find_error(made) == ""


def test_a_trail_is_verified_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    made = three_links()
    monkeypatch.setattr(verify, "_LINKS", 1)
    so_far: verify.CheckProgress | verify.TrailFinding = verify.CheckProgress()
    steps = []
    while isinstance(so_far, verify.CheckProgress):
        steps.append(so_far.links)
        so_far = verify.continue_check(made, so_far, lambda: True)
    assert steps == [0, 1, 2, 3]
    assert so_far == verify.verify_trail(made)


def passages(made: models.Agency) -> list[tuple[str, str, int]]:
    runs = models.Passage.objects.filter(agency=made).order_by("first")
    return [
        (one.kind, one.actor, models.Event.objects.filter(pk__gte=one.first, pk__lte=one.last).count()) for one in runs
    ]


def test_events_that_are_alike_are_one_passage_though_they_come_in_parts() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3, 4))
    apply_rows(made, [person(1, ROLE="Admin"), *people(5, 6)], Options(mode=Mode.SYNC, confirmed={"deactivations": 3}))
    assert passages(made) == [
        ("user.added", "", 4), ("user.added", "", 2), ("user.updated", "", 1), ("user.deactivated", "", 3),
    ]  # fmt: skip
    part = pl.DataFrame({
        "kind": ["user.signed-out"] * 2, "subject_id": [None] * 2, "subject_external_id": [""] * 2,
        "row": [None] * 2, "changes": ["{}"] * 2,
    })  # fmt: skip
    trail.append_events(made, AuditContext(NOW, "E-1", "page"), [part, part])
    assert passages(made)[4:] == [("user.signed-out", "E-1", 4)]
    assert find_error(made) == ""


@pytest.mark.parametrize("field", ["actor", "through", "kind", "outcome", "at", "first", "last", "of"])
def test_a_changed_passage_is_found(field: str) -> None:
    made = three_links()
    passage = models.Passage.objects.filter(agency=made).order_by("first")[1]
    other: object = {"at": NOW.replace(microsecond=1), "of": None}.get(field, "other")
    if field in ("first", "last"):
        other = getattr(passage, field) + (1 if field == "first" else -1)
    models.Passage.objects.filter(pk=passage.pk).update(**{field: other})
    assert find_error(made) == "the passages of links 1 to 3 are not those of their events"


def test_an_added_or_removed_passage_is_found() -> None:
    made = three_links()
    last = models.Passage.objects.filter(agency=made).order_by("first")[2]
    added = models.Passage.objects.create(
        agency=made,
        at=NOW,
        actor="",
        through="cli",
        kind="user.added",
        outcome="",
        first=last.last + 5,
        last=last.last + 6,
    )
    assert find_error(made) == "passages that have no events stand after the last link"
    added.delete()
    last.delete()
    assert find_error(made) == "the passages of links 1 to 3 are not those of their events"


def test_passages_are_made_for_a_trail_that_has_none() -> None:
    made = three_links()
    before = passages(made)
    models.Passage.objects.all().delete()
    fill = import_module("musterbook.directory.migrations.0008_passages").FILL
    with connection.cursor() as cursor:
        cursor.execute(fill)
    assert passages(made) == before
    assert find_error(made) == ""
