"""An upgrade of a database with data, from the version before there were limits of every kind: nothing is lost or misread."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history, plan_ends, queue, undo
from musterbook.directory.imports.file_import import KeyTaken, Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnded
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.installation import doctor
from musterbook.directory.users import export
from tests.directory import cast
from tests.directory.cast import Row, person

pytestmark = pytest.mark.django_db

BEFORE = ("directory", "0015_kind_of_import")
NOW = datetime.now(UTC)
CONTEXT = AuditContext(NOW, "", "cli")
SYNC, PREVIEW = Options(mode=Mode.SYNC), Options(preview=True)
FIRST = [person(1, ROLE="Admin"), *cast.people(*range(2, 21))]
SECOND = [person(2, LAST_NAME="Other", STATUS="Inactive"), person(3, EMAIL="new@agency.example")]
NOW_THERE = [FIRST[0], *SECOND, *FIRST[3:]]
BADGES = {"E-7": "P-1", "E-8": "P\u20111", "E-9": "4\u20134"}
"""Badges of the older version: the first two look the same."""
OLD_OPTIONS = ("mode", "preview", "strict", "mails", "mapping", "encoding", "delimiter", "sheet")
OLD_COUNTS = ("rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected")


@dataclass(frozen=True)
class Upgraded:
    """What the older version showed, what this version shows after the upgrade, and the numbers of the imports."""

    before: dict[str, Any]
    after: dict[str, Any]
    numbers: Mapping[str, str]

    def record(self, name: str) -> models.Import:
        """The import of that name."""
        return models.Import.objects.get(number=self.numbers[name])


@pytest.fixture(scope="module")
def upgraded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Upgraded]:
    """An agency of the older version, with users, imports, plans and an import that waits; upgraded, and gone afterwards."""
    with django_db_blocker.unblock():
        made = cast.agency(limits=[cast.allow(2, 3, 40)])
        cast.agency("shelbyville")
        try:
            numbers = _import_all(made)
            _migrate(*BEFORE)
            _write_as_before(numbers)
            before = _read_all(numbers)
            _migrate()
            after = _read_all(numbers)
            assert run_next_import("worker", lambda: NOW)
            yield Upgraded(before, after, numbers)
        finally:
            _migrate()
            # Ids go on: rows that were built once and are put back later have the earlier ones.
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False)


def _migrate(*target: str) -> None:
    """Migrate, and forget the connection: PostgreSQL refuses statements that were prepared for other columns."""
    call_command("migrate", *target, verbosity=0)
    connection.close()


def _import_all(made: models.Agency) -> dict[str, str]:
    """Run imports of every outcome; give their numbers."""
    done = {
        "first": _run(made, FIRST, key="first"),
        "second": _run(made, SECOND),
        "sync": _run(made, NOW_THERE[:-2], replace(SYNC, confirmed={"deactivations": 2})),
        "previewed": _run(made, [person(4, LAST_NAME="Previewed")], PREVIEW, key="previewed"),
        "discarded": _run(made, [person(4, LAST_NAME="Discarded")], PREVIEW),
        "unreadable": _run(made, [*NOW_THERE[:-2], person(99, EXTERNAL_ID="")], SYNC),
        "held": _run(made, FIRST[:4], SYNC, key="held"),
        "seen": _run(made, [person(5, LAST_NAME="Seen")], PREVIEW),
        "applied": _run(made, [person(5, LAST_NAME="Seen")]),
        "refused": _run(made, b"nothing", key="refused"),
        "undone": _run(made, [person(6, LAST_NAME="Undone")]),
    }
    numbers = {name: one.record.number for name, one in done.items()}
    numbers["undo"] = undo.run_undo(done["undone"].record, context=CONTEXT).record.number
    remaining = [{**row, "BADGE_NUMBER": BADGES.get(row["EXTERNAL_ID"], row["BADGE_NUMBER"])} for row in NOW_THERE[:-6]]
    upload = Upload(cast.file(remaining), "waiting.csv")
    numbers["waiting"] = queue.submit(made, upload, SYNC, context=CONTEXT).number
    return numbers


def _run(made: models.Agency, rows: list[Row] | bytes, options: Options | None = None, **more: Any) -> ImportResult:
    return cast.run(made, rows, options, at=NOW, **more)


def _write_as_before(numbers: Mapping[str, str]) -> None:
    """Write what the older version has written in another way."""
    apps = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    imports, users = apps.get_model("directory", "Import").objects, apps.get_model("directory", "User").objects
    names = {number: name for name, number in numbers.items()}
    for record in imports.all():
        confirmed = {"sync": 2, "waiting": 4}.get(names[record.number])
        record.options = {name: record.options[name] for name in OLD_OPTIONS} | {"confirmed": confirmed}
        record.counts = {name: record.counts[name] for name in OLD_COUNTS if name in record.counts}
        record.digest = record.digest and record.digest[::-1]
        record.save()
    seen = imports.get(number=numbers["seen"])
    imports.filter(number=numbers["applied"]).update(expected=seen.digest)
    for external_id, badge in BADGES.items():
        key = unicodedata.normalize("NFKC", badge).casefold()
        users.filter(external_id=external_id).update(badge_number=badge, badge_number_key=key)
    nine = users.get(external_id="E-9")
    names = apps.get_model("directory", "ReleasedName").objects
    names.create(agency_id=nine.agency_id, user=nine, key="old\u2013name", released_at=NOW)


def _read_all(numbers: Mapping[str, str]) -> dict[str, Any]:
    """Read what an upgrade must not change, in the columns that both versions have."""
    shown = (
        "number",
        "kind",
        "mode",
        "state",
        "actor",
        "through",
        "file_name",
        "file_sha256",
        "digest",
        "held",
        "leavers",
    )
    told = ("at", "actor", "kind", "subject_external_id", "of_id", "row", "changes")
    person_fields = ("external_id", "email", "badge_number", "first_name", "last_name", "active", "username", "role_id")
    return {
        "imports": list(models.Import.objects.order_by("pk").values(*shown)),
        "events": list(models.Event.objects.order_by("pk").values(*told)),
        "links": list(models.TrailLink.objects.order_by("pk").values("agency", "number", "first", "last", "digest")),
        "users": list(models.User.objects.order_by("pk").values(*person_fields)),
        "mails": list(models.Mail.objects.order_by("pk").values("kind", "to", "of", "sent_at")),
    }


def agency_of(upgraded: Upgraded) -> models.Agency:
    return upgraded.record("first").agency


def test_users_imports_events_and_mails_are_what_they_were_and_the_trail_is_whole(upgraded: Upgraded) -> None:
    assert upgraded.after == upgraded.before
    for agency in models.Agency.objects.all():
        assert verify.verify_trail(agency).error == ""
    frame = export.read_users(agency_of(upgraded))
    assert (frame.height, set(frame["X_SOURCE"]), set(frame["X_NO_FILES"])) == (20, {""}, {""})


def test_s4_the_limits_that_an_agency_has_set_stay_and_the_default_is_a_default(upgraded: Upgraded) -> None:
    [own] = limits.read_own_limits(agency_of(upgraded))
    assert (own.kind, own.users, own.percent, own.most, own.off, own.whole) == ("deactivations", 2, 3, 40, False, True)
    assert limits.read_own_limits(models.Agency.objects.get(slug="shelbyville")) == ()


def test_a1_an_import_of_the_older_version_says_how_many_users_lost_access(upgraded: Upgraded) -> None:
    lost = {name: history.summarize_import(upgraded.record(name)).counts["losing_access"] for name in upgraded.numbers}
    assert {name: number for name, number in lost.items() if number} == {
        "second": 1, "sync": 2, "held": 14, "waiting": 4,
    }  # fmt: skip


def test_s4_a_held_import_of_the_older_version_lists_its_holds(upgraded: Upgraded) -> None:
    [hold] = history.summarize_import(upgraded.record("held")).holds
    assert (hold.key, hold.number, len(hold.external_ids)) == ("deactivations", 14, 14)
    [hold] = history.list_unconfirmed(upgraded.record("unreadable"), {})
    assert (hold.key, hold.number) == ("unreadable-rows", 1)
    assert upgraded.record("first").requester == ""


def test_a_number_that_was_confirmed_before_the_upgrade_stays_confirmed(upgraded: Upgraded) -> None:
    """A waiting import of the older version runs after the upgrade, with the number that the operator confirmed."""
    done = upgraded.record("waiting")
    assert (done.state, done.counts["deactivated"]) == ("applied", 4)
    assert Options.of_json(upgraded.record("sync").options).confirmed == {"deactivations": 2}
    assert Options.of_json(upgraded.record("first").options).confirmed == {}


def test_d2_a_plan_of_the_older_version_is_made_again_and_then_applied(upgraded: Upgraded) -> None:
    shown = upgraded.record("previewed")
    again = file_import.apply_previewed(shown.agency, shown.number, context=CONTEXT).record
    assert (again.state, again.counts["updated"]) == ("refused", 1)
    [problem] = models.ImportProblem.objects.filter(of=again)
    assert "privileges" not in problem.detail
    with pytest.raises(PlanEnded, match="was replaced by"):
        file_import.apply_previewed(shown.agency, shown.number, context=CONTEXT)
    assert file_import.apply_previewed(shown.agency, again.number, context=CONTEXT).record.state == "applied"
    assert cast.user(shown.agency, 4).last_name == "Previewed"


def test_a4_a_plan_of_the_older_version_can_be_discarded_unless_it_was_applied(upgraded: Upgraded) -> None:
    plan_ends.discard(upgraded.record("discarded"), CONTEXT)
    assert upgraded.record("discarded").ended == "discarded"
    assert (upgraded.record("seen").ended, upgraded.record("seen").successor) == (
        "applied-as",
        upgraded.record("applied"),
    )
    with pytest.raises(PlanEnded, match="was applied as"):
        plan_ends.discard(upgraded.record("seen"), CONTEXT)


def test_d6_an_idempotency_key_is_used_up_only_by_what_was_applied(upgraded: Upgraded) -> None:
    made = agency_of(upgraded)
    assert cast.run(made, FIRST, at=NOW, key="first").record.number == upgraded.numbers["first"]
    with pytest.raises(KeyTaken):
        cast.run(made, SECOND, key="first")
    for key in ("previewed", "held", "refused"):
        assert cast.run(made, [person(3, LAST_NAME=key)], at=NOW, key=key).record.state == "applied"


def test_m4_values_that_look_the_same_now_stay_and_the_doctor_names_them(upgraded: Upgraded) -> None:
    made = agency_of(upgraded)
    assert [cast.user(made, number).badge_number_key for number in (7, 8, 9)] == ["p-1", "p\u20101", "4-4"]
    assert "BADGE_NUMBER of E-7 and E-8" in doctor._like_values().found
    assert models.ReleasedName.objects.get(user=cast.user(made, 9)).key == "old-name"
    done = cast.run(made, [person(10, BADGE_NUMBER="4-4"), person(8, BADGE_NUMBER="P\u20111", LAST_NAME="New")])
    assert (done.record.counts["errored"], done.record.counts["updated"]) == (1, 1)


def test_a5_an_import_of_the_older_version_can_be_undone(upgraded: Upgraded) -> None:
    made = agency_of(upgraded)
    for name in ("second", "sync"):
        assert undo.run_undo(upgraded.record(name), context=CONTEXT).record.state == "applied"
    assert (cast.user(made, 2).last_name, cast.user(made, 2).active) == ("Last 2", True)
    assert (cast.user(made, 3).email, cast.user(made, 20).active) == (person(3)["EMAIL"], True)
    assert verify.verify_trail(made).error == ""
