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
    "home": f"{_PAGES}#home",
    "notices": f"{_PAGES}#home",
    "all_users": f"{_PAGES}#all-users",
    "bulk": f"{_PAGES}#change-many-users",
    "bulk_plan": f"{_PAGES}#change-many-users",
    "import_users": f"{_PAGES}#import-users",
    "import_waiting": f"{_PAGES}#import-users",
    "import": f"{_PAGES}#the-plan-of-an-import",
    "imports": f"{_PAGES}#import-history",
    **dict.fromkeys(
        (
            "feeds",
            "feed",
            "feed_add",
            "feed_add_kind",
            "feed_change",
            "feed_pause",
            "feed_remove",
            "feed_secret",
            "feed_token",
            "feed_host_key",
        ),
        f"{_PAGES}#feeds",
    ),
    "user": f"{_PAGES}#a-user",
    "user_edit": f"{_PAGES}#a-user",
    "add_user": f"{_PAGES}#add-user",
    "groups": f"{_PAGES}#roles-ranks-and-groups",
    "group": f"{_PAGES}#roles-ranks-and-groups",
    **dict.fromkeys(("groups_import", "roles_import", "ranks_import"), "how-to/roles-ranks-groups"),
    "ranks": f"{_PAGES}#roles-ranks-and-groups",
    "roles": f"{_PAGES}#roles-ranks-and-groups",
    "role": f"{_PAGES}#roles-ranks-and-groups",
    "agency_settings": f"{_PAGES}#agency-settings",
    "agency_imports": f"{_PAGES}#agency-settings",
    "agency_values": f"{_PAGES}#agency-settings",
    "agency_accounts": f"{_PAGES}#agency-settings",
    "agency_second_factors": "how-to/second-factors",
    "agency_mails": f"{_PAGES}#agency-settings",
    "agency_sign_on": "how-to/single-sign-on",
    "agency_sign_on_add": "how-to/single-sign-on",
    "agency_sign_on_one": "how-to/single-sign-on",
    "audit": f"{_PAGES}#audit-trail",
    "audit_check": "how-to/audit",
    "api_access": "how-to/api-access",
    "api_try": "reference/rest",
    **dict.fromkeys(
        ("webhooks", "webhook", "webhook_add", "webhook_change", "webhook_rotate", "webhook_remove"),
        "how-to/receive-a-webhook",
    ),
    "my_account": f"{_PAGES}#my-account",
    "mfa_index": f"{_PAGES}#my-account",
    "account_change_password": f"{_PAGES}#my-account",
    "usersessions_list": f"{_PAGES}#my-account",
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
