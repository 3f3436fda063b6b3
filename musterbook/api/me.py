"""The description of a token for its holder. It is the first request of a new program."""

from django.http import HttpRequest
from ninja import Router, Schema

from musterbook.accounts import tokens
from musterbook.api import access
from musterbook.api.access import needs
from musterbook.api.schemas import Time, answers

router = Router()


class AgencyName(Schema):
    """An agency, by its short name and its name."""

    slug: str
    name: str


class TokenDescription(Schema):
    """A token: its name, and when it becomes valid and expires."""

    name: str
    made_at: Time
    expires_at: Time


class Creator(Schema):
    """The user who created the token. It acts for this user."""

    external_id: str
    name: str


class Me(Schema):
    """The token of the request: its agency, its creator, and the permissions that it has now."""

    agency: AgencyName
    token: TokenDescription
    made_by: Creator
    permissions: list[str]


@router.get("", auth=needs(), response=answers(Me), operation_id="readMe", summary="Describe the token of the request")
def read_me(request: HttpRequest) -> Me:
    """Return the agency, the token, its creator, and its permissions."""
    token = access.get_token(request)
    maker = token.maker
    return Me(
        agency=AgencyName(slug=token.agency.slug, name=token.agency.name),
        token=TokenDescription(name=token.name, made_at=token.made_at, expires_at=token.expires_at),
        made_by=Creator(external_id=maker.external_id, name=f"{maker.first_name} {maker.last_name}"),
        permissions=sorted(tokens.get_permissions(token)),
    )
