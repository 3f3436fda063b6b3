"""The agency that a thread works for."""

import pytest

from musterbook.directory.storage import isolation


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
