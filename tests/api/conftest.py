"""The tests of the API have quick clients: most make one for each request."""

from tests.clients import _middleware_built_once

__all__ = ["_middleware_built_once"]
