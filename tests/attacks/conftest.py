"""What attacks share: agencies to attack, a window of the browser, quick hashes of passwords, and quick clients."""

from tests.accounts.conftest import _quick_hashes, shelbyville, springfield
from tests.attacks.old_installations import _old_original, unsealed_home
from tests.clients import _middleware_built_once
from tests.web.conftest import page

__all__ = [
    "_middleware_built_once", "_old_original", "_quick_hashes", "page", "shelbyville", "springfield",
    "unsealed_home",
]  # fmt: skip
