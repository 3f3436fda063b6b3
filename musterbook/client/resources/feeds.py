"""Feeds: read, change and run them, and send files to them."""

from typing import Unpack

from musterbook.client.answering import Page
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import CheckReport, Feed, FeedFile, SendFeedFileAnswer, SentToken
from musterbook.client.operations import Listing, Operation, Resource, S
from musterbook.client.resources.imports import make_key
from musterbook.client.uploads import FileToSend, make_upload


class Feeds(Resource[S]):
    """The feeds. `feed`: the name of a feed.

    Changes need a token with every permission. Only `send_file` needs the token of the feed itself, which opens nothing
    else.
    """

    @Operation
    def list_all(self) -> Steps[list[Feed]]:
        """Return the feeds by name."""
        return (yield from self._ask(routes.LIST_FEEDS)).items

    @Operation
    def add(self, **values: Unpack[bodies.NewFeed]) -> Steps[Feed]:
        """Add a feed."""
        return self._ask(routes.ADD_FEED, body=values)

    @Operation
    def read(self, feed: str) -> Steps[Feed]:
        """Return a feed. Its `etag` is the version of its settings."""
        return self._ask(routes.READ_FEED, {"name": feed})

    @Operation
    def change(self, feed: str, *, if_match: str = "", **values: Unpack[bodies.FeedSettings]) -> Steps[Feed]:
        """Change the settings that are given."""
        return self._ask(routes.CHANGE_FEED, {"name": feed}, body=values, if_match=if_match)

    @Operation
    def remove(self, feed: str, *, if_match: str = "") -> Steps[None]:
        """Remove a feed. Its imports stay."""
        return self._ask(routes.REMOVE_FEED, {"name": feed}, if_match=if_match)

    @Listing
    def files(self, feed: str) -> Call[Page[FeedFile]]:
        """Iterate over the files that have arrived, the latest first."""
        return make_call(routes.LIST_FEED_FILES, {"name": feed})

    @Operation
    def run(self, feed: str) -> Steps[Feed]:
        """Have a worker look for files at once."""
        return self._ask(routes.RUN_FEED, {"name": feed}, is_repeatable=True)

    @Operation
    def check(self, feed: str) -> Steps[CheckReport]:
        """Try the location of the feed, and return what would be taken."""
        return self._ask(routes.CHECK_FEED, {"name": feed}, is_repeatable=True)

    @Operation
    def pause(self, feed: str, why: str = "") -> Steps[Feed]:
        """Check the feed no more until it is resumed."""
        return self._ask(routes.PAUSE_FEED, {"name": feed}, body={"why": why}, is_repeatable=True)

    @Operation
    def resume(self, feed: str) -> Steps[Feed]:
        """Check the feed again."""
        return self._ask(routes.RESUME_FEED, {"name": feed}, is_repeatable=True)

    @Operation
    def set_secret(self, feed: str, secret: str, value: str) -> Steps[None]:
        """Set a secret of the location: `password`, `key`, `passphrase` or `header`."""
        return self._ask(routes.SET_FEED_SECRET, {"name": feed, "secret": secret}, body={"value": value})

    @Operation
    def remove_secret(self, feed: str, secret: str) -> Steps[None]:
        """Remove a secret of the location."""
        return self._ask(routes.REMOVE_FEED_SECRET, {"name": feed, "secret": secret}, is_repeatable=True)

    @Operation
    def make_token(self, feed: str) -> Steps[SentToken]:
        """Make a new token for programs that send files. The former one ends."""
        return self._ask(routes.MAKE_FEED_TOKEN, {"name": feed})

    @Operation
    def accept_host_key(self, feed: str, fingerprint: str) -> Steps[Feed]:
        """Accept the host key of the SFTP server, if it has this fingerprint."""
        return self._ask(routes.ACCEPT_HOST_KEY, {"name": feed}, body={"fingerprint": fingerprint})

    @Operation
    def send_file(self, feed: str, file: FileToSend, *, name: str = "", key: str = "") -> Steps[SendFeedFileAnswer]:
        """Send a file to the feed, with the token of the feed. `file`, `name` and `key`: as in `imports.send`."""
        return self._ask(routes.SEND_FEED_FILE, {"name": feed}, upload=make_upload(file, name), key=make_key(key))
