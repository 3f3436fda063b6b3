"""Notices of imports: which ones, to the users who may see the import, by email to those who want them, once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook import jobs
from musterbook.accounts import outbox
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import bulk, file_import, notice_recipients, notices, plan_ends, queue, records
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.models import Mail, Notice, NoticeKind
from musterbook.directory.storage import frames
from tests.directory import cast
from tests.directory.cast import NOW, agency, allow, apply_rows, people, person, run, user
from tests.directory.storage.test_locks import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

SYNC = Options(mode=Mode.SYNC)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def made() -> models.Agency:
    """An administrator (1), two who may import (2, 3), and officers (4 to 6), all registered, without any email."""
    made = agency(limits=[allow(1)])
    apply_rows(made, [person(1, ROLE="Admin"), *people(2, 3, ROLE="Chief"), *people(4, 5, 6)])
    cast.register(made, *range(1, 7))
    Mail.objects.all().delete()
    return made


def kinds() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("kind", flat=True))


def recipients() -> list[str]:
    """The users who get an email of a notice."""
    mails = Mail.objects.filter(kind__in=NoticeKind.values)
    return sorted(mails.values_list("user__external_id", flat=True))


def unread(made: models.Agency, *numbers: int) -> list[int]:
    return [notices.count_unread(user(made, number)) for number in numbers]


def work() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def hold(made: models.Agency, **more: Any) -> models.Import:
    """An import that is held."""
    record = run(made, [person(1, ROLE="Admin"), *people(2, 3, ROLE="Chief")], SYNC, **more).record
    assert record.state == "held"
    return record


def fail(made: models.Agency, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """An import that fails while it is written."""
    with monkeypatch.context() as broken:
        broken.setattr("musterbook.directory.apply.writer.apply_plan", _break)
        with pytest.raises(ImportFailed):
            run(made, people(7), **more)


def _break(*_: object, **__: object) -> None:
    raise OSError


def test_each_end_that_needs_somebody_has_its_notice(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(made)
    fail(made, monkeypatch)
    run(made, [person(8), person(9, ROLE="x")])
    run(made, [{"EXTERNAL_ID": "E-1"}])
    assert kinds() == [NoticeKind.HELD, NoticeKind.FAILED, NoticeKind.PROBLEMS, NoticeKind.FAILED]
    assert unread(made, 1, 2, 3) == [4, 4, 4]


def test_what_needs_nobody_has_none(made: models.Agency) -> None:
    apply_rows(made, people(7))
    run(made, [person(8), person(9, ROLE="x")], Options(preview=True))
    run(made, [person(1, ROLE="Admin")], Options(mode=Mode.SYNC, preview=True))
    run(made, [{"EXTERNAL_ID": "E-1"}], Options(preview=True))
    waiting = queue.submit(
        made, file_import.Upload(cast.file(people(8)), "a.csv"), Options(), context=AuditContext(NOW, "E-1", "page")
    )
    queue.cancel(waiting, AuditContext(NOW, "E-1", "page"))
    assert kinds() == []


def test_a_plan_that_had_changed_needs_no_notice(made: models.Agency) -> None:
    seen = run(made, [person(4, FIRST_NAME="Ada")], Options(preview=True)).record
    apply_rows(made, [person(4, LAST_NAME="Ada")])
    refused = file_import.apply_previewed(made, seen.number, context=AuditContext(NOW, "", "cli")).record
    assert refused.state == "refused"
    assert kinds() == []


def test_only_users_who_may_see_the_import_get_the_notice(made: models.Agency) -> None:
    hold(made)
    assert unread(made, 1, 2, 3, 4) == [1, 1, 1, 0]
    assert recipients() == ["E-1", "E-2", "E-3"]
    assert notices.read_page(user(made, 4)).notices == []
    models.Role.objects.filter(name="Chief").update(permissions=["users.view"])
    assert unread(made, 1, 2) == [1, 0]


@pytest.mark.parametrize("act", sorted(bulk.ACTIONS))
def test_a_bulk_action_is_for_those_who_may_do_it(act: str) -> None:
    record = models.Import(kind="bulk", options={"bulk": {"act": act}})
    assert notices.get_permission(record) == bulk.ACTIONS[act].permission


def test_a_held_bulk_action_needs_its_own_permission(made: models.Agency) -> None:
    roles = models.Role.objects.filter(name="Chief")
    context = AuditContext(NOW, "E-1", "page")
    ids = [user(made, number).pk for number in (4, 5, 6)]
    queue.submit_bulk(made, ids, BulkChange("deactivate"), context=context, preview=False)
    work()
    assert kinds() == [NoticeKind.HELD]
    assert unread(made, 1, 2) == [0, 0]
    roles.update(permissions=["users.view", "users.edit"])
    assert unread(made, 2) == [1]
    roles.update(permissions=["users.edit"])
    assert unread(made, 2) == [0]


def test_another_agency_sees_nothing(made: models.Agency) -> None:
    hold(made)
    other = agency("shelbyville")
    apply_rows(other, [person(1, ROLE="Admin")])
    cast.register(other, 1)
    assert unread(other, 1) == [0]
    assert notices.read_page(user(other, 1)).notices == []
    notices.mark_read(user(other, 1), Notice.objects.get().pk)
    assert not models.NoticeSettings.objects.exists()
    assert recipients() == ["E-1", "E-2", "E-3"]


def test_whoever_did_it_on_a_page_has_seen_it_there(made: models.Agency) -> None:
    hold(made, by="E-2", through="page")
    assert unread(made, 1, 2, 3) == [1, 0, 1]
    assert recipients() == ["E-1", "E-3"]


def test_a_program_of_the_operator_shows_nobody_its_result(made: models.Agency) -> None:
    hold(made, by="E-2", through="cli")
    assert unread(made, 2) == [1]
    assert recipients() == ["E-1", "E-2", "E-3"]


def test_users_who_cannot_sign_in_get_no_email(made: models.Agency) -> None:
    models.User.objects.filter(external_id="E-2").update(active=False)
    models.User.objects.filter(external_id="E-3").update(registered_at=None)
    hold(made)
    assert recipients() == ["E-1"]


def test_emails_come_by_choice(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    notices.choose_emails(user(made, 1), [])
    notices.choose_emails(user(made, 2), [NoticeKind.PROBLEMS, "nonsense"])
    assert notices.list_emails(user(made, 1)) == []
    assert notices.list_emails(user(made, 2)) == [NoticeKind.PROBLEMS]
    assert notices.list_emails(user(made, 3)) == [NoticeKind.HELD, NoticeKind.FAILED, NoticeKind.LATE]
    hold(made)
    fail(made, monkeypatch)
    assert recipients() == ["E-3", "E-3"]
    Mail.objects.all().delete()
    run(made, [person(9, ROLE="x")])
    assert recipients() == ["E-2"]


def test_an_agency_that_sends_no_emails_sends_none_of_these(made: models.Agency) -> None:
    models.Agency.objects.update(sends_mail=False)
    made.refresh_from_db()
    hold(made)
    assert kinds() == [NoticeKind.HELD]
    assert recipients() == []


def test_a_role_of_many_gets_no_flood(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_recipients, "MOST_EMAILS", 2)
    notices.choose_emails(user(made, 1), [])
    hold(made)
    assert recipients() == ["E-2", "E-3"]


def test_what_is_rolled_back_is_never_sent(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice of an import that is held is part of its transaction: it goes with it, and the failure has its own."""
    add: Callable[[models.Import], None] = notices.add

    def add_and_break(record: models.Import) -> None:
        add(record)
        if record.state == "held":
            raise OSError

    monkeypatch.setattr(notices, "add", add_and_break)
    with pytest.raises(ImportFailed):
        run(made, [person(1, ROLE="Admin"), *people(2, 3, ROLE="Chief")], SYNC)
    assert kinds() == [NoticeKind.FAILED]
    assert set(Mail.objects.values_list("kind", flat=True)) == {NoticeKind.FAILED}


def test_no_notice_and_no_email_of_it_is_made_twice(made: models.Agency) -> None:
    record = hold(made)
    notices.add(record)
    assert kinds() == [NoticeKind.HELD]
    assert recipients() == ["E-1", "E-2", "E-3"]
    mail = Mail.objects.filter(kind=NoticeKind.HELD).first()
    assert mail
    mail.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        mail.save(force_insert=True)


def test_an_import_whose_process_died_is_noticed(made: models.Agency) -> None:
    record = hold(made)
    Notice.objects.all().delete()
    models.Import.objects.filter(pk=record.pk).update(state="running", finished_at=None)
    records.reap_orphans(made)
    records.reap_orphans(made)
    assert kinds() == [NoticeKind.FAILED]


def test_the_end_of_an_import_that_lost_its_lock_is_noticed_once(made: models.Agency) -> None:
    """Its process records that it failed while another one, which has the lock by now, finds that it has died."""
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    record = hold(made)
    models.Import.objects.filter(pk=record.pk).update(state="running", finished_at=None)
    record.refresh_from_db()
    endpoint = models.WebhookEndpoint.objects.create(
        agency=made, name="all", address="http://localhost:1/", kinds=["import.failed"], created_at=NOW
    )
    with transaction.atomic():
        assert records.record_failure(record, "The connection was lost.")
        other = elsewhere(lambda: records.reap_orphans(made))
        other.join(1)
        assert other.is_alive(), "it waits for this transaction"
    other.join()
    messages = models.WebhookMessage.objects.filter(endpoint=endpoint)
    assert [message.kind for message in messages] == ["import.failed"]
    record.refresh_from_db()
    assert record.message == "The connection was lost."


def test_an_email_leaves_once_and_only_while_it_is_true(made: models.Agency, settings: Settings) -> None:
    record = hold(made)
    models.Role.objects.filter(name="Chief").update(permissions=["users.view"])
    now = datetime.now(UTC)
    while outbox.send_due("w", lambda: now):
        pass
    sent = Mail.objects.filter(kind=NoticeKind.HELD, sent_at__isnull=False)
    assert [mail.user and mail.user.external_id for mail in sent] == ["E-1"]
    reasons = set(Mail.objects.filter(kind=NoticeKind.HELD, sent_at=None).values_list("problem", flat=True))
    assert reasons == {"Not sent: the user may no longer see the import."}
    [file] = (settings.MUSTER_HOME / "mail").glob("*.eml")
    text = file.read_text()
    assert f"/springfield/imports/{record.number}" in text.replace("=\n", "")
    assert "users.csv" not in text, "mail programs make a link of a file's name"
    assert outbox.send_due("v", lambda: now) == 0


def test_an_email_goes_to_no_address_that_the_user_has_given_up(made: models.Agency) -> None:
    hold(made)
    models.User.objects.filter(external_id="E-1").update(email="new@agency.example")
    outbox.send_due("w", lambda: datetime.now(UTC))
    mail = Mail.objects.get(kind=NoticeKind.HELD, user__external_id="E-1")
    assert mail.sent_at is None
    assert mail.problem == "Not sent: the user's address has changed."


def test_what_is_no_longer_on_hold_is_not_announced(made: models.Agency) -> None:
    record = hold(made)
    assert unread(made, 1) == [1]
    plan_ends.discard(record, AuditContext(NOW, "E-1", "page"))
    assert unread(made, 1) == [0]
    outbox.send_due("w", lambda: datetime.now(UTC))
    assert set(Mail.objects.values_list("problem", flat=True)) == {"Not sent: the import is no longer on hold."}


def test_an_email_of_a_notice_that_is_forgotten_is_not_sent(made: models.Agency) -> None:
    hold(made)
    assert notices.forget_old(datetime.now(UTC) + notices.KEPT_FOR - timedelta(minutes=1)) == 0
    assert notices.forget_old(datetime.now(UTC) + notices.KEPT_FOR + timedelta(minutes=1)) == 1
    outbox.send_due("w", lambda: datetime.now(UTC))
    assert not Mail.objects.filter(sent_at__isnull=False).exists()


def test_the_worker_forgets_old_notices(made: models.Agency) -> None:
    hold(made)
    Notice.objects.update(at=NOW - timedelta(days=400))
    jobs.tidy()
    assert kinds() == []


def test_reading_marks_what_was_shown_and_nothing_later(made: models.Agency) -> None:
    me = user(made, 1)
    hold(made)
    shown = notices.read_page(me)
    run(made, [person(9, ROLE="x")])
    notices.mark_read(me, shown.latest)
    assert unread(made, 1, 2) == [1, 2]
    notices.mark_read(me, 0)
    assert unread(made, 1) == [1]
    notices.mark_read(me, 2**62)
    assert unread(made, 1) == [0]
    run(made, [person(9, ROLE="x")])
    assert unread(made, 1) == [1]
    notices.mark_read(me, shown.latest)
    assert notices.read_page(me).read_to > shown.latest


def test_notices_come_page_by_page(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "PAGE", 2)
    for _ in range(3):
        run(made, [person(9, ROLE="x")])
    first = notices.read_page(user(made, 1))
    assert len(first.notices) == 2
    second = notices.read_page(user(made, 1), first.before)
    assert (len(second.notices), second.before) == (1, 0)


def test_the_number_takes_one_short_query_however_many_there_are(made: models.Agency) -> None:
    record = hold(made)
    imports = [models.Import(**{**_values(record), "number": f"{number:026}"}) for number in range(150)]
    models.Import.objects.bulk_create(imports)
    Notice.objects.bulk_create(
        Notice(agency=made, kind="import-failed", of=one, permission="users.import", at=NOW) for one in imports
    )
    me = models.User.objects.select_related("role").get(external_id="E-1")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert notices.count_unread(me) == notices.MOST_UNREAD + 1
    assert len(queries) == 1
    assert "LIMIT" in queries[0]["sql"]
    officer = models.User.objects.select_related("role").get(external_id="E-4")
    with CaptureQueriesContext(connection) as queries:
        assert notices.count_unread(officer) == 0
    assert len(queries) == 0


def _values(record: models.Import) -> dict[str, Any]:
    names = [field.attname for field in models.Import._meta.concrete_fields if field.name != "id"]
    return {name: getattr(record, name) for name in names}
