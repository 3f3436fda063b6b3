"""The ASGI application that `muster serve` runs.

It is Django's WSGI application with a limit on concurrent requests (`concurrency`), and with the answer that this process
is alive (`liveness`).
"""

from django.conf import settings

from musterbook.server import concurrency, liveness
from musterbook.wsgi import application as pages

application = liveness.AliveApplication(
    concurrency.LimitedApplication(
        pages, settings.MUSTER_CLIENT_SECONDS, https=settings.MUSTER_URL.startswith("https:")
    )
)
