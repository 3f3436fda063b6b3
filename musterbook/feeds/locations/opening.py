"""The location of a feed is opened: its settings are read, and its secrets are unsealed."""

from cryptography.fernet import InvalidToken
from django.utils.translation import gettext as _

from musterbook.config import encryption
from musterbook.directory import models
from musterbook.feeds.locations.brought import BroughtLocation
from musterbook.feeds.locations.folder import open_agency_folder
from musterbook.feeds.locations.https import HttpsLocation
from musterbook.feeds.locations.location import FoundFile, Location, NotAllowed, NotSetUp


def open_location(feed: models.Feed) -> Location:
    """Return the location of the feed. Raise LocationError."""
    kind = feed.location.get("kind")
    if kind == "folder":
        return open_agency_folder(feed.agency.slug, feed.location.get("path", ""))
    if kind == "sftp":
        return _open_sftp(feed)
    if kind == "https":
        return _open_https(feed)
    if kind in ("sent", "command"):
        return BroughtLocation()
    raise NotAllowed(_("The feed has no location."))


def _open_sftp(feed: models.Feed) -> Location:
    # asyncssh takes long to load, and only these feeds need it.
    from musterbook.feeds.locations.sftp import SftpLocation
    from musterbook.feeds.locations.ssh import Credentials, Server

    where = feed.location
    secrets = {name: _unseal(feed, name) for name in ("password", "key", "passphrase")}
    server, credentials = Server(where["host"], int(where["port"])), Credentials(where["user"], **secrets)
    return SftpLocation(server, where.get("path", ""), feed.host_key, credentials)


def _open_https(feed: models.Feed) -> Location:
    name, value = feed.location.get("header", ""), _unseal(feed, "header")
    if name and not value:
        raise NotSetUp(_("The secret of the header %(name)s is missing. Enter it.") % {"name": name})
    if not value.isascii() or not value.isprintable():
        raise NotAllowed(_("The secret of the header %(name)s has signs that a header cannot have.") % {"name": name})
    return HttpsLocation(feed.location["url"], (name, value) if name else None, read_known(feed))


def _unseal(feed: models.Feed, name: str) -> str:
    """Return a secret of the feed, "" if it has none of that name."""
    sealed = feed.secrets.get(name, "")
    try:
        return encryption.unseal(sealed) if sealed else ""
    except InvalidToken:
        text = _("The key that sealed the secret %(name)s is missing. Enter the secret again.")
        raise NotAllowed(text % {"name": name}) from None


def read_known(feed: models.Feed) -> dict[str, FoundFile]:
    """Return the files that earlier checks saw, and the next one would see again if nothing changed.

    `Feed.seen` has them as `feeds.complete` writes them: size, time and tag in one text. Those of another address do not count.
    """
    known: dict[str, FoundFile] = {}
    if feed.seen.get("location", feed.location) != feed.location:
        return known
    waiting = {name: entry[0] for name, entry in feed.seen.get("files", {}).items()}
    for name, text in {**feed.seen.get("taken", {}), **waiting}.items():
        size, _space, rest = text.partition(" ")
        modified, _space, tag = rest.partition(" ")
        try:
            known[name] = FoundFile(float(modified), name, int(size), tag)
        except ValueError:
            continue
    return known
