"""Many users as a provider changes them at once: what becomes a row, and what cannot be one."""

from datetime import timedelta

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, provisioned_import
from musterbook.directory.imports.provisioned_import import EXISTS, MISSING, REKEYED, Change
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.users import provisioning_many
from tests.directory.cast import NOW, agency, apply_rows, assert_whole, people, person, register, user

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
