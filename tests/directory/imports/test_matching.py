"""Whether the columns of a refused file can be matched."""

import pytest

from musterbook.directory import models
from musterbook.directory.imports import matching
from tests.directory.cast import agency, run

pytestmark = pytest.mark.django_db

ABOUT_COLUMNS = ["missing-column", "misspelt-column", "duplicate-column", "unknown-mapping"]


@pytest.mark.parametrize(
    ("codes", "needed"),
    [
        (ABOUT_COLUMNS, True), (["missing-column"], True), (["duplicate-column", "unknown-mapping"], True),
        (["unknown-mapping"], False), ([*ABOUT_COLUMNS, "file-too-large"], False), (["infected-file"], False),
    ],
)  # fmt: skip
def test_columns_are_to_be_matched_if_they_alone_are_why_the_file_was_refused(codes: list[str], needed: bool) -> None:
    record = run(agency(), b"EXTERNAL_ID\nE-1\n").record
    models.ImportProblem.objects.filter(of=record).delete()
    for code in codes:
        models.ImportProblem.objects.create(of=record, code=code, row=0, note=False)
    assert matching.needs_columns(record) is needed
    models.ImportProblem.objects.filter(of=record).update(note=True)
    assert not matching.needs_columns(record)
