"""The language and the time zone of each request: what the user chose, or else what the browser or the agency says.

The language is the user's, else the browser's, else the agency's, else English. Times are in the user's zone, else in the
agency's, else in the browser's, else in UTC.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from musterbook.accounts.models import Account
from musterbook.config import languages, time_zones
from musterbook.core.domain import texts
from musterbook.directory.models import Agency

Respond = Callable[[HttpRequest], HttpResponseBase]


def by_browser(respond: Respond) -> Respond:
    """Activate the language that the browser asks for, for pages without an agency and for refusals.

    The response says in which language it is.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        with translation.override(_match_browser(request) or languages.ENGLISH):
            response = respond(request)
            response.headers.setdefault("Content-Language", translation.get_language() or languages.ENGLISH)
            patch_vary_headers(response, ("Accept-Language",))
            return response

    return answer


def by_user(respond: Respond) -> Respond:
    """Activate the language and the time zone of the reader."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        reader = getattr(request, "user", None)
        with read_as(request, reader if isinstance(reader, Account) else Account()):
            response = respond(request)
            response.headers.setdefault("Content-Language", translation.get_language() or languages.ENGLISH)
            return response

    return answer


@contextmanager
def read_as(request: HttpRequest, account: Account) -> Iterator[None]:
    """Activate the language and the time zone of the user of this account, in the browser of this request."""
    agency: Agency = getattr(request, "agency", None) or Agency()
    zone = request.COOKIES.get(settings.ZONE_COOKIE_NAME, "")
    language = languages.choose_language(account.language, _match_browser(request), agency.language)
    with (
        texts.reading(texts.ENGLISH if language == languages.ENGLISH else translation),
        translation.override(language),
        timezone.override(time_zones.find_zone(account.time_zone, agency.time_zone, zone)),
    ):
        yield


def fill_choices(form: forms.Form, *, language: str, time_zone: str) -> None:
    """Fill the fields `language` and `time_zone` of a form. The texts label the choice of none.

    A zone that was chosen under an alias stays a choice.
    """
    zones = list(time_zones.list_zones())
    current = form.initial.get("time_zone") or ""
    zones += [current] if current and current not in zones else []
    _set_choices(form, "language", [("", language), *languages.NAMES.items()])
    _set_choices(form, "time_zone", [("", time_zone), *((name, name.replace("_", " ")) for name in zones)])


def _set_choices(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    field = form.fields[name]
    if isinstance(field, forms.ChoiceField):
        field.choices = choices


def _match_browser(request: HttpRequest) -> str:
    return languages.match_header(request.headers.get("Accept-Language", ""))
