"""The locations of the journeys: where HR puts its files, and how they fail."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tests.databases import Home
from tests.feeds.servers import HttpsServer, SftpServer


class FolderPlace:
    """A folder of the machine, which may be a share that is not mounted."""

    kind, moves, sends = "folder", True, False
    kills: tuple[str, ...] = (
        "claimed", "looked", "read", "kept", "recorded", "remembered", "taken", "released", "planned", "imported", "learned",
        "results", "moved",
    )  # fmt: skip
    """The steps after which a worker is killed."""
    key = ""

    def __init__(self, home: Home, _: Path) -> None:
        self.folder = home.folder / "feeds" / "springfield" / "hr"
        self.folder.mkdir(parents=True)

    def location(self) -> dict[str, Any]:
        """Return the location of the feed."""
        return {"kind": "folder", "path": "hr", "pattern": "*.csv"}

    def secrets(self) -> dict[str, str]:
        """Return the secrets of the feed."""
        return {}

    def name(self, day: date, /) -> str:
        """Return the name of the file of a night."""
        return f"hr-{day}.csv"

    def put(self, name: str, content: bytes, at: datetime) -> None:
        """Put a file there."""
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (at.timestamp(), at.timestamp()))

    def stop(self) -> None:
        """The location cannot be reached from now on."""
        away = self.folder.with_name("away")
        self.folder.rename(away)
        self.folder = away

    def start(self) -> None:
        """It can be reached again."""
        self.folder = self.folder.rename(self.folder.with_name("hr"))

    def list_names(self, folder: str = "") -> list[str]:
        """Return the names of the files there, or in a subfolder."""
        return sorted(one.name for one in (self.folder / folder).glob("*") if one.is_file())

    def end(self) -> None:
        """Nothing runs."""


class SftpPlace(FolderPlace):
    """An SFTP server."""

    kind = "sftp"
    kills = (*FolderPlace.kills[:-1], "moved by SFTP")

    def __init__(self, _: Home, folder: Path) -> None:
        self.folder = folder / "sftp"
        self.folder.mkdir()
        self.server = SftpServer(self.folder)
        self.server.start()
        self.key = self.server.pinned

    def location(self) -> dict[str, Any]:
        """Return the location of the feed."""
        return self.server.location("*.csv")

    def secrets(self) -> dict[str, str]:
        """Return the secrets of the feed."""
        return {"key": self.server.private_key}

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def start(self) -> None:
        """Start the server."""
        self.server.start()

    def end(self) -> None:
        """Stop the server for good."""
        self.server.__exit__(None, None, None)


class HttpsPlace(FolderPlace):
    """One address of an HTTPS server, whose file is each night's."""

    kind, moves = "https", False
    kills = tuple(step for step in FolderPlace.kills if step not in ("results", "moved"))

    def __init__(self, _: Home, folder: Path) -> None:
        self.folder = folder / "https"
        self.folder.mkdir()
        self.server = HttpsServer(self.folder, header=("X-Key", "secret of HR"))
        self.server.__enter__()

    def location(self) -> dict[str, Any]:
        """Return the location of the feed."""
        return self.server.location()

    def secrets(self) -> dict[str, str]:
        """Return the secrets of the feed."""
        return {"header": "secret of HR"}

    def name(self, _day: date, /) -> str:
        """Return the same name each night."""
        return "roster.csv"

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def start(self) -> None:
        """Start the server."""
        self.server.start()

    def end(self) -> None:
        """Stop the server for good."""
        self.server.__exit__(None, None, None)


class SentPlace(FolderPlace):
    """No place: a program of HR sends the file, and sends it again until it has an answer."""

    kind, moves, sends = "sent", False, True
    kills = ("kept", "recorded", "remembered", "taken", "planned", "imported", "learned")

    def location(self) -> dict[str, Any]:
        """Return the location of the feed."""
        return {"kind": "sent"}

    def stop(self) -> None:
        """The program cannot reach this installation."""

    def start(self) -> None:
        """It can again."""


PLACES = {place.kind: place for place in (FolderPlace, SftpPlace, HttpsPlace, SentPlace)}
