"""The settings of a feed as JSON: as a table `[[feeds]]` of an agency file has them, with null for "as usual"."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from ninja import Schema
from pydantic import ConfigDict, Field

from musterbook.api.schemas import Strict, Time
from musterbook.core.domain.policy import LimitKind
from musterbook.directory import models
from musterbook.directory.agency import feed_form, feed_locations, feed_secrets, feed_times, feed_values, feeds
from musterbook.feeds import overview
from musterbook.feeds.overview import FeedRow

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_ALL_DAYS: list[Day] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Kind = Literal["folder", "sftp", "https", "sent", "command"]
if TYPE_CHECKING:
    Counted: TypeAlias = str
else:  # the kinds are known at run time
    Counted = Literal[tuple(kind.value for kind in LimitKind)]
Text = Annotated[str, Field(max_length=255)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
_OPTIONAL = ("mails", "encoding", "delimiter", "sheet", "header_row", "expect_rows", "release_badges")
"""The settings that a feed can do without. The use cases write "" for that."""


class Location(Strict):
    """Where the files of a feed are, or how they arrive. Each kind has its own members."""

    kind: Kind = Field(examples=["folder"])
    path: str = Field("", max_length=1_000, description="Of a folder or an SFTP server: the folder", examples=["hr"])
    pattern: Text = Field("", description="The names of the files, such as *.csv", examples=["*.csv"])
    host: Text = Field("", description="The SFTP server")
    port: int = Field(feed_locations.HOST_PORT, ge=1, le=65_535, description="The port of the SFTP server")
    user: Text = Field("", description="The name with which to sign in at the SFTP server")
    url: str = Field("", max_length=2_000, description="The address of the file, which begins with https://")
    header: Text = Field("", description="The header that has the secret, such as Authorization")
    addresses: str = Field(
        "",
        max_length=2_000,
        description="Of `sent`: the addresses that may use the token, separated by commas. None: all",
    )


class Window(Strict):
    """A time of the day in which the feed is checked."""

    model_config = ConfigDict(populate_by_name=True)
    days: list[Day] = Field(_ALL_DAYS, max_length=7)
    start: Text = Field(alias="from", examples=["01:00"])
    end: Text = Field(alias="to", examples=["06:00"])


class Deadline(Strict):
    """A time by which a file is expected."""

    days: list[Day] = Field(_ALL_DAYS, max_length=7)
    at: Text = Field(examples=["06:00"])


class Limit(Strict):
    """A limit. Above it, an import is on hold. `role` or `group`: it counts only their users."""

    kind: Counted = Field(examples=["deactivations"])
    users: Count | None = None
    percent: Percent | None = None
    most: Count | None = None
    off: bool = False
    role: Text = ""
    group: Text = Field("", description="The external ID of a group")


class FeedSettings(Strict):
    """The settings of a feed. A member that is left out stays as it is, or is as usual in a new feed."""

    mode: Literal["update", "sync"] = "update"
    source: Text = Field("", description="The source of its users. Nothing: all users")
    location: Location | None = None
    every_minutes: int = Field(5, ge=feed_times.MINUTES[0], le=feed_times.MINUTES[1])
    windows: list[Window] = Field([], max_length=20)
    expected_by: list[Deadline] = Field([], max_length=20)
    blackout: list[Text] = Field([], max_length=366, description="Days such as 2026-12-25")
    strict: bool = False
    mails: bool | None = None
    encoding: Text | None = None
    delimiter: Text | None = None
    sheet: Text | None = None
    header_row: int | None = Field(None, ge=1, le=1_048_576)
    expect_rows: Count | None = None
    release_badges: bool | None = None
    accept: list[Text] = Field([], max_length=20)
    mapping: dict[str, Text] = Field({}, max_length=200, description="Heading → column, or nothing to leave it out")
    values: dict[str, dict[str, Text]] = Field({}, description="Column → value in the file → value of the agency")
    defaults: dict[str, Text] = Field({}, description="Column → value of new users")
    together: bool = False
    least_percent: int = Field(80, ge=0, le=100)
    limits: list[Limit] = Field([], max_length=100)
    notify: dict[str, list[Text]] = Field({}, description="held, failed, late, problems or finished → recipients")

    def make_values(self) -> dict[str, Any]:
        """Return the settings that were given, in the form of an agency file."""
        given = self.model_dump(exclude_unset=True, by_alias=True, exclude={"limits"})
        given |= {"limits": [write_limit(limit) for limit in self.limits]} if "limits" in self.model_fields_set else {}
        given |= {name: "" for name in _OPTIONAL if name in given and given[name] is None}
        return given


class NewFeed(FeedSettings):
    """A feed to add. It needs a name and a location."""

    name: str = Field(max_length=feed_values.NAME_LONGEST, examples=["hr-sworn"])
    location: Location


def write_limit(limit: Limit) -> dict[str, Any]:
    """Return a limit as an agency file has it."""
    given = limit.model_dump(exclude_none=True)
    names = {name: given.pop(name) for name in ("role", "group")}
    return {**given, **{name: value for name, value in names.items() if value}}


class Pause(Schema):
    """Why a feed is paused, since when, and the external ID of who has paused it."""

    at: Time
    by: str
    why: str


class Feed(Schema):
    """A feed: its settings, what it has of secrets without showing them, and its state."""

    name: str
    settings: dict[str, Any]
    state: str = Field(description="fine, waits, first, late, failed, unreachable, stopped or paused")
    waiting: str | None = Field(description="The number of the import that waits for a person")
    new: bool = Field(description="Whether a person must see the next file, because nobody has applied one so far")
    paused: Pause | None
    stopped: str = Field(description="Why it has stopped by itself, or nothing")
    problem: str = Field(description="Why its location cannot be used, or nothing")
    secrets: list[str] = Field(description="The names of the secrets that are set")
    has_token: bool
    host_key: str | None = Field(description="The fingerprint of the accepted host key")
    checked_at: Time | None
    arrived_at: Time | None
    next_check_at: Time | None


def show(feed: models.Feed) -> Feed:
    """Return a feed as it is now."""
    return show_row(overview.read_row(feed, datetime.now(UTC)))


def show_row(row: FeedRow) -> Feed:
    """Return a feed of a list."""
    feed = row.feed
    paused = Pause(at=feed.paused_at, by=feed.paused_by, why=feed.paused_why) if feed.paused_at else None
    return Feed(
        name=feed.name,
        settings=_show_settings(feed_form.read_table(feed)),
        state=str(row.state),
        waiting=row.waiting or None,
        new=feeds.is_new(feed),
        paused=paused,
        stopped=feed.stopped,
        problem=feed.problem,
        secrets=sorted(feed.secrets),
        has_token=bool(feed.token),
        host_key=feed_secrets.get_fingerprint(feed.host_key) or None,
        checked_at=feed.checked_at,
        arrived_at=feed.arrived_at,
        next_check_at=row.next_at,
    )


def _show_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with null for those that the feed does without, in the form of FeedSettings."""
    return {
        name: None if name in _OPTIONAL and value == "" else value for name, value in table.items() if name != "name"
    }
