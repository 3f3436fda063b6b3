"""An agency with two feeds and a webhook, in a new database: `python -m fault_harness.prepare ADDRESS`.

Print the token of the feed to which files are sent. It is a process of its own, because the harness uses nothing of the
product: neither its settings nor its queries.
"""

import sys
from datetime import UTC, datetime

import django

django.setup()

from django.conf import settings
from django.core.management import call_command

from musterbook.core.domain.policy import LimitKind
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency import feeds, webhooks
from musterbook.directory.audit.trail import AuditContext
from scripts import program

_FOLDER = {"kind": "folder", "path": "hr", "pattern": "*.csv"}
_OFF = {"users": 0, "percent": 0, "most": None, "off": True, "role": None, "group": None}


def main(address: str) -> str:
    """Prepare the installation. `address`: that of the webhook. Return the token."""
    call_command("migrate", verbosity=0)
    context = AuditContext(datetime.now(UTC), "", "cli")
    limits = [{**_OFF, "kind": kind.value} for kind in LimitKind]
    agency = models.Agency.objects.create(slug="north", name="North", created_at=context.at, limits=limits)
    for name in ("Admin", "Officer"):
        models.Role.objects.create(agency=agency, name=name, name_key=fold(name), administrator=name == "Admin")
    (settings.MUSTER_HOME / "feeds" / "north" / "hr").mkdir(parents=True)
    usual = {"least_percent": 0}
    folder = feeds.add(
        agency, {"name": "hr", "mode": "sync", "location": _FOLDER, "every_minutes": 1, **usual}, context, None
    )
    sent = feeds.add(agency, {"name": "sent", "mode": "update", "location": {"kind": "sent"}, **usual}, context, None)
    for feed in (folder, sent):
        # As if a person had applied the first file of each.
        models.Feed.objects.filter(pk=feed.pk).update(approved=feeds.digest_settings(feed))
    webhooks.add(agency, {"name": "hook", "address": address, "kinds": ["*"]}, context, None)
    return feeds.make_token(sent, context, None)


if __name__ == "__main__":
    with program.run(__doc__):
        print(main(sys.argv[1]))
