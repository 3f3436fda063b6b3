"""Awkward files, as they come: each is refused with sentences that say what, where and how to mend it; nothing changes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from musterbook.core.domain.problems import CATALOG
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.options import Options
from tests.files import make

pytestmark = pytest.mark.any_database


FILES = Path(__file__).parent / "files"
REFUSED = {
    "empty.csv": {"empty-file"},
    "only-blank-lines.csv": {"empty-file"},
    "no-header.csv": {"no-header"},
    "three-columns-missing.csv": {"missing-column"},
    "email-twice.csv": {"duplicate-column", "missing-column"},
    "optional-column-misspelt.csv": {"misspelt-column"},
    "nameless-column-with-data.csv": {"blank-heading"},
    "quote-never-closed.csv": {"unclosed-quote"},
    "text-after-a-quote.csv": {"stray-quote"},
    "nul-bytes.csv": {"nul-byte"},
    "broken-utf-8.csv": {"unreadable-byte"},
    "half-a-utf-16-character.csv": {"unreadable-byte"},
    "japanese-in-shift-jis.csv": {"doubtful-encoding"},
    "spaces-between.csv": {"no-header"},
    "a-picture.csv": {"not-a-table"},
    "a-pdf.csv": {"not-a-table"},
    "a-web-page.xls": {"not-a-table"},
    "json.csv": {"not-a-table"},
    "gzipped.csv": {"not-a-table"},
    "zipped.xlsx": {"not-a-table"},
    "old-excel.xls": {"not-a-table"},
    "cut-off-in-the-middle.xlsx": {"damaged-workbook"},
    "two-sheets-that-could-be-meant.xlsx": {"which-sheet"},
    "headings-in-the-fortieth-row.xlsx": {"no-header"},
}


def test_every_awkward_file_has_a_verdict() -> None:
    assert (
        {path.name for path in FILES.iterdir() if path.suffix != ".py" and path.is_file()}
        == set(REFUSED)
        == set(make.files())
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "codes"), REFUSED.items(), ids=REFUSED)
def test_an_awkward_file_is_refused_with_sentences_and_changes_nothing(name: str, codes: set[str]) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    agency = models.Agency.objects.create(slug="riverton-pd", name="Riverton", created_at=at)
    upload = file_import.Upload((FILES / name).read_bytes(), name)
    done = file_import.run_import(agency, upload, Options(), context=AuditContext(at, "", "cli"))
    kept = models.ImportProblem.objects.filter(of=done.record, row=0, note=False)
    assert done.record.state == "refused"
    assert {problem.code for problem in kept} == codes
    assert all(CATALOG[problem.code].remedy for problem in kept)
    assert not models.User.objects.exists()
    assert not models.Event.objects.exists()
