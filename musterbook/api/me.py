"""The description of a token for its holder. It is the first request of a new program."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.api.bearer import needs


@needs("", "GET", "HEAD")
def me(_request: HttpRequest, token: Token) -> HttpResponseBase:
    """Return the agency, the token, its creator, and its permissions."""
    maker = token.maker
    body = {
        "agency": {"slug": token.agency.slug, "name": token.agency.name},
        "token": {
            "name": token.name,
            "made_at": token.made_at.isoformat(timespec="seconds"),
            "expires_at": token.expires_at.isoformat(timespec="seconds"),
        },
        "made_by": {"external_id": maker.external_id, "name": f"{maker.first_name} {maker.last_name}"},
        "permissions": sorted(tokens.get_permissions(token)),
    }
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})
