"""The texts that every interface shows for codes: states, channels, emails, and the reasons of a plan."""

from collections.abc import Mapping

from musterbook.core.domain import texts

PROTECTIONS = texts.Labels(
    {
        "exempt": "exempt from synchronize",
        "own-account": "the operator's own account",
        "above-your-role": "above the operator's role",
        "last-administrator": "the last registered administrator",
        "not-by-files": "not changed by files",
        "other-source": "of another source, or of none",
        "named-by-faulty-row": "a row with problems has their email address, username or badge number",
        "leaving": "leaving",
    }
)
"""The reason for each protection of a user, as text."""


def describe_protection(code: str, row: int | None = None, leaving_on: str = "") -> str:
    """Return the reason why a user is protected, with the row that names them, or the day on which they leave."""
    reason = PROTECTIONS.get(code, code)
    if leaving_on:
        sentence = texts.translate(_LEAVING)
        return sentence.format(reason=reason, day=leaving_on)
    return texts.translate(_IN_ROW).format(reason=reason, row=f"{row:,}") if row else reason


def describe_email(kind: str, to: str) -> str:
    """Return the title of an email with its recipient."""
    return texts.translate(_TO).format(email=EMAIL_TITLES.get(kind, kind), to=to)


_TO = "{email}, to {to}"
_LEAVING = "{reason}: becomes Inactive on {day} or later, unless a file mentions them before"
_IN_ROW = "{reason} (row {row})"


_STATES = texts.Labels(
    {
        "waiting": "Waiting for its turn",
        "running": "Running",
        "previewed": "Preview",
        "held": "On hold",
        "applied": "Applied",
        "refused": "Refused",
        "failed": "Failed",
        "canceled": "Canceled",
    }
)
PLAN_ENDS = texts.Labels(
    {
        "applied-as": "applied",
        "replaced-by": "replaced",
        "discarded": "discarded",
        "expired": "expired",
    }
)
"""How a plan that was shown ended, as text."""
_EFFECTS = texts.Labels(
    {
        "previewed": "nothing has changed yet",
        **dict.fromkeys(("held", "refused", "failed", "canceled"), "nothing has changed"),
    }
)


def format_state_title(code: str, joint: str = ": ", *, ended: bool = False) -> str:
    """Return the title of an import in this state: “On hold: nothing has changed”. `joint` joins its two parts.

    `ended`: whether its plan was applied, replaced or discarded, or has expired. Another sentence then says what has changed.
    """
    return joint.join(filter(None, (_STATES[code], None if ended else _EFFECTS.get(code))))


CHANNELS = texts.Labels(
    {
        "page": "a web page",
        "cli": "the command line",
        "api": "the API",
        "scim": "SCIM",
        "folder": "a watched folder",
        "feed": "a feed",
        "system": "Musterbook",
    }
)
"""The channel of an act, as text that follows “through”."""

EMAIL_TITLES = texts.Labels(
    {
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
        "import-finished": "Notice: import finished",
        "feed-first-file": "Notice: first file of a feed",
        "feed-late": "Notice: feed late",
        "feed-unreachable": "Notice: feed unreachable",
        "feed-stopped": "Notice: feed stopped",
        "webhook-disabled": "Notice: webhook disabled",
    }
)
"""The title of each kind of email."""

EMAIL_COUNTS = {
    "invitation": ("{number} invitation", "{number} invitations"),
    "reset": ("{number} link for a new password", "{number} links for a new password"),
    "reactivated": ("{number} notice of a reactivation", "{number} notices of a reactivation"),
    "deactivated": ("{number} notice of a deactivation", "{number} notices of a deactivation"),
    "email-changed": ("{number} notice of a changed address", "{number} notices of a changed address"),
}
"""The emails of a plan, as one and as several."""


def count_emails(numbers: Mapping[str, int]) -> str:
    """Return the emails of each kind in words: “3 invitations, 1 notice of a deactivation”; "" for none.

    The order is that of EMAIL_TITLES: PostgreSQL keeps JSON in another order than it was written in.
    """
    kinds = sorted(numbers, key=[*EMAIL_TITLES, *numbers].index)
    return ", ".join(_count_email(kind, numbers[kind]) for kind in kinds if numbers[kind])


def _count_email(kind: str, number: int) -> str:
    """Return the number of emails of a kind. The kinds of later versions have their name."""
    return texts.count(EMAIL_COUNTS.get(kind, (f"{{number}} {kind}", f"{{number}} {kind}s")), number)


def capitalize_label(label: str) -> str:
    """Return a label as the first word of a line. Later letters stay as they are."""
    return label[:1].upper() + label[1:]


SOURCES = (
    *PROTECTIONS.sources, *_STATES.sources, *_EFFECTS.sources, *PLAN_ENDS.sources, *CHANNELS.sources, *EMAIL_TITLES.sources,
    _LEAVING, _IN_ROW, _TO,
)  # fmt: skip
"""Every text of this module without a number, in English."""
