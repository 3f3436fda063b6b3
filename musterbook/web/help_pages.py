"""Help within the product: the documents as pages, and the part of them that explains each page."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from musterbook.web import documents
from musterbook.web.permission import require_sign_in

_SECTIONS: dict[str, str | Promise] = {
    "": _("Start here"),
    "how-to": _("How to"),
    "reference": _("Reference"),
    "explanation": _("Explanation"),
}
_PAGES = "how-to/use-the-pages"
PARTS = {
    **dict.fromkeys(("home", "notices", "notices_read"), f"{_PAGES}#home"),
    **dict.fromkeys(("all_users", "users_view", "saved_filters", "saved_filter_delete"), f"{_PAGES}#all-users"),
    **dict.fromkeys(("bulk", "bulk_plan", "bulk_cancel"), f"{_PAGES}#change-many-users"),
    **dict.fromkeys(("import_users", "import_waiting"), f"{_PAGES}#import-users"),
    **dict.fromkeys(
        (
            "import",
            "import_cancel",
            "import_discard",
            "import_undo",
            "import_fixes",
            "import_undo_fix",
            "import_recheck",
            "import_read",
            "import_values",
            "import_again",
            "import_missing",
            "import_defaults",
        ),
        f"{_PAGES}#the-plan-of-an-import",
    ),
    "import_match": "how-to/fix-a-file#match-columns-and-values",
    "imports": f"{_PAGES}#import-history",
    **dict.fromkeys(
        (
            "feeds",
            "feed",
            "feed_add",
            "feed_add_kind",
            "feed_change",
            "feed_run",
            "feed_check",
            "feed_pause",
            "feed_resume",
            "feed_remove",
            "feed_secret",
            "feed_token",
            "feed_host_key",
        ),
        f"{_PAGES}#feeds",
    ),
    **dict.fromkeys(
        (
            "user",
            "user_link",
            "user_edit",
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
        f"{_PAGES}#a-user",
    ),
    **dict.fromkeys(("add_user", "user_added"), f"{_PAGES}#add-user"),
    **dict.fromkeys(
        (
            "groups",
            "group",
            "group_add",
            "group_edit",
            "group_delete",
            "group_monitor",
            "ranks",
            "rank",
            "rank_move",
            "rank_delete",
            "roles",
            "role",
            "role_add",
            "role_delete",
        ),
        f"{_PAGES}#roles-ranks-and-groups",
    ),
    **dict.fromkeys(("groups_import", "roles_import", "ranks_import"), "how-to/roles-ranks-groups"),
    **dict.fromkeys(
        (
            "agency_settings",
            "agency_imports",
            "agency_limits",
            "agency_limit_add",
            "agency_limit_remove",
            "agency_values",
            "agency_forget",
            "agency_forget_value",
            "agency_accounts",
            "agency_mails",
        ),
        f"{_PAGES}#agency-settings",
    ),
    "agency_second_factors": "how-to/second-factors",
    **dict.fromkeys(
        ("agency_sign_on", "agency_sign_on_add", "agency_sign_on_one", "agency_sign_on_remove"), "how-to/single-sign-on"
    ),
    "audit": f"{_PAGES}#audit-trail",
    "audit_check": "how-to/audit",
    **dict.fromkeys(("api_access", "api_token_add", "api_token_revoke"), "how-to/api-access"),
    "api_try": "reference/rest",
    **dict.fromkeys(
        (
            "webhooks",
            "webhook",
            "webhook_add",
            "webhook_change",
            "webhook_rotate",
            "webhook_test",
            "webhook_send_again",
            "webhook_pause",
            "webhook_resume",
            "webhook_remove",
        ),
        f"{_PAGES}#webhooks",
    ),
    **dict.fromkeys(
        (
            "my_account",
            "account_change_password",
            "account_set_password",
            "usersessions_list",
            "notice_emails",
        ),
        f"{_PAGES}#my-account",
    ),
    **dict.fromkeys(
        (
            "mfa_index",
            "mfa_activate_totp",
            "mfa_deactivate_totp",
            "mfa_list_webauthn",
            "mfa_add_webauthn",
            "mfa_edit_webauthn",
            "mfa_remove_webauthn",
            "mfa_view_recovery_codes",
            "mfa_generate_recovery_codes",
        ),
        "how-to/second-factors#set-up-a-second-factor",
    ),
}
"""The name of a page → the document and the part of it that explains the page. Other pages lead to the list."""


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """A section of the list of documents, with the name and title of each document."""

    label: str | Promise
    entries: list[tuple[str, str]]


def list_sections() -> list[DocumentSection]:
    """Return all documents by section."""
    titles = [(name, document.title) for name in documents.list_names() if (document := documents.read_document(name))]
    return [
        DocumentSection(label, [(name, title) for name, title in titles if name.rpartition("/")[0] == section])
        for section, label in _SECTIONS.items()
    ]


def get_address(request: HttpRequest) -> str:
    """Return the address of the help for the page of the request."""
    name = request.resolver_match.url_name if request.resolver_match else None
    part, _separator, anchor = PARTS.get(name or "", "").partition("#")
    if not part:
        return reverse("help")
    address = reverse("help_document", args=[part])
    return f"{address}#{anchor}" if anchor else address


def get_problem_address(code: str) -> str:
    """Return the address of the explanation of a kind of problem."""
    return f"{reverse('help_document', args=['reference/problems'])}#code-{slugify(code)}"


@require_sign_in
def index(request: HttpRequest) -> HttpResponseBase:
    """List the documents and the shortcuts of the keyboard."""
    return render(request, "help.html", {"sections": list_sections()})


@require_sign_in
def document(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show one document."""
    found = documents.read_document(name)
    if found is None:
        raise Http404
    return render(request, "help_document.html", {"document": found, "sections": list_sections()})


@require_sign_in
def picture(_request: HttpRequest, name: str) -> HttpResponse:
    """Return a picture of the documents."""
    found = documents.find_picture(name)
    if found is None:
        raise Http404
    content, media_type = found
    return HttpResponse(content, content_type=media_type, headers={"Content-Disposition": "attachment"})
