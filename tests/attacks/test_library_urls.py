"""Attacks through addresses that a library adds: each is on the list below, and what is not on it is not found."""

from collections.abc import Iterator

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.accounts.conftest import Springfield

pytestmark = pytest.mark.any_database

FROM_LIBRARIES = {
    # Signing in and out; their forms, limits and answers are ours (web.accounts.account_adapter, web.accounts.forms).
    "account_login", "account_reauthenticate", "account_change_password",
    # Second factors, each named in web.accounts.second_factors.
    "mfa_index", "mfa_authenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "mfa_activate_totp",
    "mfa_deactivate_totp", "mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_download_recovery_codes",
    "mfa_list_webauthn", "mfa_add_webauthn", "mfa_edit_webauthn", "mfa_remove_webauthn", "mfa_login_webauthn",
}  # fmt: skip
"""The names of all addresses whose pages are a library's own. Whoever adds one says here why it is safe."""


def _walk(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield route, pattern


def _module(view: object) -> str:
    """The module of a page: a view that is wrapped or a class is that of what is inside."""
    inner = getattr(view, "view_class", None) or view
    return str(getattr(inner, "__module__", ""))


@pytest.mark.parametrize("urlconf", ["musterbook.urls", "musterbook.web.urls", "musterbook.api.urls"])
def test_every_address_of_a_library_is_on_the_list(urlconf: str) -> None:
    foreign = {
        pattern.name or route
        for route, pattern in _walk(get_resolver(urlconf).url_patterns)
        if not _module(pattern.callback).startswith("musterbook.")
    }
    assert foreign - FROM_LIBRARIES == set()


def test_the_list_names_nothing_that_is_gone() -> None:
    names = {pattern.name for _, pattern in _walk(get_resolver("musterbook.web.urls").url_patterns)}
    assert FROM_LIBRARIES - names == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "sign-in/with/saml/county/sls/", "sign-in/with/saml/county/sls/?SAMLRequest=x&RelayState=https://evil.example/",
        "sign-in/with/saml/county/", "sign-in/with/oidc/county/", "sign-in/with/", "sign-in/with/oidc/county/login/callback/x",
        "sign-in/cancelled", "sign-in/error", "accounts/login/", "accounts/signup/", "signup/", "social/signup/", "3rdparty/",
        "accounts/social/connections/", "password/reset/", "confirm-email/", "email/", "login/code/confirm/", "login/code/",
        "_allauth/browser/v1/config", "_allauth/openapi.json", "inactive/", "accounts/inactive/", "admin/",
        "identity/o/authorize", "sign-in/with/openid_connect/county/login/", "sign-in/with/saml/county/metadata/x",
    ],
)  # fmt: skip
def test_what_the_library_has_beyond_that_is_not_found(springfield: Springfield, client: Client, path: str) -> None:
    for answer in (client.get(f"/springfield/{path}"), client.post(f"/springfield/{path}", {"SAMLResponse": "x"})):
        assert answer.status_code == 404
    assert not Session.objects.exists()


@pytest.mark.django_db
def test_no_address_writes_a_session_for_somebody_who_is_not_signed_in(springfield: Springfield) -> None:
    """GET and POST of every address without a part that varies, and of those of single sign-on with one."""
    routes = [route for route, _ in _walk(get_resolver("musterbook.web.urls").url_patterns) if "<" not in route]
    routes += [
        f"sign-in/with/{kind}" for kind in ("saml/x/acs/", "saml/x/login/", "oidc/x/login/", "oidc/x/login/callback/")
    ]
    wrote = []
    for route in routes:
        for method in ("get", "post"):
            client = Client(raise_request_exception=False)
            getattr(client, method)(f"/springfield/{route}", {"name": "x", "SAMLResponse": "x" * 1000, "state": "x"})
            if Session.objects.exists():
                wrote.append((method, route))
                Session.objects.all().delete()
    assert wrote == []
