"""Workers check feeds on real servers: each file is imported once, and a server in trouble is said."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from musterbook.directory import models
from musterbook.directory.imports.worker import run_next_import
from musterbook.feeds import rounds
from tests.directory import cast
from tests.feeds.places import Place, build_officers
from tests.feeds.servers import HttpsServer, SftpServer

pytestmark = pytest.mark.django_db(transaction=True)


class RemotePlace(Place):
    """A place whose folder is on a server."""

    def check(self) -> None:
        """What a worker does with feeds on other machines until nothing is due, and with the imports."""
        for _ in range(2):
            while rounds.settle_next("tests", self.now) or rounds.check_remote("tests", self.now):
                pass
            while run_next_import("tests", self.now):
                pass


@pytest.fixture(params=["openssh", "asyncssh"])
def sftp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SftpServer, RemotePlace]]:
    folder = tmp_path / "server"
    folder.mkdir()
    with SftpServer(folder, own=request.param == "asyncssh") as server:
        yield server, make_place(folder, server, host_key=server.pinned, pattern="*.csv")


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[HttpsServer, RemotePlace]]:
    folder = tmp_path / "server"
    folder.mkdir()
    with HttpsServer(folder, header=("X-Api-Key", "swordfish")) as server:
        yield server, make_place(folder, server, path="hr.csv")


def make_place(folder: Path, server: Any, *, host_key: str = "", **location: str) -> RemotePlace:
    feed = models.Feed.objects.create(
        agency=build_officers(), name="hr", mode="update", source="hr", location=server.location(**location),
        secrets=server.secrets(), host_key=host_key, created_at=cast.NOW,
    )  # fmt: skip
    return RemotePlace(feed, folder)


def test_files_of_an_sftp_server_are_imported_once_and_moved(sftp: tuple[SftpServer, RemotePlace]) -> None:
    _, place = sftp
    place.begin()
    assert place.names() == [] and "hr.csv" in place.names("done")
    applied = place.bring("hr.csv", cast.people(*range(1, 13)))
    assert applied is not None and applied.state == "applied"
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert len(place.files()) == 2 and place.names() == []
    assert len([name for name in place.names("done") if "results" not in name]) == 2


def test_an_sftp_feed_stops_at_another_host_key_and_survives_a_server_that_is_down(
    sftp: tuple[SftpServer, RemotePlace],
) -> None:
    server, place = sftp
    server.stop()
    place.check()
    assert "cannot be reached" in place.refresh().problem and place.feed.failures == 1
    server.start()
    place.pass_time(10)
    place.check()
    assert place.refresh().problem == "" and place.feed.failures == 0
    server.change_key()
    server.restart()
    place.pass_time(10)
    place.check()
    assert "has another host key" in place.refresh().stopped
    place.put("hr.csv", cast.people(1))
    place.pass_time(10)
    place.check()
    assert place.files() == [] and place.names() == ["hr.csv"]


def test_a_file_by_https_is_imported_once_and_read_once(https: tuple[HttpsServer, RemotePlace]) -> None:
    server, place = https
    place.begin()
    server.served.clear()
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert server.served == [] and len(place.files()) == 1
    applied = place.bring("hr.csv", cast.people(*range(1, 13)))
    assert applied is not None and applied.state == "applied" and len(place.files()) == 2
    assert place.names() == ["hr.csv"]


def test_a_file_that_is_made_at_each_request_is_imported_when_it_is_another_one(
    https: tuple[HttpsServer, RemotePlace],
) -> None:
    server, place = https
    server.validators = False
    place.begin()
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert len(place.files()) == 1
    path = place.folder / "hr.csv"
    path.write_bytes(cast.file(cast.people(*range(1, 13))))
    os.utime(path, (1, 1))
    place.pass_time(10)
    place.check()
    assert place.states()[-1] == "applied" and len(place.files()) == 2


def test_a_secret_that_is_refused_is_said_and_a_new_one_helps(https: tuple[HttpsServer, RemotePlace]) -> None:
    server, place = https
    place.put("hr.csv", cast.people(1))
    server.header = ("X-Api-Key", "sesame")
    place.check()
    problem = place.refresh().problem
    assert "does not accept the secret" in problem and "swordfish" not in problem
    models.Feed.objects.filter(pk=place.feed.pk).update(secrets=server.secrets())
    place.pass_time(10)
    place.check()
    assert place.refresh().problem == ""
