"""The application of the site, and its one token. As a command, it makes the database with the users of BENCH_USERS."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection

from benchmarks.peers import scim_servers
from scripts import program

_BATCH = 1_000


def check_token(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a request with the token a user, as the middleware of a site does before that of django-scim2."""

    def answer(request: Any) -> Any:
        known = request.headers.get("Authorization") == f"Bearer {scim_servers.TOKEN}"
        request.user = SimpleNamespace(is_authenticated=known)
        return get_response(request)

    return answer


def is_known(user: Any) -> bool:
    """Return whether the request has the token."""
    return bool(user.is_authenticated)


def make_database() -> None:
    """Make the tables, and write the users."""
    from benchmarks.peers.scim_django.models import ScimUser

    call_command("migrate", run_syncdb=True, verbosity=0)
    ScimUser.objects.bulk_create(_make_users(ScimUser), batch_size=_BATCH)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [ScimUser]):
            cursor.execute(statement)


def _make_users(model: Any) -> list[Any]:
    return [
        model(
            id=number, scim_id=str(number), scim_external_id=person["externalId"], username=person["userName"],
            scim_username=person["userName"], first_name=person["name"]["givenName"], last_name=person["name"]["familyName"],
            email=person["emails"][0]["value"], is_active=person["active"],
        )
        for number, person in enumerate(scim_servers.read_people(), 1)
    ]  # fmt: skip


os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.scim_django.settings"
django.setup(set_prefix=False)
application = WSGIHandler()

if __name__ == "__main__":
    with program.run(__doc__):
        make_database()
