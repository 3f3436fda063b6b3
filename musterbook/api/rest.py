"""The REST API of an agency, under /<agency>/api/v1/: its routers, and what every operation does the same way."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import translation
from ninja import NinjaAPI
from ninja.operation import Operation, PathView

from musterbook.api import (
    agency,
    audit,
    batch,
    bodies,
    directory_files,
    feed_settings,
    groups,
    imports,
    me,
    problems,
    ranks,
    requests,
    roles,
    tokens,
    user_acts,
    users,
    webhooks,
)
from musterbook.config import languages
from musterbook.core.domain import texts

View = Callable[..., HttpResponseBase]


class RestApi(NinjaAPI):
    """The API, whose addresses answer HEAD and OPTIONS, and refuse other methods with a problem."""

    def _get_urls(self) -> list[Any]:
        """Return the addresses of all operations. The library's root has its name, and nothing there."""
        urls = super()._get_urls()
        for operation in self.list_operations():
            _check_first(operation)
        methods = {
            id(view): sorted({method for operation in view.operations for method in operation.methods})
            for bound in self._get_bound_routers()
            for view in bound.path_operations.values()
        }
        for pattern in urls:
            found = _find_path_view(pattern.callback)
            pattern.callback = (
                _answer_every_method(cast("View", pattern.callback), methods[id(found)], found)
                if found
                else problems.not_found
            )
        return urls

    def list_operations(self) -> list[Operation]:
        """Return all operations of all routers."""
        bound = self._get_bound_routers()
        return [one for router in bound for view in router.path_operations.values() for one in view.operations]


def _check_first(operation: Operation) -> None:
    """Let the operation check the form of a request, after its token and before its values."""
    read_values = operation._get_values  # noqa: SLF001  (the library has no other place between the two)

    def read_checked(request: HttpRequest, *args: Any) -> Any:
        requests.check_form(request, operation)
        return read_values(request, *args)

    operation._get_values = read_checked  # type: ignore[assignment,method-assign]  # noqa: SLF001  (as above)


def _find_path_view(callback: Any) -> PathView | None:
    """Return the operations of an address: the library's view is a function that encloses them."""
    cells = getattr(callback, "__closure__", None) or ()
    return next((cell.cell_contents for cell in cells if isinstance(cell.cell_contents, PathView)), None)


def _answer_every_method(view: View, methods: list[str], path_view: PathView) -> View:
    allowed = [*(["GET", "HEAD"] if "GET" in methods else []), *(one for one in methods if one != "GET"), "OPTIONS"]

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Programs read English, whatever the language of the agency is.
        with translation.override(languages.ENGLISH), texts.reading(texts.ENGLISH):
            return _answer(request, *args, **kwargs)

    def _answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "OPTIONS":
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(allowed)})
        if request.method not in allowed:
            return problems.refuse_method(allowed)
        if request.method == "HEAD":
            return _answer_head(view, request, *args, **kwargs)
        return view(request, *args, **kwargs)

    answer.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie gives access here
    answer.operations = path_view.operations  # type: ignore[attr-defined]  # for the tests that attack every address
    answer.reads_large_bodies = any(  # type: ignore[attr-defined]  # for `web.imports.uploads.from_known`
        getattr(operation.view_func, "reads_large_bodies", False) for operation in path_view.operations
    )
    return answer


def _answer_head(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """Return the response to GET, without its content. The server sends no body of a response to HEAD."""
    request.method = "GET"
    try:
        response = view(request, *args, **kwargs)
    finally:
        request.method = "HEAD"
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = ()  # nothing is read for it
    return response


def make_api() -> RestApi:
    """Return the API with the routers of all resources."""
    made = RestApi(
        title="Musterbook", version="1", urls_namespace="rest", docs_url=None, openapi_url=None,
        parser=bodies.StrictParser(),
        description="Everything that a person can do in an agency, for programs with a token of the agency.",
    )  # fmt: skip
    problems.add_handlers(made)
    for prefix, router in ROUTERS.items():
        made.add_router(prefix, router, tags=[prefix.strip("/") or "me"])
    return made


users.router.add_router("", user_acts.router)
ROUTERS = {
    "me": me.router,
    "imports": imports.router,
    "users": users.router,
    "users:batch": batch.router,
    "roles": roles.router,
    "ranks": ranks.router,
    "groups": groups.router,
    "feeds": feed_settings.router,
    "audit": audit.router,
    "agency": agency.router,
    "tokens": tokens.router,
    "webhooks": webhooks.router,
    "files": directory_files.router,
}
"""Prefix below /<agency>/api/v1/ → the router of the resource."""
api = make_api()
