"""`muster audit`: who changed what, and whether the trail is whole."""

import csv
import io
import json

import pytest
from django.db import connection

from musterbook.directory import models
from tests.cli.conftest import Muster, row


def events(muster: Muster, *options: str) -> list[dict[str, str]]:
    done = muster("audit", "--agency", "springfield-pd", *options)
    assert done.status == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out.decode("utf-8-sig"), newline="")))


def test_each_changed_user_has_one_event_with_the_import_and_the_row(springfield: Muster) -> None:
    springfield.begin_with(row("ann"), row("bob"))
    number = springfield.imported(row("ann"), row("bob", rank="Sgt")).json["import"]
    listed = events(springfield, "--user", "E-bob")
    assert [event["KIND"] for event in listed] == ["user.added", "user.updated"]
    last = listed[-1]
    assert (last["IMPORT"], last["ROW"], last["THROUGH"], last["ACTOR"]) == (number, "3", "cli", "")
    assert json.loads(last["CHANGES"]) == {"RANK": ["", "Sergeant"]}


def test_the_trail_is_given_as_json_too(springfield: Muster) -> None:
    springfield.begin_with(row("ann"))
    listed = springfield("audit", "--agency", "springfield-pd", "--format", "json").json
    assert [event["KIND"] for event in listed] == ["agency.added", "user.added"]
    assert listed[0]["AT"].endswith("Z")


def test_a_time_bounds_the_events_and_a_day_is_meant_whole(springfield: Muster) -> None:
    day = f"{models.Event.objects.latest('pk').at:%Y-%m-%d}"
    assert len(events(springfield, "--since", day, "--until", day)) == 1
    assert events(springfield, "--until", f"{day}T00:00") == []
    assert events(springfield, "--since", "2999-01-01T00:00+02:00") == []


@pytest.mark.parametrize(
    "options", [(), ("--agency", "nowhere"), ("--agency", "springfield-pd", "--since", "yesterday")]
)
def test_a_wrong_call_is_reported(springfield: Muster, options: tuple[str, ...]) -> None:
    done = springfield("audit", *options)
    assert (done.status, done.text) == (2, "")
    assert done.err


@pytest.mark.usefixtures("as_owner")
def test_a_trail_that_was_changed_is_found(springfield: Muster) -> None:
    springfield.begin_with(row("ann"))
    assert springfield("audit", "verify").text == "springfield-pd: whole (events: 2, links: 2)\n"
    models.Event.objects.filter(kind="user.added").update(changes="{}")
    done = springfield("audit", "verify")
    assert done.status == 1
    assert "not whole: the events of link 2" in done.text


def test_a_head_that_was_shown_is_expected_later_and_another_is_not(springfield: Muster) -> None:
    springfield.begin_with(row("ann"))
    done = springfield("audit", "head")
    name, _, head = done.text.strip().partition(" ")
    assert (done.status, name, head.partition(":")[0]) == (0, "springfield-pd", "2")
    digest = head.partition(":")[2]
    springfield.imported(row("bob"))
    assert springfield("audit", "head", "--agency", "springfield-pd").text.startswith("springfield-pd 3:")
    line = f"2026-03-02T07:00:00Z agency=1 slug=springfield-pd links=2 head={digest} key=1a2b seal=3c4d"
    for right in (
        head,
        digest,
        head.upper(),
        f" {head} ",
        f"springfield-pd {head}",
        line,
        f"<13>Mar 2 host muster: {line}",
    ):
        done = springfield("audit", "verify", "--expect", right)
        assert (done.status, done.text) == (0, "springfield-pd: whole (events: 3, links: 3)\n")
    for other, why in (
        (f"3:{digest}", "link 3 is not the one that the expected head knows"),
        (f"9:{digest}", "the trail has 3 links, and the expected head knows 9: its end was removed"),
        ("f" * 64, "no link is the one that the expected head knows"),
    ):
        done = springfield("audit", "verify", "--agency", "springfield-pd", "--expect", head, "--expect", other)
        assert done.status == 1
        assert f"springfield-pd: not whole: {why}" in done.text
        assert "muster restore" in done.err


@pytest.mark.parametrize("expected", ["", "2:", "x", "0:" + "a" * 64, "-1:" + "a" * 64, "a" * 63, "1:" + "g" * 64])
def test_what_is_no_head_is_refused(springfield: Muster, expected: str) -> None:
    done = springfield("audit", "verify", "--expect", expected)
    assert (done.status, done.text) == (2, "")
    assert f"--expect is “{expected}”, which is not a chain head. Write it as `muster audit head` shows it" in done.err


def test_an_expected_head_is_that_of_one_agency(springfield: Muster) -> None:
    head = springfield("audit", "head").text.split()[1]
    models.Agency.objects.create(slug="shelbyville", name="Shelbyville", created_at="2026-03-03T07:00:00Z")
    done = springfield("audit", "verify", "--expect", head)
    assert (done.status, done.text) == (2, "")
    assert "Name the agency whose head you expect" in done.err
    assert springfield("audit", "verify", "--agency", "springfield-pd", "--expect", head).status == 0
    done = springfield("audit", "verify", "--agency", "shelbyville", "--expect", head)
    assert done.status == 1
    assert done.text.startswith("shelbyville: not whole: the trail has 0 links, and the expected head knows 1")
    for command in ("head", "verify"):
        done = springfield("audit", command, "--agency", "nowhere")
        assert (done.status, done.text) == (2, "")
        assert "nowhere" in done.err


def test_a_role_of_the_embedded_database_cannot_be_granted(springfield: Muster) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("tests/attacks/test_application_role.py grants it")
    done = springfield("migrate", "--app-role", "muster_app")
    assert (done.status, done.text) == (2, "")
    assert "--app-role is only for PostgreSQL. The embedded database has no roles." in done.err
