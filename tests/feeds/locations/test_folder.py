"""Files in a folder on this machine: listed, read, and moved away. Nothing outside the agency's folder is reached."""

import os
import pwd
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.feeds.locations import folder as folders
from musterbook.feeds.locations.folder import FolderLocation
from musterbook.feeds.locations.location import FileChanged, FoundFile, Location, NotAllowed, Unreachable
from musterbook.feeds.locations.opening import open_location

ROWS = b"a,b\r\n1,2\r\n"


def make_feed(path: str = "hr", slug: str = "springfield") -> models.Feed:
    location = {"kind": "folder", "path": path, "pattern": "*.csv"}
    return models.Feed(agency=models.Agency(slug=slug), name="hr", location=location)


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the installation, with those of two agencies."""
    settings.MUSTER_FEED_FOLDERS = (tmp_path / "feeds",)
    for slug in ("springfield", "shelbyville"):
        (tmp_path / "feeds" / slug / "hr").mkdir(parents=True)
    return tmp_path / "feeds"


@pytest.fixture
def hr(root: Path) -> Path:
    return root / "springfield" / "hr"


@pytest.fixture
def location(hr: Path) -> Iterator[Location]:
    opened = open_location(make_feed())
    yield opened
    opened.close()


def read(location: Location, found: FoundFile) -> bytes:
    parts: list[bytes] = []
    assert location.read_file(found, parts.append) == found
    return b"".join(parts)


def test_files_are_listed_and_read(hr: Path, location: Location) -> None:
    (hr / "roster.csv").write_bytes(ROWS)
    (hr / "roster.csv.sha256").write_text("0" * 5_000)
    (hr / "old").mkdir()
    (hr / "old" / "older.csv").write_bytes(ROWS)
    found = {one.name: one for one in location.list_files()}
    assert set(found) == {"roster.csv", "roster.csv.sha256"}
    assert found["roster.csv"].size == len(ROWS) and found["roster.csv"].modified == (hr / "roster.csv").stat().st_mtime
    assert read(location, found["roster.csv"]) == ROWS
    assert location.read_marker("roster.csv.sha256") == b"0" * 4_096
    with pytest.raises(FileChanged):
        location.read_marker("none.done")


def test_the_folder_of_an_installation_without_a_setting_is_in_its_home(tmp_path: Path, settings: Settings) -> None:
    settings.MUSTER_FEED_FOLDERS, settings.MUSTER_HOME = (), tmp_path / "home"
    opened = open_location(make_feed(""))
    opened.close()
    assert (tmp_path / "home" / "feeds" / "springfield").stat().st_mode & 0o777 == 0o700
    with pytest.raises(Unreachable, match="There is no folder"):
        open_location(make_feed("hr"))


def test_a_folder_is_found_below_any_of_the_roots(root: Path, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "more" / "springfield" / "payroll").mkdir(parents=True)
    settings.MUSTER_FEED_FOLDERS = (root, tmp_path / "more")
    (tmp_path / "more" / "springfield" / "payroll" / "pay.csv").write_bytes(ROWS)
    opened = open_location(make_feed("payroll"))
    assert [one.name for one in opened.list_files()] == ["pay.csv"]
    opened.close()
    with pytest.raises(Unreachable, match=r"feeds/springfield/none, .*more/springfield/none"):
        open_location(make_feed("none"))


@pytest.mark.parametrize("path", ["../shelbyville/hr", "hr/../../shelbyville", "..", "/etc", "a\nb", "a\0b"])
def test_a_path_that_leads_out_of_the_agencys_folder_is_refused(root: Path, path: str) -> None:
    with pytest.raises(NotAllowed, match="not below the agency"):
        open_location(make_feed(path))


@pytest.mark.parametrize("target", ["../shelbyville/hr", "/etc", "hr/inner", "../../feeds/shelbyville"])
def test_a_link_that_leads_out_of_the_agencys_folder_is_refused(root: Path, target: str) -> None:
    (root / "springfield" / "hr" / "inner").symlink_to(root / "shelbyville")
    (root / "springfield" / "link").symlink_to(target)
    with pytest.raises(NotAllowed, match="which is not below"):
        open_location(make_feed("link"))


def test_a_link_within_the_agencys_folder_is_followed(root: Path) -> None:
    (root / "springfield" / "hr" / "roster.csv").write_bytes(ROWS)
    (root / "springfield" / "link").symlink_to("hr")
    opened = open_location(make_feed("link"))
    assert [one.name for one in opened.list_files()] == ["roster.csv"]
    opened.close()


def test_the_folder_of_an_agency_is_no_link_itself(root: Path) -> None:
    (root / "ogdenville").symlink_to("shelbyville")
    with pytest.raises((Unreachable, NotAllowed)):
        open_location(make_feed("hr", slug="ogdenville"))


def test_links_in_a_circle_are_refused(root: Path) -> None:
    (root / "springfield" / "a").symlink_to("b")
    (root / "springfield" / "b").symlink_to("a")
    with pytest.raises(Unreachable, match="cannot be used"):
        open_location(make_feed("a"))


def test_a_folder_that_is_swapped_for_a_link_after_the_check_changes_nothing(
    root: Path, hr: Path, location: Location
) -> None:
    (hr / "roster.csv").write_bytes(ROWS)
    (root / "shelbyville" / "hr" / "secret.csv").write_bytes(b"secret")
    hr.rename(root / "springfield" / "before")
    hr.symlink_to(root / "shelbyville" / "hr")
    assert [one.name for one in location.list_files()] == ["roster.csv"]
    assert read(location, location.list_files()[0]) == ROWS


def test_links_and_special_files_are_neither_listed_nor_read_nor_moved(
    root: Path, hr: Path, location: Location
) -> None:
    secret = root / "shelbyville" / "hr" / "secret.csv"
    secret.write_bytes(b"secret")
    (hr / "link.csv").symlink_to(secret)
    os.mkfifo(hr / "pipe.csv")
    if os.geteuid() == 0:
        os.mknod(hr / "device.csv", 0o020600, os.makedev(1, 5))  # /dev/zero, which never ends
    assert location.list_files() == []
    status = secret.stat()
    for name in ("link.csv", "pipe.csv", "device.csv", "../../shelbyville/hr/secret.csv", "."):
        found = FoundFile(status.st_mtime, name, status.st_size)
        with pytest.raises((FileChanged, Unreachable)):
            location.read_file(found, lambda _: pytest.fail("something was read"))
        with pytest.raises((FileChanged, Unreachable)):
            location.read_marker(name)
        location.file_away(name, "done", {})
    assert (hr / "link.csv").is_symlink() and secret.exists()


def test_a_file_that_is_swapped_for_a_link_after_the_listing_is_left(root: Path, hr: Path, location: Location) -> None:
    secret = root / "shelbyville" / "hr" / "secret.csv"
    secret.write_bytes(ROWS)
    (hr / "roster.csv").write_bytes(ROWS)
    os.utime(secret, (1, 1))
    os.utime(hr / "roster.csv", (1, 1))
    found = location.list_files()[0]
    (hr / "roster.csv").unlink()
    (hr / "roster.csv").symlink_to(secret)
    with pytest.raises((FileChanged, Unreachable)):
        location.read_file(found, lambda _: pytest.fail("something was read"))


def test_a_file_that_grows_without_end_is_left(hr: Path, location: Location) -> None:
    path, ended = hr / "roster.csv", threading.Event()
    path.write_bytes(b"x" * 1_000)
    found, read_bytes = location.list_files()[0], 0

    def grow(part: bytes) -> None:
        nonlocal read_bytes
        read_bytes += len(part)
        with path.open("ab") as file:
            file.write(b"x" * 1_000_000)

    with pytest.raises(FileChanged):
        location.read_file(found, grow)
    assert read_bytes <= 1_000 and not ended.is_set()


def test_a_file_that_changes_while_it_is_read_is_left(hr: Path, location: Location) -> None:
    path = hr / "roster.csv"

    def write() -> FoundFile:
        path.write_bytes(ROWS)
        os.utime(path, (1, 1))
        return next(one for one in location.list_files() if one.name == "roster.csv")

    def swap(_: bytes) -> None:
        path.rename(hr / "other")
        write()

    changes: list[Any] = [
        lambda _: path.write_bytes(ROWS.replace(b"1", b"3")),
        lambda _: path.unlink(),
        swap,
        lambda _: path.write_bytes(ROWS[:4]),
    ]
    for change in changes:
        (hr / "other").unlink(missing_ok=True)
        found = write()
        with pytest.raises(FileChanged):
            location.read_file(found, change)
    found = write()
    path.write_bytes(b"other")
    with pytest.raises(FileChanged):
        location.read_file(found, lambda _: pytest.fail("something was read"))


def test_the_error_of_the_reader_passes(hr: Path, location: Location) -> None:
    (hr / "roster.csv").write_bytes(ROWS)

    def refuse(_: bytes) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        location.read_file(location.list_files()[0], refuse)


def test_a_taken_file_is_moved_next_to_its_results_and_nothing_is_overwritten(hr: Path) -> None:
    for night in range(1, 4):
        results = BytesIO(f"results of night {night}".encode())
        (hr / "roster.csv").write_text(f"night {night}")
        os.utime(hr / "roster.csv", (1_700_000_000, 1_700_000_000))  # each copied with its time
        for _ in range(2):  # a worker was killed, and did it again
            opened = open_location(make_feed())
            opened.file_away("roster.csv", "done", {"roster.results.csv": results})
            opened.close()
    assert {path.name: path.read_text() for path in (hr / "done").iterdir()} == {
        "roster.csv": "night 1",
        "roster.results.csv": "results of night 1",
        "roster-20231114-221320.csv": "night 2",
        "roster-20231114-221320.results.csv": "results of night 2",
        "roster-20231114-221320-2.csv": "night 3",
        "roster-20231114-221320-2.results.csv": "results of night 3",
    }
    assert (hr / "done" / "roster.results.csv").stat().st_mode & 0o007 == 0


def test_what_was_written_before_a_worker_was_killed_stays(hr: Path, location: Location) -> None:
    results = BytesIO(b"result")
    (hr / "roster.csv").write_text("rows")
    (hr / "failed").mkdir()
    (hr / "failed" / "roster.results.csv").write_bytes(b"result")
    (hr / "failed" / ".roster.problem.txt.part").write_bytes(b"half of it, and longer")
    kept = []
    location.file_away(
        "roster.csv",
        "failed",
        {"roster.results.csv": results, "roster.problem.txt": results},
        keep=lambda: kept.append(1),
    )
    assert kept
    assert {path.name: path.read_text() for path in (hr / "failed").iterdir()} == {
        "roster.csv": "rows",
        "roster.results.csv": "result",
        "roster.problem.txt": "result",
    }


def test_a_newer_file_of_the_same_name_stays(hr: Path, location: Location) -> None:
    (hr / "roster.csv").write_text("newer")
    modified = location.list_files()[0].modified
    location.file_away("roster.csv", "done", {}, modified=modified - 60)
    assert (hr / "roster.csv").exists()
    location.file_away("roster.csv", "done", {}, modified=modified)
    assert not (hr / "roster.csv").exists()


def test_the_longest_name_can_be_moved_twice(hr: Path, location: Location) -> None:
    name = "ñ" * 125 + ".csv"
    for _ in range(2):
        (hr / name).write_text("rows")
        location.file_away(name, "done", {})
    assert len(list((hr / "done").iterdir())) == 2


@pytest.mark.parametrize("target", ["link", "file"])
def test_files_are_moved_into_a_real_subfolder_alone(root: Path, hr: Path, location: Location, target: str) -> None:
    (hr / "roster.csv").write_bytes(ROWS)
    if target == "link":
        (hr / "done").symlink_to(root / "shelbyville" / "hr")
    else:
        (hr / "done").write_text("")
    with pytest.raises(Unreachable, match="cannot be used"):
        location.file_away("roster.csv", "done", {})
    assert (hr / "roster.csv").exists() and list((root / "shelbyville" / "hr").iterdir()) == []


def test_a_link_in_the_subfolder_is_not_written_through(root: Path, hr: Path, location: Location) -> None:
    results, secret = BytesIO(b"result"), root / "shelbyville" / "hr" / "secret.csv"
    secret.write_text("secret")
    (hr / "done").mkdir()
    for name in ("roster.csv", "roster.results.csv", ".roster.results.csv.part"):
        (hr / "done" / name).symlink_to(secret)
    (hr / "roster.csv").write_bytes(ROWS)
    location.file_away("roster.csv", "done", {"roster.results.csv": results})
    assert secret.read_text() == "secret" and not (hr / "roster.csv").exists()


def test_names_that_cannot_be_shown_are_left_out_and_said(hr: Path, location: Location) -> None:
    for name in (
        b"caf\xe9.csv",
        b"a\nb.csv",
        b"back\\slash.csv",
        b"\xe2\x80\xaegnp.csv",
        b"<b onload=x>.csv",
        b"{{ x }}.csv",
    ):
        Path(os.fsdecode(bytes(hr) + b"/" + name)).write_bytes(ROWS)
    assert sorted(one.name for one in location.list_files()) == ["<b onload=x>.csv", "{{ x }}.csv"]
    assert sorted(location.left_out) == ["\\u202egnp.csv", "a\\nb.csv", "back\\slash.csv", "caf\\xe9.csv"]
    assert read(location, min(location.list_files(), key=lambda one: one.name)) == ROWS


def test_only_some_names_that_are_left_out_are_said(hr: Path, location: Location) -> None:
    for number in range(100):
        (hr / f"\n{number}").write_bytes(ROWS)
    assert location.list_files() == [] and len(location.left_out) == 20


def test_a_folder_with_too_many_files_is_refused(hr: Path, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_FILES", 50)
    for number in range(51):
        (hr / str(number)).symlink_to("nowhere")
    with pytest.raises(NotAllowed, match="has more than"):
        location.list_files()


def test_a_path_that_is_a_file_is_refused(hr: Path) -> None:
    (hr / "roster.csv").write_bytes(ROWS)
    with pytest.raises(Unreachable, match="cannot be used"):
        open_location(make_feed("hr/roster.csv"))


def test_a_folder_can_be_watched_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_bytes(ROWS)
    opened = FolderLocation(tmp_path)
    assert [one.name for one in opened.list_files()] == ["roster.csv"]
    opened.close()
    opened.close()


# Permissions, which only an ordinary user has


@pytest.fixture
def _ordinary() -> Iterator[None]:
    """The process has no more rights than an ordinary user, for as long as a test runs."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody")
    os.seteuid(nobody.pw_uid)
    yield
    os.seteuid(0)


@pytest.fixture
def shared(tmp_path: Path, settings: Settings) -> Path:
    """The folder of an agency that everybody may read."""
    for path in (tmp_path, *list(tmp_path.parents)[:3]):  # each process of tests may have a folder of its own
        path.chmod(path.stat().st_mode | 0o055)
    settings.MUSTER_FEED_FOLDERS = (tmp_path,)
    (tmp_path / "springfield" / "hr").mkdir(parents=True)
    return tmp_path / "springfield" / "hr"


def test_a_folder_that_cannot_be_read_is_explained(shared: Path, request: pytest.FixtureRequest) -> None:
    shared.chmod(0o000)
    request.getfixturevalue("_ordinary")
    user = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(Unreachable, match=f"Let the account {user} read it"):
        open_location(make_feed())


def test_files_of_a_folder_that_cannot_be_written_are_remembered_alone(
    shared: Path, request: pytest.FixtureRequest
) -> None:
    (shared / "roster.csv").write_bytes(ROWS)
    (shared / "private.csv").write_bytes(ROWS)
    (shared / "private.csv").chmod(0o000)
    shared.chmod(0o555)
    request.getfixturevalue("_ordinary")
    opened = open_location(make_feed())
    assert not opened.moves
    found = {one.name: one for one in opened.list_files()}
    assert read(opened, found["roster.csv"]) == ROWS
    opened.file_away("roster.csv", "done", {})
    assert (shared / "roster.csv").exists()
    with pytest.raises(Unreachable, match=r"private\.csv in .* cannot be read"):
        opened.read_file(found["private.csv"], lambda _: None)
    opened.close()
