"""The settings of the site. Its database has the settings of ours, in BENCH_FOLDER or at BENCH_URL."""

import os
from pathlib import Path

from benchmarks.peers import scim_servers
from musterbook.config import databases

SECRET_KEY = scim_servers.TOKEN
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": databases.make_settings(os.environ.get("BENCH_URL", ""), Path(os.environ["BENCH_FOLDER"]))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_scim", "benchmarks.peers.scim_django"]
MIGRATION_MODULES = dict.fromkeys(("contenttypes", "auth"))
"""No migrations: all tables are made together, because those of the users refer to those of groups."""
MIDDLEWARE = ["benchmarks.peers.scim_django.site.check_token"]
ROOT_URLCONF = "benchmarks.peers.scim_django.urls"
AUTH_USER_MODEL = "scim_django.ScimUser"
USE_TZ = True
SCIM_SERVICE_PROVIDER = {
    "NETLOC": "127.0.0.1",
    "SCHEME": "http",
    "AUTHENTICATION_SCHEMES": [{"type": "oauthbearertoken", "name": "OAuth Bearer Token"}],
    "GET_IS_AUTHENTICATED_PREDICATE": "benchmarks.peers.scim_django.site.is_known",
}
