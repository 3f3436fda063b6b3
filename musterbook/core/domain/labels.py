"""The texts that every interface shows for codes: states, channels, emails, and the reasons of a plan."""

from collections.abc import Mapping

PROTECTIONS = {
    "exempt": "exempt from synchronize",
    "own-account": "the operator's own account",
    "above-your-role": "above the operator's role",
    "last-administrator": "the last registered administrator",
    "not-by-files": "not changed by files",
    "other-source": "of another source, or of none",
    "named-by-faulty-row": "a row with problems has their email address, username or badge number",
    "leaving": "leaving",
}
"""The reason for each protection of a user, as text."""


def describe_protection(code: str, row: int | None = None, leaving_on: str = "") -> str:
    """Return the reason why a user is protected, with the row that names them, or the day on which they leave."""
    reason = PROTECTIONS.get(code, code)
    if leaving_on:
        return f"{reason}: becomes Inactive on {leaving_on} or later, unless a file mentions them before"
    return f"{reason} (row {row:,})" if row else reason


_STATES = {
    "waiting": "Waiting for its turn",
    "running": "Running",
    "previewed": "Preview",
    "held": "Held",
    "applied": "Applied",
    "refused": "Refused",
    "failed": "Failed",
    "canceled": "Canceled",
}
PLAN_ENDS = {
    "applied-as": "applied",
    "replaced-by": "replaced",
    "discarded": "discarded",
    "expired": "expired",
}
"""How a plan that was shown ended, as text."""
_EFFECTS = {
    "previewed": "nothing was changed yet",
    **dict.fromkeys(("held", "refused", "failed", "canceled"), "nothing was changed"),
}


def format_state_title(code: str, joint: str = ": ") -> str:
    """Return the title of an import in this state: “Held: nothing was changed”. `joint` joins its two parts."""
    return joint.join(filter(None, (_STATES[code], _EFFECTS.get(code))))


CHANNELS = {
    "page": "a page",
    "cli": "the command line",
    "api": "the API",
    "scim": "SCIM",
    "folder": "a watched folder",
    "system": "Musterbook itself",
}
"""The channel of an act, as text that follows “through”."""

EMAIL_TITLES = {
    "invitation": "Invitation",
    "welcome": "Welcome",
    "reset": "Link for a new password",
    "reactivated": "Notice: reactivated",
    "deactivated": "Notice: deactivated",
    "email-changed": "Notice: address changed",
    "password-changed": "Notice: password changed",
    "second-factor": "Notice: second factors changed",
    "locked": "Notice: locked",
    "import-held": "Notice: import on hold",
    "import-failed": "Notice: import failed",
    "import-problems": "Notice: import with problems",
}
"""The title of each kind of email."""

_EMAIL_NOUNS = {
    "invitation": "invitation",
    "reset": "link for a new password",
    "reactivated": "notice of a reactivation",
    "deactivated": "notice of a deactivation",
    "email-changed": "notice of a changed address",
}
"""The emails of a plan, as nouns whose first word takes the plural."""


def count_emails(numbers: Mapping[str, int]) -> str:
    """Return the emails of each kind in words: “3 invitations, 1 notice of a deactivation”; "" for none.

    The order is that of EMAIL_TITLES: PostgreSQL keeps JSON in another order than it was written in.
    """
    kinds = sorted(numbers, key=[*EMAIL_TITLES, *numbers].index)
    return ", ".join(_count_email(_EMAIL_NOUNS.get(kind, kind), numbers[kind]) for kind in kinds if numbers[kind])


def _count_email(noun: str, number: int) -> str:
    first, space, rest = noun.partition(" ")
    return f"{number:,} {first if number == 1 else first + 's'}{space}{rest}"


def capitalize_label(label: str) -> str:
    """Return a label as the first word of a line. Later letters stay as they are."""
    return label[:1].upper() + label[1:]
