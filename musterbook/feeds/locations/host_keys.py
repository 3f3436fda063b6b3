"""Host keys of SFTP servers, asked for so that a person can accept them."""

from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.feeds.locations.location import NotAllowed


def read_host_key(feed: models.Feed) -> str:
    """Return the host key that the feed's server shows, as a line of `known_hosts`. Raise LocationError.

    Nothing is sent to the server but the beginning of a connection: a person must accept the key first.
    """
    # asyncssh takes long to load, and only these feeds need it.
    from musterbook.feeds.locations import key_lines
    from musterbook.feeds.locations.ssh import Server, Session

    if feed.location.get("kind") != "sftp":
        raise NotAllowed(_("Only an SFTP server has a host key."))
    server = Server(feed.location["host"], int(feed.location["port"]))
    session = Session(server)
    try:
        return key_lines.write(server.host, server.port, session.read_key())
    finally:
        session.close()
