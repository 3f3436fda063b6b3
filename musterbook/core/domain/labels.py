"""The texts that every interface shows for the codes of a plan."""

PROTECTIONS = {
    "exempt": "exempt from synchronize",
    "own-account": "the operator's own account",
    "above-your-role": "above the operator's role",
    "last-administrator": "the last registered administrator",
}
"""The reason for each protection of a user, as text."""

HELD = {
    "deactivation-limit": "More users would become Inactive than the agency allows without asking.",
    "unreadable-rows": "Some rows cannot be read well enough to tell whom they mean.",
}
"""The reason why an import is held, as text."""
