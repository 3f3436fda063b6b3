"""The kinds of messages that webhooks send: each with the permission that a user needs to see them, and one sentence."""

from enum import StrEnum
from typing import Self

from django.utils.translation import gettext, gettext_noop


class WebhookKind(StrEnum):
    """A kind of message. Programs compare its value: never change one.

    `permission`: the one that a user needs to see what it reports; "" for none. `sentence`: when it is sent.
    """

    permission: str
    sentence: str

    def __new__(cls, value: str, permission: str, sentence: str) -> Self:
        """Return a member with its permission and sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.permission, member.sentence = permission, sentence
        return member

    USER_ADDED = ("user.added", "users.view", gettext_noop("A user was added."))
    USER_UPDATED = ("user.updated", "users.view", gettext_noop("A user was changed."))
    USER_DEACTIVATED = ("user.deactivated", "users.view", gettext_noop("A user became Inactive."))
    USER_REACTIVATED = ("user.reactivated", "users.view", gettext_noop("An Inactive user became Active."))
    IMPORT_APPLIED = ("import.applied", "users.import", gettext_noop("An import was applied."))
    IMPORT_HELD = (
        "import.held",
        "users.import",
        gettext_noop("An import is on hold, or the first file of a feed waits, until a person confirms it."),
    )
    IMPORT_FAILED = ("import.failed", "users.import", gettext_noop("An import failed, or its file could not be used."))
    IMPORT_LATE = (
        "import.late",
        "users.synchronize",
        gettext_noop("No file of a feed has arrived by the time at which one was expected. Sent once a day."),
    )
    FEED_ADDED = ("feed.added", "users.synchronize", gettext_noop("A feed was added."))
    FEED_CHANGED = (
        "feed.changed",
        "users.synchronize",
        gettext_noop("The settings or a secret of a feed were changed."),
    )
    FEED_REMOVED = ("feed.removed", "users.synchronize", gettext_noop("A feed was removed."))
    FEED_PAUSED = ("feed.paused", "users.synchronize", gettext_noop("A feed was paused."))
    FEED_RESUMED = ("feed.resumed", "users.synchronize", gettext_noop("A feed was resumed."))
    FEED_UNREACHABLE = (
        "feed.unreachable",
        "users.synchronize",
        gettext_noop("The location of a feed has not been reachable for an hour. Sent once a day."),
    )
    FEED_STOPPED = (
        "feed.stopped",
        "users.synchronize",
        gettext_noop("A feed has stopped by itself, and waits until a person resumes it."),
    )
    TEST = ("webhook.test", "", gettext_noop("A person asked for a test message. Every webhook gets these."))

    @property
    def label(self) -> str:
        """Return when it is sent, in the reader's language."""
        return gettext(self.sentence)


CHOICES: tuple[WebhookKind, ...] = tuple(kind for kind in WebhookKind if kind is not WebhookKind.TEST)
"""The kinds that an endpoint can choose, in the order in which lists show them."""
