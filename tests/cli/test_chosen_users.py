"""Bulk actions that wait as previews, such as deactivations of unused accounts: shown and applied by command."""

from datetime import UTC, datetime

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import Act
from musterbook.directory.imports import queue
from musterbook.directory.imports.bulk import Change
from tests.cli.conftest import Muster, row

REASON = "No sign-in for 90 days"


@pytest.fixture
def waiting(springfield: Muster) -> models.Import:
    """The preview of the deactivation of two of four users, where the agency allows none without asking."""
    springfield.imported(row("ann", role="Admin"), *map(row, ("bob", "cat", "dan")))
    models.Agency.objects.update(limit_users=0, limit_percent=0, limit_most=0)
    agency = models.Agency.objects.get()
    users = list(models.User.objects.filter(external_id__in=["E-bob", "E-cat"]).values_list("pk", flat=True))
    act = Act(datetime.now(UTC), "", "system")
    queue.submit_bulk(agency, users, Change("deactivate"), act=act, preview=True, name=REASON)
    assert queue.carry_out_next("worker", lambda: datetime.now(UTC))
    return models.Import.objects.get(state="previewed")


def _inactive() -> list[str]:
    return sorted(models.User.objects.filter(active=False).values_list("external_id", flat=True))


def test_a_preview_of_chosen_users_names_its_reason_and_the_command_that_applies_it(
    springfield: Muster, waiting: models.Import
) -> None:
    shown = springfield("imports", "show", waiting.number).text
    assert REASON in shown and "deactivated" in shown
    assert f"To do it: muster apply {waiting.number} --confirm-deactivations 2" in shown


def test_it_is_applied_by_its_exact_number_and_by_no_other(springfield: Muster, waiting: models.Import) -> None:
    for wrong in ((), ("--confirm-deactivations", "3")):
        done = springfield("apply", waiting.number, *wrong)
        assert (done.status, "--confirm-deactivations 2" in done.err, _inactive()) == (4, True, [])
    done = springfield("apply", waiting.number, "--confirm-deactivations", "2")
    assert (done.status, _inactive()) == (0, ["E-bob", "E-cat"]), done.err
    assert "Applied" in done.text and REASON in done.text
    assert springfield("apply", waiting.number, "--confirm-deactivations", "2").status in (0, 3, 4)
    assert _inactive() == ["E-bob", "E-cat"]


def test_a_preview_that_the_directory_has_overtaken_is_not_applied(springfield: Muster, waiting: models.Import) -> None:
    models.User.objects.filter(external_id="E-bob").update(active=False)
    done = springfield("apply", waiting.number, "--confirm-deactivations", "2")
    assert (done.status, _inactive()) == (3, ["E-bob"]), done.text


def test_an_undo_that_was_previewed_names_the_undo(springfield: Muster) -> None:
    springfield.imported(row("ann", role="Admin"))
    springfield.imported(row("bob"))
    first = models.Import.objects.order_by("-pk")[0].number
    done = springfield("undo", first, "--preview")
    assert f"To do it: muster undo {first}" in done.text
    preview = models.Import.objects.get(state="previewed")
    assert f"To do it: muster undo {first}" in springfield("imports", "show", preview.number).text
