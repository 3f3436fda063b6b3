"""The deletion of a role, a rank, or a group: after confirmation, and only while no user has it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from musterbook.directory.agency import vocabularies
from musterbook.directory.agency.vocabularies import InUse, NotAllowed
from musterbook.web.permission import may

_DELETED = {
    "role": gettext_noop("The role %(name)s was deleted."),
    "rank": gettext_noop("The rank %(name)s was deleted."),
    "group": gettext_noop("The group %(name)s was deleted."),
}


def ask_confirmation(request: HttpRequest, entry: Any, noun: str) -> HttpResponse:
    """Render the page that asks for confirmation, or shows how many users still have the entry.

    `noun` is role, rank, or group.
    """
    context = {
        "entry": entry, "noun": noun, "back": f"{noun}s", "fixed": getattr(entry, "administrator", False),
        "users": vocabularies.count_entry_users(entry.agency, noun, entry.pk), "may_move": may(request, "users.edit"),
        "may_see": may(request, "users.view"),
    }  # fmt: skip
    return render(request, "entry_delete.html", context)


def delete_entry(request: HttpRequest, entry: Any, noun: str, delete: Callable[[], None]) -> HttpResponse:
    """Delete the entry and redirect to the list, or back to the confirmation if users have it by now."""
    name, pk = entry.name, entry.pk
    try:
        delete()
    except InUse:
        return redirect(f"{noun}_delete", pk)
    except NotAllowed as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _(_DELETED[noun]) % {"name": name})
    return redirect(f"{noun}s")
