"""The pages as a WSGI application, for whatever server runs them."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.settings")
application = get_wsgi_application()
