"""The checks of a request that the library does not make: its content type, and the names of its parameters.

They come after the token, so that nothing is learned without one.
"""

from http import HTTPStatus

from django.http import HttpRequest
from ninja.operation import Operation

from musterbook.api.problems import FieldError, ProblemError

JSON = ("application/json", "application/merge-patch+json")


def check_form(request: HttpRequest, operation: Operation) -> None:
    """Raise ProblemError if the request has a parameter that the operation does not have, or its body is not JSON."""
    unknown = sorted(set(request.GET) - list_names(operation, "query"))
    if unknown:
        detail = "The request has a parameter that this operation does not have. Nothing was changed."
        found = [FieldError(name, "unknown-parameter", "There is no parameter of this name.") for name in unknown]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-request", found)
    if list_names(operation, "body") and request.body and request.content_type not in JSON:
        detail = "Send JSON, with the header “Content-Type: application/json”."
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, "not-json", headers={"Accept": ", ".join(JSON)})


def list_names(operation: Operation, place: str) -> set[str]:
    """Return the names of the parameters that the operation has in this place: `query`, `path`, `header` or `body`."""
    names = set[str]()
    for model in operation.models:
        if model.__ninja_param_source__ == place:
            names |= set(getattr(model, "__ninja_flatten_map__", None) or model.model_fields)
    extra = (operation.openapi_extra or {}).get("parameters", ())
    return names | {one["name"] for one in extra if one["in"] == place}
