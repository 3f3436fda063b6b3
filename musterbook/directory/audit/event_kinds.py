"""The kinds of events: each has one name, one category, and one sentence in plain words."""

from enum import StrEnum
from typing import Self

from django.utils.translation import gettext, gettext_lazy, gettext_noop


class Category(StrEnum):
    """The categories of event kinds, in the order in which lists show them."""

    USERS = gettext_noop("Users")
    SIGNING_IN = gettext_noop("Signing in")
    CREDENTIALS = gettext_noop("Passwords and second factors")
    AGENCY = gettext_noop("Agency")
    FEEDS = gettext_noop("Feeds")
    API_TOKENS = gettext_noop("API tokens")
    WEBHOOKS = gettext_noop("Webhooks")
    AUDIT_TRAIL = gettext_noop("Audit trail")
    REFUSALS = gettext_noop("Refusals")


class EventKind(StrEnum):
    """A kind of event. The trail seals its value: never change one.

    `label`: its name in a list of kinds; `sentence`: what happened, with `{user}` for the user that the event is about.
    """

    category: Category
    label: str
    sentence: str

    def __new__(cls, value: str, category: Category, label: str, sentence: str) -> Self:
        """Return a member with its category, label and sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.category, member.label, member.sentence = category, label, sentence
        return member

    USER_ADDED = (
        "user.added",
        Category.USERS,
        gettext_noop("Added"),
        gettext_noop("Added {user}"),
    )
    USER_UPDATED = (
        "user.updated",
        Category.USERS,
        gettext_noop("Updated"),
        gettext_noop("Updated {user}"),
    )
    USER_DEACTIVATED = (
        "user.deactivated",
        Category.USERS,
        gettext_noop("Deactivated by a synchronize import"),
        gettext_noop("Deactivated {user}: missing from a synchronize file"),
    )
    USER_REKEYED = (
        "user.rekeyed",
        Category.USERS,
        gettext_noop("External ID changed"),
        gettext_noop("Changed the external ID of {user}"),
    )
    USER_REPLACED = (
        "user.replaced",
        Category.USERS,
        gettext_noop("Account given to another person"),
        gettext_noop("The account of {user} became another person’s. All access of the former person ended"),
    )
    USERS_EXPORTED = (
        "users.exported",
        Category.USERS,
        gettext_noop("Users exported"),
        gettext_noop("Exported users"),
    )
    IMPORT_DISCARDED = (
        "import.discarded",
        Category.USERS,
        gettext_noop("Preview discarded"),
        gettext_noop("Discarded the preview of an import"),
    )
    USER_SIGNED_IN = (
        "user.signed-in",
        Category.SIGNING_IN,
        gettext_noop("Sign-in"),
        gettext_noop("{user} signed in"),
    )
    USER_SIGNED_IN_AGAIN = (
        "user.signed-in-again",
        Category.SIGNING_IN,
        gettext_noop("Signed in again"),
        gettext_noop("{user} signed in again before a sensitive action"),
    )
    USER_SIGN_IN_FAILED = (
        "user.sign-in-failed",
        Category.SIGNING_IN,
        gettext_noop("Failed sign-in"),
        gettext_noop("A sign-in as {user} failed"),
    )
    USER_SIGNED_OUT = (
        "user.signed-out",
        Category.SIGNING_IN,
        gettext_noop("Sign-out"),
        gettext_noop("{user} signed out"),
    )
    USER_SESSION_ENDED = (
        "user.session-ended",
        Category.SIGNING_IN,
        gettext_noop("Session ended"),
        gettext_noop("A session of {user} ended"),
    )
    USER_LOCKED = (
        "user.locked",
        Category.SIGNING_IN,
        gettext_noop("Locked"),
        gettext_noop("{user} was locked after failed sign-ins"),
    )
    USER_UNLOCKED = (
        "user.unlocked",
        Category.SIGNING_IN,
        gettext_noop("Unlocked"),
        gettext_noop("Unlocked {user}"),
    )
    USER_INVITATION_ASKED = (
        "user.invitation-asked",
        Category.CREDENTIALS,
        gettext_noop("Invitation requested"),
        gettext_noop("Requested an invitation of {user}"),
    )
    USER_INVITED = (
        "user.invited",
        Category.CREDENTIALS,
        gettext_noop("Invited"),
        gettext_noop("Invited {user}"),
    )
    USER_REGISTERED = (
        "user.registered",
        Category.CREDENTIALS,
        gettext_noop("Registered"),
        gettext_noop("{user} registered"),
    )
    USER_RESET_ASKED = (
        "user.reset-asked",
        Category.CREDENTIALS,
        gettext_noop("Password reset requested"),
        gettext_noop("Requested a new password for {user}"),
    )
    USER_PASSWORD_CHANGED = (
        "user.password-changed",
        Category.CREDENTIALS,
        gettext_noop("Password changed"),
        gettext_noop("Changed the password of {user}"),
    )
    USER_SECOND_FACTOR_ADDED = (
        "user.second-factor-added",
        Category.CREDENTIALS,
        gettext_noop("Second factor added"),
        gettext_noop("Added a second factor of {user}"),
    )
    USER_SECOND_FACTOR_REMOVED = (
        "user.second-factor-removed",
        Category.CREDENTIALS,
        gettext_noop("Second factor removed"),
        gettext_noop("Removed a second factor of {user}"),
    )
    USER_RECOVERY_CODES_MADE = (
        "user.recovery-codes-made",
        Category.CREDENTIALS,
        gettext_noop("Recovery codes created"),
        gettext_noop("Created recovery codes for {user}"),
    )
    USER_SIGN_ON_BOUND = (
        "user.sign-on-bound",
        Category.CREDENTIALS,
        gettext_noop("Linked to a provider"),
        gettext_noop("Linked {user} to a person at a provider"),
    )
    USER_SIGN_ON_RELEASED = (
        "user.sign-on-released",
        Category.CREDENTIALS,
        gettext_noop("Unlinked from a provider"),
        gettext_noop("Unlinked {user} from a provider"),
    )
    USER_RECOVERY_CODE_USED = (
        "user.recovery-code-used",
        Category.CREDENTIALS,
        gettext_noop("Recovery code used"),
        gettext_noop("{user} used a recovery code"),
    )
    AGENCY_ADDED = (
        "agency.added",
        Category.AGENCY,
        gettext_noop("Agency added"),
        gettext_noop("Added the agency"),
    )
    AGENCY_CHANGED = (
        "agency.changed",
        Category.AGENCY,
        gettext_noop("Agency changed"),
        gettext_noop("Changed the agency’s settings, roles, ranks or groups"),
    )
    AGENCY_SECRET_KEY_CHANGED = (
        "agency.secret-key-changed",
        Category.AGENCY,
        gettext_noop("Secret key changed"),
        gettext_noop("Changed the secret key of this installation"),
    )
    AGENCY_PAUSED = (
        "agency.paused",
        Category.AGENCY,
        gettext_noop("Agency paused"),
        gettext_noop("Paused the agency"),
    )
    AGENCY_RESUMED = (
        "agency.resumed",
        Category.AGENCY,
        gettext_noop("Agency resumed"),
        gettext_noop("Resumed the agency"),
    )
    AGENCY_EXPORTED = (
        "agency.exported",
        Category.AGENCY,
        gettext_noop("Agency exported"),
        gettext_noop("Exported the whole agency to a file"),
    )
    AGENCY_IMPORTED = (
        "agency.imported",
        Category.AGENCY,
        gettext_noop("Agency imported"),
        gettext_noop("Imported the whole agency from a file of another installation"),
    )
    GROUP_MONITOR_ADDED = (
        "group.monitor-added",
        Category.AGENCY,
        gettext_noop("Monitor added"),
        gettext_noop("Made {user} a monitor of a group"),
    )
    GROUP_MONITOR_REMOVED = (
        "group.monitor-removed",
        Category.AGENCY,
        gettext_noop("Monitor removed"),
        gettext_noop("Removed {user} as a monitor of a group"),
    )
    FEED_ADDED = (
        "feed.added",
        Category.FEEDS,
        gettext_noop("Feed added"),
        gettext_noop("Added a feed"),
    )
    FEED_CHANGED = (
        "feed.changed",
        Category.FEEDS,
        gettext_noop("Feed changed"),
        gettext_noop("Changed the settings of a feed"),
    )
    FEED_REMOVED = (
        "feed.removed",
        Category.FEEDS,
        gettext_noop("Feed removed"),
        gettext_noop("Removed a feed"),
    )
    FEED_PAUSED = (
        "feed.paused",
        Category.FEEDS,
        gettext_noop("Feed paused"),
        gettext_noop("Paused a feed"),
    )
    FEED_RESUMED = (
        "feed.resumed",
        Category.FEEDS,
        gettext_noop("Feed resumed"),
        gettext_noop("Resumed a feed"),
    )
    FEED_SECRET_SET = (
        "feed.secret-set",
        Category.FEEDS,
        gettext_noop("Secret of a feed set"),
        gettext_noop("Set or removed a secret of a feed"),
    )
    FEED_HOST_KEY_ACCEPTED = (
        "feed.host-key-accepted",
        Category.FEEDS,
        gettext_noop("Host key accepted"),
        gettext_noop("Accepted the host key of a feed’s server"),
    )
    FEED_TOKEN_MADE = (
        "feed.token-made",
        Category.FEEDS,
        gettext_noop("Token of a feed created"),
        gettext_noop("Created a token for a feed"),
    )
    FEED_CHECK_ASKED = (
        "feed.check-asked",
        Category.FEEDS,
        gettext_noop("Check of a feed requested"),
        gettext_noop("Requested a check of a feed"),
    )
    API_TOKEN_MADE = (
        "api.token-made",
        Category.API_TOKENS,
        gettext_noop("API token created"),
        gettext_noop("Created an API token"),
    )
    API_TOKEN_REVOKED = (
        "api.token-revoked",
        Category.API_TOKENS,
        gettext_noop("API token revoked"),
        gettext_noop("Revoked an API token"),
    )
    API_TOKEN_REFUSED = (
        "api.token-refused",
        Category.API_TOKENS,
        gettext_noop("API token refused"),
        gettext_noop("Refused a program with an API token"),
    )
    WEBHOOK_ADDED = (
        "webhook.added",
        Category.WEBHOOKS,
        gettext_noop("Webhook added"),
        gettext_noop("Added a webhook"),
    )
    WEBHOOK_CHANGED = (
        "webhook.changed",
        Category.WEBHOOKS,
        gettext_noop("Webhook changed"),
        gettext_noop("Changed a webhook"),
    )
    WEBHOOK_SECRET_ROTATED = (
        "webhook.secret-rotated",
        Category.WEBHOOKS,
        gettext_noop("Secret of a webhook rotated"),
        gettext_noop("Rotated the secret of a webhook"),
    )
    WEBHOOK_PAUSED = (
        "webhook.paused",
        Category.WEBHOOKS,
        gettext_noop("Webhook paused"),
        gettext_noop("Paused a webhook"),
    )
    WEBHOOK_RESUMED = (
        "webhook.resumed",
        Category.WEBHOOKS,
        gettext_noop("Webhook resumed"),
        gettext_noop("Resumed a webhook"),
    )
    WEBHOOK_DISABLED = (
        "webhook.disabled",
        Category.WEBHOOKS,
        gettext_noop("Webhook disabled"),
        gettext_noop("Disabled a webhook that takes no messages"),
    )
    WEBHOOK_REMOVED = (
        "webhook.removed",
        Category.WEBHOOKS,
        gettext_noop("Webhook removed"),
        gettext_noop("Removed a webhook"),
    )
    WEBHOOK_TESTED = (
        "webhook.tested",
        Category.WEBHOOKS,
        gettext_noop("Test message of a webhook"),
        gettext_noop("Sent a test message to a webhook"),
    )
    WEBHOOK_SENT_AGAIN = (
        "webhook.sent-again",
        Category.WEBHOOKS,
        gettext_noop("Messages of a webhook sent again"),
        gettext_noop("Sent messages of a webhook again"),
    )
    AUDIT_VIEWED = (
        "audit.viewed",
        Category.AUDIT_TRAIL,
        gettext_noop("Trail viewed"),
        gettext_noop("Viewed the audit trail"),
    )
    AUDIT_EXPORTED = (
        "audit.exported",
        Category.AUDIT_TRAIL,
        gettext_noop("Trail exported"),
        gettext_noop("Exported the audit trail"),
    )
    AUDIT_CHECKED = (
        "audit.checked",
        Category.AUDIT_TRAIL,
        gettext_noop("Trail checked"),
        gettext_noop("Checked the audit trail for changes"),
    )
    AUDIT_KEYED = (
        "audit.keyed",
        Category.AUDIT_TRAIL,
        gettext_noop("Trail sealed with a key"),
        gettext_noop("Started to seal the audit trail with a secret key"),
    )
    ACT_REFUSED = (
        "act.refused",
        Category.REFUSALS,
        gettext_noop("Refused"),
        gettext_noop("Refused an action that the role does not allow"),
    )
    REQUEST_REFUSED = (
        "request.refused",
        Category.REFUSALS,
        gettext_noop("Request refused"),
        gettext_noop("Refused a request before anything was done"),
    )
    IMPORT_FILE_REFUSED = (
        "import.file-refused",
        Category.REFUSALS,
        gettext_noop("File refused"),
        gettext_noop("Refused a file that may be harmful"),
    )


KINDS: dict[str, EventKind] = {kind.value: kind for kind in EventKind}
"""Value → kind."""

CATEGORIES: dict[str, tuple[EventKind, ...]] = {
    category: tuple(kind for kind in EventKind if kind.category is category) for category in Category
}
"""Category → its kinds."""

REFUSED, FAILED = "refused", "failed"
"""The outcomes of actions that were not done: they were not permitted, or they failed."""


def translate_sentence(kind: str) -> str:
    """Return the sentence of this kind in the reader's language, with `{user}` for the user.

    For a kind of a later version, use its name.
    """
    return gettext(KINDS[kind].sentence) if kind in KINDS else f"{kind}: {{user}}"


def translate_label(kind: str) -> str:
    """Return the name of this kind in the reader's language."""
    return gettext(KINDS[kind].label) if kind in KINDS else kind


def describe(kind: str, user: str) -> str:
    """Return the sentence for an event of this kind about this user ("": an unknown user)."""
    sentence = translate_sentence(kind).replace("{user}", user or gettext("an unknown user"))
    return sentence if user else sentence[:1].upper() + sentence[1:]


OUTCOMES = {"done": gettext_lazy("Done"), REFUSED: gettext_lazy("Refused"), FAILED: gettext_lazy("Failed")}
"""Outcome → its name in words."""


def label_field(name: str) -> str:
    """Return the name of a field of an event's changes in words: `LAST_NAME` is “Last name”."""
    words = name.removeprefix("X_").replace("_", " ")
    return words.capitalize() if name.isupper() else words[:1].upper() + words[1:]
