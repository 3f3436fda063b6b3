"""Forms that could not be processed because their session had ended or their token was stale.

A form is kept in the session of its browser, encrypted, until its sender continues with it (`web.kept_forms`).
"""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.crypto import constant_time_compare

from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.http import current_session, rate_limits

KEEP_FOR = current_session.LEFT_LIFETIME
"""How long a form is kept, in seconds."""
MAX_FORMS = 3
"""The most forms that one session keeps. The oldest is dropped to make room."""
MAX_UNKNOWN = 64 * 1024
"""The longest form, in characters, of a sender whose session has left nothing behind."""
TOKEN = "kept_form"
"""The field that names the kept form when it is sent again."""
_KEY = "kept_forms"
_DROPPED = ("csrfmiddlewaretoken", TOKEN)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form as it was sent."""

    owner: int | None
    """The account that sent it, or None if it is not known."""
    address: str
    """The path and query that it was sent to."""
    fields: QueryDict
    is_stale: bool
    """Whether the sender must confirm it: its token belonged to another sign-in."""


def keep_form(request: HttpRequest, *, is_stale: bool = False) -> str:
    """Keep the form of the request. Return its token, or "" if there is no form or no room for it."""
    fields = request.POST.copy()
    for name in _DROPPED:
        fields.pop(name, None)
    left = request.user if isinstance(request.user, Account) else current_session.find_left_account(request)
    body = fields.urlencode()
    if not left and not _is_accepted_from_unknown(request, body):
        return ""
    token = secrets.token_urlsafe(16)
    content = json.dumps([left.pk if left else None, request.get_full_path(), body, is_stale])
    forms = [*_list_kept(request), {"token": token, "at": time.time(), "sealed": encryption.seal(content)}]
    request.session[_KEY] = forms[-MAX_FORMS:]
    return token


def _is_accepted_from_unknown(request: HttpRequest, body: str) -> bool:
    return len(body) <= MAX_UNKNOWN and rate_limits.take(request, "kept form")


def _list_kept(request: HttpRequest) -> list[dict[str, Any]]:
    return [entry for entry in request.session.get(_KEY, ()) if time.time() - entry["at"] < KEEP_FOR]


def find_form(request: HttpRequest, token: str) -> KeptForm | None:
    """Return the kept form, or None if it is gone or another user sent it."""
    entry = next((entry for entry in _list_kept(request) if constant_time_compare(entry["token"], token)), None)
    if entry is None:
        return None
    owner, address, body, is_stale = json.loads(encryption.unseal(entry["sealed"]))
    form = KeptForm(owner, address, QueryDict(body), is_stale)
    return form if owner in {None, request.user.pk} else None


def forget_form(request: HttpRequest, token: str) -> None:
    """Drop the form, because it is sent again or its user does not want it."""
    if _KEY in request.session:
        request.session[_KEY] = [entry for entry in _list_kept(request) if entry["token"] != token]
