"""Attacks on the audit trail: by programs that the database must refuse, and by whoever owns the tables, who must be found.

Each row of the table in docs/explanation/security.md, section “The audit trail”, names the test of its attack here.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import DatabaseError, connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.config import secret_keys
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import agencies
from musterbook.directory.audit import anchors, hash_chain, runs, trail, triggers, verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import migration
from musterbook.directory.storage import frames
from tests.built_once import built_once
from tests.directory.cast import NOW, agency, apply_rows, people, person, user

pytestmark = pytest.mark.django_db
OWNER = pytest.mark.usefixtures("as_owner")
TRAIL: tuple[Any, ...] = (models.Event, models.TrailLink, models.TrailEnd, models.Passage)
AT = datetime(2026, 3, 3, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def made(request: pytest.FixtureRequest) -> models.Agency:
    """An agency with imports, sign-ins and a token, whose newest head is noted as it is when an act is committed."""
    if "as_owner" in request.fixturenames:
        request.getfixturevalue("as_owner")
    new = build_trail("springfield")
    links, head = hash_chain.read_head(new)
    anchors.record_head(new, links, "", head)
    return new


@built_once
def build_trail(slug: str) -> models.Agency:
    new = agency(slug)
    apply_rows(new, people(1, 2, 3, ROLE="Chief"))
    apply_rows(new, [person(1, ROLE="Chief", LAST_NAME="New"), person(4)])
    sign_in(new, 1)
    return new


def sign_in(of: models.Agency, number: int, at: datetime = NOW) -> None:
    trail.record_event(
        of,
        AuditContext(at, f"E-{number}", "page", "192.0.2.1", "Firefox", "a" * 16),
        EventKind.USER_SIGNED_IN,
        user(of, number),
    )
    models.User.objects.filter(pk=user(of, number).pk).update(last_sign_in_at=at)


def wrong(of: models.Agency) -> str:
    return verify.verify_trail(of).error


def run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def cut(of: models.Agency, left: int) -> None:
    """Removes all links after so many, their events, passages and heads."""
    link = models.TrailLink.objects.get(agency=of, number=left + 1)
    models.Event.objects.filter(agency=of, pk__gte=link.first).delete()
    models.Passage.objects.filter(agency=of, first__gte=link.first).delete()
    models.TrailEnd.objects.filter(agency=of, links__gt=left).delete()
    models.TrailLink.objects.filter(agency=of, number__gt=left).delete()


def reseal(of: models.Agency, ring: dict[str, bytes | None]) -> None:
    """Makes all seals, passages and heads of a trail anew, each link by the key of that name (“”: none)."""
    before = hash_chain.START
    columns = hash_chain.SEALED | hash_chain.ALSO | hash_chain.LATER
    listed = ", ".join(runs.select_time() if name == "at" else f'"{name}"' for name in columns)
    models.Passage.objects.filter(agency=of).delete()
    models.TrailEnd.objects.filter(agency=of).delete()
    for link in models.TrailLink.objects.filter(agency=of).order_by("number"):
        name, key = next(iter(ring.items()))
        sql = f"SELECT {listed} FROM directory_event WHERE agency_id = %s AND id BETWEEN %s AND %s ORDER BY id"
        events = frames.read_frame(sql, [of.pk, link.first, link.last], columns)
        digest = hash_chain.begin_digest(before, key)
        hash_chain.add_events(digest, events)
        link.key = name
        link.digest = before = hash_chain.finish_digest(digest, link)
        link.save()
        runs.write_passages(of, [runs.find_passages(events)])
        models.TrailEnd.objects.create(agency=of, links=link.number, digest=before)


def refused(statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run(statement)


@pytest.mark.parametrize("model", TRAIL)
def test_the_database_refuses_to_change_or_remove_rows_of_the_trail(made: models.Agency, model: Any) -> None:
    table, column = frames.table(model), model._meta.fields[-1].column
    if frames.on_postgres():
        run("SET CONSTRAINTS ALL IMMEDIATE")
    refused(f'UPDATE {table} SET "{column}" = "{column}"')
    refused(f"DELETE FROM {table}")
    if frames.on_postgres():
        refused(f"TRUNCATE {table} CASCADE")
        refused("TRUNCATE directory_agency CASCADE")
        refused(f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET agency_id = 0")
    else:
        refused(f"REPLACE INTO {table} SELECT * FROM {table}")
        refused(f"UPDATE OR REPLACE {table} SET id = id + 1")
        if triggers.TRAIL[table]:
            names = ", ".join(f'"{field.column}"' for field in model._meta.fields if field.column != "id")
            refused(f"REPLACE INTO {table} ({names}) SELECT {names} FROM {table}")
    assert wrong(made) == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_session_that_plays_replica_is_refused_too(made: models.Agency) -> None:
    run("SET session_replication_role = replica")
    try:
        refused("DELETE FROM directory_event")
    finally:
        run("SET session_replication_role = DEFAULT")


def list_alterations() -> Iterator[tuple[Any, str]]:
    surrogate = {models.TrailLink: "id", models.TrailEnd: "id", models.Passage: "id"}
    for model in TRAIL:
        for field in model._meta.fields:
            if surrogate.get(model) != field.column:
                yield model, str(field.column)


@OWNER
@pytest.mark.parametrize(
    ("model", "column"), list(list_alterations()), ids=lambda about: str(getattr(about, "__name__", about))
)
def test_a_change_of_any_column_is_found(made: models.Agency, model: Any, column: str) -> None:
    rows = model.objects.filter(agency=made).order_by("pk")
    for row in (rows.first(), rows.last()):
        before = getattr(row, column)
        if column == "first":
            others: tuple[Any, ...] = (0,)  # of no other row, and not after the last
        elif column in ("id", "agency_id", "of_id", "subject_id", "row", "number", "last", "links"):
            others = (1_000_000_000,)  # beyond whatever earlier tests used up
        elif column == "at":
            others = (before + timedelta(microseconds=1), before - timedelta(days=1))
        else:
            others = ("other", "") if before else ("other",)
        for other in others:
            with transaction.atomic():
                _set(row, column, other)
                assert wrong(made) != "", (column, other)
                _set(row, column, before, was=other)
            assert wrong(made) == ""


def _set(row: Any, column: str, value: Any, was: Any = None) -> None:
    table, pk = frames.table(type(row)), row.pk if column != "id" or was is None else was
    if connection.vendor == "sqlite":
        run("PRAGMA defer_foreign_keys = ON")
    else:
        run("SET CONSTRAINTS ALL DEFERRED")
    stamp = frames.stamp(value) if isinstance(value, datetime) else value
    run(f'UPDATE {table} SET "{column}" = %s WHERE id = %s', stamp, pk)


@OWNER
def test_an_event_that_is_slipped_in_is_found(made: models.Agency) -> None:
    pk = models.Event.objects.latest("pk").pk + 1
    models.Event.objects.create(pk=pk, agency=made, at=NOW, actor="", through="cli", kind="user.updated")
    assert wrong(made) == "events that nothing seals stand after the last link"


@OWNER
def test_two_events_that_change_places_are_found(made: models.Agency) -> None:
    first, second = models.Event.objects.filter(agency=made).order_by("pk")[:2]
    models.Event.objects.filter(pk__in=(first.pk, second.pk)).delete()
    first.pk, second.pk = second.pk, first.pk
    first.save(force_insert=True)
    second.save(force_insert=True)
    assert wrong(made) == "the events of link 1 are not those that were sealed"


@OWNER
def test_a_removed_link_is_found_even_if_the_others_are_renumbered(made: models.Agency) -> None:
    link = models.TrailLink.objects.get(agency=made, number=2)
    models.Event.objects.filter(agency=made, pk__gte=link.first, pk__lte=link.last).delete()
    models.Passage.objects.filter(agency=made, first__gte=link.first, first__lte=link.last).delete()
    link.delete()
    models.TrailEnd.objects.filter(agency=made, links=2).delete()
    models.TrailLink.objects.filter(agency=made, number=3).update(number=2)
    models.TrailEnd.objects.filter(agency=made, links=3).update(links=2)
    assert wrong(made) == "the events of link 2 are not those that were sealed"


@OWNER
def test_events_that_are_moved_to_another_agency_are_found_in_both(made: models.Agency) -> None:
    other = build_trail("shelbyville")
    event = models.Event.objects.filter(agency=made).order_by("pk")[1]
    models.Event.objects.filter(pk=event.pk).update(agency=other)
    assert wrong(made) == "the events of link 1 are not those that were sealed"
    assert wrong(other) == "events that nothing seals stand before link 1"


@OWNER
def test_a_whole_trail_that_is_moved_to_another_agency_is_found(made: models.Agency) -> None:
    other = agency("shelbyville")
    for model in TRAIL:
        model.objects.filter(agency=made).update(agency=other)
    assert wrong(other) == "the events of link 1 are not those that were sealed"
    assert "knows 3: its end was removed" in wrong(made)


@OWNER
def test_a_rewritten_old_event_is_found_even_if_all_seals_are_recomputed_without_the_key(
    made: models.Agency,
) -> None:
    first = models.Event.objects.filter(agency=made).earliest("pk")
    models.Event.objects.filter(pk=first.pk).update(actor="E-3", address="192.0.2.99")
    for ring in (
        {next(iter(hash_chain.derive_keys())): secrets.token_bytes(32)},
        {"0123456789": secrets.token_bytes(32)},
        {"": None},
    ):
        reseal(made, dict(ring))
        assert wrong(made) != ""


@OWNER
def test_keyed_links_that_are_recomputed_as_plain_ones_are_found(
    made: models.Agency, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    reseal(made, {"": None})
    assert wrong(made).startswith("no key seals the last links")
    trail.seal_unkeyed_trails(AT)
    assert wrong(made).startswith("no key seals the last links")
    with django_capture_on_commit_callbacks(execute=True):
        sign_in(made, 2)
    assert wrong(made) == "link 4 is not the one with which keys began, and the links before it have none"


@OWNER
def test_a_link_that_names_a_key_that_there_is_not_is_found(made: models.Agency) -> None:
    reseal(made, {"0123456789": secrets.token_bytes(32)})
    assert wrong(made) == "link 1 names the key 0123456789, which this installation does not have"


@OWNER
def test_a_key_that_was_replaced_seals_no_more(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = secret_keys.ring()[0], secret_keys.Key(secrets.token_urlsafe(48), "a test")
    monkeypatch.setattr(secret_keys, "ring", lambda: (new, old))
    sign_in(made, 2)
    assert wrong(made) == ""
    monkeypatch.setattr(secret_keys, "ring", lambda: (old, new))
    sign_in(made, 3)
    assert wrong(made) == f"link 5 is sealed by the key {old.name}, which another key had replaced before"


@OWNER
@pytest.mark.parametrize("left", [0, 1, 2])
def test_an_end_that_was_cut_off_is_found_though_the_head_was_set_back(made: models.Agency, left: int) -> None:
    cut(made, left)
    assert f"the trail has {left} links" in wrong(made)
    assert "knows 3: its end was removed" in wrong(made)


@OWNER
def test_an_end_that_was_cut_off_is_found_by_a_daily_anchor_alone(made: models.Agency, tmp_path: Path) -> None:
    anchors.write_lines(AT)
    (tmp_path / anchors.HEADS / str(made.pk)).unlink()
    cut(made, 2)
    assert "the anchor of 2026-03-03T07:00:00Z knows 3" in wrong(made)


@OWNER
def test_an_end_that_was_cut_off_since_the_daily_anchor_is_found_though_the_newest_head_is_gone(
    made: models.Agency, tmp_path: Path
) -> None:
    anchors.write_lines(AT)
    sign_in(made, 3)
    (tmp_path / anchors.HEADS / str(made.pk)).unlink()
    cut(made, 3)
    models.User.objects.update(last_sign_in_at=None)
    assert "the newest head is missing from the folder audit-heads" in wrong(made)


@OWNER
def test_an_end_that_was_cut_off_is_found_by_an_expected_head_alone(made: models.Agency, tmp_path: Path) -> None:
    head = hash_chain.read_head(made)
    (tmp_path / anchors.HEADS / str(made.pk)).unlink()
    cut(made, 2)
    models.User.objects.update(last_sign_in_at=None)
    assert wrong(made) == ""
    (finding,) = migration.check_trails("springfield", [head])
    assert finding.error == "the trail has 2 links, and the expected head knows 3: its end was removed"
    (finding,) = migration.check_trails("springfield", [(0, head[1])])
    assert finding.error == "no link is the one that the expected head knows: the trail was made anew"
    assert migration.check_trails("springfield", [hash_chain.read_head(made)])[0].error == ""


@OWNER
def test_a_trail_that_was_removed_whole_is_found(made: models.Agency) -> None:
    for model in TRAIL:
        model.objects.filter(agency=made).delete()
    assert "the trail has 0 links, and the anchor of" in wrong(made)


@OWNER
def test_a_trail_that_was_removed_and_grew_again_is_found(
    made: models.Agency,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    anchors.write_lines(AT)
    for model in TRAIL:
        model.objects.filter(agency=made).delete()
    for number in (1, 2, 3, 1, 2):
        with django_capture_on_commit_callbacks(execute=True):
            sign_in(made, number)
    assert "link 3 is not the one that the anchor of" in wrong(made)
    assert "has lost link 3" in caplog.text
    assert anchors.write_lines(AT + timedelta(days=1)) == []
    assert "link 3 is not the one that the anchor of" in wrong(made)


@OWNER
def test_an_agency_that_was_removed_with_its_trail_is_found(made: models.Agency) -> None:
    links = hash_chain.read_head(made)[0]
    for model in (*TRAIL, models.ImportProblem, models.Mail, models.SearchChunk):
        model.objects.all().delete()
    tables: tuple[Any, ...] = (models.Import, models.User, models.Role, models.Rank, models.Group, models.Agency)
    for table in tables:
        table.objects.all()._raw_delete("default")
    (finding,) = migration.check_trails()
    assert finding.agency == "springfield"
    assert f"the agency is gone, and the anchor of {datetime.now(UTC):%Y}" in finding.error
    assert f"knows {links} links of it" in finding.error


@OWNER
def test_an_older_copy_of_the_database_is_found(
    made: models.Agency, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        with django_capture_on_commit_callbacks(execute=True):
            sign_in(made, 2)
        raise ZeroDivisionError
    assert wrong(made).startswith("the trail has 3 links, and the anchor of")


def lines(folder: Path) -> list[str]:
    return (folder / anchors.FILE).read_text().splitlines()


def test_a_line_of_the_anchors_that_was_changed_or_removed_is_found(made: models.Agency, tmp_path: Path) -> None:
    for day in range(4):
        sign_in(made, 2)
        assert len(anchors.write_lines(AT + timedelta(days=day))) == 1
    written = lines(tmp_path)
    assert wrong(made) == ""
    for number in range(3):
        (tmp_path / anchors.FILE).write_text("".join(f"{line}\n" for line in written if line != written[number]))
        assert wrong(made).startswith(f"line {number + 1} of audit-anchors.log was changed, or lines")
    (tmp_path / anchors.FILE).write_text("\n".join(written).replace("links=5", "links=1", 1) + "\n")
    assert wrong(made).startswith("line 2 of audit-anchors.log was changed")


def test_anchors_that_were_removed_are_missed_after_two_days(made: models.Agency, tmp_path: Path) -> None:
    anchors.write_lines(AT)
    assert anchors.find_unanchored(AT) == []
    (tmp_path / anchors.FILE).unlink()
    assert anchors.find_unanchored(AT) == []
    assert anchors.find_unanchored(AT + timedelta(days=2)) == ["springfield"]


def test_anchors_say_nothing_new_where_nothing_moved_and_go_on_in_one_file(made: models.Agency, tmp_path: Path) -> None:
    assert anchors.is_due(AT)
    (first,) = anchors.write_lines(AT)
    assert re.fullmatch(anchors._LINE, first)
    assert anchors.write_lines(AT) == []
    assert not anchors.is_due(datetime.now(UTC))
    assert (tmp_path / anchors.FILE).stat().st_mode & 0o777 == 0o600
    sign_in(made, 2)
    (second,) = anchors.write_lines(AT)
    assert lines(tmp_path) == [first, second]


def test_after_a_restore_older_anchors_know_more_and_that_is_noted(made: models.Agency, tmp_path: Path) -> None:
    sign_in(made, 2)
    anchors.write_lines(AT)
    triggers.remove() if not frames.on_postgres() else run("SET CONSTRAINTS ALL IMMEDIATE")
    triggers.remove()
    cut(made, 2)
    models.User.objects.update(last_sign_in_at=None)
    assert "its end was removed" in wrong(made)
    (line,) = anchors.record_restore(AT)
    assert " restored " in line
    assert wrong(made) == ""
    models.Agency.objects.filter(pk=made.pk).update(slug="renamed")
    assert [finding.error for finding in migration.check_trails()] == [""]


def test_a_head_that_cannot_be_noted_is_logged_and_the_act_stays(
    made: models.Agency,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    (tmp_path / anchors.HEADS).rename(tmp_path / "elsewhere")
    (tmp_path / anchors.HEADS).write_text("")
    with django_capture_on_commit_callbacks(execute=True):
        sign_in(made, 2)
    assert "could not be recorded" in caplog.text
    assert hash_chain.read_head(made)[0] == 4


# What the directory has and the trail does not tell of


def test_a_user_who_was_added_past_musterbook_is_found(made: models.Agency) -> None:
    one = user(made, 3)
    one.pk, one.external_id = None, "E-9"
    for name in ("email_key", "badge_number_key", "username_key"):
        setattr(one, name, "other")
    one.save(force_insert=True)
    assert wrong(made) == "the trail has no event that added E-9"


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [("email", "x@evil.example", "EMAIL"), ("username", "evil", "USERNAME"), ("active", False, "STATUS")],
)
def test_a_user_who_was_changed_past_musterbook_is_found(
    made: models.Agency, column: str, value: object, field: str
) -> None:
    models.User.objects.filter(pk=user(made, 3).pk).update(**{column: value})
    assert wrong(made) == f"{field} of E-3 is not what the trail says it became"


def test_a_user_who_was_given_a_role_past_musterbook_is_found(made: models.Agency) -> None:
    models.User.objects.filter(pk=user(made, 4).pk).update(role=models.Role.objects.get(agency=made, name="Admin"))
    assert wrong(made) == "ROLE of E-4 is not what the trail says it became"


@pytest.mark.parametrize("name", ["email", "badge_number", "username"])
def test_a_key_that_was_put_in_place_of_another_is_found(made: models.Agency, name: str) -> None:
    """Whoever has the administrator's key signs in by the administrator's name, and gets their mail."""
    models.User.objects.filter(pk=user(made, 3).pk).update(**{f"{name}_key": "evil"})
    assert wrong(made) == f"the key of {name.upper()} of E-3 is another value's"


def test_a_role_that_was_given_more_permissions_past_musterbook_is_found(made: models.Agency) -> None:
    role = models.Role.objects.get(agency=made, name="Officer")
    with agencies.changing(made, AuditContext(AT, "", "cli")):
        models.Role.objects.filter(pk=role.pk).update(permissions=["users.view"])
    assert wrong(made) == ""
    models.Role.objects.filter(pk=role.pk).update(permissions=["credentials.manage", "users.view"])
    assert wrong(made) == "the role officer is not what the trail says it became"
    with agencies.changing(made, AuditContext(AT, "", "cli")):
        models.Role.objects.filter(pk=role.pk).update(permissions=[])
    assert wrong(made) == ""


def test_a_role_that_was_renamed_is_no_alteration(made: models.Agency) -> None:
    models.Role.objects.filter(agency=made, name="Officer").update(name="Deputy", name_key="deputy")
    trail.record_event(
        made, AuditContext(AT, "", "cli"), EventKind.AGENCY_CHANGED, None, {"role officer": ("Officer: none", "")}
    )
    assert wrong(made) == ""


def test_an_import_without_its_events_is_found(made: models.Agency) -> None:
    record = models.Import.objects.filter(agency=made).latest("pk")
    models.Import.objects.filter(pk=record.pk).update(counts=record.counts | {"updated": 9})
    assert wrong(made) == f"import {record.number} changed 10 users by its record, and has 2 events"
    models.Import.objects.filter(pk=record.pk).update(counts=record.counts, state="failed")
    assert wrong(made) == f"import {record.number} changed 0 users by its record, and has 2 events"
    with connection.constraint_checks_disabled():
        models.Import.objects.filter(pk=record.pk)._raw_delete("default")
        assert wrong(made) == "the trail has events of 1 imports that are not there"
        record.save(force_insert=True)


def test_a_sign_in_without_its_event_is_found(made: models.Agency) -> None:
    models.User.objects.filter(pk=user(made, 2).pk).update(last_sign_in_at=AT)
    assert wrong(made) == "the trail has no event of the last sign-in of E-2"
    models.User.objects.update(last_sign_in_at=AT)
    assert wrong(made) == "the trail has no event of the last sign-in of E-1, E-2, E-3 and 1 more"


def token(of: models.Agency) -> Token:
    by = Operator(user(of, 1).pk, "E-1", frozenset({"api.manage", "users.view"}))
    return tokens.create_token(
        of, tokens.TokenData("Nightly", frozenset({"users.view"}), 90), AuditContext(AT, "E-1", "page"), by
    )[0]


FORGED: dict[str, Callable[[Token], dict[str, Any]]] = {
    "made": lambda token: {"made_at": token.made_at + timedelta(seconds=1)},
    "widened": lambda token: {"permissions": ["users.edit", "users.view"]},
    "prolonged": lambda token: {"expires_at": token.expires_at + timedelta(days=999)},
    "renamed": lambda token: {"name": "Weekly"},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_token_that_was_made_or_changed_past_musterbook_is_found(made: models.Agency, name: str) -> None:
    one = token(made)
    assert wrong(made) == ""
    Token.objects.filter(pk=one.pk).update(**FORGED[name](one))
    assert wrong(made).startswith("these API tokens differ from the trail")


def test_a_revoked_token_that_was_made_good_again_is_found(made: models.Agency) -> None:
    one = token(made)
    tokens.revoke(one, AuditContext(AT, "E-1", "page"))
    assert wrong(made) == ""
    Token.objects.filter(pk=one.pk).update(revoked_at=None)
    assert wrong(made) == "these API tokens differ from the trail: Nightly"


# Old trails


@OWNER
def test_an_old_trail_stays_whole_and_its_links_cannot_be_recomputed_once_keys_began(made: models.Agency) -> None:
    for path in (configured.MUSTER_HOME / anchors.HEADS).iterdir():
        path.unlink()
    reseal(made, {"": None})
    trail.seal_unkeyed_trails(AT)
    assert wrong(made) == ""
    assert hash_chain.read_head(made)[0] == 4
    trail.seal_unkeyed_trails(AT)
    assert hash_chain.read_head(made)[0] == 4
    sign_in(made, 2)
    assert wrong(made) == ""
    link = models.TrailLink.objects.get(agency=made, number=1)
    assert link.digest == _old_digest(made, link)
    models.Event.objects.filter(pk=link.first).update(actor="E-3")
    digest = _old_digest(made, link)
    models.TrailLink.objects.filter(pk=link.pk).update(digest=digest)
    models.TrailEnd.objects.filter(agency=made, links=1).update(digest=digest)
    assert wrong(made) != ""


def _old_digest(of: models.Agency, link: models.TrailLink) -> str:
    """The digest of the first link as versions before keys computed it."""
    sha = hashlib.sha256(("0" * 64).encode())
    for event in models.Event.objects.filter(agency=of, pk__gte=link.first, pk__lte=link.last).order_by("pk"):
        facts = (
            event.pk, event.agency_id, frames.stamp(event.at), event.actor, event.through, event.address, event.kind,
            event.subject_id, event.subject_external_id, event.of_id, event.row, event.changes,
        )  # fmt: skip
        sha.update(("\x1f".join("" if fact is None else str(fact) for fact in facts) + "\n").encode())
    return sha.hexdigest()


def test_each_row_of_the_table_of_attacks_names_its_test_and_each_test_has_its_row() -> None:
    text = (Path(__file__).parents[2] / "docs/explanation/security.md").read_text(encoding="utf-8")
    section = text.partition("\n## The audit trail\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert all(named), "a row names no test"
    there = {name for name in globals() if name.startswith("test_")}
    there |= set(re.findall(r"^def (test_\w+)", _source("test_application_role", "test_old_trails"), re.MULTILINE))
    others = {
        "test_each_row_of_the_table_of_attacks_names_its_test_and_each_test_has_its_row",
        # Of old installations, and nothing of their trails.
        "test_tables_of_a_library_that_is_no_longer_used_are_removed_and_doctor_is_content",
        "test_the_imports_of_an_old_database_get_their_kind",
    }
    assert {name for names in named for name in names} == there - others


def _source(*modules: str) -> str:
    return "".join((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8") for module in modules)
