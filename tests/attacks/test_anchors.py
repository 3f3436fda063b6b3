"""Anchors leave the machine, whatever is in their way; and files of them that are damaged, or of many agencies, are read."""

import csv
import io
import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client, TestCase
from pytest_django import Settings

from musterbook import jobs
from musterbook.accounts import anchor_delivery, outbox
from musterbook.config import mail_server
from musterbook.directory import models
from musterbook.directory.audit import anchors, hash_chain, trail, verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import migration
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import sign_in
from tests.accounts.test_outbox import Mailbox, free_port, server
from tests.attacks.serving import log
from tests.databases import Home
from tests.directory import cast

__all__ = ["server"]
AT = datetime(2026, 3, 3, 7, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def made(db: None) -> models.Agency:
    new = cast.agency("springfield")
    do_something(new)
    return new


def do_something(to: models.Agency) -> None:
    """An act that is committed, so that its head is noted."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        trail.record_event(to, AuditContext(AT, "", "system"), EventKind.AGENCY_CHANGED)


def body(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("=\n", "").replace("=3D", "=")


def test_the_worker_writes_heads_daily_logs_them_and_keeps_the_mail_as_a_file(
    made: models.Agency, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert anchor_delivery.anchor in jobs._DUE_TASKS
    settings.MUSTER_ANCHOR_MAIL = "auditor@court.example"
    caplog.set_level(logging.INFO, "musterbook.audit")
    jobs.tidy()
    line = (tmp_path / anchors.FILE).read_text().rstrip("\n")
    links, head = hash_chain.read_head(made)
    assert f"slug=springfield links={links} head={head}" in line
    assert f"Anchor of an audit trail: {line}" in caplog.text
    [mail] = outbox.get_folder().glob("anchors-*.eml")
    assert "To: auditor@court.example" in body(mail)
    assert line in body(mail)
    do_something(made)
    jobs.tidy()
    assert (tmp_path / anchors.FILE).read_text() == f"{line}\n"


def test_heads_that_moved_are_mailed_the_next_day_and_nothing_where_none_did(
    made: models.Agency, settings: Settings, server: Mailbox
) -> None:
    settings.MUSTER_ANCHOR_MAIL = "auditor@court.example"
    now = jobs.now()
    anchor_delivery.anchor(now)
    anchor_delivery.anchor(now + DAY * 0.1)
    do_something(made)
    anchor_delivery.anchor(now + DAY * 0.9)
    assert len(server.mails) == 1
    anchor_delivery.anchor(now + DAY * 1.1)
    assert len(server.mails) == 2
    for number, mail in enumerate(server.mails, 2):
        assert mail["To"] == "auditor@court.example"
        content = mail.get_content()
        assert f"links={number - 1} " in content
        assert content.count("agency=") == 1


def test_heads_are_written_and_mailed_although_a_clock_was_ahead_before(
    made: models.Agency, settings: Settings, server: Mailbox, tmp_path: Path
) -> None:
    settings.MUSTER_ANCHOR_MAIL = "auditor@court.example"
    now, ahead = jobs.now(), jobs.now() + 400 * DAY
    anchor_delivery.anchor(ahead)
    os.utime(tmp_path / anchors.FILE, (ahead.timestamp(), ahead.timestamp()))
    do_something(made)
    anchor_delivery.anchor(now)
    assert ["links=1 " in server.mails[0].get_content(), "links=2 " in server.mails[1].get_content()] == [True, True]


def test_without_an_address_nothing_is_mailed(made: models.Agency, server: Mailbox) -> None:
    anchor_delivery.anchor(jobs.now())
    assert server.mails == []


def test_a_mail_server_out_of_order_is_tried_again_after_a_while_and_no_line_is_lost(
    made: models.Agency, settings: Settings, server: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MUSTER_ANCHOR_MAIL = "auditor@court.example"
    right = settings.MAIL_SERVER
    settings.MAIL_SERVER = mail_server.parse_url(f"smtp://127.0.0.1:{free_port()}")
    now = jobs.now()
    for minute in range(14):
        anchor_delivery.anchor(now + timedelta(minutes=minute))
    assert caplog.text.count("could not be emailed") == 1
    settings.MAIL_SERVER = right
    server.answers["auditor@court.example"] = "450 later"
    anchor_delivery.anchor(now + timedelta(minutes=16))
    assert caplog.text.count("could not be emailed") == 2
    server.answers.clear()
    anchor_delivery.anchor(now + timedelta(minutes=32))
    assert len(server.mails) == 1
    assert "slug=springfield" in server.mails[0].get_content()
    anchor_delivery.anchor(now + timedelta(minutes=48))
    assert len(server.mails) == 1


def test_years_of_lines_are_mailed_in_parts(
    made: models.Agency, settings: Settings, server: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "_SENT_AT_ONCE", 1_000)
    settings.MUSTER_ANCHOR_MAIL = "auditor@court.example"
    fill_lines(days=5, agencies=4)
    now = jobs.now()
    for minute in range(0, 120, 16):
        anchor_delivery.anchor(now + timedelta(minutes=minute))
    text = "".join(mail.get_content() for mail in server.mails)
    written = list(anchors._read_lines())
    assert 1 < len(server.mails) < len(written)
    assert [line for line in text.replace("\r", "").splitlines(keepends=True) if " seal=" in line] == written


def test_an_agency_that_a_restored_backup_does_not_have_is_anchored_without_links(made: models.Agency) -> None:
    fill_lines(days=2, agencies=1)
    links, _ = hash_chain.read_head(made)
    found = {line.partition("slug=")[2].partition(" head=")[0] for line in anchors.record_restore(AT)}
    assert found == {f"springfield links={links}", "agency-0 links=0"}


def test_a_head_follows_one_that_was_recorded_some_links_ago_and_one_of_the_same_link_is_left(
    made: models.Agency, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, or a process that was killed, leaves a head behind the trail."""
    [path] = (tmp_path / anchors.HEADS).iterdir()
    heads = [path.read_text()]
    for missed in (1, 2, 3):
        for _ in range(missed):
            trail.record_event(made, AuditContext(AT, "", "system"), EventKind.AGENCY_CHANGED)
        do_something(made)
        heads.append(path.read_text())
    assert f"links={hash_chain.read_head(made)[0]} " in heads[-1] and len(set(heads)) == len(heads)
    anchors.record_head(made, *hash_chain.read_head(made)[:1], "", hash_chain.read_head(made)[1])
    assert path.read_text() == heads[-1] and "has lost link" not in caplog.text


def test_only_a_head_that_has_moved_waits_for_its_anchor(made: models.Agency) -> None:
    anchors.write_lines(AT)
    assert anchors.find_unanchored(AT + 9 * DAY) == []
    do_something(made)
    assert anchors.find_unanchored(AT + DAY) == []
    assert anchors.find_unanchored(AT + 9 * DAY) == ["springfield"]


@pytest.mark.parametrize("noted", ["", "x", "-1", "999999"])
def test_a_note_of_what_was_sent_that_is_none_begins_from_the_first_line(
    made: models.Agency, tmp_path: Path, noted: str
) -> None:
    assert anchors.read_unsent_lines() == ([], 0)
    [line] = anchors.write_lines(AT)
    (tmp_path / anchors.SENT).write_text(noted)
    assert anchors.read_unsent_lines() == ([line], len(line) + 1)
    anchors.record_sent(len(line) + 1)
    assert anchors.read_unsent_lines() == ([], len(line) + 1)


def test_a_line_that_a_full_disk_cut_off_accuses_nobody_and_hides_nothing(made: models.Agency, tmp_path: Path) -> None:
    path = tmp_path / anchors.FILE
    [first] = anchors.write_lines(AT)
    do_something(made)
    path.write_text(f"{first}\n{first[:50]}")
    assert anchors.read_unsent_lines() == ([first], len(first) + 1)
    assert verify.verify_trail(made).error == ""
    [second] = anchors.write_lines(AT + DAY)
    assert path.read_text() == f"{first}\n{first[:50]}\n{second}\n"
    assert verify.verify_trail(made).error == ""
    assert anchors.read_anchors().error == ""
    path.write_text(f"{first[:50]}\n{second}\n")
    assert verify.verify_trail(made).error.startswith("line 2 of audit-anchors.log was changed")
    assert anchors.read_anchors().error.startswith("line 2 of audit-anchors.log was changed")


def fill_lines(days: int, agencies: int) -> None:
    """Lines of many agencies on many days, as a worker writes them."""
    with anchors._open_locked() as file:
        before = anchors._read_newest(file)[1]
        for day in range(days):
            heads = [
                anchors.Anchor(1_000_000 + n, f"agency-{n}", day + 1, "ab" * 32, "2026-01-01T00:00:00Z")
                for n in range(agencies)
            ]
            before = anchors._append_lines(file, before, heads)[-1]


def test_the_check_of_one_agency_reads_only_the_newest_lines_and_its_own(
    made: models.Agency, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_lines(days=1, agencies=2)
    [mine] = anchors.write_lines(AT)
    fill_lines(days=10, agencies=2_000)
    monkeypatch.setattr(anchors, "_read_noted_heads", lambda: pytest.fail("it looked at the heads of all agencies"))
    begun = time.process_time()
    known = anchors.read_anchors(made)
    assert time.process_time() - begun < 1
    [_, own] = known.anchors[made.pk]
    assert (own.links, own.head, known.error) == (*hash_chain.read_head(made), "")
    path = tmp_path / anchors.FILE
    whole = path.read_text()
    path.write_text(whole.replace(mine, mine.replace("links=1 ", "links=9 ")))
    assert anchors.read_anchors(made).error.startswith("line 3 of audit-anchors.log was changed")
    newest = whole.splitlines()[-2]
    path.write_text(whole.replace(f"{newest}\n", ""))
    assert anchors.read_anchors(made).error.startswith("line 20002 of audit-anchors.log was changed")
    path.write_text("")
    assert anchors.read_anchors(made).error == ""


def test_a_newest_head_that_is_gone_is_found_by_the_command_as_well(made: models.Agency, tmp_path: Path) -> None:
    anchors.write_lines(AT)
    (tmp_path / anchors.HEADS / str(made.pk)).unlink()
    for found in (
        verify.verify_trail(made),
        *migration.check_trails(),
        *migration.check_trails("springfield", [hash_chain.read_head(made)]),
    ):
        assert found.error.startswith("the newest head is missing from the folder audit-heads")


def test_a_worker_of_its_own_anchors_and_logs(fresh_home: Home) -> None:
    fresh_home.folder.joinpath("a.toml").write_text('slug = "springfield"\nname = "S"\n[[roles]]\nname = "Admin"\n')
    assert fresh_home.muster("agency", "apply", str(fresh_home.folder / "a.toml")).returncode == 0
    assert fresh_home.muster("worker", "--once").returncode == 0
    line = (fresh_home.folder / anchors.FILE).read_text().rstrip("\n")
    assert line.split(" ")[2] == "slug=springfield"
    assert f"Anchor of an audit trail: {line}" in log(fresh_home)
    done = fresh_home.muster("doctor")
    assert f"audit anchors: up to date, in {fresh_home.folder / anchors.FILE}" in done.stdout
    assert "audit guards: the database refuses changes of the audit trail" in done.stdout


@pytest.mark.django_db
def test_a_session_and_the_number_of_a_request_are_in_the_export(client: Client) -> None:
    made = Springfield(cast.agency())
    made.imported(cast.person(1, ROLE="Admin"), cast.person(5))
    models.Role.objects.filter(agency=made.agency, name="Officer").update(permissions=["audit.view"])
    made.registered(5)
    sign_in(client, "user.5")
    client.get("/springfield/audit/")
    client.get("/springfield/audit/", {"kind": "user.added"})
    answer = client.post("/springfield/audit/export", {"form": "csv"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    events = [one for one in csv.DictReader(io.StringIO(text, newline="")) if one["ACTOR"] == "E-5"]
    viewed = [event for event in events if event["KIND"] == "audit.viewed"]
    signed_in = [event for event in events if event["KIND"] == "user.signed-in"]
    assert (len(viewed), len(signed_in)) == (2, 1), events
    assert len({event["SESSION"] for event in viewed + signed_in}) == 1
    assert viewed[0]["SESSION"]
    assert len({event["REQUEST"] for event in viewed + signed_in} - {""}) == 3
