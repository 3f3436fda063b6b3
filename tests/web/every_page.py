"""Every page of an agency, from the list of addresses, with something that there is for each part of an address that varies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.urls import URLPattern, get_resolver

from musterbook.accounts.models import Token
from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.users import list_views
from tests.directory import cast

OPEN = {
    "account_inactive", "sign_on_failed", "sign_on_again", "oidc_login", "oidc_callback", "saml_login", "saml_acs",
    "saml_finish_acs", "saml_metadata", "register", "account_reset_password", "reset",
    "account_logout", "register_here", "reset_here",
}  # fmt: skip
"""The names of pages that are for people who are not signed in."""
WITHIN = {
    "import_users": "users.import", "groups_import": "groups.manage", "roles_import": "roles.manage",
    "ranks_import": "ranks.manage",
}  # fmt: skip
"""Pages that take a form of somebody whose session has ended; they look at the permission after that."""

SAME_EVERYWHERE = {
    "help_picture",
    "help_document",
    "import_example",
    "export_users",
    "agency_sign_on_add",
    "feed_add_kind",
}
"""Pages that vary, but not by anything that an agency has."""

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
"""What must stay text wherever it is shown."""


@dataclass(frozen=True)
class EveryPage:
    """One address of ours: its name, its pattern below the agency's, and the permission that it takes ("": none)."""

    name: str
    route: str
    permission: str

    def path(self, agency: models.Agency) -> str:
        """The address below an agency's, of something that this agency has."""
        path = self.route
        for part, value in (THINGS[self.name](agency) if "<" in path else {}).items():
            for converter in ("", "str:", "int:", "path:"):
                path = path.replace(f"<{converter}{part}>", str(value))
        assert "<" not in path, f"tests/web/every_page.py does not know what to put into {self.route}"
        return path


def pages() -> Iterator[EveryPage]:
    """All pages whose views are ours, but those that are open to everybody."""
    for pattern in get_resolver("musterbook.web.urls").url_patterns:
        view = getattr(pattern, "callback", None)
        if isinstance(pattern, URLPattern) and getattr(view, "__module__", "").startswith("musterbook.web."):
            name = str(pattern.name)
            if name not in OPEN:
                permission = WITHIN[name] if name in WITHIN else getattr(view, "permission", None)
                assert permission is not None, f"{name} does not say who may open it: see web/permission.py"
                yield EveryPage(name, str(pattern.pattern), permission)


def _import(agency: models.Agency) -> Mapping[str, Any]:
    return {"number": models.Import.objects.filter(agency=agency, kind=models.ImportKind.FILE).latest("pk").number}


def _bulk(agency: models.Agency) -> Mapping[str, Any]:
    """A preview of an act on all users, made once."""
    record = models.Import.objects.filter(agency=agency, kind=models.ImportKind.BULK).first()
    if record is None:
        users = list(models.User.objects.filter(agency=agency).values_list("pk", flat=True))
        context = AuditContext(datetime.now(UTC), "", "page")
        record = queue.submit_bulk(agency, users, BulkChange("rank", "Captain"), context=context, preview=True)
        run_next_import("tests", lambda: datetime.now(UTC))
    return {"number": record.number}


def _waiting(agency: models.Agency) -> Mapping[str, Any]:
    """A file of the administrator's that waits, as if it had come without a session."""
    user = models.User.objects.filter(agency=agency, external_id__startswith="E-1").earliest("pk")
    at = datetime.now(UTC)
    return {"token": cast.keep_waiting(user, b"x", at, name=f"{EVIL}.csv", address=EVIL)}


def _saved_filter(agency: models.Agency) -> Mapping[str, Any]:
    """A filter that the administrator has saved."""
    user = models.User.objects.filter(agency=agency, external_id__startswith="E-1").earliest("pk")
    saved = list_views.list_filters(user)
    return {"pk": (saved[0] if saved else list_views.save_filter(user, EVIL[:60], "q=x")).id}


def _feed(agency: models.Agency, kind: str = "sftp") -> Mapping[str, Any]:
    """A feed with evil in every text that comes from outside: what its server says, its files, and who paused it why."""
    at, name = datetime.now(UTC), f"nightly-{kind}"
    location = {"kind": "sftp", "host": "127.0.0.1", "port": 22, "path": EVIL, "pattern": EVIL, "user": EVIL}
    feed, is_new = models.Feed.objects.get_or_create(
        agency=agency, name=name,
        defaults={
            "mode": "update", "source": EVIL[:63], "created_at": at, "problem": EVIL, "stopped": EVIL, "host_key": EVIL,
            "paused_at": at, "paused_why": EVIL, "paused_by": EVIL, "location": location if kind == "sftp" else {"kind": kind},
            "reading": {
                "mode": "update", "mapping": {EVIL: "EMAIL"}, "values": {"ROLE": {EVIL: EVIL}}, "defaults": {"ROLE": EVIL},
            },
            "notify": {"held": [EVIL]}, "schedule": {"every_minutes": 5},
        },
    )  # fmt: skip
    if is_new:
        record = models.Import.objects.filter(agency=agency, kind=models.ImportKind.FILE).latest("pk")
        for number, of in enumerate((record, None)):
            models.FeedFile.objects.create(
                feed=feed, name=EVIL, size=1, modified="1", sha256=f"{number}", at=at, of=of, parts=[EVIL],
                problem="" if of else EVIL,
            )  # fmt: skip
    return {"name": name}


def _pk(model: Any) -> Callable[[models.Agency], Mapping[str, Any]]:
    return lambda agency: {"pk": model.objects.filter(agency=agency).first().pk}


def _webhook(agency: models.Agency) -> Mapping[str, Any]:
    """A webhook whose receiver answers with evil, and a message that was given up."""
    at = datetime.now(UTC)
    endpoint, is_new = models.WebhookEndpoint.objects.get_or_create(
        agency=agency, name="payroll",
        defaults={
            "address": "https://payroll.example/hook", "kinds": ["user.added"], "created_at": at, "failing_since": at,
            "secrets": [{"secret": encryption.seal("whsec_" + "A" * 44), "until": None}], "failures": 3, "problem": EVIL,
        },
    )  # fmt: skip
    if is_new:
        attempt = {"at": at.isoformat(), "status": 500, "ms": 7, "problem": EVIL}
        models.WebhookMessage.objects.create(
            endpoint=endpoint, webhook_id=f"msg_7_{'a' * 24}", kind="user.added", subject="user:7", body=EVIL, at=at,
            until=at, ended_at=at, log=[attempt],
        )  # fmt: skip
    return {"name": endpoint.name}


def _provider(agency: models.Agency) -> Mapping[str, Any]:
    provider = {
        "slug": "county", "kind": "oidc", "name": f"County {EVIL}", "server": "https://county.example", "client_id": EVIL,
        "match": "email", "claim": "", "trust_email": False, "second_factor": False, "secret": encryption.seal("hush"),
    }  # fmt: skip
    models.Agency.objects.filter(pk=agency.pk).update(sign_on=[provider])
    return {"slug": "county"}


THINGS: dict[str, Callable[[models.Agency], Mapping[str, Any]]] = {
    **dict.fromkeys(
        (
            "import",
            "import_cancel",
            "import_discard",
            "import_undo",
            "import_match",
            "import_fixes",
            "import_undo_fix",
            "import_recheck",
            "import_read",
            "import_values",
            "import_again",
            "import_missing",
            "import_defaults",
            "import_results",
            "import_errors",
        ),
        _import,
    ),
    **dict.fromkeys(
        (
            "user",
            "user_edit",
            "user_added",
            "user_link",
            "user_deactivate",
            "user_reactivate",
            "user_invite",
            "user_invitation",
            "user_reset",
            "user_unlock",
            "user_second_factors",
            "user_sign_on",
            "user_sessions",
        ),
        _pk(models.User),
    ),
    **dict.fromkeys(("bulk_plan", "bulk_cancel"), _bulk),
    "import_example": lambda _: {"form": "csv"},
    "export_users": lambda _: {"form": "csv"},
    **dict.fromkeys(("group", "group_edit", "group_delete", "group_monitor"), _pk(models.Group)),
    **dict.fromkeys(("rank", "rank_move", "rank_delete"), _pk(models.Rank)),
    **dict.fromkeys(("role", "role_delete"), _pk(models.Role)),
    **dict.fromkeys(("agency_sign_on_one", "agency_sign_on_remove"), _provider),
    **dict.fromkeys(
        (
            "feed",
            "feed_run",
            "feed_check",
            "feed_pause",
            "feed_resume",
            "feed_remove",
            "feed_secret",
            "feed_host_key",
        ),
        _feed,
    ),
    "feed_change": lambda agency: {**_feed(agency), "section": "location"},
    "feed_token": lambda agency: {**_feed(agency, "sent")},
    "feed_add_kind": lambda _: {"kind": "sftp"},
    **dict.fromkeys(
        (
            "webhook",
            "webhook_change",
            "webhook_rotate",
            "webhook_test",
            "webhook_send_again",
            "webhook_pause",
            "webhook_resume",
            "webhook_remove",
        ),
        _webhook,
    ),
    "agency_sign_on_add": lambda _: {"kind": "saml"},
    "api_token_revoke": _pk(Token),
    "import_waiting": _waiting,
    "help_picture": lambda _: {"name": "second-night.svg"},
    "help_document": lambda _: {"name": "how-to/use-the-pages"},
    "continue_form": lambda _: {"token": "gone"},
    "saved_filter_delete": _saved_filter,
}
"""Name of a page → the parts of its address that vary, for something that the agency has."""
