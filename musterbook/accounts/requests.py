"""What a request tells the accounts: the agency whose page it asks for, who acts, from where, and with what."""

from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from django.http import HttpRequest

from musterbook import log_lines
from musterbook.accounts.models import Account, Token
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency

SESSION = "session"
"""Under which name a session keeps what the trail calls it by: made by chance, it leads to no session."""


def agency(request: HttpRequest) -> Agency:
    """The agency whose page it is, as the middleware found it."""
    found: Agency = vars(request)["agency"]
    return found


def act(request: HttpRequest) -> Act:
    """Who does what the request asks for, now, through a page."""
    user = getattr(request, "user", None)
    actor = user.user.external_id if isinstance(user, Account) else ""
    return _act(request, actor, "page", _program(request))


def api_act(request: HttpRequest, token: Token | None) -> Act:
    """The same of a program: it acts for who made its token, which is named beside it; None: we know none yet."""
    program = _program(request)
    if token is None:
        return _act(request, "", "api", program)
    return _act(request, token.maker.external_id, "api", f"Token “{token.name}”: {program}")


def _act(request: HttpRequest, actor: str, through: str, agent: str) -> Act:
    session = request.session.get(SESSION, "") if hasattr(request, "session") else ""
    number = log_lines.number().removeprefix("-")
    return Act(datetime.now(UTC), actor, through, get_adapter().get_client_ip(request), agent, session, number)


def _program(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))


def records(request: HttpRequest, account: Account | None = None) -> list[dict[str, Any]]:
    """What the user has signed in with in this session, as the library keeps it; `account`: who is not signed in yet."""
    kept: list[dict[str, Any]] = get_authentication_records(request, account or request.user)
    return kept


def factors(request: HttpRequest) -> str:
    """What the user has shown in this session so far, such as `password+totp`."""
    return "+".join(dict.fromkeys(factor(record) for record in records(request)))


def factor(record: dict[str, Any]) -> str:
    """What the user has shown by one record of the session: a password, a code, a provider."""
    return str(record.get("type") or record.get("provider") or record["method"])
