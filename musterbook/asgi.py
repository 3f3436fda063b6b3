"""The pages as `muster serve` runs them: Django's WSGI application, in turn, behind an ASGI server."""

from django.conf import settings

from musterbook import turns
from musterbook.wsgi import application as pages

application = turns.InTurn(pages, settings.MUSTER_CLIENT_SECONDS, https=settings.MUSTER_URL.startswith("https:"))
