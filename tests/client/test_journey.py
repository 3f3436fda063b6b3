"""A program that does with the client what people do on the pages, over a real server on loopback."""

import asyncio
import csv
import io
import time
from pathlib import Path
from uuid import uuid4

import pytest

from musterbook.client import (
    AccessRefused,
    Agency,
    AsyncAgency,
    Changed,
    Conflict,
    Held,
    Invalid,
    NotFound,
    PlanChanged,
)
from musterbook.client.described import answers, bodies
from tests.client.conftest import ROOT, Served, make_token, run

pytestmark = pytest.mark.any_database
HEADINGS = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"


def row(number: int, **changes: str) -> str:
    """A row of a user of the test."""
    values = {
        "EXTERNAL_ID": f"P-{number}", "EMAIL": f"p{number}@riverton.example", "BADGE_NUMBER": f"9{number:05}",
        "FIRST_NAME": "Pat", "LAST_NAME": f"Program {number}", "STATUS": "Active", "USERNAME": f"program{number}",
        "ROLE": "Officer",
    } | changes  # fmt: skip
    return ",".join(values[heading] for heading in HEADINGS.split(","))


def file(*rows: str) -> bytes:
    """A file of these rows."""
    return "\n".join([HEADINGS, *rows, ""]).encode()


def test_a_program_imports_a_file_and_corrects_it(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(file(row(1), row(2, ROLE="Oficer")))
    with Agency(served.address, served.token, program="nightly/1") as agency:
        seen = agency.imports.send(path, preview=True, wait=60)
        assert (seen.state, seen.counts["added"], seen.counts["errored"], seen.name) == (
            "previewed",
            1,
            1,
            "roster.csv",
        )
        [problem] = agency.imports.problems(seen.number)
        assert (problem.value, problem.suggestion, problem.can_map) == ("Oficer", "Officer", True)
        [errored] = agency.imports.rows(seen.number, outcome="errored")
        assert (errored.external_id, errored.cells["ROLE"]) == ("P-2", "Oficer")
        with agency.imports.errors(seen.number) as errors:
            kept = errors.save(tmp_path / "errors.csv")
        assert [one["EXTERNAL_ID"] for one in csv.DictReader(io.StringIO(kept.read_text("utf-8-sig")))] == ["P-2"]
        assert {one.name for one in tmp_path.iterdir()} == {"roster.csv", "errors.csv"}
        fixed = agency.imports.correct(
            seen.number, cells=[{"row": 3, "column": "ROLE", "text": "Officer", "was": "Oficer"}], wait=60
        )
        assert (fixed.state, fixed.counts["added"], fixed.plan_of) == ("previewed", 2, seen.number)
        with pytest.raises(PlanChanged) as changed:
            agency.imports.apply(fixed.number, "another digest")
        assert changed.value.more["digest"] == fixed.digest
        done = agency.imports.apply(fixed.number, fixed.digest, wait=60)
        assert (done.state, done.counts["added"]) == ("applied", 2)
        assert done.finished_at and done.finished_at.tzinfo
        with agency.imports.results(done.number, form="xlsx") as results:
            assert b"".join(results).startswith(b"PK")
        undone = agency.imports.undo(done.number, wait=60, confirm={"deactivations": 2})
        assert undone.state in {"applied", "held"}, undone
        assert agency.imports.read(undone.number.lower()) == undone
        listed = next(agency.imports.search(q="roster.csv"))
        assert listed.number in {done.number, undone.number}


def test_a_held_import_is_confirmed_by_what_was_seen(served: Served) -> None:
    lines = (ROOT / "examples" / "first-night.csv").read_bytes().splitlines(keepends=True)
    with Agency(served.address, served.token) as agency:
        held = agency.imports.send(b"".join(lines[:-40]), name="night.csv", mode="sync", wait=60)
        assert held.state == "held"
        with pytest.raises(Held) as refused:
            agency.imports.apply(held.number, held.digest)
        assert [one["kind"] for one in refused.value.more["holds"]] == [one.kind for one in held.holds]
        seen = {hold.kind: True if hold.number is None else hold.number for hold in held.holds}
        done = agency.imports.confirm(held.number, held.digest, seen, wait=60)
        assert done.state == "applied", done
        with pytest.raises(Conflict) as ended:
            agency.imports.discard(held.number)
        assert ended.value.code and ended.value.request_id
        undone = agency.imports.undo(done.number, wait=60)
        assert undone.state == "held", "forty users would get access again"
        seen = {hold.kind: True if hold.number is None else hold.number for hold in undone.holds}
        assert agency.imports.confirm(undone.number, undone.digest, seen, wait=60).state == "applied"


def test_one_request_is_one_import_whoever_repeats_it(served: Served) -> None:
    key, content = uuid4().hex, file(row(11))
    with Agency(served.address, served.token) as one, Agency(served.address, served.token) as other:
        first = one.imports.send(content, key=key)
        again = other.imports.send(content, key=key, wait=60)
        assert (again.number, again.state) == (first.number, "applied")
        with pytest.raises(Invalid) as taken:
            one.imports.send(file(row(12)), key=key)
        assert taken.value.code == "key-taken"
        assert one.imports.wait(first.number, 60) == again


def _wait_for_invitation(agency: Agency, number: int) -> answers.User:
    """The user when the worker has sent the invitation, which gives the user another version."""
    until = time.monotonic() + 60
    while (user := agency.users.read(number)).invited_at is None:
        assert time.monotonic() < until, user
        time.sleep(0.1)
    return user


def test_users_are_searched_changed_and_acted_on(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        user = agency.users.create(
            external_id="P-20", email="p20@riverton.example", badge_number="920", first_name="Pat", last_name="Twenty",
            role="Officer",
        )  # fmt: skip
        user = _wait_for_invitation(agency, user.id)
        assert agency.users.find("P-20") == user
        assert agency.users.find("P-00") is None
        changed = agency.users.change(user.id, location="Hall", if_match=user.etag)
        assert changed.location == "Hall" and changed.etag != user.etag
        with pytest.raises(Changed):
            agency.users.change(user.id, location=None, if_match=user.etag)
        assert agency.users.change(user.id, location=None, if_match=changed.etag).location is None
        with pytest.raises(Invalid) as invalid:
            agency.users.change(user.id, email="nothing", role="Nobody")
        assert {one.pointer for one in invalid.value.errors} == {"/email", "/role"}
        assert "/role" in str(invalid.value)
        invited = agency.users.invite(user.id, as_link=True)
        assert invited.link and invited.user.state == "Invited"
        assert agency.users.deactivate(user.id).status == "Inactive"
        assert agency.users.reactivate(user.id).status == "Active"
        everyone = list(agency.users.search(sort="external_id"))
        assert len(everyone) == len({one.id for one in everyone}) > 250, "over more pages than one"
        assert [one.id for one in agency.users.search(q="p20@riverton.example")] == [user.id]
        with pytest.raises(NotFound):
            agency.users.read(10**9)


def test_many_users_are_one_import(served: Served) -> None:
    rows: list[bodies.SentRow] = [
        {"external_id": f"P-3{number}", "email": f"p3{number}@riverton.example", "badge_number": f"93{number}",
         "first_name": "Pat", "last_name": "Many", "status": "Active", "role": role, "username": f"many{number}"}
        for number, role in enumerate(("Officer", "Nobody"))
    ]  # fmt: skip
    with Agency(served.address, served.token) as agency:
        plan = agency.users.send(rows=rows, dry_run=True, wait=60)
        assert (plan.state, plan.counts["added"]) == ("previewed", 1)
        assert [one.pointer for one in plan.errors] == ["/rows/1/role"]
        assert agency.users.read_errors(plan) == plan.errors, "the client makes of the rows what the server does"
        done = agency.users.send(rows=rows, name="HR", wait=60)
        assert (done.state, done.name, len(done.errors)) == ("applied", "HR", 1)


def test_roles_ranks_and_groups_are_read_and_changed(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        role = agency.roles.add(name="Dispatcher", permissions=["users.view"])
        assert role in agency.roles.list_all()
        renamed = agency.roles.change(role.id, name="Dispatch", if_match=role.etag)
        with pytest.raises(Changed):
            agency.roles.delete(role.id, if_match=role.etag)
        agency.roles.delete(role.id, if_match=renamed.etag)
        rank = agency.ranks.add(name="Cadet", abbreviation="Cdt")
        assert agency.ranks.move(rank.id, "up").position == rank.position - 1
        agency.ranks.delete(rank.id)
        group = agency.groups.add(external_id="P-GROUP")
        user = agency.users.find("000120")
        assert user
        agency.groups.add_member(group.id, user.id)
        agency.groups.add_monitor(group.id, user.id)
        assert [one.id for one in agency.groups.members(group.id)] == [user.id]
        assert [one.id for one in agency.groups.monitors(group.id)] == [user.id]
        agency.groups.remove_monitor(group.id, user.id)
        agency.groups.remove_member(group.id, user.id)
        assert agency.groups.change(group.id, active=False).active is False
        assert [one.id for one in agency.groups.search(q="P-GROUP")] == [group.id]
        agency.groups.delete(group.id)
        made = agency.files.send_groups(b"EXTERNAL_ID,NAME,STATUS\nP-FILE,From a file,Active\n", wait=60)
        assert (made.kind, made.state) == ("groups", "applied")


def test_a_token_is_described_made_and_revoked(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        assert agency.me().agency.slug == "riverton-pd"
        made = agency.tokens.create(name="Reader", permissions=["users.view"])
        with Agency(served.address, made.secret + "\n") as reader:
            assert reader.me().permissions == ["users.view"]
            with pytest.raises(AccessRefused) as refused:
                reader.imports.send(file(row(40)))
            assert refused.value.status == 403
            agency.tokens.revoke(made.token.id)
            with pytest.raises(AccessRefused) as refused:
                reader.me()
            assert refused.value.status == 401
        assert made.token.id in {one.id for one in agency.tokens.list_all("ended")}


def test_all_of_it_can_be_awaited(served: Served, tmp_path: Path) -> None:
    async def go() -> None:
        async with AsyncAgency(served.address, served.token) as agency:
            me, seen = await asyncio.gather(
                agency.me(), agency.imports.send(file(row(50), row(51, ROLE="Nobody")), preview=True, wait=60)
            )
            assert me.agency.slug == "riverton-pd" and seen.counts["added"] == 1
            assert [one.external_id async for one in agency.imports.rows(seen.number, outcome="added")] == ["P-50"]
            async with agency.imports.errors(seen.number) as errors:
                await errors.save(tmp_path / "errors.csv")
            async with agency.imports.errors(seen.number) as errors:
                assert (tmp_path / "errors.csv").read_bytes() == b"".join([part async for part in errors])
            assert len([one.id async for one in agency.users.search(role="Admin")]) > 1
            with pytest.raises(NotFound):
                await agency.imports.read("01J9ZKQ4M5V7N8P2R3S4T5W6X7")
            with pytest.raises(NotFound):
                async with agency.imports.results("01J9ZKQ4M5V7N8P2R3S4T5W6X7"):
                    pass
            assert (await agency.imports.discard(seen.number)).ended

    run(go())


def test_a_token_with_few_permissions_can_push_files(served: Served) -> None:
    with Agency(served.address, make_token(served.home, "users.import")) as agency:
        assert agency.imports.send(file(row(60)), preview=True, wait=60).state == "previewed"
        with pytest.raises(AccessRefused, match=r"users\.synchronize"):
            agency.imports.send(file(row(60)), preview=True, mode="sync")


def test_a_feed_is_added_and_takes_a_file_with_its_own_token(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        feed = agency.feeds.add(name="pushed", location={"kind": "sent"})
        assert feed in agency.feeds.list_all()
        changed = agency.feeds.change("pushed", strict=True, if_match=feed.etag)
        assert agency.feeds.read("pushed").etag == changed.etag
        with pytest.raises(Changed):
            agency.feeds.remove("pushed", if_match=feed.etag)
        secret = agency.feeds.make_token("pushed").token
        with Agency(served.address, secret) as sender:
            taken = sender.feeds.send_file("pushed", file(row(70)), name="hr.csv", key="tonight")
            assert (taken.feed, taken.file["name"]) == ("pushed", "hr.csv")
            assert (
                sender.feeds.send_file("pushed", file(row(70)), name="hr.csv", key="tonight").import_ == taken.import_
            )
            with pytest.raises(AccessRefused):
                sender.me()
        assert taken.import_ and agency.imports.wait(taken.import_, 60).finished_at
        assert [one.import_number for one in agency.feeds.files("pushed")] == [taken.import_]
        assert agency.feeds.pause("pushed", "A test").name == agency.feeds.resume("pushed").name == "pushed"
        agency.feeds.remove("pushed")
        assert "pushed" not in {one.name for one in agency.feeds.list_all()}


def test_the_trail_is_searched_exported_and_checked(served: Served, tmp_path: Path) -> None:
    with Agency(served.address, served.token, program="auditor/1") as agency:
        user = agency.users.find("000121")
        assert user
        agency.users.change(user.id, location="Hall")
        event = next(agency.audit.search(about="000121", kind="user.updated"))
        assert (event.changes["LOCATION"].after, event.through) == ("Hall", "api")
        assert "auditor/1" in event.program
        assert len({one.id for one in agency.audit.search()}) > 200, "over more pages than one"
        with agency.audit.export(about="000121") as export:
            assert "Hall" in export.save(tmp_path / "trail.csv").read_text("utf-8-sig")
        assert agency.audit.verify().error == ""


def test_settings_are_changed_if_nobody_else_has(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        settings = agency.settings.read()
        changed = agency.settings.change(grace_days=settings.grace_days + 1, if_match=settings.etag)
        with pytest.raises(Changed):
            agency.settings.change(grace_days=0, if_match=settings.etag)
        assert agency.settings.change(grace_days=settings.grace_days, if_match=changed.etag) == settings


def test_a_webhook_is_added_rotated_and_its_messages_are_read(served: Served) -> None:
    with Agency(served.address, served.token) as agency:
        made = agency.webhooks.add(name="payroll", address="https://payroll.example.org/hook", kinds=["user.*"])
        assert made.secret.startswith("whsec_") and made.webhook in list(agency.webhooks.search())
        assert agency.webhooks.change("payroll", kinds=["user.added"]).kinds == ["user.added"]
        assert agency.webhooks.pause("payroll").state == "paused"
        assert agency.webhooks.rotate("payroll").secret != agency.webhooks.rotate("payroll", 0).secret
        assert agency.webhooks.resume("payroll").state == "fine"
        message = agency.webhooks.test("payroll")
        assert agency.webhooks.read_message("payroll", message.id).id == message.id
        assert message.id in {one.id for one in agency.webhooks.messages("payroll")}
        assert agency.webhooks.send_all_again("payroll").messages == 0
        assert agency.webhooks.read("payroll").name == "payroll"
        agency.webhooks.remove("payroll")
        assert list(agency.webhooks.search()) == []
