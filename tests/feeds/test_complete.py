"""Which files are complete (rule N1): by waiting, by renaming, by markers, and several as one snapshot."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.feeds import complete
from musterbook.feeds.complete import Look, Reason
from musterbook.feeds.locations.location import FoundFile

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.any_database


def found(name: str, size: int = 10, modified: float = 100.0, tag: str = "") -> FoundFile:
    return FoundFile(modified, name, size, tag)


class Checks:
    """Checks of one location, one after the other."""

    def __init__(self, **rules: Any) -> None:
        self.seen: Mapping[str, Any] = {}
        self.rules = rules

    def look(self, seconds: float, *files: FoundFile) -> Look:
        """What a check finds that many seconds later."""
        look = complete.choose(files, self.seen, NOW + seconds * SECOND, **self.rules)
        self.seen = look.seen
        return look

    def take(self, seconds: float, *files: FoundFile) -> list[list[str]]:
        """The names of what it takes."""
        return [[one.name for one in arrival.files] for arrival in self.look(seconds, *files).arrivals]

    def remember(self, *files: FoundFile) -> None:
        """These files were taken, and stay."""
        self.seen = {**self.seen, "taken": {one.name: complete.identify(one) for one in files}}


def reasons(look: Look) -> dict[str, Reason]:
    return {one.name: reason for one, reason in look.others}


def test_a_file_is_taken_when_it_has_not_changed_for_a_minute() -> None:
    checks = Checks()
    assert checks.take(0, found("a.csv")) == []
    assert checks.take(59, found("a.csv")) == []
    assert checks.take(60, found("a.csv")) == [["a.csv"]]


@pytest.mark.parametrize("changed", [{"size": 11}, {"modified": 101.0}, {"tag": "2"}])
def test_a_change_of_size_time_or_tag_begins_the_minute_again(changed: dict[str, Any]) -> None:
    checks = Checks()
    checks.take(0, found("a.csv"))
    assert checks.take(61, found("a.csv", **changed)) == []
    assert checks.take(120, found("a.csv", **changed)) == []
    assert checks.take(121, found("a.csv", **changed)) == [["a.csv"]]


def test_a_file_that_was_gone_in_between_begins_again() -> None:
    checks = Checks()
    checks.take(0, found("a.csv"))
    checks.take(30)
    assert checks.take(61, found("a.csv")) == []


def test_a_clock_that_is_set_back_makes_the_minute_begin_again_and_loses_nothing() -> None:
    checks = Checks()
    checks.take(100_000, found("a.csv"))
    assert checks.take(0, found("a.csv")) == []
    assert checks.take(60, found("a.csv")) == [["a.csv"]]


@pytest.mark.parametrize(
    "name", ["a.csv.tmp", "a.csv.part", "A.CSV.PART", "a.csv.filepart", ".a.csv", "~$a.xlsx", ".a.csv.Ab3x"]
)
def test_temporary_hidden_and_lock_files_are_left_alone(name: str) -> None:
    checks = Checks()
    for seconds in (0, 100, 10_000):
        look = checks.look(seconds, found(name))
        assert not look.arrivals
        assert reasons(look) == {name: Reason.TEMPORARY}


@pytest.mark.parametrize("temporary", ["a.csv.tmp", "a.csv.part", "a.csv.filepart", "a.tmp", ".a.csv", ".a.csv.Ab3x"])
def test_a_file_that_was_renamed_into_place_is_taken_at_once(temporary: str) -> None:
    checks = Checks()
    assert checks.take(0, found(temporary)) == []
    assert checks.take(1, found("a.csv")) == [["a.csv"]]


@pytest.mark.parametrize(
    ("temporary", "then"),
    [
        ("b.csv.tmp", [found("a.csv")]),
        ("a.csv.tmp", [found("a.csv"), found("a.csv.tmp")]),
        ("a.csv.tmp", [found("a.csv", size=11)]),
    ],
    ids=["of another file", "still there", "grown since"],
)
def test_a_temporary_file_that_is_not_the_same_says_nothing(temporary: str, then: list[FoundFile]) -> None:
    checks = Checks()
    checks.take(0, found(temporary))
    assert checks.take(1, *then) == []


@pytest.mark.parametrize("marker", ["a.csv.done", "a.done"])
def test_a_marker_says_that_its_file_is_complete_and_goes_with_it(marker: str) -> None:
    look = Checks().look(0, found("a.csv"), found(marker, size=0, modified=100.0))
    assert [[one.name for one in arrival.markers] for arrival in look.arrivals] == [[marker]]
    assert reasons(look) == {marker: Reason.MARKER}


def test_a_marker_of_an_earlier_file_says_nothing() -> None:
    checks = Checks()
    assert checks.take(0, found("a.csv", modified=200.0), found("a.csv.done")) == []
    file, marker = found("a.csv"), found("a.csv.done", modified=150.0)
    checks.remember(file, marker)
    assert checks.take(1, found("a.csv", modified=140.0), marker) == []


def test_a_checksum_is_tried_again_only_when_something_has_changed_or_a_minute_is_over() -> None:
    checks, marker = Checks(), found("a.csv.sha256", size=64)
    look = checks.look(0, found("a.csv"), marker)
    assert look.arrivals[0].checksums == {"a.csv": "a.csv.sha256"}
    assert not look.arrivals[0].unchanged
    checks.seen = {**look.seen, "tried": {"a.csv": complete.key_of_try(found("a.csv"), marker)}}
    assert reasons(checks.look(10, found("a.csv"), marker))["a.csv"] == Reason.CHECKSUM
    assert checks.take(11, found("a.csv", size=20), marker) == [["a.csv"]]
    assert checks.look(71, found("a.csv", size=20), marker).arrivals[0].unchanged


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        (b"A" * 64, "a" * 64),
        (b"%b  a.csv\n" % (b"1" * 64), "1" * 64),
        (b"%b *b.csv\n%b *a.csv\n" % (b"1" * 64, b"2" * 64), "2" * 64),
        (b"SHA256 (a.csv) = %b\r\n" % (b"3" * 64), "3" * 64),
        (b"", ""),
        (b"\xff\xfe soon", ""),
        (b"f" * 128, ""),
    ],
)
def test_a_checksum_is_read_as_the_usual_programs_write_it(marker: bytes, says: str) -> None:
    assert complete.read_checksum(marker, "a.csv") == says


def test_only_names_of_the_pattern_are_for_the_feed() -> None:
    look = Checks(pattern="hr-*.csv").look(0, found("HR-1.CSV"), found("roster.csv"))
    assert reasons(look) == {"HR-1.CSV": Reason.CHANGING, "roster.csv": Reason.PATTERN}


def test_the_oldest_file_is_taken_first() -> None:
    checks = Checks()
    files = [found("b.csv", modified=3.0), found("a.csv", modified=5.0), found("c.csv", modified=1.0)]
    checks.take(0, *files)
    assert checks.take(60, *files) == [["c.csv"], ["b.csv"], ["a.csv"]]


def test_a_file_that_was_taken_and_stays_is_not_taken_again_until_it_changes() -> None:
    checks = Checks()
    checks.remember(found("a.csv"))
    assert reasons(checks.look(0, found("a.csv"))) == {"a.csv": Reason.TAKEN}
    assert checks.take(100, found("a.csv")) == []
    checks.take(200, found("a.csv", modified=150.0))
    assert checks.take(260, found("a.csv", modified=150.0)) == [["a.csv"]]


def test_what_is_gone_is_forgotten() -> None:
    checks = Checks()
    checks.remember(found("a.csv"))
    checks.look(0)
    assert checks.seen == {}


def test_a_snapshot_waits_until_every_file_is_complete_and_no_other_has_come_for_a_minute() -> None:
    checks = Checks(together=True)
    one, two = found("1.csv", modified=9.0), found("2.csv", modified=8.0)
    checks.take(0, one)
    assert checks.take(60, one, two) == []
    assert checks.take(119, one, two) == []
    assert checks.take(120, one, two) == [["1.csv", "2.csv"]]


def test_a_file_that_is_being_sent_holds_up_its_snapshot_until_it_is_given_up() -> None:
    checks = Checks(together=True, pattern="*.csv")
    one, sent, note = found("1.csv"), found("2.csv.part"), found("note.txt.part")
    checks.take(0, one, sent, note)
    look = checks.look(3599, one, sent, note)
    assert reasons(look)["1.csv"] == Reason.OTHERS
    assert checks.take(3600, one, sent, note) == [["1.csv"]]


def test_a_snapshot_of_fewer_files_than_the_last_one_waits_longer_for_the_others() -> None:
    checks, one = Checks(together=True, usual=2), found("1.csv")
    checks.take(0, one)
    assert checks.take(3599, one) == []
    assert checks.take(3600, one) == [["1.csv"]]


def test_a_snapshot_takes_the_markers_and_checksums_of_all_its_files() -> None:
    checks = Checks(together=True)
    files = [found("1.csv"), found("1.csv.done"), found("2.csv"), found("2.csv.sha256"), found("x.done")]
    checks.look(0, *files)
    (arrival,) = checks.look(60, *files).arrivals
    assert [one.name for one in arrival.markers] == ["1.csv.done", "2.csv.sha256"]
    assert arrival.checksums == {"2.csv": "2.csv.sha256"}


def test_a_folder_without_files_has_no_snapshot() -> None:
    look = Checks(together=True).look(0, found("a.done"))
    assert (look.arrivals, look.waits) == ((), False)


class Sender:
    """A program that writes a file, and how much of it is there at a time. It never rests for a minute in the middle."""

    def __init__(self, how: str, steps: list[float], whole: int) -> None:
        self.how, self.whole = how, whole
        self.times = [sum(steps[: index + 1]) for index in range(len(steps))]
        self.end = self.times[-1]

    def list_files(self, at: float) -> list[FoundFile]:
        """What is there at that time."""
        written = [time for time in self.times if time <= at]
        if not written:
            return []
        size = self.whole if at >= self.end else len(written) * self.whole // (len(self.times) + 1)
        name = "a.csv.part" if self.how == "renamed" and at < self.end + 5 else "a.csv"
        marker = {"done": "a.csv.done", "checksum": "a.csv.sha256"}.get(self.how)
        markers = [found(marker, modified=self.end + 2)] if marker and at >= self.end + 2 else []
        return [found(name, size=size, modified=written[-1]), *markers]


@given(
    how=st.sampled_from(["plain", "renamed", "done", "checksum"]),
    steps=st.lists(st.floats(0.1, 59), min_size=1, max_size=8),
    looks=st.lists(st.floats(0.1, 200), max_size=30),
)
def test_no_observation_takes_an_incomplete_file_and_some_take_a_complete_one(
    how: str, steps: list[float], looks: list[float]
) -> None:
    sender, checks, at = Sender(how, steps, 1000), Checks(), 0.0
    for pause in [*looks, sender.end, 61.0, 61.0]:
        at += pause
        for arrival in checks.look(at, *sender.list_files(at)).arrivals:
            assert at >= sender.end
            assert [one.size for one in arrival.files] == [1000]
    assert checks.take(at + 60, *sender.list_files(at)) == [["a.csv"]]


@given(
    steps=st.lists(st.lists(st.floats(0.1, 59), min_size=1, max_size=4), min_size=2, max_size=4),
    looks=st.lists(st.floats(0.1, 200), max_size=30),
)
def test_a_snapshot_is_never_taken_by_half(steps: list[list[float]], looks: list[float]) -> None:
    """Several programs write at the same time, or one after the other without a minute in between."""
    senders, checks, at = [Sender("plain", one, 1000) for one in steps], Checks(together=True), 0.0
    for pause in [*looks, max(one.end for one in senders), 61.0, 61.0]:
        at += pause
        files = [
            FoundFile(one.modified, f"{index}.csv", one.size)
            for index, sender in enumerate(senders)
            for one in sender.list_files(at)
        ]
        for arrival in checks.look(at, *files).arrivals:
            assert [one.size for one in arrival.files] == [1000] * len(senders)
    assert len(checks.take(at + 61, *files)) == 1


@given(st.lists(st.sampled_from(["a", ".b", "c.done", "d.tmp", "e.sha256", "~$f"]), max_size=12), st.floats(0, 500))
def test_every_file_is_either_taken_or_left_for_a_reason(names: list[str], seconds: float) -> None:
    checks, files = Checks(), [found(name) for name in dict.fromkeys(names)]
    checks.look(0, *files)
    look = checks.look(seconds, *files)
    assert sorted(
        [one for arrival in look.arrivals for one in arrival.files] + [one for one, _ in look.others]
    ) == sorted(files)


def test_the_checksum_of_a_real_file_agrees() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    assert complete.read_checksum(f"{digest}  a.csv\n".encode(), "a.csv") == digest


def test_a_newer_file_does_not_overtake_an_older_one_that_is_not_complete() -> None:
    checks = Checks()
    older, newer, marker = found("b.csv", modified=1.0), found("a.csv", modified=2.0), found("a.csv.done", modified=3.0)
    look = checks.look(0, older, newer, marker)
    assert not look.arrivals
    assert reasons(look) == {"a.csv": Reason.OTHERS, "a.csv.done": Reason.MARKER, "b.csv": Reason.CHANGING}
    assert checks.take(60, older, newer, marker) == [["b.csv"], ["a.csv"]]
