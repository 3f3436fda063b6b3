"""The installation, opened: Django made ready, the embedded database made and brought up to date."""

import os

from musterbook.cli.ending import FAILED, Ended


def database() -> None:
    """Opens the database. Raises Ended if it is PostgreSQL and not up to date."""
    settings()
    from django.db import connection

    from musterbook import home
    from musterbook.directory import installation

    if connection.vendor == "sqlite":
        from django.conf import settings as configured

        home.prepare(configured.MUSTER_HOME)
    if installation.pending():
        if connection.vendor != "sqlite":
            raise Ended("The database is not up to date. Run `muster migrate`.", FAILED)
        installation.migrate()


def settings() -> None:
    """Makes Django ready without what only web pages need."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.settings")
    from django.apps import apps
    from django.conf import settings as configured

    apps.populate(configured.INSTALLED_APPS)
