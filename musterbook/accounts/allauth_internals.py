"""The names of django-allauth that are not public. An upgrade of the library can break this module, and no other."""

from allauth.account.internal.flows.login import get_authentication_records, perform_login, record_authentication
from allauth.account.internal.flows.logout import logout
from allauth.account.internal.flows.reauthentication import (
    STATE_SESSION_KEY,
    get_reauthentication_flows,
    resume_request,
)
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY, clear_login, unstash_login
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal import auth as webauthn

__all__ = [
    "LOGIN_SESSION_KEY", "STATE_SESSION_KEY", "clear_login", "compare_user_code", "get_authentication_records",
    "get_reauthentication_flows", "logout", "perform_login", "record_authentication", "resume_request", "totp",
    "unstash_login", "webauthn",
]  # fmt: skip
