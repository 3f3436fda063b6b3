"""An agency with rows in every table that moves, and all that an installation has of an agency, for comparisons.

`python -m tests.directory.installation.moved fill SLUG` makes it, and `… show SLUG` does not. Both print its content as JSON,
with ids that are counted from the first of each table.
"""

import json
import sys
from datetime import timedelta
from typing import Any

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from allauth.mfa.models import Authenticator

from musterbook.accounts import tokens
from musterbook.accounts.models import (
    Account,
    Identity,
    Lock,
    PastPassword,
    Repeated,
    ResetRequest,
    UsedCode,
)
from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import agency_archive_export, agency_archive_tables
from musterbook.directory.installation.agency_archive_ids import Ids
from musterbook.directory.models import ImportKind
from musterbook.directory.storage import isolation
from tests.directory import cast

PROVIDER = {
    "slug": "county", "name": "County", "kind": "oidc", "server": "https://login.example", "client_id": "musterbook",
    "match": "email", "claim": "", "trust_email": False, "second_factor": False,
}  # fmt: skip
SECRET = "JBSWY3DPEHPK3PXP"


def fill(slug: str, numbers: tuple[int, ...] = (1, 2, 3, 4)) -> models.Agency:  # noqa: PLR0915  (a row for each table)
    """Make the agency: imports, users, and one row of everything else."""
    agency = cast.agency(slug)
    role = models.Role.objects.get(agency=agency, name="Chief")
    group = models.Group.objects.get(agency=agency)
    other = models.Group.objects.create(agency=agency, external_id="K9", name="Dogs", parent=group)
    agency.limits = [cast.allow(5, 10, 500), {**cast.allow(9), "role": role.pk, "group": group.pk}]
    agency.sign_on = [PROVIDER | {"secret": encryption.seal("hush ü")}]
    agency.save()
    cast.apply_rows(agency, cast.people(*numbers), address="192.0.2.7", agent="Firefox “ü”")
    cast.apply_rows(agency, [cast.person(numbers[0], FIRST_NAME="Zoë", ROLE="Chief", EVIDENCE_GROUP_EXT_ID="PATROL")])
    cast.run(agency, [cast.person(1, EMAIL="not an address"), cast.person(2, PHONE="12")])
    first, second = (cast.user(agency, number) for number in numbers[:2])
    models.User.objects.filter(pk=second.pk).update(supervisor=first, ends_on=cast.NOW.date())
    record = models.Import.objects.filter(agency=agency).order_by("pk").first()
    assert record
    feed = models.Feed.objects.create(
        agency=agency, name="hr", mode="update", secrets={"password": encryption.seal("feed secret")},
        limits=[{**cast.allow(3), "role": role.pk}], created_at=cast.NOW, location={"kind": "folder", "path": "/srv/hr"},
    )  # fmt: skip
    models.Import.objects.filter(pk=record.pk).update(feed=feed)
    models.FeedFile.objects.create(
        feed=feed, name="a.csv", size=3, modified="1", sha256="0" * 64, at=cast.NOW, of=record, settled_at=cast.NOW
    )
    notice = models.Notice.objects.create(
        agency=agency,
        kind="import-finished",
        of=record,
        permission="users.view",
        at=cast.NOW,
        facts={"import": record.number},
    )
    models.NoticeSettings.objects.create(user=first, read_to=notice.pk)
    endpoint = models.WebhookEndpoint.objects.create(
        agency=agency, name="payroll", address="https://payroll.example/", maker=first, created_at=cast.NOW,
        secrets=[{"secret": encryption.seal("whsec_abc"), "until": None}],
    )  # fmt: skip
    models.WebhookMessage.objects.create(
        endpoint=endpoint, webhook_id="msg_1_a", kind="user.added", subject=f"user:{first.pk}", at=cast.NOW,
        body=json.dumps({"data": {"link": f"https://muster.example/{slug}/users/{first.pk}/"}}),
        until=cast.NOW + timedelta(days=3),
    )  # fmt: skip
    models.ProvisionedUser.objects.create(user=first, kept={"displayName": "Zoë"})
    models.ListView.objects.create(user=first, columns=["name", "email"])
    models.SavedFilter.objects.create(
        user=first, name="Chiefs", name_key="chiefs", query=f"role={role.pk}&group={group.pk}&q=12&status=Active"
    )
    models.ReleasedName.objects.create(agency=agency, key="old", user=first, released_at=cast.NOW)
    models.FormerId.objects.create(agency=agency, external_id="E-0", user=first, until=cast.NOW)
    models.Monitor.objects.create(group=group, user=second)
    models.GroupMonitor.objects.create(group=group, monitor=other)
    models.ImportDraft.objects.create(of=record, row=2, column="EMAIL", text='a "new"\nline', actor="E-1", at=cast.NOW)
    models.Mail.objects.create(agency=agency, user=first, kind="invitation", to=first.email, created_at=cast.NOW)
    bulk = models.Import.objects.create(
        number=f"{record.number[:20]}BVXK{agency.pk % 90 + 10}", agency=agency, kind=ImportKind.BULK, mode="update",
        state="previewed", actor="", through="cli", options={"mode": "update", "preview": True}, started_at=cast.NOW,
        finished_at=cast.NOW,
    )  # fmt: skip
    from musterbook.directory.imports import selection

    selection.keep_ids(bulk.number, [first.pk, -second.pk])
    _fill_accounts(agency, first)
    return agency


def _fill_accounts(agency: models.Agency, user: models.User) -> None:
    account = Account.objects.create(user=user, password="pbkdf2$hash", last_login=cast.NOW, password_at=cast.NOW)
    PastPassword.objects.create(account=account, password="old", chosen_at=cast.NOW)
    factor = Authenticator.objects.create(user=account, type="totp", data={"secret": encryption.seal(SECRET)})
    UsedCode.objects.create(authenticator=factor, step=12)
    Authenticator.objects.create(user=account, type="webauthn", data=make_passkey(agency.slug))
    Lock.objects.create(user=user, place="*", at=cast.NOW)
    ResetRequest.objects.create(agency=agency, name="zoe", at=cast.NOW, address="192.0.2.1", agent="Firefox")
    Repeated.objects.create(
        key=f"key of {agency.slug}", agency=agency, kind="user.sign-in-failed", outcome="failed", subject=user, through="page",
        place="192.0.2.1", why="password", count=3, since=100,
    )  # fmt: skip
    Identity.objects.create(agency=agency, user=user, provider="county", authority="a", key="k", bound_at=cast.NOW)
    by = Operator(user.pk, user.external_id, frozenset({tokens.PERMISSION, "users.view"}))
    data = tokens.TokenData("payroll", frozenset({"users.view"}), tokens.DAYS[0])
    tokens.create_token(agency, data, AuditContext(cast.NOW, user.external_id, "page"), by)


def make_passkey(slug: str) -> dict[str, Any]:
    """Return the data of the passkey of the agency of that slug."""
    return {"name": "Phone", "credential": {"id": f"passkey-of-{slug}"}}


def read_content(agency: models.Agency) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables that move, with secrets opened, and ids counted from the first of each table."""
    tables = agency_archive_tables.list_tables()
    ranges = {table.label: agency_archive_export._measure(table, agency) for table in tables}
    relative = Ids(ranges, {label: 1 - span.first for label, span in ranges.items()})
    content = {}
    for table in tables:
        rows = [
            row
            for part in agency_archive_export.read_rows(table, agency)
            for row in relative.map_rows(table, part).to_dicts()
        ]
        names = [column.name for column in table.columns if column.json]
        content[table.label] = [
            row | {name: row[name] if row[name] is None else json.loads(row[name]) for name in names} for row in rows
        ]
    return content


def without_move(content: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the content without what a move adds: the pause, the slug, and what the trail says of the move."""
    kept = {label: [dict(row) for row in rows] for label, rows in content.items()}
    kept["directory.MovedTrail"] = []
    for row in kept["directory.Agency"]:
        row["paused_at"] = row["slug"] = ""
    about = {"agency.paused", "agency.resumed", "agency.exported", "agency.imported"}
    first = min((row["id"] for row in kept["directory.Event"] if row["kind"] in about), default=None)
    if first is not None:
        for label, name in (("Event", "id"), ("TrailLink", "first"), ("Passage", "first")):
            kept[f"directory.{label}"] = [row for row in kept[f"directory.{label}"] if row[name] < first]
        kept["directory.TrailEnd"] = kept["directory.TrailEnd"][: len(kept["directory.TrailLink"])]
    return kept


if __name__ == "__main__":
    isolation.open_process()
    act, slug = sys.argv[1:3]
    if act == "fill":
        # Installations of tests have one key and one time: the users let the first links of two agencies differ.
        fill(slug, (1, 2, 3, 4) if slug == "springfield-pd" else (11, 12, 13, 14, 15, 16))
    content = read_content(models.Agency.objects.get(slug=slug))
    sys.stdout.write(json.dumps(content, sort_keys=True, ensure_ascii=False))
