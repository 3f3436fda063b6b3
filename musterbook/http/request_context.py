"""The facts that an incoming request states: its agency, actor, address, program, factors, and the wanted part of a page."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from musterbook.accounts import tokens
from musterbook.accounts.allauth_internals import get_authentication_records
from musterbook.accounts.models import Account, Token
from musterbook.config import log_lines
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency

SESSION = "session"
"""The session key of the name that the trail uses for the session. The name is random and leads to no session."""


def agency(request: HttpRequest) -> Agency:
    """Return the agency whose page is requested, as the middleware found it."""
    found: Agency = vars(request)["agency"]
    return found


def is_for_script(request: HttpRequest) -> bool:
    """Return whether a script of the page sent the request and reads the answer. It keeps what it sent until it is saved."""
    return request.headers.get("Accept") == "application/json"


def is_part(request: HttpRequest) -> bool:
    """Return whether the request asks for a fragment and not for the whole page."""
    return bool(HtmxDetails(request))


def audit_context(request: HttpRequest) -> AuditContext:
    """Return the actor and the context of what the request asks for, now, through a page."""
    user = getattr(request, "user", None)
    actor = user.user.external_id if isinstance(user, Account) else ""
    return _audit_context(request, actor, "page", _read_user_agent(request))


def api_audit_context(request: HttpRequest, token: Token | None) -> AuditContext:
    """Return the same for a program, which acts for the user who created its token.

    The token is named next to the program. `token` is None while no token is known.
    """
    program, channel = _read_user_agent(request), _read_channel(request)
    if token is None:
        return _audit_context(request, "", channel, program)
    context = _audit_context(request, token.maker.external_id, channel, f"Token “{token.name}”: {program}")
    return replace(context, granted=tokens.get_permissions(token))


def _read_channel(request: HttpRequest) -> str:
    """Return which of the interfaces for programs the request came through, as the audit trail names it."""
    urls = getattr(request, "urlconf", None)
    return next((name for name, urlconf in settings.AGENCY_URLCONFS.items() if urlconf == urls), "api")


def feed_audit_context(request: HttpRequest) -> AuditContext:
    """Return the same for a program that sends a file to a feed. A feed imports as the system."""
    return _audit_context(request, "", "feed", _read_user_agent(request))


def _audit_context(request: HttpRequest, actor: str, through: str, agent: str) -> AuditContext:
    session = request.session.get(SESSION, "") if hasattr(request, "session") else ""
    number = log_lines.get_number().removeprefix("-")
    return AuditContext(datetime.now(UTC), actor, through, get_adapter().get_client_ip(request), agent, session, number)


def _read_user_agent(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))


def list_records(request: HttpRequest, account: Account | None = None) -> list[dict[str, Any]]:
    """Return the authentication records of this session, as the library keeps them.

    `account`: the account of a user who is not signed in yet.
    """
    entries: list[dict[str, Any]] = get_authentication_records(request, account or request.user)
    return entries


def describe_factors(request: HttpRequest) -> str:
    """Return the factors that the user has shown in this session so far, such as `password+totp`."""
    return "+".join(dict.fromkeys(read_factor(record) for record in list_records(request)))


def read_factor(record: dict[str, Any]) -> str:
    """Return the factor of one record of the session: a password, a code, or a provider."""
    return str(record.get("type") or record.get("provider") or record["method"])
