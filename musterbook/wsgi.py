"""The pages as a WSGI application. `muster serve` runs them through `musterbook.asgi`."""

import os
import signal

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from musterbook.config import logs, process, secret_keys

logs.log_to_stderr()
process.die_with_parent(signal.SIGKILL)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.config.settings")
secret_keys.ring()  # with any server: refuse to serve pages with a weak key
with process.load_quickly(keep=True):
    application = get_wsgi_application()
    get_resolver().url_patterns  # noqa: B018  (all pages are loaded now, and not when the first person waits for one)
