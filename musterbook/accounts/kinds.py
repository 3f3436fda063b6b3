"""The event kinds of accounts: each kind of fact in the audit trail has one name."""

from musterbook.directory.audit import trail

INVITATION_ASKED = "user.invitation-asked"
INVITED = "user.invited"
REGISTERED = "user.registered"
SIGNED_IN = "user.signed-in"
SIGN_IN_FAILED = "user.sign-in-failed"
SIGNED_IN_AGAIN = "user.signed-in-again"
SIGNED_OUT = "user.signed-out"
SESSION_ENDED = "user.session-ended"
LOCKED = "user.locked"
UNLOCKED = "user.unlocked"
RESET_ASKED = "user.reset-asked"
PASSWORD_CHANGED = "user.password-changed"
SECOND_FACTOR_ADDED = "user.second-factor-added"
SECOND_FACTOR_REMOVED = "user.second-factor-removed"
RECOVERY_CODES_MADE = "user.recovery-codes-made"
RECOVERY_CODE_USED = "user.recovery-code-used"
SIGN_ON_BOUND = "user.sign-on-bound"
SIGN_ON_RELEASED = "user.sign-on-released"
TOKEN_MADE = "api.token-made"
TOKEN_REVOKED = "api.token-revoked"
TOKEN_REFUSED = "api.token-refused"
REFUSED = trail.REFUSED
REQUEST_REFUSED = "request.refused"

FAILED, FORBIDDEN = "failed", trail.FORBIDDEN
"""Outcomes of actions that were not done: they failed, or they were not permitted."""
