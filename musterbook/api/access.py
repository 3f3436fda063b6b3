"""Who may use an operation of the API: the token of the request, which needs a permission.

An operation declares it with `auth=needs("users.view")`, and finds the token as `request.auth`.
"""

from typing import Any

from django.http import HttpRequest
from django.urls import get_script_prefix
from ninja.security.base import SecuritySchema

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.api import bodies
from musterbook.core.domain.policy import Operator
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import bearer, request_context

SCHEME = {"type": "http", "scheme": "bearer"}


class Needs:
    """The authentication of an operation, as django-ninja calls it. `permission`: "" for any valid token."""

    openapi_security_schema = SecuritySchema("http", scheme="bearer")
    openapi_name = "Token"

    def __init__(self, permission: str, longest_body: int = 0) -> None:
        self.permission, self.longest_body = permission, longest_body

    def __call__(self, request: HttpRequest) -> Token:
        """Return the token of the request. Raise AccessRefused, and ProblemError for a body that is too large."""
        token = bearer.authenticate(request, self.find_permission(request))
        if self.longest_body:
            bodies.read_large(request, self.longest_body)
        return token

    def find_permission(self, request: HttpRequest) -> str:  # noqa: ARG002  (a subclass reads the request, to see what the address names)
        """Return the permission that this request needs."""
        return self.permission


def needs(permission: str = "", longest_body: int = 0) -> Needs:
    """Return the authentication of an operation that needs the permission; "" for any valid token.

    `longest_body`: the most bytes of the body, where it can be larger than those of other operations.
    """
    return Needs(permission, longest_body)


def get_token(request: HttpRequest) -> Token:
    """Return the token of a request whose operation has checked it."""
    found: Token = vars(request)["auth"]
    return found


def get_agency(request: HttpRequest) -> Agency:
    """Return the agency that the request is about, which is the agency of its token."""
    return get_token(request).agency


def get_operator(request: HttpRequest) -> Operator:
    """Return the creator of the token as the operator, with no more permissions than the token has now."""
    token = get_token(request)
    return Operator(token.maker_id, token.maker.external_id, tokens.get_permissions(token))


def make_context(request: HttpRequest) -> AuditContext:
    """Return the actor and the context of what the request asks for: the creator of the token, by the token."""
    return request_context.api_audit_context(request, get_token(request))


def make_address(path: str) -> str:
    """Return the address of a resource of the API, for `Location`. `path`: what follows /<agency>/api/v1/."""
    return f"{get_script_prefix()}api/v1/{path}"


def require(request: HttpRequest, permission: str) -> None:
    """Raise AccessRefused if the token lacks a permission that an operation needs only in some cases."""
    bearer.require(request, get_token(request), permission)


def describe_needs(callbacks: Any) -> str:
    """Return the permission that the authentication of an operation needs, for documents and tests."""
    return next((one.permission for one in callbacks if isinstance(one, Needs)), "")
