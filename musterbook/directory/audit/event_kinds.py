"""The kinds of events: each has one name, one group, and one sentence in plain words."""

from collections.abc import Iterable
from dataclasses import dataclass

VIEWED, EXPORTED, CHECKED, KEYED = "audit.viewed", "audit.exported", "audit.checked", "audit.keyed"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event. `title`: its name in a list of kinds; `sentence`: what happened, with `{whom}` for the user."""

    name: str
    group: str
    title: str
    sentence: str


def _group(group: str, *told: tuple[str, str, str]) -> Iterable[Kind]:
    return (Kind(name, group, title, sentence) for name, title, sentence in told)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *_group(
            "Users",
            ("user.added", "Added", "Added {whom}"),
            ("user.updated", "Updated", "Updated {whom}"),
            ("user.deactivated", "Deactivated by a synchronize import", "Deactivated {whom}: the file does not mention them"),
            ("users.exported", "Users exported", "Users were exported"),
        ),
        *_group(
            "Signing in",
            ("user.signed-in", "Sign-in", "{whom} signed in"),
            ("user.signed-in-again", "Signed in again", "{whom} signed in again, to go on with what is guarded"),
            ("user.sign-in-failed", "Failed sign-in", "A sign-in as {whom} failed"),
            ("user.signed-out", "Sign-out", "{whom} signed out"),
            ("user.session-ended", "Session ended", "A session of {whom} ended"),
            ("user.locked", "Locked", "{whom} was locked after failed sign-ins"),
            ("user.unlocked", "Unlocked", "The lock of {whom} ended"),
        ),
        *_group(
            "Passwords and second factors",
            ("user.invitation-asked", "Invitation asked for", "An invitation of {whom} was asked for"),
            ("user.invited", "Invited", "An invitation of {whom} was made"),
            ("user.registered", "Registered", "{whom} registered"),
            ("user.reset-asked", "Reset asked for", "A new password was asked for, for {whom}"),
            ("user.password-changed", "Password changed", "The password of {whom} was changed"),
            ("user.second-factor-added", "Second factor added", "A second factor of {whom} was added"),
            ("user.second-factor-removed", "Second factor removed", "A second factor of {whom} was removed"),
            ("user.recovery-codes-made", "Recovery codes made", "Recovery codes were made for {whom}"),
            ("user.sign-on-bound", "Linked to a provider", "{whom} was linked to a person of a provider"),
            ("user.sign-on-released", "Link to a provider released", "The link of {whom} to a provider was released"),
            ("user.recovery-code-used", "Recovery code used", "{whom} used a recovery code"),
        ),
        *_group(
            "Agency",
            ("agency.added", "Agency added", "The agency was added"),
            ("agency.changed", "Agency changed", "The agency's settings, roles, ranks or groups were changed"),
            ("agency.secret-key-changed", "Secret key changed", "The secret key of this installation was changed"),
            ("group.monitor-added", "Monitor added", "{whom} became a monitor of a group"),
            ("group.monitor-removed", "Monitor removed", "{whom} is no monitor of a group any more"),
        ),
        *_group(
            "API tokens",
            ("api.token-made", "API token made", "An API token was made"),
            ("api.token-revoked", "API token revoked", "An API token was revoked"),
            ("api.token-refused", "API token refused", "A program with an API token was refused"),
        ),
        *_group(
            "Audit trail",
            (VIEWED, "Trail viewed", "The audit trail was viewed"),
            (EXPORTED, "Trail exported", "The audit trail was exported"),
            (CHECKED, "Trail checked", "The audit trail was checked for alterations"),
            (KEYED, "Trail sealed by a key", "The audit trail began to be sealed by a secret key"),
        ),
        *_group(
            "Refusals",
            ("act.refused", "Refused", "Something was refused, for the role does not allow it"),
            ("request.refused", "Request refused", "A request was refused before anything was done"),
            ("import.file-refused", "File refused", "A file was refused that may have been made to do harm"),
        ),
    )
}  # fmt: skip
"""Name → kind, in the order in which lists show them."""

GROUPS: dict[str, tuple[Kind, ...]] = {
    group: tuple(kind for kind in KINDS.values() if kind.group == group)
    for group in dict.fromkeys(kind.group for kind in KINDS.values())
}
"""Group → its kinds."""


def sentence(name: str, whom: str) -> str:
    """Return the sentence for an event of this kind about this user ("": an unknown user).

    For a kind of a later version, use its name.
    """
    kind = KINDS.get(name)
    template = kind.sentence if kind else f"{name}: {{whom}}"
    told = template.replace("{whom}", whom or "somebody unknown")
    return told[:1].upper() + told[1:] if not whom else told


OUTCOMES = {"done": "Done", "refused": "Refused", "failed": "Failed"}
"""Outcome → its name in words."""


def field(name: str) -> str:
    """Return the name of a field of an event's changes in words: `LAST_NAME` is “Last name”."""
    words = name.removeprefix("X_").replace("_", " ")
    return words.capitalize() if name.isupper() else words[:1].upper() + words[1:]
