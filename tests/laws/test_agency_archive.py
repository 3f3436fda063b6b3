"""The law of the archive: an agency that was exported and imported has the same content, whatever its texts are."""

import io
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import agency_archive_export, agency_archive_import, backup_seal
from musterbook.directory.installation.agency_archive import FILES, MANIFEST, ROWS, TRAIL_KEYS, read_manifest
from tests.directory import cast
from tests.directory.installation import moved
from tests.examples import examples

pytestmark = pytest.mark.django_db

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20) | st.sampled_from(
    ["", '"', "\\", "'; --", "null", "NULL", "\\N", "a,b", '{"a": [1]}', "ü\u2028x", "1e5", " ", "#", "𝔐"]
)
CONTEXT = AuditContext(cast.NOW, "", "cli")


@settings(max_examples=examples(6))  # each one builds two agencies
@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans(), st.none() | st.integers(0, 9)), min_size=1, max_size=5))
def test_export_and_import_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[Any, ...]]
) -> None:
    folder, archive = tmp_path_factory.mktemp("archive"), io.BytesIO()
    with transaction.atomic():
        agency = make(people)
        agency_archive_export.write_archive(agency, archive)
        before = moved.read_content(agency)
        digests = list(models.TrailLink.objects.filter(agency=agency).order_by("pk").values_list("digest", flat=True))
        transaction.set_rollback(True)
    with transaction.atomic():
        make([("other", "other", True, None)], "shelbyville-pd")
        archive.seek(0)
        assert backup_seal.unpack(archive, folder, (MANIFEST, TRAIL_KEYS), ROWS, FILES).is_whole
        job = agency_archive_import._ArchiveImport(folder, read_manifest(folder), {}, "springfield-pd", CONTEXT)
        done = job.run("", broken_trail=True)
        assert moved.without_move(moved.read_content(done.agency)) == moved.without_move(before)
        links = models.TrailLink.objects.filter(agency=done.agency).order_by("pk")
        assert list(links.values_list("digest", flat=True))[:-1] == digests
        transaction.set_rollback(True)


def make(people: list[tuple[Any, ...]], slug: str = "springfield-pd") -> models.Agency:
    """An agency with these people, each with an event that has the same texts."""
    agency = cast.agency(slug)
    role = models.Role.objects.get(agency=agency, name="Officer")
    for number, (first, last, active, days) in enumerate(people):
        user = models.User.objects.create(
            agency=agency, external_id=f"E-{number}", email=f"{number}@x.example", email_key=f"{number}@x.example",
            badge_number=str(number), badge_number_key=str(number), first_name=first, last_name=last, name_key=last,
            active=active, username=str(number), username_key=str(number), role=role, created_at=cast.NOW,
            missing_since=None if days is None else cast.NOW.date(), missing_imports=days or 0,
        )  # fmt: skip
        trail.record_event(agency, CONTEXT, EventKind.USER_UPDATED, user, {"FIRST_NAME": (first, last)})
        models.SavedFilter.objects.create(user=user, name=last[:60], name_key="", query=f"q={first}&role={role.pk}")
    search_index.correct_index(agency)
    return agency
