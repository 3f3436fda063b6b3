"""What the service says of itself: its configuration, its resource types and its schemas (RFC 7644 §4)."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase
from scim2_models import Context, ResourceType

from musterbook.accounts import tokens
from musterbook.scim import answers, bulk, paging
from musterbook.scim import schemas as models
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import Method, ScimRequest, endpoint
from musterbook.scim.group_schemas import FullGroup, MusterbookGroup

RESOURCE_MODELS: dict[str, Any] = {"User": models.FullUser, "Group": FullGroup}
"""Name of a resource type → its model with its extensions."""
_BULK = {"supported": True, "maxOperations": bulk.MOST_OPERATIONS, "maxPayloadSize": bulk.MOST_BYTES}
_CONFIG = "ServiceProviderConfig"
_REQUIRED = (models.MusterbookUser.__schema__, MusterbookGroup.__schema__)
"""The extensions that every resource of their type has."""
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:"


def _locate(scim: ScimRequest, kind: str, body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a description with its own address."""
    place = f"{scim.base}/{kind}s/{name}" if kind != _CONFIG else f"{scim.base}/{kind}"
    return {"schemas": [_SCHEMA + kind], **body, "meta": {"resourceType": kind, "location": place}}


def _refuse_filter(scim: ScimRequest) -> None:
    """Raise ScimError for a filter on a description (RFC 7644 §4)."""
    if "filter" in scim.http.GET:
        raise ScimError(HTTPStatus.FORBIDDEN, "Descriptions of the service cannot be filtered. Leave the filter out.")


def _list(bodies: list[dict[str, Any]]) -> HttpResponseBase:
    return answers.make_response(paging.build_list(bodies, len(bodies), start=1))


def _read_config(scim: ScimRequest) -> HttpResponseBase:
    """Return what the service supports."""
    _refuse_filter(scim)
    body = {
        "documentationUri": f"{settings.MUSTER_URL}/{scim.agency.slug}/help/reference/scim",
        "patch": {"supported": True},
        "bulk": _BULK,
        "filter": {"supported": True, "maxResults": paging.MOST},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True, "index": True, "defaultPaginationMethod": "index", "defaultPageSize": paging.USUAL,
            "maxPageSize": paging.MOST,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken", "name": "Token of the agency", "primary": True,
                "description": "A token of the agency in the header “Authorization: Bearer …”.",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            }
        ],
    }  # fmt: skip
    return answers.make_response(_locate(scim, _CONFIG, body, ""))


def _build_types(scim: ScimRequest) -> dict[str, dict[str, Any]]:
    """Return the resource types by their names."""
    return {name: _build_type(scim, name, model) for name, model in RESOURCE_MODELS.items()}


def _build_type(scim: ScimRequest, name: str, model: Any) -> dict[str, Any]:
    described = ResourceType.from_resource(model).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    # Every user has a role, and every group is active or not, so all have the extension that it belongs to.
    for extension in described.get("schemaExtensions", ()):
        extension["required"] = extension["schema"] in _REQUIRED
    described["description"] = model.__mro__[1].__doc__ or name
    return _locate(scim, "ResourceType", described, name)


def _list_types(scim: ScimRequest) -> HttpResponseBase:
    """Return the resource types."""
    _refuse_filter(scim)
    return _list([*_build_types(scim).values()])


def _read_type(scim: ScimRequest, name: str) -> HttpResponseBase:
    """Return one resource type."""
    return _answer_one(_build_types(scim).get(name), "resource type")


def _build_schemas(scim: ScimRequest) -> dict[str, dict[str, Any]]:
    """Return the schemas by their URNs."""
    built = models.build_schemas(scim.agency, tokens.get_permissions(scim.token))
    return {one["id"]: _locate(scim, "Schema", one, one["id"]) for one in built}


def _list_schemas(scim: ScimRequest) -> HttpResponseBase:
    """Return the schemas."""
    _refuse_filter(scim)
    return _list([*_build_schemas(scim).values()])


def _read_schema(scim: ScimRequest, name: str) -> HttpResponseBase:
    """Return one schema."""
    return _answer_one(_build_schemas(scim).get(name), "schema")


def _answer_one(found: dict[str, Any] | None, what: str) -> HttpResponseBase:
    if found is None:
        raise ScimError(HTTPStatus.NOT_FOUND, f"There is no {what} with this name.")
    return answers.make_response(found)


def _refuse_me(_scim: ScimRequest) -> HttpResponseBase:
    """Refuse /Me: a token belongs to a program, which is not a user."""
    raise ScimError(HTTPStatus.NOT_IMPLEMENTED, "/Me is not supported: a token belongs to a program. Use /Users/{id}.")


config = endpoint(GET=Method("", _read_config))
resource_types = endpoint(GET=Method("", _list_types))
resource_type = endpoint(GET=Method("", _read_type))
schemas = endpoint(GET=Method("", _list_schemas))
schema = endpoint(GET=Method("", _read_schema))
me = endpoint(**dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), Method("", _refuse_me)))
