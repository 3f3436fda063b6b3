"""The agency that a thread works for."""

import pytest
from django.db import Error, connection, transaction

from musterbook.directory.storage import frames, isolation


def test_work_for_one_agency_never_turns_to_another_one() -> None:
    with isolation.limit_to(1):
        with isolation.limit_to(1):
            assert isolation.read_scope() == "1"
        with pytest.raises(isolation.OtherAgency, match="work for agency 1 turned to agency 2"), isolation.limit_to(2):
            pytest.fail("it is refused before it begins")
        with isolation.open_to_all():
            isolation.limit_rest_to(2)
            assert isolation.read_scope() == "2"
        assert isolation.read_scope() == "1"


@pytest.mark.django_db
def test_a_transaction_that_has_failed_takes_nothing_but_its_end() -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has no setting")
    with transaction.atomic():
        with pytest.raises(Error), connection.cursor() as cursor:
            cursor.execute("SELECT nothing_of_this_name")
        with isolation.limit_to(1), connection.cursor():
            transaction.set_rollback(True)
    with isolation.limit_to(1), connection.cursor() as cursor:
        cursor.execute(f"SHOW {isolation.SETTING}")
        assert cursor.fetchone() == ("1",)
