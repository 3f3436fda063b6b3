"""The end of an import of a feed (rules N2, N3): what the feed learns, and where the file and its results go."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import history, queue
from musterbook.directory.imports.options import Options
from musterbook.directory.storage import import_files, locks
from musterbook.feeds import rounds, settling
from musterbook.feeds.locations.folder import FolderLocation
from musterbook.feeds.locations.location import Unreachable
from tests.directory import cast
from tests.directory.storage.test_locks import elsewhere
from tests.feeds.places import Place

TEN = cast.people(*range(1, 11))
THEIRS = cast.file(TEN).replace(b"BADGE_NUMBER", b"Shield").replace(b"Active", b"Yes")
MAPPING = {"Shield": "BADGE_NUMBER"}
VALUES = {"STATUS": {"Yes": "Active"}}


def map_again(place: Place, shown: models.Import, **options: Any) -> models.Import:
    """What a person does who maps the headings and values of a first file on its page."""
    more: dict[str, Any] = {"mapping": MAPPING, "values": VALUES, "source": "hr", "preview": True} | options
    record = queue.submit_again(shown, Options(**more), context=AuditContext(place.at, "", "page"))
    place.check()
    record.refresh_from_db()
    return record


def test_the_feed_learns_how_a_person_has_applied_its_first_file(place: Place) -> None:
    first = place.bring("hr.csv", THEIRS)
    assert first is not None
    assert (first.state, place.names()) == ("refused", ["hr.csv"])
    again = map_again(place, first, header_row=1, defaults={"LOCATION": "North"}, encoding="utf-8")
    assert (again.state, place.names()) == ("previewed", ["hr.csv"])
    assert place.confirm(again).state == "applied"
    feed = place.refresh()
    learned = {name: feed.reading.get(name) for name in settling.LEARNED}
    assert learned == {
        "mapping": MAPPING, "values": VALUES, "defaults": {"LOCATION": "North"}, "encoding": "utf-8", "delimiter": None,
        "sheet": None, "header_row": 1,
    }  # fmt: skip
    next_night = place.bring("hr.csv", THEIRS.replace(b"Last 1,", b"New,"))
    assert next_night is not None
    assert (next_night.state, next_night.counts["updated"]) == ("applied", 1)


def test_a_first_file_that_was_refused_leaves_when_a_newer_one_comes(place: Place) -> None:
    place.bring("1.csv", THEIRS)
    assert place.names() == ["1.csv"]
    place.bring("2.csv", TEN)
    place.check()
    assert (place.names(), place.names("failed")) == (["2.csv"], ["1.csv", "1.problem.txt"])


def test_a_plan_that_is_made_again_and_refused_leaves_the_file_with_the_plan_that_waits(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    assert map_again(place, first, mapping={"NOWHERE": "RANK"}, values={}).state == "refused"
    assert place.names() == ["hr.csv"]
    place.confirm(first)
    assert (place.names(), feeds.is_new(place.refresh())) == ([], False)


def test_a_later_file_with_other_headings_teaches_the_feed_again(begun: Place) -> None:
    refused = begun.bring("hr2.csv", THEIRS)
    assert refused is not None
    assert (refused.state, begun.names("failed")) == ("refused", ["hr2.csv", "hr2.problem.txt"])
    wrong = map_again(begun, refused)
    again = map_again(begun, wrong, mapping=MAPPING)
    begun.confirm(again)
    assert begun.refresh().reading["mapping"] == MAPPING
    third = begun.bring("hr3.csv", THEIRS.replace(b"Last 1,", b"New,"))
    assert third is not None
    assert third.state == "applied"


def test_what_a_person_has_confirmed_or_corrected_once_is_not_learned(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    again = map_again(
        place, first, mapping={}, values={}, corrections={"2": {"LAST_NAME": "Fixed"}}, expect_rows=10, strict=True,
        mails=False, confirmed={"deactivations": 3},
    )  # fmt: skip
    place.confirm(again)
    reading = Options.of_json(place.refresh().reading)
    assert reading == Options(mode=Mode.UPDATE)


def test_the_feed_keeps_the_mapping_that_the_agency_had_when_a_person_looked(place: Place) -> None:
    models.Agency.objects.update(mapping={**MAPPING, "Other": "RANK"}, values=VALUES)
    first = place.bring("hr.csv", THEIRS)
    assert first is not None
    place.confirm(first)
    assert place.refresh().reading["mapping"] == MAPPING


def test_settings_that_somebody_has_changed_meanwhile_are_not_approved(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    models.Feed.objects.update(mode="sync")
    place.confirm(first)
    assert feeds.is_new(place.refresh())
    assert place.feed.last_rows == 10


def test_an_import_that_the_feed_applies_by_itself_teaches_the_number_of_rows_only(begun: Place) -> None:
    before = begun.refresh()
    record = begun.bring("hr.csv", [*cast.people(*range(1, 13)), {}])
    assert record is not None
    assert (record.state, record.counts["skipped"]) == ("applied", 1)
    after = begun.refresh()
    assert (after.last_rows, after.reading, after.approved) == (12, before.reading, before.approved)


def test_an_older_file_that_is_settled_later_does_not_teach_an_old_number_of_rows(begun: Place) -> None:
    begun.bring("hr.csv", cast.people(*range(1, 13)))
    older = begun.files()[0]
    assert older.of is not None
    settling.learn(begun.feed, older, models.Import.objects.filter(feed=begun.feed, state="applied").earliest("pk"))
    assert begun.refresh().last_rows == 12


def test_a_shrunk_file_is_held_and_goes_through_when_it_is_confirmed(begun: Place) -> None:
    held = begun.bring("hr.csv", cast.people(1, 2))
    assert held is not None
    assert (held.state, held.holds[0]["code"]) == ("held", "shrunk")
    assert (begun.names(), begun.refresh().last_rows) == (["hr.csv"], 10)
    assert begun.confirm(held, shrunk=2).state == "applied"
    assert (begun.names(), begun.refresh().last_rows) == ([], 2)


def test_a_file_that_is_taken_together_with_another_is_compared_with_that_one(begun: Place) -> None:
    begun.put("a.csv", cast.people(1, 2))
    begun.put("b.csv", cast.people(1, 2, 3))
    begun.pass_time(10)
    begun.check()
    begun.pass_time()
    begun.check()
    held, other = models.Import.objects.filter(feed=begun.feed).order_by("pk")[2:]
    assert [hold["fact"] for one in (held, other) for hold in one.holds] == ["10", "10"]
    begun.put("c.csv", cast.people(*range(1, 21)))
    begun.put("d.csv", cast.people(*range(1, 12)))
    begun.pass_time(10)
    begun.check()
    begun.pass_time()
    begun.check()
    larger, smaller = models.Import.objects.filter(feed=begun.feed).order_by("pk")[4:]
    assert (larger.state, smaller.state, smaller.holds[0]["fact"]) == ("applied", "held", "20")


def test_a_file_with_problems_gets_its_results_and_its_rows_with_problems(begun: Place) -> None:
    begun.bring("hr2.csv", [*cast.people(*range(1, 11)), cast.person(11, EMAIL="no address")])
    done = begun.folder / "done"
    assert begun.names("done") == ["hr.csv", "hr.results.csv", "hr2.csv", "hr2.errors.csv", "hr2.results.csv"]
    assert (done / "hr2.errors.csv").read_text().count("\n") == 2
    assert "no address" in (done / "hr2.errors.csv").read_text()


def test_a_refused_file_goes_to_the_failed_ones_with_the_reason(begun: Place) -> None:
    begun.bring("bad.csv", b"EXTERNAL_ID\r\nE-1\r\n")
    assert begun.names("failed") == ["bad.csv", "bad.problem.txt"]
    assert "EMAIL" in (begun.folder / "failed" / "bad.problem.txt").read_text()
    assert begun.refresh().last_rows == 10


def expire(place: Place, record: models.Import) -> None:
    models.Import.objects.filter(pk=record.pk).update(ended="expired")


def discard(place: Place, record: models.Import) -> None:
    queue.discard(record, AuditContext(place.at, "", "cli"))


@pytest.mark.parametrize(
    ("end", "folder", "names"),
    [(expire, "failed", ["hr.csv", "hr.problem.txt"]), (discard, "done", ["hr.csv"])],
)
def test_a_plan_that_ends_unused_ends_its_file(
    place: Place, end: Callable[[Place, models.Import], None], folder: str, names: list[str]
) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    end(place, first)
    place.check()
    assert (place.names(), place.names(folder)) == ([], names)
    assert feeds.is_new(place.refresh())


def test_an_import_that_a_person_cancels_ends_its_file_too(place: Place) -> None:
    place.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    assert rounds.check_folders("tests", place.now) == 1
    queue.cancel(models.Import.objects.get(feed=place.feed), AuditContext(place.at, "", "cli"))
    place.check()
    assert place.names("failed") == ["hr.csv", "hr.problem.txt"]


def test_a_file_of_the_same_name_as_last_night_leaves_the_one_of_last_night(begun: Place) -> None:
    begun.bring("hr.csv", cast.people(*range(1, 12)))
    assert len([name for name in begun.names("done") if name.endswith(".results.csv")]) == 2
    assert len(begun.names("done")) == 4


def test_a_newer_file_of_the_same_name_stays_when_the_older_one_leaves(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    place.put("hr.csv", cast.people(*range(1, 12)))
    place.confirm(first)
    assert (place.names(), place.names("done")) == (["hr.csv"], [])
    place.pass_time(10)
    place.check()
    place.pass_time()
    place.check()
    assert place.states() == ["previewed", "applied", "applied"]


def test_a_move_that_fails_is_repeated_and_delays_no_learning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unreachable("The folder is full.")

    first = place.bring("hr.csv", TEN)
    assert first is not None
    monkeypatch.setattr(FolderLocation, "file_away", fail)
    place.confirm(first)
    feed = place.refresh()
    assert (feed.problem, feed.failures, feeds.is_new(feed)) == ("The folder is full.", 1, False)
    assert not rounds.settle_next("tests", place.now)
    monkeypatch.undo()
    place.pass_time()
    place.check()
    assert (place.names(), place.refresh().problem) == ([], "")
    assert place.files()[0].settled_at == place.at


def test_what_is_put_next_to_a_file_has_no_name_before_that(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If the worker was killed then, the rows of the file would stay among the temporary files of the machine."""
    first = place.bring("hr.csv", TEN)
    assert first is not None
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    usual, seen = FolderLocation.file_away, list[object]()

    def file_away(self: FolderLocation, name: str, folder: str, outputs: Mapping[str, BinaryIO], **more: Any) -> None:
        seen.append((sorted(outputs), list(temporary.iterdir())))
        usual(self, name, folder, outputs, **more)

    monkeypatch.setattr(FolderLocation, "file_away", file_away)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    place.confirm(first)
    assert seen == [(["hr.results.csv"], [])]
    assert (place.folder / "done" / "hr.results.csv").read_bytes().count(b"\n") == 1 + 10


@pytest.mark.parametrize(
    "error", [history.ResultsInProgress(), RuntimeError("a bug")], ids=lambda error: type(error).__name__
)
def test_results_that_cannot_be_made_delay_the_file_only_if_that_passes(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **_more: object) -> None:
        raise error

    first = place.bring("hr.csv", TEN)
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(history, "open_results_file", fail)
        place.confirm(first)
    waits = isinstance(error, history.ResultsInProgress)
    assert place.names() == (["hr.csv"] if waits else [])
    place.pass_time()
    place.check()
    assert place.names("done") == (["hr.csv", "hr.results.csv"] if waits else ["hr.csv"])


def test_results_that_are_no_longer_kept_are_left_out(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    queue.submit_apply(first.agency, first.number, context=AuditContext(place.at, "", "page"))
    place.work()
    for record in models.Import.objects.filter(feed=place.feed):
        import_files.delete_file(record.number)
    place.check()
    assert place.names("done") == ["hr.csv"]


def test_the_end_of_a_file_that_was_sent_needs_no_location(place: Place) -> None:
    from musterbook.directory.imports.file_import import Upload
    from musterbook.feeds import taking

    models.Feed.objects.update(location={"kind": "sent"})
    taken = taking.submit_file(place.refresh(), Upload(cast.file(TEN), "hr.csv"), AuditContext(place.at, "", "feed"))
    place.work()
    assert taken.record is not None
    taken.record.refresh_from_db()
    place.confirm(taken.record)
    assert place.files()[0].settled_at == place.at
    assert not feeds.is_new(place.refresh())


def test_a_paused_feed_still_learns_from_what_it_has_taken(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    models.Feed.objects.update(paused_at=place.at)
    place.confirm(first)
    assert (place.names(), feeds.is_new(place.refresh())) == ([], False)


def test_settling_can_be_repeated_after_every_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies before and after each step: the file is moved once, with its results."""

    class Killed(BaseException):
        pass

    first = place.bring("hr.csv", TEN)
    assert first is not None
    (place.folder / "hr.csv.done").touch()
    queue.submit_apply(first.agency, first.number, context=AuditContext(place.at, "", "page"))
    place.work()
    steps = [(settling, "learn"), (FolderLocation, "file_away"), (settling, "_write_rows")]
    for owner, name in steps:
        for after in (False, True):
            usual: Any = getattr(owner, name)

            def die(*given: Any, _usual: Any = usual, _after: bool = after, **named: Any) -> None:
                if _after:
                    _usual(*given, **named)
                raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(owner, name, die)
                with pytest.raises(Killed):
                    rounds.settle_next("tests", place.now)
            place.pass_time(3)
            if not place.names():
                break
    place.check()
    assert [name for name in place.names("done") if name.startswith("hr.")] == ["hr.csv", "hr.results.csv"]
    assert place.files()[0].settled_at
    assert not feeds.is_new(place.refresh())


def test_a_settlement_waits_for_another_writer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    queue.submit_apply(first.agency, first.number, context=AuditContext(place.at, "", "page"))
    place.work()
    begun, usual, writers = threading.Event(), FolderLocation.file_away, list[threading.Thread]()

    def write() -> None:
        with transaction.atomic():
            begun.set()
            time.sleep(0.5)

    def file_away(*given: Any, **named: Any) -> None:
        usual(*given, **named)
        writers.append(elsewhere(write))
        assert begun.wait(10)

    monkeypatch.setattr(FolderLocation, "file_away", file_away)
    with locks.limit_wait(20):
        assert rounds.settle_next("tests", place.now)
    writers[0].join()
    assert (place.files()[0].settled_at, place.refresh().worker) == (place.at, "")


def test_what_is_settled_is_not_looked_at_again(begun: Place) -> None:
    assert not settling.select_unsettled().exists()
    assert not rounds.settle_next("tests", begun.now)


def test_looking_for_what_has_ended_costs_one_query_however_many_files_wait(place: Place) -> None:
    for number in range(4):
        other = Place.make(place.home, f"more-{number}")
        other.put("hr.csv", THEIRS if number % 2 else TEN)
    place.bring("hr.csv", TEN)
    assert models.FeedFile.objects.filter(settled_at=None).count() == 5
    with CaptureQueriesContext(connection) as queries:
        assert not rounds.settle_next("tests", place.now)
    assert len(queries) == 1
