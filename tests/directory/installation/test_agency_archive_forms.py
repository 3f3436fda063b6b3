"""The forms of the JSON columns of an archive: what Musterbook writes fits."""

import json
from types import SimpleNamespace

import pytest

from musterbook.core.domain.policy import LimitKind
from musterbook.core.planning.holds import Hold
from musterbook.directory.audit import anchors
from musterbook.directory.imports.options import Options
from musterbook.directory.installation import agency_archive_forms, agency_archive_ids, agency_archive_tables
from musterbook.directory.installation.agency_archive import Range
from musterbook.directory.models import ImportKind


def test_what_an_import_writes_fits() -> None:
    hold = Hold(LimitKind.DEACTIVATIONS, users=3, external_ids=("E-1",))
    assert agency_archive_forms.fits("directory.Import.holds", json.dumps([hold.as_json()]))
    options = json.dumps(Options().as_json())
    assert agency_archive_forms.fits("directory.Import.options", options)
    assert agency_archive_forms.can_run(ImportKind.FILE, options)
    act = json.dumps({**Options().as_json(), "bulk": {"act": "reset", "value": ""}})
    assert agency_archive_forms.can_run(ImportKind.BULK, act) and not agency_archive_forms.can_run("bulk", options)


def test_the_id_of_an_agency_that_is_gone_is_not_free_while_its_anchors_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    table = agency_archive_tables.list_tables()[0]
    monkeypatch.setattr(anchors, "read_anchors", lambda: SimpleNamespace(anchors={7: ()}))
    assert not agency_archive_ids._is_free(table, Range(1, 7, 7))
