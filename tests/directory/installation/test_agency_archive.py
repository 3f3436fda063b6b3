"""An agency that moves by an archive: everything of it arrives, in one piece, with the trail as it was sealed."""

import copy
import errno
import io
import json
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import OperationalError, connection, connections, transaction
from pyrage import x25519

from musterbook.accounts import outbox
from musterbook.accounts.models import Account, Repeated, ResetRequest, Token
from musterbook.config import encryption, environment
from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.audit import trail, verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import (
    agency_archive_export,
    agency_archive_forms,
    agency_archive_ids,
    agency_archive_import,
    agency_archive_tables,
    agency_archive_values,
    backup_seal,
    backups,
    migration,
)
from musterbook.directory.installation.agency_archive import CannotExport, CannotImport, Range
from musterbook.directory.installation.backup_encryption import Lock, Opener, decrypt, encrypting
from musterbook.directory.storage import frames
from musterbook.webhooks import claims
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.installation import moved
from tests.directory.storage.test_locks import elsewhere

pytestmark = pytest.mark.django_db

IDENTITY = x25519.Identity.generate()
LOCK, OPENER = Lock((IDENTITY.to_public(),)), Opener((IDENTITY,))
CONTEXT = AuditContext(cast.NOW, "", "cli")


class _RolledBack(Exception):
    pass


@pytest.fixture(autouse=True)
def _no_files_of_other_tests() -> None:
    """The archive is the same in all tests, and so are the names of its files."""
    files = settings.MUSTER_HOME / "files"
    files.mkdir(mode=0o700, exist_ok=True)
    for path in files.iterdir():
        path.unlink()


fill = built_once(moved.fill)


def leave(path: Path, *, paused: bool = True) -> dict[str, list[dict[str, object]]]:
    """Put the archive of an agency there that this installation does not have. Return the agency's content."""
    content, archive = _leave_once(paused)
    path.write_bytes(archive)
    return copy.deepcopy(content)


@cache
def _leave_once(paused: bool) -> tuple[dict[str, list[dict[str, object]]], bytes]:
    """Make an agency, write its archive, and let the agency be gone, as another installation is."""
    try:
        # As the transaction around each test, it lets the code under test begin what it calls its outermost transaction.
        outermost: Any = transaction.Atomic(using=None, savepoint=True, durable=False)
        outermost._from_testcase = True
        with outermost:
            agency = moved.fill("springfield-pd", (1, 2, 3, 4))
            if paused:
                models.Agency.objects.filter(pk=agency.pk).update(paused_at=cast.NOW)
            content = moved.read_content(agency)
            with tempfile.TemporaryFile("w+b") as file:
                with encrypting(file, LOCK) as into:
                    agency_archive_export.write_archive(agency, into)
                file.seek(0)
                archive = file.read()
            for _name, kept in agency_archive_export._list_files(agency):
                kept.unlink()
            raise _RolledBack
    except _RolledBack:
        return content, archive


def arrive(path: Path, **options: Any) -> agency_archive_import.ImportedAgency:
    return agency_archive_import.import_agency(path, OPENER, CONTEXT, **options)


def test_every_table_moves_or_has_a_reason_to_stay() -> None:
    labels = {model._meta.label for model in agency_archive_tables.list_models()}
    moving = {table.label for table in agency_archive_tables.list_tables()}
    assert moving | set(agency_archive_tables.LEFT_OUT) == labels
    assert not moving & set(agency_archive_tables.LEFT_OUT)


def test_every_json_column_has_a_form() -> None:
    assert set(agency_archive_forms.FORMS) == {
        *agency_archive_tables.JSON_WITH_IDS,
        *agency_archive_tables.JSON_WITHOUT_IDS,
    }


def test_every_json_column_says_whether_it_holds_ids() -> None:
    columns = {
        f"{table.label}.{column.name}"
        for table in agency_archive_tables.list_tables()
        for column in table.columns
        if column.json
    }
    assert columns == {*agency_archive_tables.JSON_WITH_IDS, *agency_archive_tables.JSON_WITHOUT_IDS}


def test_an_agency_arrives_with_all_that_it_had(tmp_path: Path) -> None:
    before = leave(tmp_path / "a.age")
    assert [label for label, rows in before.items() if not rows] == ["directory.MovedTrail"]
    done = arrive(tmp_path / "a.age")
    after = moved.read_content(done.agency)
    assert moved.without_move(after) == moved.without_move(before)
    assert verify.verify_trail(done.agency).error == ""


def test_an_agency_gets_new_ids_where_its_own_are_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = leave(tmp_path / "a.age")
    monkeypatch.setattr(
        agency_archive_ids, "_is_free", lambda *_: False
    )  # PostgreSQL gives no id twice, rolled back or not
    fill("shelbyville-pd", (11, 12, 13, 14, 15, 16))
    done = arrive(tmp_path / "a.age", slug="new-pd")
    assert done.renumbered
    after = moved.read_content(done.agency)
    assert moved.without_move(after) == moved.without_move(before)
    assert verify.verify_trail(done.agency).error == ""


def test_a_trail_that_moves_twice_has_the_same_digests_and_verifies(tmp_path: Path, as_owner: None) -> None:
    leave(tmp_path / "a.age")
    fill("shelbyville-pd", (11, 12, 13))
    first = arrive(tmp_path / "a.age").agency
    digests = list(models.TrailLink.objects.filter(agency=first).order_by("number").values_list("digest", flat=True))
    keys = dict(encryption_of(first))
    with (tmp_path / "b.age").open("w+b") as file, encrypting(file, LOCK) as into:
        agency_archive_export.write_archive(first, into)
    forget(first)
    later = repack(tmp_path / "b.age", change_rows("directory.MovedTrail", set_to("until", 999)))
    with pytest.raises(CannotImport, match="does not verify"):
        arrive(later, slug="third-pd")
    second = arrive(tmp_path / "b.age", slug="third-pd").agency
    links = models.TrailLink.objects.filter(agency=second).order_by("number")
    assert list(links.values_list("digest", flat=True))[: len(digests)] == digests
    assert models.MovedTrail.objects.filter(agency=second).count() == 2
    assert dict(encryption_of(second)) == keys
    assert verify.verify_trail(second).error == ""


def encryption_of(agency: models.Agency) -> list[tuple[str, str]]:
    """The secrets of the agency as they are stored open, and never twice the same sealed."""
    feeds = models.Feed.objects.filter(agency=agency).values_list("name", "secrets__password")
    return [(name, encryption.unseal(secret)) for name, secret in feeds]


def forget(agency: models.Agency) -> None:
    """Rename what is unique in an installation, as if the agency were in another one. It needs `as_owner`."""
    for record in models.Import.objects.filter(agency=agency):
        models.Import.objects.filter(pk=record.pk).update(number=f"X{record.number[1:]}")
    Account.objects.filter(user__agency=agency).update(handle="another")
    theirs = Authenticator.objects.filter(type="webauthn", user__user__agency=agency)
    theirs.update(data=moved.make_passkey("another"))
    Token.objects.filter(agency=agency).update(digest="another")
    Repeated.objects.filter(agency=agency).update(key="another")
    models.TrailLink.objects.filter(agency=agency, number=1).update(digest="0" * 64)


def cut_off_after(agency: models.Agency, number: int) -> None:
    """Remove what the trail has after this link, and let the link be its end."""
    last = models.TrailLink.objects.get(agency=agency, number=number)
    models.Event.objects.filter(agency=agency, pk__gt=last.last).delete()
    models.Passage.objects.filter(agency=agency, first__gt=last.last).delete()
    models.TrailLink.objects.filter(agency=agency, number__gt=number).delete()
    models.TrailEnd.objects.filter(agency=agency, links__gt=number).delete()


def test_what_an_attacker_changes_in_a_moved_trail_is_found(
    tmp_path: Path, as_owner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a.age")
    monkeypatch.setattr(agency_archive_ids, "_is_free", lambda *_: False)
    fill("shelbyville-pd", (11, 12, 13, 14, 15, 16))
    agency = arrive(tmp_path / "a.age").agency
    event = models.Event.objects.filter(agency=agency, kind="user.added").earliest("pk")
    moved_trail = models.MovedTrail.objects.get(agency=agency)
    for attack, error in (
        (lambda: models.Event.objects.filter(pk=event.pk).update(actor="E-9"), "not those that were sealed"),
        (lambda: models.MovedTrail.objects.filter(agency=agency).delete(), "not the one|does not have|not those"),
        (lambda: models.MovedTrail.objects.filter(agency=agency).update(keys=[]), "does not have"),
        (
            lambda: models.MovedTrail.objects.filter(agency=agency).update(keys=[{"name": "x", "secret": "none"}]),
            "does not have",
        ),
        (lambda: cut_off_after(agency, moved_trail.until), "is missing that records the move"),
        (lambda: models.MovedTrail.objects.filter(agency=agency).update(users=moved_trail.users + 1), "not those"),
        (
            lambda: models.MovedTrail.objects.filter(agency=agency).update(until=moved_trail.until + 1),
            "not those|missing",
        ),
        (
            lambda: models.MovedTrail.objects.filter(agency=agency).update(until=moved_trail.until - 1),
            "records the move",
        ),
    ):
        with transaction.atomic():
            attack()
            found = verify.verify_trail(agency).error
            assert re.search(error, found), (error, found)
            transaction.set_rollback(True)
    assert verify.verify_trail(agency).error == ""


@pytest.mark.parametrize("removed", ["first", "middle", "last"])
def test_an_agency_can_move_though_somebody_removed_events_of_its_trail(
    tmp_path: Path, as_owner: None, removed: str
) -> None:
    agency = fill("springfield-pd", (1, 2, 3, 4))
    events = models.Event.objects.filter(agency=agency).order_by("pk")
    gone = {"first": events[0], "middle": events[3], "last": events.reverse()[0]}[removed]
    models.Event.objects.filter(pk=gone.pk).delete()
    assert verify.verify_trail(agency).error
    moved_away = events.count()
    with (tmp_path / "a.age").open("w+b") as file, encrypting(file, LOCK) as into:
        agency_archive_export.write_archive(agency, into)
    forget_all(agency)
    with pytest.raises(CannotImport, match=r"does not verify.*--with-broken-trail"):
        arrive(tmp_path / "a.age", slug="twin-pd")
    done = arrive(tmp_path / "a.age", slug="twin-pd", broken_trail=True)
    assert done.events == moved_away
    assert verify.verify_trail(done.agency).error
    links = models.TrailLink.objects.filter(agency=done.agency).count()
    assert links == models.TrailLink.objects.filter(agency=agency).count() + 1


def forget_all(agency: models.Agency) -> None:
    forget(agency)
    models.Agency.objects.filter(pk=agency.pk).update(slug="old-pd")


def test_a_copy_of_an_agency_that_goes_on_sends_nothing(tmp_path: Path) -> None:
    leave(tmp_path / "a.age", paused=False)
    done = arrive(tmp_path / "a.age")
    assert done.is_copy
    pausing.resume(done.agency, CONTEXT)
    assert not models.Mail.objects.filter(ended_at=None).exists()
    assert not models.WebhookMessage.objects.filter(ended_at=None).exists()
    assert not ResetRequest.objects.exists()
    assert models.Feed.objects.get().paused_at and models.WebhookEndpoint.objects.get().paused_at


def test_what_waits_in_a_paused_agency_leaves_from_the_new_installation(tmp_path: Path) -> None:
    leave(tmp_path / "a.age")
    done = arrive(tmp_path / "a.age")
    waiting = claims.select_due(cast.NOW)
    assert not waiting.exists() and not outbox._query_due(cast.NOW).exists()
    pausing.resume(done.agency, CONTEXT)
    assert waiting.exists() and outbox._query_due(cast.NOW).exists()


def test_an_agency_is_in_an_installation_only_once(tmp_path: Path) -> None:
    leave(tmp_path / "a.age")
    arrive(tmp_path / "a.age")
    files = sorted((settings.MUSTER_HOME / "files").iterdir())
    with pytest.raises(CannotImport, match=r"here already. If you have imported this agency before, nothing is left"):
        arrive(tmp_path / "a.age")
    with pytest.raises(CannotImport, match="exists in this installation already"):
        arrive(tmp_path / "a.age", slug="twin-pd")
    assert models.Agency.objects.count() == 1
    assert sorted((settings.MUSTER_HOME / "files").iterdir()) == files


def test_an_agency_with_a_passkey_that_an_account_here_has_does_not_arrive(tmp_path: Path) -> None:
    leave(tmp_path / "a.age")
    here = cast.agency("capital")
    cast.apply_rows(here, [cast.person(1)])
    account = Account.objects.create(user=cast.user(here, 1))
    Authenticator.objects.create(user=account, type="webauthn", data=moved.make_passkey("springfield-pd"))
    with pytest.raises(CannotImport, match=r"exists in this installation already.*passkey_once"):
        arrive(tmp_path / "a.age")


def test_an_agency_without_users_and_imports_is_in_an_installation_only_once(tmp_path: Path) -> None:
    agency = cast.agency()
    trail.record_event(agency, CONTEXT, EventKind.AGENCY_ADDED)
    models.Agency.objects.filter(pk=agency.pk).update(paused_at=cast.NOW)
    with (tmp_path / "a.age").open("w+b") as file, encrypting(file, LOCK) as into:
        agency_archive_export.write_archive(agency, into)
    with pytest.raises(CannotImport, match=r"in this installation already, as “springfield”.*nothing is left to do"):
        arrive(tmp_path / "a.age", slug="twin-pd")
    assert models.Agency.objects.count() == 1


def repack(path: Path, change: Callable[[dict[str, bytes]], None], *, digest: bool = True) -> Path:
    """Change what is in an archive, as someone who knows the recipient can, and write it again with a right digest."""
    plain = io.BytesIO()
    decrypt(path, plain, OPENER)
    plain.seek(0)
    with tarfile.open(fileobj=plain) as tar:
        members = {one.name: (tar.extractfile(one) or io.BytesIO()).read() for one in tar if one.isfile()}
    seal = members.pop("seal")
    change(members)
    changed = path.with_name("changed.age")
    with changed.open("w+b") as file, encrypting(file, LOCK) as into, tarfile.open(fileobj=into, mode="w|") as tar:
        packing = backup_seal.Packing(tar, None)
        for name, content in members.items():
            packing.add(name, content)
        if digest:
            packing.finish()
        else:
            packing.add("seal", seal)
    return changed


def change_rows(label: str, change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def act(members: dict[str, bytes]) -> None:
        name = f"rows/{label}.000001"
        rows = [json.loads(line) for line in members[name].splitlines()]
        for row in rows:
            change(row)
        members[name] = "\n".join(json.dumps(row) for row in rows).encode()

    return act


def set_to(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update({name: value})


def add_member(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: content})


def change_manifest(**fields: object) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update(
        {"manifest.json": json.dumps(json.loads(members["manifest.json"]) | fields).encode()}
    )


def claim_range(label: str, **numbers: int) -> Callable[[dict[str, bytes]], None]:
    def act(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["tables"][label] |= numbers
        members["manifest.json"] = json.dumps(manifest).encode()

    return act


def lose_table(label: str) -> Callable[[dict[str, bytes]], None]:
    def act(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        del manifest["tables"][label]
        members["manifest.json"] = json.dumps(manifest).encode()

    return act


def refer_to_nobody(members: dict[str, bytes]) -> None:
    """Let the events be about a user whose id is among those of the archive, though no row has it."""
    last = json.loads(members["manifest.json"])["tables"]["directory.User"]["last"]
    claim_range("directory.User", last=last + 10)(members)
    change_rows("directory.Event", set_to("subject_id", last + 5))(members)


ATTACKS: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "the role of another agency": (change_rows("directory.User", set_to("role_id", 999)), "rows that are not in it"),
    "the agency of others": (change_rows("directory.User", set_to("agency_id", 2)), "rows that are not in it"),
    "an id beyond the range": (change_rows("directory.Role", set_to("id", 1 << 40)), "rows that are not in it"),
    "ids without end": (claim_range("directory.User", last=1 << 60), "its manifest is not valid"),
    "rows that are not there": (claim_range("directory.User", rows=3), "lacks rows"),
    "a text as a number": (change_rows("directory.User", set_to("role_id", "1; DROP TABLE x")), "no table holds"),
    "a time that is none": (change_rows("directory.User", set_to("created_at", "yesterday")), "no table holds"),
    "a name without end": (change_rows("directory.User", set_to("last_name", "x" * 300)), "no table holds"),
    "a NUL": (change_rows("directory.User", set_to("last_name", "a\0b")), "no table holds"),
    "the number of an import as a path": (change_rows("directory.Import", set_to("number", "../secret-key")), "no table holds"),
    "a number that begins like one": (
        change_rows("directory.Import", lambda row: row.update(number=row["number"][:24] + "/.")), "no table holds"),
    "a number with a line after it": (
        change_rows("directory.Import", lambda row: row.update(number=row["number"][:25] + "\n")), "no table holds"),
    "the number of a time without an end": (
        change_rows("directory.Import", lambda row: row.update(number="Z" + row["number"][1:])), "no table holds"),
    "options without a mode": (change_rows("directory.Import", set_to("options", "{}")), "no table holds"),
    "an act that no bulk action has": (
        change_rows("directory.Import", lambda row: row.update(
            kind="bulk", options='{"mode": "update", "preview": false, "bulk": {"act": "rob", "value": ""}}', finished_at=None)),
        "no table holds"),
    "a waiting import of no mode": (
        change_rows("directory.Import", lambda row: row.update(
            kind="file", options='{"mode": "none", "preview": false}', finished_at=None)), "no table holds"),
    "permissions of an import as a list": (change_rows("directory.Import", set_to("granted", "[]")), "no table holds"),
    "a permission that is a number": (change_rows("directory.Import", set_to("granted", '{"actor": [1]}')), "no table holds"),
    "a count without end": (change_rows("directory.Import", set_to("counts", '{"added": 1e999}')), "no table holds"),
    "a count that is none": (change_rows("directory.Import", set_to("counts", '{"added": NaN}')), "no table holds"),
    "a stage with a long name": (
        change_rows("directory.Import", set_to("stages", json.dumps({"x" * 200: 1}))), "no table holds"),
    "a leaver who is no user": (
        change_rows("directory.Import", set_to("leavers", '{"protected": [{"code": "x"}]}')), "no table holds"),
    "a hold that is none": (change_rows("directory.Import", set_to("holds", "[1]")), "no table holds"),
    "a provider without a kind": (change_rows("directory.Agency", set_to("sign_on", '[{"a": 1}]')), "no table holds"),
    "a provider with a list": (
        change_rows("directory.Agency", set_to("sign_on", json.dumps([moved.PROVIDER | {"hosts": ["x"]}]))), "no table holds"),
    "a limit of no kind": (
        change_rows("directory.Agency", set_to("limits", json.dumps([cast.allow(1, kind="x")]))), "no table holds"),
    "more rows at once than an export writes": (
        lambda members: members.update({"rows/directory.Role.000001": b"{}\n" * 10_001}), "no table holds"),
    "a number that the table is too small for": (
        change_rows("directory.Agency", set_to("grace_days", 1 << 40)), "no table holds"),
    "a mode that no import has": (change_rows("directory.Import", set_to("mode", "x")), "no table holds"),
    "trail keys that are none": (add_member("trail-keys.json", b'{"a": "not hexadecimal"}'), "cannot be read as a file"),
    "trail keys that are numbers": (add_member("trail-keys.json", b'{"a": 1}'), "cannot be read as a file"),
    "no name": (change_rows("directory.User", set_to("last_name", None)), "no table holds"),
    "nested JSON": (change_rows("directory.Feed", set_to("secrets", "[" * 100_000)), "no table holds"),
    "permissions of a newer version": (
        change_rows("directory.Role", set_to("permissions", '["system.root"]')), "roles that this version does not know"),
    "two administrators": (change_rows("directory.Role", set_to("administrator", False)), "does not know"),
    "a file of another import": (add_member("files/01J000", b"x"), "not of its imports"),
    "a file elsewhere": (add_member("files/../../secret-key", b"x"), "changed or cut off"),
    "a file anywhere": (add_member("/etc/cron.d/x", b"x"), "changed or cut off"),
    "rows of another table": (add_member("rows/directory.Worker.000001", b'{"id": 1}'), "rows that no agency has"),
    "a newer version": (change_manifest(changes=[*migration.list_required(), "directory.9999_later"], version="9.9"), "newer"),
    "an older version": (change_manifest(changes=["directory.0001_start"], version="0.1"), "older Musterbook"),
    "no word about its pause": (change_manifest(paused="no"), "its manifest is not valid"),
    "no tables": (change_manifest(tables=[]), "its manifest is not valid"),
    "more rows than ids": (claim_range("directory.User", rows=1_000_000), "its manifest is not valid"),
    "a list as the manifest": (add_member("manifest.json", b"[]"), "its manifest is not valid"),
    "a manifest without end": (
        lambda members: members.update({"manifest.json": members["manifest.json"] + b" " * (1 << 20)}), "too long"),
    "a table less": (lose_table("directory.Rank"), "does not have the tables of this version"),
    "no agency": (claim_range("directory.Agency", rows=0, first=0, last=0), "not of exactly one agency"),
    "an event about a user who is not there": (refer_to_nobody, "rows that are not in it"),
    "another format": (change_manifest(format="zip"), "not an archive of an agency"),
    "a slug that is an address": (change_manifest(slug="static"), "cannot be used"),
    "a slug that is markup": (change_manifest(slug="<b>"), "cannot be used"),
    "an event of nobody": (change_rows("directory.Event", set_to("actor", "E-9")), "does not verify"),
    "keys of its own": (add_member("trail-keys.json", b"{}"), "does not verify"),
}  # fmt: skip


def test_a_hostile_archive_changes_nothing_and_says_why(tmp_path: Path) -> None:
    leave(tmp_path / "a.age")
    cast.agency("shelbyville-pd")
    files = sorted((settings.MUSTER_HOME / "files").iterdir())
    for what, (attack, message) in ATTACKS.items():
        with pytest.raises(CannotImport, match=message):
            arrive(repack(tmp_path / "a.age", attack))
        assert models.Agency.objects.count() == 1, what
    assert sorted((settings.MUSTER_HOME / "files").iterdir()) == files
    assert models.User.objects.count() == models.Event.objects.count() == 0
    assert arrive(repack(tmp_path / "a.age", lambda members: None)).users == 4


def test_rows_that_take_too_much_room_or_break_the_library_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a.age")
    # The library raises an exception of its own for some of its errors, which is none of Python's.
    panic = type("PanicException", (BaseException,), {})

    def end_with(error: type[BaseException]) -> Callable[..., Any]:
        def read(*_: object, **__: object) -> Any:
            raise error

        return read

    with monkeypatch.context() as patched:
        patched.setattr(agency_archive_values, "_LARGEST_PART", 10)
        with pytest.raises(CannotImport, match="no table holds"):
            arrive(tmp_path / "a.age")
    with monkeypatch.context() as patched:
        patched.setattr(pl, "read_ndjson", end_with(panic))
        with pytest.raises(CannotImport, match="no table holds"):
            arrive(tmp_path / "a.age")
    with monkeypatch.context() as patched:
        patched.setattr(pl, "read_ndjson", end_with(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            arrive(tmp_path / "a.age")
    assert not models.Agency.objects.exists()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_disk(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(environment.home() / "work"))

    leave(tmp_path / "a.age")
    monkeypatch.setattr(backups, "decrypt_backup", fill_disk)
    with pytest.raises(OSError, match="No space left on device"):
        arrive(tmp_path / "a.age")


def test_an_export_contains_no_file_but_those_of_imports(tmp_path: Path) -> None:
    agency = fill("springfield-pd", (1, 2, 3, 4))
    secret = settings.MUSTER_HOME / "a-secret"
    secret.write_text("of the installation")
    kept = [name for name, _path in agency_archive_export._list_files(agency)]
    assert kept
    hostile = models.Import.objects.filter(agency=agency).order_by("-pk").first()
    assert hostile
    models.Import.objects.filter(pk=hostile.pk).update(number="../a-secret")
    found = [path.resolve() for _name, path in agency_archive_export._list_files(agency)]
    assert found and secret.resolve() not in found


def test_a_secret_whose_key_is_gone_stops_the_export(tmp_path: Path) -> None:
    agency = fill("springfield-pd", (1, 2, 3, 4))
    models.Feed.objects.update(secrets={"password": "sealed by another installation"})
    with (
        (tmp_path / "a.age").open("w+b") as file,
        pytest.raises(CannotExport, match="its secret key is missing"),
        encrypting(file, LOCK) as into,
    ):
        agency_archive_export.write_archive(agency, into)


def test_a_table_that_no_agency_has_must_be_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agency_archive_tables, "LEFT_OUT", {})
    with pytest.raises(LookupError, match=r"No agency has the rows of .*directory\.Worker"):
        agency_archive_tables.list_tables.__wrapped__()


@pytest.mark.django_db(transaction=True)
def test_what_others_write_during_an_export_is_not_in_it() -> None:
    cast.agency()
    with agency_archive_export.open_snapshot():
        assert models.Agency.objects.count() == 1
        elsewhere(lambda: cast.agency("shelbyville-pd")).join(30)
        assert models.Agency.objects.count() == 1
    assert models.Agency.objects.count() == 2


def test_an_archive_that_is_not_the_one_that_was_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.age"
    leave(path)
    content = path.read_bytes()
    other = Opener((x25519.Identity.generate(),))
    cases = {
        "cut off": (content[:-100], OPENER, "cannot be decrypted"),
        "changed": (content[:-100] + bytes(100), OPENER, "cannot be decrypted"),
        "the wrong key": (content, other, "encrypted for other recipients"),
        "no key": (content, Opener(), "The file is encrypted. Name the file of your age identity"),
        "damaged": (content[:-9_000] + bytes(9_000), OPENER, "cannot be decrypted: it was changed or cut off"),
        "not encrypted": (b"PK\x03\x04 something else", OPENER, "not encrypted"),
        "empty": (b"", OPENER, "not encrypted"),
    }
    for text, opener, message in cases.values():
        path.write_bytes(text)
        with pytest.raises(CannotImport, match=message):
            agency_archive_import.import_agency(path, opener, CONTEXT)
    path.write_bytes(content)
    with pytest.raises(CannotImport, match="changed or cut off"):
        arrive(repack(path, change_manifest(slug="x-pd"), digest=False))
    with pytest.raises(CannotImport, match="not the expected one"):
        arrive(path, expected="0" * 64)
    with pytest.raises(CannotImport, match="does not exist"):
        arrive(tmp_path / "absent.age")
    assert not models.Agency.objects.exists()


def test_a_backup_of_the_whole_installation_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.age"
    leave(path)

    def add_database(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps({"format": 2, "database": "database.sqlite3"}).encode()

    def drop_manifest(members: dict[str, bytes]) -> None:
        del members["manifest.json"]

    with pytest.raises(CannotImport, match=r"a backup of a whole installation. Restore it with `muster restore`"):
        arrive(repack(path, add_database))
    with pytest.raises(CannotImport, match="changed or cut off"):
        arrive(repack(path, drop_manifest, digest=False))


def test_a_passphrase_that_takes_too_much_work_is_not_called_wrong(tmp_path: Path) -> None:
    path, phrase = tmp_path / "a.age", "a passphrase of a test"
    with path.open("w+b") as file, encrypting(file, Lock(passphrase=phrase)) as into:
        into.write(b"content")
    path.write_bytes(re.sub(rb"(-> scrypt \S+ )\d\d", rb"\g<1>30", path.read_bytes(), count=1))
    with pytest.raises(CannotImport, match="takes more work than this machine can do now"):
        agency_archive_import.import_agency(path, Opener(passphrase=phrase), CONTEXT)


def test_an_export_that_cannot_be_written_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    agency = cast.agency()
    with pytest.raises(CannotExport, match="cannot be written: No such file or directory"):
        agency_archive_export.export_agency(agency, tmp_path / "absent" / "a.age", LOCK, CONTEXT)
    monkeypatch.setattr(agency_archive_export, "open_snapshot", nullcontext)  # the test has begun a transaction already
    monkeypatch.setattr(agency_archive_export, "write_archive", fill_disk)
    with pytest.raises(CannotExport, match="No space left on device"):
        agency_archive_export.export_agency(agency, tmp_path / "a.age", LOCK, CONTEXT)
    assert list(tmp_path.iterdir()) == []
    assert not models.Event.objects.filter(kind="agency.exported").exists()
    with monkeypatch.context() as patched:
        patched.setattr(agency_archive_export, "write_archive", lambda *_: "digest")
        assert agency_archive_export.export_agency(agency, tmp_path / "b.age", LOCK, CONTEXT) == "digest"
    assert models.Event.objects.filter(kind="agency.exported").count() == 1
    (tmp_path / "a.age").touch()
    with pytest.raises(CannotExport, match="already exists"):
        agency_archive_export.export_agency(agency, tmp_path / "a.age", LOCK, CONTEXT)


def test_an_agency_with_something_in_progress_is_not_exported(tmp_path: Path) -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1))
    models.Mail.objects.create(agency=agency, kind="invitation", created_at=cast.NOW, to="a@b.example")
    pausing.pause(agency, CONTEXT)
    models.Mail.objects.update(lease_until=cast.NOW + timedelta(minutes=1))
    with pytest.raises(CannotExport, match="A worker still sends or checks something for springfield"):
        agency_archive_export.export_agency(agency, tmp_path / "a.age", LOCK, CONTEXT)
    assert list(tmp_path.glob("*.age")) == []


@pytest.fixture
def lose_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the answer to the commit that ends an import of an archive be lost, after it was done or before."""
    database = connections["default"]

    def prepare(*, done: bool, then: Callable[[], None] = lambda: None) -> None:
        commit = database.commit

        def lose() -> None:
            monkeypatch.setattr(database, "commit", commit)
            if done:
                commit()
            then()
            raise OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(database, "commit", lose)

    return prepare


def list_kept() -> list[str]:
    return sorted(path.name for path in (settings.MUSTER_HOME / "files").iterdir())


@pytest.mark.django_db(transaction=True)
def test_an_agency_that_arrived_keeps_its_files_though_the_answer_to_the_commit_was_lost(
    tmp_path: Path, lose_answer: Callable[..., None]
) -> None:
    before = list_kept()
    leave(tmp_path / "a.age")
    lose_answer(done=True)
    done = arrive(tmp_path / "a.age")
    assert done.agency.slug == "springfield-pd" and models.Agency.objects.get() == done.agency
    assert set(list_kept()) - set(before)


@pytest.mark.django_db(transaction=True)
def test_an_agency_whose_commit_was_lost_leaves_no_files(tmp_path: Path, lose_answer: Callable[..., None]) -> None:
    leave(tmp_path / "a.age")
    before = list_kept()
    lose_answer(done=False)
    with pytest.raises(OperationalError):
        arrive(tmp_path / "a.age")
    assert list_kept() == before and not models.Agency.objects.exists()
    assert arrive(tmp_path / "a.age").users == 4


@pytest.mark.django_db(transaction=True)
def test_files_are_kept_if_it_is_not_known_whether_the_agency_arrived(
    tmp_path: Path, lose_answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    leave(tmp_path / "a.age")
    before = list_kept()
    with monkeypatch.context() as patched:
        lose_answer(done=True, then=lambda: patched.setattr(connections["default"], "connect", refuse))
        with pytest.raises(CannotImport, match="not known whether “springfield-pd” has arrived"):
            arrive(tmp_path / "a.age")
    assert set(list_kept()) > set(before) and models.Agency.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_is_still_to_come_is_waited_for(
    tmp_path: Path, lose_answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a.age")
    before = list_kept()
    monkeypatch.setattr(agency_archive_import, "wait_for_others", lambda seconds: False)
    lose_answer(done=False)
    with pytest.raises(CannotImport, match="not known whether"):
        arrive(tmp_path / "a.age")
    assert set(list_kept()) > set(before)


@pytest.mark.django_db(transaction=True)
def test_another_import_of_an_archive_is_waited_for_no_longer_than_said() -> None:
    if not frames.on_postgres():
        with transaction.atomic():
            assert agency_archive_ids.wait_for_others(0)
        pytest.skip("SQLite has one writer")
    held, waited = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            assert agency_archive_ids.wait_for_others(0)
            held.set()
            waited.wait(30)

    thread = elsewhere(hold)
    assert held.wait(30)
    with transaction.atomic():
        assert not agency_archive_ids.wait_for_others(0.3)
    waited.set()
    thread.join(30)
    with transaction.atomic():
        assert agency_archive_ids.wait_for_others(0)


@pytest.mark.django_db(transaction=True)
def test_ids_that_somebody_holds_who_has_not_committed_are_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL nobody sees the rows of a transaction that has not ended, and its ids are given all the same."""
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    table = next(one for one in agency_archive_tables.list_tables() if one.label == "directory.Rank")
    ranges = {one.label: Range(0, 0, 0) for one in agency_archive_tables.list_tables()}
    made = cast.agency()
    held, ended = threading.Event(), threading.Event()
    taken: list[int] = []

    def hold() -> None:
        with transaction.atomic():
            taken.append(models.Rank.objects.create(agency=made, name="Held", name_key="held", position=9).pk)
            held.set()
            ended.wait(60)

    def reserve(first: int, last: int) -> int:
        spans = {**ranges, "directory.Rank": Range(1, first, last)}
        with transaction.atomic():
            return agency_archive_ids.reserve_ids((table,), spans).added["directory.Rank"]

    thread = elsewhere(hold)
    assert held.wait(30)
    monkeypatch.setattr(agency_archive_ids, "_PATIENCE", 0.3)
    assert reserve(taken[0], taken[0] + 5) > 0
    beyond = read_last("directory_rank") + 1
    assert reserve(beyond, beyond + 5) == 0, "ids that were given to nobody need no wait"
    ended.set()
    thread.join(30)
    monkeypatch.setattr(agency_archive_ids, "_PATIENCE", 20.0)
    assert reserve(taken[0], taken[0] + 5) > 0, "now its row is there"
    last = read_last("directory_rank")
    assert reserve(last - 2, last) == 0, "nobody holds them any more"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("width", [3, 2_000_000])
def test_the_next_id_is_never_one_that_was_given_before(width: int) -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    table = next(one for one in agency_archive_tables.list_tables() if one.label == "directory.Rank")
    begin = read_last("directory_rank") + 1
    for first in (begin, begin + width, 1):
        before = read_last("directory_rank")
        with transaction.atomic():
            agency_archive_ids.reserve_ids((table,), {"directory.Rank": Range(1, first, first + width)})
        assert read_last("directory_rank") >= max(before, first + width)


def read_last(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value FROM {table}_id_seq")
        return int(cursor.fetchone()[0])
