"""Many users as a provider changes them at once: what becomes a row, and what cannot be one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, provisioned_import
from musterbook.directory.imports.provisioned_import import EXISTS, MISSING, REKEYED, Change
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.users import provisioning, provisioning_many
from tests.directory.cast import NOW, agency, allow, apply_rows, assert_whole, people, person, register, user

pytestmark = pytest.mark.django_db

BOSS = AuditContext(NOW + timedelta(hours=1), "E-1", "scim")


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1), and officers."""
    one = agency()
    apply_rows(one, [person(1, ROLE="Admin"), *people(2, 3, 4)])
    register(one, 1)
    return one


def test_what_cannot_be_a_row_makes_no_import(made: models.Agency) -> None:
    changes = [
        Change(4_711, {"FIRST_NAME": "X"}),
        Change(None, {"EXTERNAL_ID": "E-2"}),
        Change(user(made, 3).pk, {"EXTERNAL_ID": "E-77"}),
    ]
    imports = models.Import.objects.count()
    result = provisioned_import.run(made, changes, BOSS)
    assert (result.record, result.is_held) == (None, False)
    assert [one.outcome for one in result.outcomes] == [MISSING, EXISTS, REKEYED]
    assert [one.outcome for one in provisioned_import.preview(made, changes, BOSS)] == [MISSING, EXISTS, REKEYED]
    assert models.Import.objects.count() == imports


def test_the_rest_is_done(made: models.Agency) -> None:
    number = user(made, 2).pk
    changes = [
        Change(4_711, {}),
        Change(number, {"FIRST_NAME": "New"}, {"displayName": "N"}),
        Change(None, {"EMAIL": "x"}),
    ]
    result = provisioned_import.run(made, changes, BOSS)
    assert [one.outcome for one in result.outcomes] == [MISSING, "updated", "errored"]
    assert (result.outcomes[1].number, result.outcomes[1].is_done, user(made, 2).first_name) == (number, True, "New")
    assert {problem.code for problem in result.outcomes[2].problems} >= {"required", "invalid-email"}
    record = models.ProvisionedUser.objects.get()
    assert (record.user_id, record.kept, record.deleted_at) == (number, {"displayName": "N"}, None)
    event = models.Event.objects.filter(subject=number).latest("pk")
    assert (event.kind, event.changes) == ("user.updated", '{"display_name":["","N"]}')
    assert_whole(made)


def test_a_preview_says_it_beforehand_and_changes_nothing(made: models.Agency) -> None:
    changes = [Change(user(made, 2).pk, {"SUPERVISOR_EMAIL": "nobody@agency.example"}), Change(user(made, 3).pk, {})]
    outcomes = provisioned_import.preview(made, changes, BOSS)
    assert [one.outcome for one in outcomes] == ["errored", "unchanged"]
    assert [problem.code for problem in outcomes[0].problems] == ["unknown-supervisor"]
    assert not models.ProvisionedUser.objects.exists()


def test_a_user_whom_others_write_all_the_time_ends_it(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, calls = file_import.make_attempt, []

    def always_written(*args: object, **kwargs: object) -> object:
        calls.append(args)
        models.User.objects.filter(pk=user(made, 2).pk).update(first_name=f"Other {len(calls)}")
        return usual(*args, **kwargs)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(file_import, "make_attempt", always_written)
    with pytest.raises(ImportFailed):
        provisioned_import.run(made, [Change(user(made, 2).pk, {"LAST_NAME": "New"})], BOSS)
    assert (user(made, 2).first_name, user(made, 2).last_name != "New", len(calls)) == ("Other 3", True, 3)


def test_what_is_kept_of_many_is_written_in_parts(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning_many, "_AT_ONCE", 2)
    numbers = [user(made, number).pk for number in (2, 3, 4)]
    models.User.objects.filter(pk=numbers[2]).update(source="hr")
    changes = [Change(number, {}, {"displayName": str(number)}) for number in numbers]
    provisioned_import.run(made, changes, BOSS)
    provisioned_import.run(made, [*changes[:2], Change(numbers[2], {"STATUS": "Inactive"}, {}, deletes=True)], BOSS)
    kept = models.ProvisionedUser.objects.order_by("user").values_list("user", "kept", "deleted_at")
    assert list(kept) == [
        (numbers[0], {"displayName": str(numbers[0])}, None),
        (numbers[1], {"displayName": str(numbers[1])}, None),
        (numbers[2], {}, BOSS.at),
    ]
    sources = models.User.objects.filter(pk__in=numbers).order_by("pk").values_list("source", "managed_by")
    assert list(sources) == [("scim", "scim"), ("scim", "scim"), ("hr", "")]


@pytest.fixture
def held(made: models.Agency, settings: Settings, tmp_path: Path) -> tuple[models.Import, dict[int, int]]:
    """An import that waits for a confirmation, and the ids of users by their numbers."""
    settings.MUSTER_HOME = tmp_path
    models.Agency.objects.filter(pk=made.pk).update(limits=[allow(0)])
    made.refresh_from_db()
    numbers = {number: user(made, number).pk for number in (2, 3, 4)}
    models.ProvisionedUser.objects.create(user_id=numbers[4], kept={"displayName": "Four"})
    changes = [
        Change(numbers[2], {"STATUS": "Inactive"}, {"displayName": "Two"}, deletes=True),
        Change(numbers[3], {}, {"displayName": "Three"}),
        Change(None, {"EMAIL": "no address"}, {"displayName": "Nobody"}),
        Change(numbers[4], {}, {"displayName": "Vier"}),
        Change(None, {name: person(5)[name] for name in person(5)}, {"displayName": "Five"}),
    ]
    result = provisioned_import.run(made, changes, BOSS)
    assert result.is_held and result.record is not None
    return result.record, numbers


def list_kept() -> dict[str, tuple[Any, bool]]:
    """What is kept of each user, and whether the provider has deleted them."""
    records = models.ProvisionedUser.objects.values_list("user__external_id", "kept", "deleted_at")
    return {external_id: (kept.get("displayName"), deleted is not None) for external_id, kept, deleted in records}


def confirm(record: models.Import) -> models.Import:
    """The import that a person confirms on its page."""
    context = AuditContext(NOW + timedelta(hours=2), "E-1", "page")
    return file_import.apply_previewed(
        record.agency, record.number, context=context, confirmed={"deactivations": 1}
    ).record


def test_what_is_said_of_held_users_is_written_when_a_person_confirms(
    made: models.Agency, held: tuple[models.Import, dict[int, int]]
) -> None:
    assert list_kept() == {"E-4": ("Four", False)}
    done = confirm(held[0])
    assert (done.state, done.counts["added"], done.counts["deactivated"]) == ("applied", 1, 0)
    assert not user(made, 2).active
    assert list_kept() == {
        "E-2": ("Two", True), "E-3": ("Three", False), "E-4": ("Vier", False), "E-5": ("Five", False)
    }  # fmt: skip
    managed = models.User.objects.filter(managed_by="scim").order_by("external_id")
    assert list(managed.values_list("external_id", flat=True)) == ["E-2", "E-3", "E-4", "E-5"]
    assert_whole(made)


def test_what_the_provider_has_said_since_is_newer_than_what_was_held(
    made: models.Agency, held: tuple[models.Import, dict[int, int]]
) -> None:
    record, numbers = held
    for number in (3, 4):
        provisioning.change(made, numbers[number], lambda _: ({}, {"displayName": "Newer"}), BOSS)
    assert confirm(record).state == "applied"
    assert list_kept() == {
        "E-2": ("Two", True), "E-3": ("Newer", False), "E-4": ("Newer", False), "E-5": ("Five", False)
    }  # fmt: skip
