"""The pages as a WSGI application, for whatever server runs them."""

import os
import signal

from django.core.wsgi import get_wsgi_application

from musterbook import family, keys, logs, turns

logs.speak()
family.die_with_parent(signal.SIGKILL)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.settings")
keys.ring()  # whatever server this is: a weak key serves no page
application = turns.in_turn(get_wsgi_application())
