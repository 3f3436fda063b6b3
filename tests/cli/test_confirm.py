"""`--confirm`, `muster apply` and what the command prints about a held import (S4, S8)."""

import sys

import pytest

from musterbook.directory import models
from tests.cli.conftest import Muster, row

ANN, BOB, CAT = row("ann", role="Admin"), row("bob"), row("cat")
STAFF = (ANN, BOB, CAT)
PROMOTED = [row(name, role="Clerk") for name in ("bob", "cat")]


@pytest.fixture
def staffed(springfield: Muster) -> Muster:
    """An administrator and two officers; nobody may gain a permission or lose access unseen."""
    springfield.imported(*STAFF)
    limits = [{"kind": kind, "users": 0, "percent": 0, "most": None, "off": False, "role": None, "group": None}
              for kind in ("deactivations", "privileges")]  # fmt: skip
    models.Agency.objects.update(limits=limits)
    return springfield


def test_each_kind_that_holds_an_import_is_confirmed_by_itself(staffed: Muster) -> None:
    rows = (row("bob", role="Clerk"), row("cat", status="Inactive"))
    held = staffed.imported(*rows)
    assert [(hold["kind"], hold["users"]) for hold in held.json["holds"]] == [("deactivations", 1), ("privileges", 1)]
    one = staffed.imported(*rows, also=("--confirm", "deactivations=1"))
    assert (one.status, [hold["kind"] for hold in one.json["holds"]]) == (4, ["privileges"])
    both = ("--confirm-deactivations", "1", "--confirm", "privileges=1")
    assert staffed.imported(*rows, also=both).status == 0


def test_the_command_that_is_printed_confirms_every_kind(staffed: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    file = staffed.file(row("bob", role="Clerk"), row("cat", status="Inactive"))
    called = ["import", str(file), "--agency", "springfield-pd", "--as", "E-ann", "--confirm", "deactivations=1"]
    monkeypatch.setattr(sys, "argv", ["muster", *called])
    held = staffed(*called)
    command = held.text.rpartition("To apply it anyway: ")[2].split()
    assert command[-6:] == ["--as", "E-ann", "--confirm", "deactivations=1", "--confirm", "privileges=1"]
    assert "1 user would gain a permission. The limit is 0, with 3 active users." in held.text
    assert "E-bob        Bob Smith" in held.text
    assert staffed(*command[1:]).status == 0


def test_a_preview_that_would_be_held_prints_the_command_with_who_acts(staffed: Muster) -> None:
    file = staffed.file(*PROMOTED)
    seen = staffed("import", file, "--agency", "springfield-pd", "--as", "E-ann", "--preview")
    command = seen.text.rpartition("To apply it: muster ")[2].split()
    assert command[2:] == ["--confirm", "privileges=2", "--as", "E-ann"]
    assert "2 users to update, 2 will gain a permission." in seen.text
    done = staffed(*command)
    assert (done.status, "2 users updated, 2 gained a permission." in done.text) == (0, True)


def test_an_undo_is_held_and_applied_by_its_own_id(staffed: Muster) -> None:
    number = staffed.imported(row("dan"), row("eve")).json["import"]
    held = staffed("undo", number, "--output", "json")
    assert (held.status, held.json["holds"][0]["kind"]) == (4, "deactivations")
    unconfirmed = staffed("apply", held.json["import"])
    assert (unconfirmed.status, unconfirmed.text) == (4, "")
    assert "To confirm it, add --confirm deactivations=2. Nothing was changed." in unconfirmed.err
    assert staffed("apply", held.json["import"], "--confirm", "deactivations=2").status == 0


def test_a_plan_that_stays_held_is_printed_as_json(staffed: Muster) -> None:
    """Rule S4: a script that applies a plan sees what it must confirm, also where only a preview was asked for."""
    file = staffed.file(row("bob", role="Clerk"), row("cat", status="Inactive"))
    seen = staffed("import", file, "--agency", "springfield-pd", "--preview", "--output", "json").json
    known = ("--confirm", "deactivations=1")
    stays = staffed("apply", seen["import"], *known, "--confirm", "privileges=2", "--output", "json", "--rows", "all")
    assert (stays.status, stays.json["state"], stays.json["import"]) == (4, "held", seen["import"])
    assert [(hold["kind"], hold["users"]) for hold in stays.json["holds"]] == [("privileges", 1)]
    assert (stays.json["held"]["kind"], len(stays.json["rows"])) == ("privileges", 2)
    assert staffed("apply", seen["import"], *known, "--confirm", "privileges=1", "--output", "json").status == 0


def test_a_plan_that_waits_for_another_user_is_printed_as_json(staffed: Muster) -> None:
    """Rule S8."""
    staffed.imported(row("boss", role="Admin"), also=("--confirm", "privileges=1"))
    models.Agency.objects.update(second_approver=True)
    held = staffed.imported(*PROMOTED, also=("--as", "E-ann")).json
    number, also = held["import"], ("--confirm", "privileges=2", "--output", "json", "--as")
    refused = staffed("apply", number, *also, "E-ann")
    assert (refused.status, refused.json["state"], refused.json["holds"]) == (4, "held", held["holds"])
    assert "another user must confirm it" in refused.err
    assert staffed("apply", number, *also, "E-boss").json["state"] == "applied"


def test_an_undo_that_is_confirmed_is_done_at_once(staffed: Muster) -> None:
    number = staffed.imported(row("dan"), row("eve")).json["import"]
    assert staffed("undo", number, "--confirm", "deactivations=2").status == 0


def test_results_files_are_for_files_alone(staffed: Muster) -> None:
    number = staffed.imported(row("dan")).json["import"]
    held = staffed("undo", number, "--output", "json").json["import"]
    assert staffed("apply", held, "--errors", staffed.folder / "e.csv").status == 2


@pytest.mark.parametrize(
    "given",
    ["deactivations", "deactivations=", "deactivations=-1", "deactivations=x", "cut-off=1", "everything=1", "=1", ""],
)
def test_what_cannot_be_confirmed_is_a_wrong_call(staffed: Muster, given: str) -> None:
    done = staffed.imported(ANN, also=("--confirm", given))
    assert (done.status, f"--confirm is “{given}”" in done.err) == (2, True)


def test_a_kind_is_confirmed_once(staffed: Muster) -> None:
    twice = ("--confirm-deactivations", "1", "--confirm", "deactivations=2")
    assert "deactivations is confirmed twice" in staffed.imported(ANN, also=twice).err
    assert staffed.imported(ANN, also=("--confirm", "cut-off", "--confirm", "shrunk=1")).status == 0


def test_another_user_must_confirm_if_the_agency_says_so(staffed: Muster) -> None:
    """Rule S8."""
    staffed.imported(row("boss", role="Admin"), also=("--confirm", "privileges=1"))
    models.Agency.objects.update(second_approver=True)
    file = staffed.file(*PROMOTED)
    held = staffed("import", file, "--agency", "springfield-pd", "--as", "E-ann", "--confirm", "privileges=2")
    assert held.status == 4
    command = held.text.rpartition("To apply it anyway: muster ")[2].split()
    assert command[2:] == ["--confirm", "privileges=2", "--as", "EXTERNAL_ID"]
    refused = staffed(*command[:-1], "E-ann")
    assert (refused.status, "requested by E-ann, and another user must confirm it" in refused.err) == (4, True)
    assert staffed(*command[:-2]).status == 4
    assert staffed(*command[:-1], "E-boss").status == 0
