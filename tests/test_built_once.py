"""What `tests/built_once.py` puts back is what was built, and only where the database is the same."""

import pytest

from musterbook.directory import models
from tests.accounts.conftest import Springfield, build_springfield
from tests.built_once import built_once

pytestmark = [pytest.mark.django_db]

BUILT: list[str] = []


@built_once
def rename(springfield: Springfield, name: str) -> None:
    """Renames a user, and deletes the mails."""
    BUILT.append(name)
    models.User.objects.filter(agency=springfield.agency, external_id="E-2").update(last_name=name)
    models.Mail.objects.all().delete()


@pytest.mark.parametrize("turn", [1, 2])
def test_what_was_changed_and_deleted_is_put_back(turn: int) -> None:
    springfield = build_springfield()
    assert models.Mail.objects.exists()
    rename(springfield, "Newton")
    assert springfield.user(2).last_name == "Newton"
    assert springfield.user(1).last_name == "Last 1"
    assert not models.Mail.objects.exists()
    assert BUILT.count("Newton") == 1


@pytest.mark.parametrize("turn", [1, 2])
def test_where_something_else_has_changed_it_is_built(turn: int) -> None:
    springfield = build_springfield()
    models.User.objects.filter(external_id="E-1").update(last_name=f"Other {turn}")
    before = len(BUILT)
    rename(springfield, "Curie")
    assert len(BUILT) == before + 1
    assert springfield.user(1).last_name == f"Other {turn}"
