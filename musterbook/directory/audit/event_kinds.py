"""The kinds of events: each has one name, one category, and one sentence in plain words."""

from enum import StrEnum
from typing import Self


class Category(StrEnum):
    """The categories of event kinds, in the order in which lists show them."""

    USERS = "Users"
    SIGNING_IN = "Signing in"
    CREDENTIALS = "Passwords and second factors"
    AGENCY = "Agency"
    API_TOKENS = "API tokens"
    AUDIT_TRAIL = "Audit trail"
    REFUSALS = "Refusals"


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

    USER_ADDED = "user.added", Category.USERS, "Added", "Added {user}"
    USER_UPDATED = "user.updated", Category.USERS, "Updated", "Updated {user}"
    USER_DEACTIVATED = (
        "user.deactivated",
        Category.USERS,
        "Deactivated by a synchronize import",
        "Deactivated {user}: the file does not mention them",
    )
    USER_REKEYED = (
        "user.rekeyed",
        Category.USERS,
        "External id changed",
        "The external id of {user} was changed",
    )
    USER_REPLACED = (
        "user.replaced",
        Category.USERS,
        "Became another person",
        "The account of {user} became another person's: all access of the former person ended",
    )
    USERS_EXPORTED = "users.exported", Category.USERS, "Users exported", "Users were exported"
    IMPORT_DISCARDED = "import.discarded", Category.USERS, "Plan discarded", "The plan of an import was discarded"
    USER_SIGNED_IN = "user.signed-in", Category.SIGNING_IN, "Sign-in", "{user} signed in"
    USER_SIGNED_IN_AGAIN = (
        "user.signed-in-again",
        Category.SIGNING_IN,
        "Signed in again",
        "{user} signed in again, to go on with what is guarded",
    )
    USER_SIGN_IN_FAILED = "user.sign-in-failed", Category.SIGNING_IN, "Failed sign-in", "A sign-in as {user} failed"
    USER_SIGNED_OUT = "user.signed-out", Category.SIGNING_IN, "Sign-out", "{user} signed out"
    USER_SESSION_ENDED = "user.session-ended", Category.SIGNING_IN, "Session ended", "A session of {user} ended"
    USER_LOCKED = "user.locked", Category.SIGNING_IN, "Locked", "{user} was locked after failed sign-ins"
    USER_UNLOCKED = "user.unlocked", Category.SIGNING_IN, "Unlocked", "The lock of {user} ended"
    USER_INVITATION_ASKED = (
        "user.invitation-asked",
        Category.CREDENTIALS,
        "Invitation asked for",
        "An invitation of {user} was asked for",
    )
    USER_INVITED = "user.invited", Category.CREDENTIALS, "Invited", "An invitation of {user} was made"
    USER_REGISTERED = "user.registered", Category.CREDENTIALS, "Registered", "{user} registered"
    USER_RESET_ASKED = (
        "user.reset-asked",
        Category.CREDENTIALS,
        "Reset asked for",
        "A new password was asked for, for {user}",
    )
    USER_PASSWORD_CHANGED = (
        "user.password-changed",
        Category.CREDENTIALS,
        "Password changed",
        "The password of {user} was changed",
    )
    USER_SECOND_FACTOR_ADDED = (
        "user.second-factor-added",
        Category.CREDENTIALS,
        "Second factor added",
        "A second factor of {user} was added",
    )
    USER_SECOND_FACTOR_REMOVED = (
        "user.second-factor-removed",
        Category.CREDENTIALS,
        "Second factor removed",
        "A second factor of {user} was removed",
    )
    USER_RECOVERY_CODES_MADE = (
        "user.recovery-codes-made",
        Category.CREDENTIALS,
        "Recovery codes made",
        "Recovery codes were made for {user}",
    )
    USER_SIGN_ON_BOUND = (
        "user.sign-on-bound",
        Category.CREDENTIALS,
        "Linked to a provider",
        "{user} was linked to a person of a provider",
    )
    USER_SIGN_ON_RELEASED = (
        "user.sign-on-released",
        Category.CREDENTIALS,
        "Link to a provider released",
        "The link of {user} to a provider was released",
    )
    USER_RECOVERY_CODE_USED = (
        "user.recovery-code-used",
        Category.CREDENTIALS,
        "Recovery code used",
        "{user} used a recovery code",
    )
    AGENCY_ADDED = "agency.added", Category.AGENCY, "Agency added", "The agency was added"
    AGENCY_CHANGED = (
        "agency.changed",
        Category.AGENCY,
        "Agency changed",
        "The agency's settings, roles, ranks or groups were changed",
    )
    AGENCY_SECRET_KEY_CHANGED = (
        "agency.secret-key-changed",
        Category.AGENCY,
        "Secret key changed",
        "The secret key of this installation was changed",
    )
    GROUP_MONITOR_ADDED = "group.monitor-added", Category.AGENCY, "Monitor added", "{user} became a monitor of a group"
    GROUP_MONITOR_REMOVED = (
        "group.monitor-removed",
        Category.AGENCY,
        "Monitor removed",
        "{user} is no monitor of a group any more",
    )
    API_TOKEN_MADE = "api.token-made", Category.API_TOKENS, "API token made", "An API token was made"
    API_TOKEN_REVOKED = "api.token-revoked", Category.API_TOKENS, "API token revoked", "An API token was revoked"
    API_TOKEN_REFUSED = (
        "api.token-refused",
        Category.API_TOKENS,
        "API token refused",
        "A program with an API token was refused",
    )
    AUDIT_VIEWED = "audit.viewed", Category.AUDIT_TRAIL, "Trail viewed", "The audit trail was viewed"
    AUDIT_EXPORTED = "audit.exported", Category.AUDIT_TRAIL, "Trail exported", "The audit trail was exported"
    AUDIT_CHECKED = (
        "audit.checked",
        Category.AUDIT_TRAIL,
        "Trail checked",
        "The audit trail was checked for alterations",
    )
    AUDIT_KEYED = (
        "audit.keyed",
        Category.AUDIT_TRAIL,
        "Trail sealed by a key",
        "The audit trail began to be sealed by a secret key",
    )
    ACT_REFUSED = (
        "act.refused",
        Category.REFUSALS,
        "Refused",
        "Something was refused because the role does not allow it",
    )
    REQUEST_REFUSED = (
        "request.refused",
        Category.REFUSALS,
        "Request refused",
        "A request was refused before anything was done",
    )
    IMPORT_FILE_REFUSED = (
        "import.file-refused",
        Category.REFUSALS,
        "File refused",
        "A file was refused that may have been made to do harm",
    )


KINDS: dict[str, EventKind] = {kind.value: kind for kind in EventKind}
"""Value → kind."""

CATEGORIES: dict[str, tuple[EventKind, ...]] = {
    category: tuple(kind for kind in EventKind if kind.category is category) for category in Category
}
"""Category → its kinds."""

REFUSED, FAILED = "refused", "failed"
"""The outcomes of actions that were not done: they were not permitted, or they failed."""


def describe(kind: str, user: str) -> str:
    """Return the sentence for an event of this kind about this user ("": an unknown user).

    For a kind of a later version, use its name.
    """
    template = KINDS[kind].sentence if kind in KINDS else f"{kind}: {{user}}"
    sentence = template.replace("{user}", user or "somebody unknown")
    return sentence if user else sentence[:1].upper() + sentence[1:]


OUTCOMES = {"done": "Done", REFUSED: "Refused", FAILED: "Failed"}
"""Outcome → its name in words."""


def label_field(name: str) -> str:
    """Return the name of a field of an event's changes in words: `LAST_NAME` is “Last name”."""
    words = name.removeprefix("X_").replace("_", " ")
    return words.capitalize() if name.isupper() else words[:1].upper() + words[1:]
