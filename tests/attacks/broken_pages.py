"""Pages that raise an error that nobody expects; the page that says so is the real one."""

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from musterbook.urls import handler500 as handler500  # noqa: PLC0414  (Django looks for it here)
from tests.attacks.broken import fail


def page(request: HttpRequest, **_: str) -> HttpResponse:
    """Raises an error."""
    fail(request)


def breaking_off(request: HttpRequest) -> StreamingHttpResponse:
    """Raises an error when a part of the answer is sent."""

    def parts() -> Iterator[bytes]:
        yield b"begun"
        fail(request)

    return StreamingHttpResponse(parts())


urlpatterns = [path("broken", page), path("broken/off", breaking_off), path("reset/<str:token>", page)]
