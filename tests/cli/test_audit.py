"""`muster audit`: who changed what, and whether the trail is whole."""

import csv
import io
import json

import pytest

from musterbook.directory import models
from tests.cli.conftest import Muster, row


def events(muster: Muster, *options: str) -> list[dict[str, str]]:
    done = muster("audit", "--agency", "springfield-pd", *options)
    assert done.status == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out.decode("utf-8-sig"), newline="")))


def test_each_changed_user_has_one_event_with_the_import_and_the_row(springfield: Muster) -> None:
    springfield.imported(row("ann"), row("bob"))
    number = springfield.imported(row("ann"), row("bob", rank="Sgt")).json["import"]
    told = events(springfield, "--user", "E-bob")
    assert [event["KIND"] for event in told] == ["user.added", "user.updated"]
    last = told[-1]
    assert (last["IMPORT"], last["ROW"], last["THROUGH"], last["ACTOR"]) == (number, "3", "cli", "")
    assert json.loads(last["CHANGES"]) == {"RANK": ["", "Sergeant"]}


def test_the_trail_is_given_as_json_too(springfield: Muster) -> None:
    springfield.imported(row("ann"))
    told = springfield("audit", "--agency", "springfield-pd", "--format", "json").json
    assert [event["KIND"] for event in told] == ["agency.added", "user.added"]
    assert told[0]["AT"].endswith("Z")


def test_a_time_bounds_the_events_and_a_day_is_meant_whole(springfield: Muster) -> None:
    day = f"{models.Event.objects.latest('pk').at:%Y-%m-%d}"
    assert len(events(springfield, "--since", day, "--until", day)) == 1
    assert events(springfield, "--until", f"{day}T00:00") == []
    assert events(springfield, "--since", "2999-01-01T00:00+02:00") == []


@pytest.mark.parametrize(
    "options", [(), ("--agency", "nowhere"), ("--agency", "springfield-pd", "--since", "yesterday")]
)
def test_a_wrong_call_is_told(springfield: Muster, options: tuple[str, ...]) -> None:
    done = springfield("audit", *options)
    assert (done.status, done.text) == (2, "")
    assert done.err


@pytest.mark.usefixtures("as_owner")
def test_a_trail_that_was_changed_is_found(springfield: Muster) -> None:
    springfield.imported(row("ann"))
    assert springfield("audit", "verify").text == "springfield-pd: whole (events: 2, links: 2)\n"
    models.Event.objects.filter(kind="user.added").update(changes="{}")
    done = springfield("audit", "verify")
    assert done.status == 1
    assert "not whole: the events of link 2" in done.text
