"""Messages of webhooks: in the transaction of what they report, small, and exactly one for each endpoint that wants them."""

import json
import time
from datetime import date
from typing import Any

import polars as pl
import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.domain.policy import Mode
from musterbook.core.planning import changes
from musterbook.directory import models
from musterbook.directory.agency import feeds, webhooks
from musterbook.directory.audit import trail, webhook_messages
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.audit.webhook_kinds import CHOICES, WebhookKind
from musterbook.directory.imports import feed_notices, records, undo, webhook_events
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.models import NoticeKind
from tests.directory import cast
from tests.directory.cast import NOW, people, person

pytestmark = pytest.mark.django_db(transaction=True)
CONTEXT = AuditContext(NOW, "", "cli")
SYNC = Options(mode=Mode.SYNC)


@pytest.fixture
def made() -> models.Agency:
    """An agency that holds nothing, with a webhook that gets everything."""
    made = cast.agency(limits=cast.unlimited())
    add(made)
    return made


def add(made: models.Agency, *kinds: str, name: str = "all") -> models.WebhookEndpoint:
    values = {"name": name, "address": "https://payroll.example.org/", "kinds": list(kinds or ("*",))}
    return webhooks.add(made, values, CONTEXT, None)[0]


def read(name: str = "all") -> list[tuple[str, dict[str, Any]]]:
    """The kind and the data of each message of the webhook."""
    messages = models.WebhookMessage.objects.filter(endpoint__name=name).order_by("pk")
    found = [json.loads(message.body) for message in messages]
    assert [one["type"] for one in found] == [message.kind for message in messages]
    assert len({message.webhook_id for message in messages}) == len(found)
    return [(one["type"], one["data"]) for one in found]


def read_users(name: str = "all") -> list[tuple[str, str, list[str]]]:
    """The kind, the external ID and the changed fields of each message about a user."""
    return [(kind, data["external_id"], data["changed"]) for kind, data in read(name) if kind.startswith("user.")]


def test_each_change_of_a_user_is_one_message_of_its_kind(made: models.Agency) -> None:
    cast.apply_rows(made, people(1, 2, 3, 4))
    cast.apply_rows(made, [person(1), person(2, LAST_NAME="New"), person(3, STATUS="Inactive", RANK="Captain")], SYNC)
    cast.apply_rows(made, [person(3), person(4, LAST_NAME="Back")])
    added = [(kind, who) for kind, who, changed in read_users()[:4] if "EMAIL" in changed]
    assert added == [("user.added", f"E-{number}") for number in (1, 2, 3, 4)]
    assert read_users()[4:] == [
        ("user.updated", "E-2", ["LAST_NAME"]),
        ("user.deactivated", "E-3", ["STATUS", "RANK"]),
        ("user.deactivated", "E-4", ["STATUS"]),
        ("user.reactivated", "E-3", ["STATUS"]),
        ("user.reactivated", "E-4", ["LAST_NAME", "STATUS"]),
    ]


def test_a_new_external_id_is_an_update_that_names_both(made: models.Agency) -> None:
    cast.apply_rows(made, people(1))
    odd = 'A "quoted" \\ ID'
    cast.apply_rows(
        made,
        f'EXTERNAL_ID,NEW_EXTERNAL_ID\nE-1,"{odd.replace(chr(34), chr(34) * 2)}"\n'.encode(),
        Options(mode=Mode.REKEY),
    )
    cast.apply_rows(made, [person(1, EXTERNAL_ID=odd, LAST_NAME="New")])
    found = [data for kind, data in read() if kind == "user.updated"]
    assert [(one["external_id"], one.get("former_external_id"), one["changed"]) for one in found] == [
        (odd, "E-1", ["EXTERNAL_ID"]),
        (odd, None, ["LAST_NAME"]),
    ]
    subjects = models.WebhookMessage.objects.filter(kind__startswith="user.").values_list("subject", flat=True)
    assert len(set(subjects)) == 1


def test_an_undo_reports_users_and_itself(made: models.Agency) -> None:
    done = cast.apply_rows(made, people(1))
    undo.run_undo(done.record, context=CONTEXT)
    assert [kind for kind, _data in read()] == ["user.added", "import.applied", "user.deactivated", "import.applied"]
    assert [data["kind"] for kind, data in read() if kind == "import.applied"] == ["file", "undo"]


def test_no_value_of_a_field_is_in_a_message(made: models.Agency) -> None:
    cast.apply_rows(made, people(1, LOCATION="Secret Lane 7", PHONE="+1 217 555 0134"))
    cast.apply_rows(made, [person(1, FIRST_NAME="Zelda", EMAIL="zelda@agency.example")])
    bodies = "".join(models.WebhookMessage.objects.values_list("body", flat=True))
    for value in (
        "Secret",
        "5550134",
        "555 0134",
        "agency.example",
        "First 1",
        "Last 1",
        "Zelda",
        "B-1",
        "user.1",
        "users.csv",
    ):
        assert value not in bodies
    assert "E-1" in bodies


def test_each_endpoint_gets_the_kinds_that_it_wants_and_no_other_agency_anything(made: models.Agency) -> None:
    add(made, "user.updated", name="updates")
    add(made, "import.*", name="imports")
    add(cast.agency("shelbyville"), name="other")
    gone = add(made, name="gone")
    webhooks.disable(gone, "why", CONTEXT)
    cast.apply_rows(made, people(1, 2))
    cast.apply_rows(made, [person(1, LAST_NAME="New")])
    assert [kind for kind, _ in read("updates")] == ["user.updated"]
    assert [kind for kind, _ in read("imports")] == ["import.applied", "import.applied"]
    assert len(read()) == 5
    assert read("other") == read("gone") == []


def test_what_is_rolled_back_sends_nothing(made: models.Agency) -> None:
    class Stop(Exception):
        pass

    with pytest.raises(Stop), transaction.atomic():
        event = {"kind": "user.added", "subject_id": 1, "subject_external_id": "E-1", "row": None, "changes": "{}"}
        trail.append_events(made, CONTEXT, [pl.DataFrame([event])])
        assert len(read()) == 1
        raise Stop
    assert read() == []


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agencies whose endpoints were looked for, one query for each."""
    looks: list[str] = []
    real = webhook_messages.find_endpoints

    def find(agency: models.Agency) -> dict[int, list[str]]:
        looks.append(agency.slug)
        return real(agency)

    monkeypatch.setattr(webhook_messages, "find_endpoints", find)
    return looks


def test_refusals_and_sign_ins_are_no_messages_and_cost_no_query(made: models.Agency, looks: list[str]) -> None:
    cast.apply_rows(made, people(1))
    before, user = len(read()), cast.user(made, 1)
    looks.clear()
    trail.record_event(made, CONTEXT, EventKind.USER_SIGNED_IN, user)
    trail.record_event(made, CONTEXT, EventKind.USER_ADDED, user, outcome="refused")
    assert (len(read()), looks) == (before, [])


def test_without_an_endpoint_an_import_asks_once_for_users_and_once_for_itself(looks: list[str]) -> None:
    cast.apply_rows(cast.agency(limits=cast.unlimited()), people(*range(1, 50)))
    assert looks == ["springfield", "springfield"]


def test_the_ends_of_imports_are_messages(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    models.Agency.objects.filter(pk=made.pk).update(limits=[cast.allow(1)])
    cast.apply_rows(made, people(*range(1, 6)))
    cast.run(made, people(1), SYNC)
    cast.run(made, b"nonsense")
    cast.run(made, people(1, 2), Options(preview=True))
    cast.run(made, b"nonsense", Options(preview=True))
    monkeypatch.setattr(records, "write_result", lambda *_: 1 / 0)
    with pytest.raises(ImportFailed):
        cast.run(made, people(7))
    found = [(kind, data["state"]) for kind, data in read() if kind.startswith("import.")]
    assert found == [
        ("import.applied", "applied"), ("import.held", "held"), ("import.failed", "refused"), ("import.failed", "failed"),
    ]  # fmt: skip
    held = next(data for kind, data in read() if kind == "import.held")
    assert held["holds"] == [{"kind": "deactivations", "number": 4}]
    assert held["counts"]["deactivated"] == 4
    record = models.Import.objects.get(state="held")
    assert held["link"].endswith(f"/springfield/imports/{record.number}")
    assert set(held) == {
        "agency", "feed", "import", "mode", "state", "counts", "emails", "holds", "kind", "link"
    }  # fmt: skip


def test_a_canceled_import_is_no_message_and_the_first_file_of_a_feed_waits(made: models.Agency) -> None:
    record = models.Import(agency=made, state="failed", stop=True, options={})
    assert webhook_events.choose_kind(record) is None
    feed = models.Feed.objects.create(agency=made, name="hr", mode="sync", created_at=NOW)
    record = models.Import(agency=made, state="previewed", options={"preview": True}, feed=feed, through="feed")
    assert webhook_events.choose_kind(record) is WebhookKind.IMPORT_HELD


def test_a_feed_reports_its_settings_and_its_troubles(made: models.Agency) -> None:
    add(made, "user.added", name="users")
    values = {"name": "hr", "mode": "sync", "location": {"kind": "folder", "path": "hr"}}
    feed = feeds.add(made, values, CONTEXT, None)
    feeds.change(feed, {"mode": "update"}, feeds.mark(feed), CONTEXT, None)
    feeds.pause(feed, "A new system for Ada Lovelace", CONTEXT, None)
    feeds.resume(feed, CONTEXT, None)
    for kind in (NoticeKind.LATE, NoticeKind.UNREACHABLE, NoticeKind.STOPPED, NoticeKind.FAILED):
        for _again in range(2):
            feed_notices.add_notice(feed, kind, NOW, date(2026, 3, 2), {"expected_by": NOW, "file": "a.csv"})
    feeds.remove(feed, CONTEXT, None)
    found = read()
    assert read("users") == []
    assert [kind for kind, _ in found] == [
        "feed.added", "feed.changed", "feed.paused", "feed.resumed", "import.late", "feed.unreachable", "feed.stopped",
        "import.failed", "feed.removed",
    ]  # fmt: skip
    assert {data["feed"] for _, data in found} == {"hr"}
    assert found[1][1]["changed"] == ["mode"]
    assert found[4][1]["expected_by"] == NOW.isoformat()
    assert (found[7][1]["import"], found[-1][1]["link"]) == (None, "http://localhost:8000/springfield/feeds/")
    assert "Lovelace" not in repr(found) and "a.csv" not in repr(found)
    assert set(models.WebhookMessage.objects.values_list("subject", flat=True)) == {"feed:hr"}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12) | st.sampled_from(
    ['","STATUS":["Active","Inactive"]', '"A":["', "a,", ':["b', "\\", '\\"', '{"X":[', "STATUS", '":["']
)


@given(before=st.dictionaries(st.sampled_from(sorted(changes.NAMES)), st.tuples(TEXTS, TEXTS), max_size=4), name=TEXTS)
def test_no_value_of_a_change_becomes_the_name_of_a_field(before: dict[str, tuple[str, str]], name: str) -> None:
    made = models.Agency(pk=1, slug="springfield")
    text = json.dumps(before, ensure_ascii=False, separators=(",", ":"))
    event = {"kind": "user.updated", "subject_id": 7, "subject_external_id": name, "changes": text}
    (row,) = webhook_messages.build_user_messages(made, NOW, None, pl.DataFrame([event])).to_dicts()
    body = json.loads(row["body"])
    assert body["data"]["changed"] == list(before)
    assert (body["data"]["external_id"], row["subject"]) == (name, "user:7")
    assert body["timestamp"] == "2026-03-02T07:00:00.000Z"
    ends = before.get("STATUS") == ("Active", "Inactive")
    begins = before.get("STATUS") == ("Inactive", "Active")
    assert row["kind"] == ("user.deactivated" if ends else "user.reactivated" if begins else "user.updated")


def test_every_kind_can_be_chosen_and_some_code_sends_it() -> None:
    assert len(set(CHOICES)) == len(WebhookKind) - 1
    assert all(kind.label for kind in WebhookKind)


def test_fifty_thousand_messages_are_written_in_a_second_or_two(made: models.Agency) -> None:
    """The measured time on two cores is half a second. This only finds what is done row by row."""
    rows = pl.DataFrame({
        "kind": ["user.updated"] * 50_000, "subject_id": range(50_000),
        "subject_external_id": [f"E-{number}" for number in range(50_000)],
        "changes": ['{"LAST_NAME":["a","b"]}'] * 50_000,
    })  # fmt: skip
    with transaction.atomic():
        began = time.process_time()
        webhook_messages.Outgoing(made, NOW).add(rows)
        assert time.process_time() - began < 8
    assert models.WebhookMessage.objects.count() == 50_000
