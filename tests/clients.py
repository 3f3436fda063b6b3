"""Clients of tests share one chain of middleware: each would build its own, which takes as long as a small request."""

from collections.abc import Iterator

import pytest
from django.conf import UserSettingsHolder, settings
from django.test.client import ClientHandler

from musterbook.accounts import limits

_CHAIN = ("_view_middleware", "_template_response_middleware", "_exception_middleware", "_middleware_chain")
_NOT_BUILT_IN = {"ALLOWED_HOSTS", "MUSTER_HOME", "PASSWORD_HASHERS"}
"""Settings that no middleware reads when it is built."""


@pytest.fixture(autouse=True, scope="session")
def _middleware_built_once() -> Iterator[None]:
    """A client builds middleware of its own only where a test has changed a setting or limits that it may be built of."""
    load, built, rates = ClientHandler.load_middleware, ClientHandler(), limits.RATES
    load(built)

    def share(handler: ClientHandler, is_async: bool = False) -> None:
        if is_async or limits.RATES is not rates or _list_changed() - _NOT_BUILT_IN:
            load(handler, is_async)
        else:
            vars(handler).update({name: getattr(built, name) for name in _CHAIN})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientHandler, "load_middleware", share)
        yield


def _list_changed() -> set[str]:
    """Return the names of the settings that the test has changed."""
    changed = set[str]()
    holder: object = settings._wrapped  # type: ignore[misc]  # django-stubs leaves it out
    while isinstance(holder, UserSettingsHolder):
        changed |= {name for name in vars(holder) if name.isupper()} | holder._deleted
        holder = holder.default_settings
    return changed
