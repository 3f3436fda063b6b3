"""The ASGI application that `muster serve` runs.

It is Django's WSGI application with a limit on concurrent requests (`concurrency`).
"""

from django.conf import settings

from musterbook.server import concurrency
from musterbook.wsgi import application as pages

application = concurrency.LimitedApplication(
    pages, settings.MUSTER_CLIENT_SECONDS, https=settings.MUSTER_URL.startswith("https:")
)
