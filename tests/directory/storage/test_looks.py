"""Whether there is a row."""

import pytest

from musterbook.directory import models
from musterbook.directory.storage import looks
from tests.directory.cast import agency


@pytest.mark.django_db
def test_it_is_seen_whether_a_row_meets_a_condition() -> None:
    assert not looks.has_any(models.Agency, "TRUE")
    agency("aalen")
    assert looks.has_any(models.Agency, "TRUE")
    assert looks.has_any(models.Agency, "slug = %s AND paused_at IS NULL", "aalen")
    assert not looks.has_any(models.Agency, "slug = %s", "bremen")
