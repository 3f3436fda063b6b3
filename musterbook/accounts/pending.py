"""Sign-ins that wait for another step, such as a code: what each depends on, and whether that is still as it was.

The library of accounts keeps a pending sign-in in the session, and keeps nothing of what it depends on. So that is kept
beside it, as a digest, and compared with each request and once more when the session is granted: after a new password, a
deactivation (even one that has been taken back), a change of the email address, the role, the factors, the provider or the
agency's demand for a factor, the user starts again.
"""

import json

from allauth.account.internal.stagekit import LOGIN_SESSION_KEY, clear_login, unstash_login
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac

from musterbook.accounts import browsers, kinds, lockout, requests
from musterbook.accounts.models import Account
from musterbook.core.values import emails
from musterbook.directory.audit import trail

_BASIS = "pending_basis"
"""Where the session keeps the digest of what its pending sign-in depends on."""
ENDED = "This sign-in was stopped because the account or the agency's settings changed in the meantime. Sign in again."


def begin(request: HttpRequest, account: Account) -> None:
    """Keeps what the sign-in depends on, as it was when the user showed the first factor."""
    request.session[_BASIS] = _digest(request, account)


def end_changed(request: HttpRequest) -> bool:
    """Ends the pending sign-in of the session if anything that it depends on has changed; says whether it did."""
    if LOGIN_SESSION_KEY not in request.session:
        return False
    # The library's own way to read what it keeps: it knows the format, and ends what is too old.
    login = unstash_login(request, peek=True)
    if login is None:
        return False
    account = _now(login.user)
    if account and _is_unchanged(request, account):
        return False
    _end(request, account)
    return True


def granted(request: HttpRequest, account: Account) -> Account | None:
    """The account as it is now, if it may be signed in; None if anything has changed since the sign-in began, or it is locked."""
    now = _now(account)
    if now and _is_unchanged(request, now) and not _is_locked_out(request, now):
        request.session.pop(_BASIS, None)
        return now
    _end(request, now)
    return None


def _now(account: Account | None) -> Account | None:
    found = Account.objects.select_related("user__agency", "user__role")
    return found.filter(pk=account.pk).first() if account else None


def _is_unchanged(request: HttpRequest, account: Account) -> bool:
    kept = str(request.session.get(_BASIS, ""))
    return account.is_active and constant_time_compare(kept, _digest(request, account))


def _is_locked_out(request: HttpRequest, account: Account) -> bool:
    """A lock stops whoever typed a password. A passkey alone and a provider get past it, as they do everywhere."""
    by_password = any(record["method"] == "password" for record in requests.records(request, account))
    at = requests.act(request).at
    return by_password and lockout.is_locked_at(account.user, browsers.place(request, account), at)


def _end(request: HttpRequest, account: Account | None) -> None:
    act, user = requests.act(request), account.user if account else None
    clear_login(request)
    request.session.pop(_BASIS, None)
    why = {"why": ("", "changed during the sign-in")}
    trail.tell(requests.agency(request), act, kinds.SIGN_IN_FAILED, user, why, outcome=kinds.FAILED)


def _digest(request: HttpRequest, account: Account) -> str:
    user, agency = account.user, account.user.agency
    factors = Authenticator.objects.filter(user=account).order_by("pk").values_list("pk", flat=True)
    used = {record.get("provider") for record in requests.records(request, account)}
    facts = [
        account.pk, account.get_session_auth_hash(), agency.pk, user.external_id, emails.mailbox(user.email), user.role_id,
        user.role.second_factor, agency.second_factor, list(factors), [one for one in agency.sign_on if one["slug"] in used],
    ]  # fmt: skip
    return salted_hmac("musterbook.accounts.pending", json.dumps(facts), algorithm="sha256").hexdigest()
