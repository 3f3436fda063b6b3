"""The API tokens of an agency: list, create, read and revoke them. The token of a feed belongs to the feed."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from musterbook.accounts import tokens
from musterbook.accounts.models import Token as StoredToken
from musterbook.accounts.tokens import ListedToken, TokenData
from musterbook.api import access
from musterbook.api.access import needs
from musterbook.api.me import Creator
from musterbook.api.roles import Permission
from musterbook.api.schemas import Id, Strict, Time, answers
from musterbook.directory.agency import networks

router = Router()
if TYPE_CHECKING:
    Days: TypeAlias = int
else:  # the numbers are known at run time
    Days = Literal[tokens.DAYS]
State = Literal["valid", "ended"]
_ABOUT_ADDRESSES = "The addresses or networks that may use it, such as 192.0.2.0/24. None: all"
_ABOUT_NEW = (
    "The addresses or networks that may use it, such as 192.0.2.0/24: some of those of the token of the request. None: all"
    " that may use that token"
)


class Token(Schema):
    """A token. Its secret is shown once, when it is created."""

    id: int
    name: str
    ending: str = Field(description="The last four characters of its secret")
    permissions: list[str] = Field(description="The permissions that it has now")
    withheld: list[str] = Field(description="Those that it was created with, and that its creator has lost since")
    addresses: list[str] = Field(description=_ABOUT_ADDRESSES)
    made_by: Creator
    made_at: Time
    expires_at: Time
    revoked_at: Time | None
    used_on: date | None
    used_from: str | None
    problem: str = Field(description="Why it gives no access, or nothing")


class Tokens(Schema):
    """Tokens, the newest first."""

    items: list[Token]


class NewToken(Strict):
    """A token to create. It acts for the creator of the token of the request, and has no more permissions than that."""

    name: str = Field(max_length=255, examples=["Personnel system, each night"])
    permissions: list[Permission] = Field(min_length=1, examples=[["users.view"]])
    days: Days = Field(tokens.USUAL_DAYS, description="The days for which it is valid")
    addresses: list[Annotated[str, Field(max_length=64)]] = Field(
        [], max_length=networks.MOST, description=_ABOUT_NEW, examples=[["192.0.2.0/24"]]
    )


class CreatedToken(Schema):
    """A new token with its secret, which is shown only now."""

    token: Token
    secret: str


def _show(entry: ListedToken) -> Token:
    token = entry.token
    return Token(
        id=token.pk,
        name=token.name,
        ending=token.ending,
        permissions=list(entry.granted),
        withheld=list(entry.withheld),
        addresses=token.addresses,
        made_by=Creator(
            external_id=token.maker.external_id, name=f"{token.maker.first_name} {token.maker.last_name}"
        ),
        made_at=token.made_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        used_on=token.used_on,
        used_from=token.used_from or None,
        problem=entry.why_not,
    )  # fmt: skip


def _show_one(token: StoredToken) -> Token:
    return _show(tokens.describe_token(token, datetime.now(UTC)))


@router.get(
    "", auth=needs(tokens.PERMISSION), response=answers(Tokens), operation_id="listTokens", summary="List the tokens"
)  # fmt: skip
def list_tokens(
    request: HttpRequest,
    state: Annotated[
        State, Query("valid", description="Valid tokens, or the latest that were revoked or expired.")
    ] = "valid",
) -> Tokens:
    """Return the tokens of the agency, the newest first. The token of a feed is not among them."""
    valid, ended = tokens.list_tokens(access.get_agency(request), datetime.now(UTC))
    return Tokens(items=[_show(entry) for entry in (valid if state == "valid" else ended)])


@router.post(
    "", auth=needs(tokens.PERMISSION), response=answers(CreatedToken, 201), operation_id="createToken",
    summary="Create a token",
)  # fmt: skip
def create_token(request: HttpRequest, response: HttpResponse, body: NewToken) -> Status[CreatedToken]:
    """Create a token, and return its secret, which is stored nowhere and shown only now."""
    data = TokenData(body.name, frozenset(body.permissions), body.days, tuple(body.addresses))
    agency, by = access.get_agency(request), access.get_operator(request)
    token, secret = tokens.create_token(
        agency, data, access.make_context(request), by, access.get_token(request).addresses
    )
    response.headers["Location"] = access.make_address(f"tokens/{token.pk}")
    return Status(201, CreatedToken(token=_show_one(token), secret=secret))


@router.get(
    "/{int:number}", auth=needs(tokens.PERMISSION), response=answers(Token), operation_id="readToken",
    summary="Read a token",
)  # fmt: skip
def read_token(request: HttpRequest, number: Id) -> Token:
    """Return one token, without its secret."""
    return _show_one(tokens.find_token(access.get_agency(request), number))


@router.delete(
    "/{int:number}", auth=needs(tokens.PERMISSION), response=answers(None, 204), operation_id="revokeToken",
    summary="Revoke a token",
)  # fmt: skip
def revoke_token(request: HttpRequest, number: Id) -> Status[None]:
    """Revoke a token permanently. It stays in the list of ended tokens. A token may revoke itself."""
    tokens.revoke(tokens.find_token(access.get_agency(request), number), access.make_context(request))
    return Status(204, None)
