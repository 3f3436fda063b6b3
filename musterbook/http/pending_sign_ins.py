"""Sign-ins that wait for another step, such as a code, and the facts that each depends on.

The account library keeps a pending sign-in in the session, but not the facts that it depends on. So a digest of them is
stored next to it. The digest is compared with each request, and once more when the session is granted. The user must
start again after a new password, a deactivation (even one that was reverted), or a change of the email address, the
role, the factors, the provider or the agency's requirement of a factor.
"""

import json

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy

from musterbook.accounts import factors, lockout, unauthenticated_events
from musterbook.accounts.account import load_account
from musterbook.accounts.allauth_internals import LOGIN_SESSION_KEY, clear_login, unstash_login
from musterbook.accounts.models import Account
from musterbook.core.values import emails
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import FAILED, EventKind
from musterbook.http import browsers, request_context

_BASIS = "pending_basis"
"""The session key of the digest of the facts that the pending sign-in depends on."""
ENDED = gettext_lazy(
    "This sign-in was stopped because the account or the agency's settings changed in the meantime. Sign in again."
)


def begin(request: HttpRequest, account: Account) -> None:
    """Store the facts that the sign-in depends on, as they were when the user showed the first factor."""
    request.session[_BASIS] = _digest_facts(request, account)


def end_changed(request: HttpRequest) -> bool:
    """End the pending sign-in of the session if its facts have changed, and return whether it ended."""
    if LOGIN_SESSION_KEY not in request.session:
        return False
    # The library's own reader knows the format, and ends a sign-in that is too old.
    login = unstash_login(request, peek=True)
    if login is None:
        return False
    account = load_account(login.user.pk) if login.user else None
    if account and _is_unchanged(request, account):
        return False
    _end(request, account)
    return True


def confirm_account(request: HttpRequest, account: Account) -> Account | None:
    """Return the account as it is now, if it may be signed in.

    Return None if anything has changed since the sign-in began, or if the account is locked.
    """
    now = load_account(account.pk)
    if now and _is_unchanged(request, now) and not _is_locked_out(request, now):
        request.session.pop(_BASIS, None)
        return now
    _end(request, now)
    return None


def _is_unchanged(request: HttpRequest, account: Account) -> bool:
    stored = str(request.session.get(_BASIS, ""))
    return account.is_active and constant_time_compare(stored, _digest_facts(request, account))


def _is_locked_out(request: HttpRequest, account: Account) -> bool:
    """Return whether a lock stops this sign-in, as it does after a typed password.

    A passkey alone and a provider bypass a lock, as they do everywhere.
    """
    by_password = any(record["method"] == "password" for record in request_context.list_records(request, account))
    at = request_context.audit_context(request).at
    return by_password and lockout.is_locked_at(account.user, browsers.find_place(request, account), at)


def _end(request: HttpRequest, account: Account | None) -> None:
    context, user = request_context.audit_context(request), account.user if account else None
    clear_login(request)
    request.session.pop(_BASIS, None)
    why = {"why": ("", "changed during the sign-in")}
    unauthenticated_events.log_failed_sign_in(request_context.agency(request), context, user)
    trail.record_event(
        request_context.agency(request), context, EventKind.USER_SIGN_IN_FAILED, user, why, outcome=FAILED
    )


def _digest_facts(request: HttpRequest, account: Account) -> str:
    user, agency = account.user, account.user.agency
    slugs = {record.get("provider") for record in request_context.list_records(request, account)}
    facts = [
        account.pk, account.get_session_auth_hash(), agency.pk, user.external_id, emails.to_mailbox(user.email), user.role_id,
        user.role.second_factor, agency.second_factor, factors.list_ids(account),
        [entry for entry in agency.sign_on if entry["slug"] in slugs],
    ]  # fmt: skip
    return salted_hmac("musterbook.accounts.pending", json.dumps(facts), algorithm="sha256").hexdigest()
