"""What attacks share: agencies to attack, a browser, and quick hashes of passwords."""

from tests.accounts.conftest import _quick_hashes, shelbyville, springfield
from tests.web.conftest import browser, page

__all__ = ["_quick_hashes", "browser", "page", "shelbyville", "springfield"]
