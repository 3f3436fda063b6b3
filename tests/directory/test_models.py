"""The database is the last line of defence: what must never be is refused even to one who writes past the product."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from musterbook.directory import models
from tests.directory.cast import NOW, agency, apply_rows, people, user

pytestmark = pytest.mark.django_db


def refused(write: Callable[[], Any]) -> None:
    def written() -> None:
        with transaction.atomic():
            write()
            connection.check_constraints()

    with pytest.raises(IntegrityError):
        written()


@pytest.mark.parametrize("field", ["external_id", "email_key", "badge_number_key", "username_key"])
def test_no_two_users_of_an_agency_share_a_key(field: str) -> None:
    made, other = agency(), agency("shelbyville")
    apply_rows(made, people(1, 2))
    apply_rows(other, people(1))
    refused(lambda: models.User.objects.filter(pk=user(made, 2).pk).update(**{field: getattr(user(made, 1), field)}))


@pytest.mark.parametrize("field", ["role_id", "rank_id", "group_id", "supervisor_id", "agency_id"])
def test_a_user_refers_to_what_there_is(field: str) -> None:
    made = agency()
    apply_rows(made, people(1))
    refused(lambda: models.User.objects.filter(agency=made).update(**{field: 999_999}))


@pytest.mark.parametrize("model", [models.Role, models.User])
def test_what_is_referred_to_cannot_be_deleted(model: Any) -> None:
    made = agency()
    apply_rows(made, people(1))
    refused(lambda: model.objects.filter(agency=made)._raw_delete("default"))


@pytest.mark.parametrize("change", [{"state": "stuck"}, {"mode": "replace"}, {"kind": "feed"}])
def test_an_import_has_a_kind_a_mode_and_a_state_that_there_are(change: dict[str, str]) -> None:
    record = apply_rows(agency(), people(1)).record
    refused(lambda: models.Import.objects.filter(pk=record.pk).update(**change))


def test_an_agency_has_one_running_import_and_one_import_of_a_key() -> None:
    made = agency()
    one, two = (apply_rows(made, people(n), key=f"k{n}").record for n in (1, 2))
    refused(lambda: models.Import.objects.filter(agency=made).update(state="running"))
    refused(lambda: models.Import.objects.filter(pk=two.pk).update(idempotency_key=one.idempotency_key))


def test_an_agency_has_one_administrator_s_role_and_no_name_twice() -> None:
    made = agency()
    roles = models.Role.objects
    refused(lambda: roles.create(agency=made, name="Again", name_key="boss", administrator=True))
    refused(lambda: roles.create(agency=made, name="Again", name_key="officer"))
    refused(lambda: models.Rank.objects.create(agency=made, name="Captain", name_key="captain", position=3))
    refused(lambda: models.Group.objects.create(agency=made, name="Patrol", external_id="PATROL"))


def test_a_trail_has_each_link_once_and_forward() -> None:
    made = agency()
    apply_rows(made, people(1))
    refused(lambda: models.TrailLink.objects.create(agency=made, number=1, first=1, last=1, digest=""))
    refused(lambda: models.TrailLink.objects.create(agency=made, number=2, first=2, last=1, digest=""))


def test_an_agency_with_users_is_not_deleted_by_the_way() -> None:
    made = agency()
    apply_rows(made, people(1), at=NOW)
    refused(made.delete)
