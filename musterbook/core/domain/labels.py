"""Codes of a plan in words, as every face says them."""

PROTECTIONS = {
    "exempt": "exempt from synchronize",
    "own-account": "the operator's own account",
    "above-your-role": "above the operator's role",
    "last-administrator": "the last registered administrator",
}
"""Why a user is protected, in words."""

HELD = {
    "deactivation-limit": "More users would become Inactive than the agency allows unasked.",
    "unreadable-rows": "Some rows cannot be read well enough to tell whom they mean.",
}
"""Why an import is held, in words."""
