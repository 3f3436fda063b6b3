"""The response to a request whose plan is on hold, because it concerns more users than a limit allows (S4).

The agency chooses between 202 (accepted), with the location of the import, and 409 (conflict), for clients that cannot wait.
"""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse

from musterbook.directory import models
from musterbook.directory.imports import bulk
from musterbook.scim import answers
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import ScimRequest

SCHEMA = "urn:ietf:params:scim:api:messages:musterbook:2.0:Held"


def answer(scim: ScimRequest, record: models.Import) -> HttpResponse:
    """Return the response to a request whose import is held. Raise ScimError if the client cannot wait."""
    location, page = f"{settings.MUSTER_URL}/{scim.agency.slug}/api/v1/imports/{record.number}", _find_page(record)
    detail = (
        f"Nothing was changed yet. The changes are on hold, because they concern too many users. Confirm them on {page}"
    )
    headers = {"Location": location}
    if scim.agency.scim_refuses_held:
        raise ScimError(HTTPStatus.CONFLICT, detail, headers=headers)
    body = {
        "schemas": [SCHEMA], "status": str(HTTPStatus.ACCEPTED.value), "detail": detail, "import": record.number,
        "location": location, "page": page, "holds": record.holds,
    }  # fmt: skip
    return answers.make_response(body, HTTPStatus.ACCEPTED, headers)


def _find_page(record: models.Import) -> str:
    name = "bulk_plan" if bulk.get_change(record) else "import"
    return f"{settings.MUSTER_URL}{reverse(name, urlconf='musterbook.web.urls', args=[record.number])}"
