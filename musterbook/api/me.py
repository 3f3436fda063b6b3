"""What a token is, told to whoever holds it: the first thing that a new program asks."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.api.bearer import needs


@needs("", "GET", "HEAD")
def me(_request: HttpRequest, token: Token) -> HttpResponseBase:
    """The agency, the token, who made it, and what it may do."""
    maker = token.maker
    told = {
        "agency": {"slug": token.agency.slug, "name": token.agency.name},
        "token": {
            "name": token.name,
            "made_at": token.made_at.isoformat(timespec="seconds"),
            "expires_at": token.expires_at.isoformat(timespec="seconds"),
        },
        "made_by": {"external_id": maker.external_id, "name": f"{maker.first_name} {maker.last_name}"},
        "permissions": sorted(tokens.may(token)),
    }
    return JsonResponse(told, json_dumps_params={"ensure_ascii": False})
