"""Agency settings: a page for each section, each saved separately."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from musterbook.accounts import factors
from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import agency_settings, limits, roles
from musterbook.directory.agency.agency_settings import StaleSettings
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.apply import snapshot_queries
from musterbook.http import request_context
from musterbook.web import menu
from musterbook.web.agency.forms import (
    AccountsForm,
    DetailsForm,
    MailsForm,
    SecondFactorsForm,
    SectionForm,
)
from musterbook.web.agency.import_forms import ImportsForm, LimitsForm, NamedLimitForm, name_limit
from musterbook.web.permission import get_account, needs

PERMISSION = "agency.configure"


@needs(PERMISSION)
def details(request: HttpRequest) -> HttpResponseBase:
    """Edit the agency's name and country, and the language and time zone of its users."""
    saved = _("The details were saved.")
    return _show_section(request, DetailsForm, "agency_settings", saved, title=_("Agency settings"), about_agency=True)


@needs(PERMISSION)
def import_limits(request: HttpRequest) -> HttpResponseBase:
    """Edit the limits above which an import is on hold."""
    agency = request_context.agency(request)
    return _show_section(request, LimitsForm, "agency_limits", _("The limits were saved."), **_describe_limits(agency))


def _describe_limits(agency: models.Agency) -> dict[str, Any]:
    """Return the context of the page of the limits, with those of roles and groups."""
    named = [one for one in limits.read_own_limits(agency) if not one.whole]
    intro = _(
        "An import that affects more users than its limit is on hold until someone confirms the number. "
        "So a file that was cut off removes no one’s access."
    )
    return {
        "title": _("Import limits"),
        "intro": intro,
        "named_limits": [(limits.name_limit(one), name_limit(one), limits.explain_limit(one)) for one in named],
        "limit_form": NamedLimitForm(agency),
    }


@needs(PERMISSION)
def imports(request: HttpRequest) -> HttpResponseBase:
    """Edit what imports do, and show how files are read: the remembered headings, encoding and header row."""
    agency = request_context.agency(request)
    saved = _("The import settings were saved.")
    context = {
        "mapping": sorted(agency.mapping.items()),
        "reading": [(name, _READING[name], value) for name, value in sorted(agency.reading.items())],
    }
    return _show_section(request, ImportsForm, "agency_imports", saved, title=_("Imports"), wide=True, **context)


_READING = {
    "encoding": gettext_lazy("Encoding of files that are not UTF-8"),
    "header_row": gettext_lazy("Row with the headings"),
}


@require_POST
@needs(PERMISSION)
def add_limit(request: HttpRequest) -> HttpResponseBase:
    """Add a limit for the users of one role or group."""
    agency = request_context.agency(request)
    form = NamedLimitForm(agency, request.POST)
    if not form.is_valid():
        context = {"form": LimitsForm(agency), **_describe_limits(agency), "limit_form": form}
        return render_page(request, "agency_section.html", **context)
    agency_settings.add_limit(agency, form.read_limit(), request_context.audit_context(request))
    messages.success(request, _("The limit was added."))
    return _return_to("agency_limits", "named-limits")


def _return_to(name: str, part: str) -> HttpResponseBase:
    """Redirect to a page of the settings. The part with that id gets the focus."""
    return redirect(f"{reverse(name)}#{part}")


@require_POST
@needs(PERMISSION)
def remove_limit(request: HttpRequest) -> HttpResponseBase:
    """Remove a limit for the users of one role or group."""
    name, context = request.POST.get("limit", ""), request_context.audit_context(request)
    if agency_settings.remove_limit(request_context.agency(request), name, context):
        messages.success(request, _("The limit was removed."))
    return _return_to("agency_limits", "named-limits")


@require_POST
@needs(PERMISSION)
def forget(request: HttpRequest) -> HttpResponseBase:
    """Forget the column to which a heading was mapped, or how files are read."""
    heading, name = request.POST.get("heading", ""), request.POST.get("reading", "")
    agency, context = request_context.agency(request), request_context.audit_context(request)
    if agency_settings.forget_reading(agency, name, context):
        text = _("%(what)s: forgotten. It will be detected in each file again.")
        messages.success(request, text % {"what": _READING[name]})
    if agency_settings.forget_heading(request_context.agency(request), heading, request_context.audit_context(request)):
        text = _("The column of “%(heading)s” was forgotten. The next file that has this heading will ask again.")
        messages.success(request, text % {"heading": heading})
    return _return_to("agency_imports", "headings")


@needs(PERMISSION)
def accounts(request: HttpRequest) -> HttpResponseBase:
    """Edit the rules for invitations, passwords, locks, and sessions."""
    handler: Any = _secure_section if request.method == "POST" else _show_section
    response: HttpResponseBase = handler(
        request,
        AccountsForm,
        "agency_accounts",
        _("The rules were saved."),
        title=_("Sign-in and passwords"),
        wide=True,
    )
    return response


@needs(PERMISSION)
def mails(request: HttpRequest) -> HttpResponseBase:
    """Edit the kinds of emails that are sent."""
    intro = _(
        "Emails about the security of an account (a new password, a new address, a lock, second factors) are always sent."
    )
    return _show_section(
        request, MailsForm, "agency_mails", _("The email settings were saved."), title=_("Email"), intro=intro,
        no_server=settings.MAIL_SERVER is None,
    )  # fmt: skip


def _show_section(
    request: HttpRequest, kind: type[SectionForm], name: str, saved: str, **context: Any
) -> HttpResponseBase:
    """Show or save one section. `saved` is the message after it was saved."""
    agency = request_context.agency(request)
    form = kind(agency, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _save(request, agency, form):
        messages.success(request, saved)
        return redirect(name)
    return render_page(request, "agency_section.html", form=form, **context)


_secure_section = reauthentication_required(_show_section)


def _save(request: HttpRequest, agency: models.Agency, form: SectionForm) -> bool:
    try:
        agency_settings.change(agency, form.read_values(), form.read_original(), request_context.audit_context(request))
    except InvalidValue as unfit:
        form.add_error(unfit.field, unfit.sentence)
    except StaleSettings as stale:
        form.add_stale_errors(stale)
    else:
        return True
    return False


def render_page(request: HttpRequest, template: str, **context: Any) -> HttpResponseBase:
    """Render a page of the settings, with their menu."""
    side = menu.list_entries(menu.SETTINGS, request, get_account(request).user)
    forms = [context.get("form"), context.get("limit_form")]
    status = 422 if any(form is not None and form.is_bound and form.errors for form in forms) else 200
    return render(request, template, context | {"side": side}, status=status)


def find_operator(request: HttpRequest) -> Operator:
    """Return the signed-in user as the operator."""
    return snapshot_queries.read_operator(request_context.agency(request), get_account(request).user.external_id)


@needs(PERMISSION)
def second_factors(request: HttpRequest) -> HttpResponseBase:
    """Edit the roles whose users must have a second factor."""
    every = roles.list_roles(request_context.agency(request))
    mine = find_operator(request).permissions
    allowed = [role for role in every if permissions.get_permissions(role) <= mine]
    others = [role for role in every if role not in allowed]
    data = request.POST if request.method == "POST" else None
    form = SecondFactorsForm(request_context.agency(request), allowed, data, all_=not others)
    if form.is_bound and form.is_valid():
        answer: HttpResponseBase = _save_second_factors(request, form, allowed)
        return answer
    return render_page(request, "agency_second_factors.html", form=form, others=others)


def _list_stopped(agency: models.Agency, new: list[models.Role], everyone: bool) -> list[tuple[str, int]]:
    """Return each role that newly requires a second factor, with the number of its users who have none.

    If everyone is to have one, the list includes everyone.
    """
    rows = [(role.name, factors.count_without(agency, role)) for role in new]
    return [*rows, (_("Everyone"), factors.count_without(agency))] if everyone else rows


@reauthentication_required
def _save_second_factors(request: HttpRequest, form: SecondFactorsForm, allowed: list[models.Role]) -> HttpResponseBase:
    """Save which roles, or everyone, must have a second factor.

    Before a new requirement is saved, ask for confirmation. The page shows how many users cannot continue until they
    set up a second factor.
    """
    agency, context, everyone = (
        request_context.agency(request),
        request_context.audit_context(request),
        form.cleaned_data["everyone"],
    )
    new = [role for role in allowed if role.pk in form.read_values() - form.read_original() and not role.second_factor]
    was_everyone = form.included_everyone()
    all_new = everyone and not was_everyone and not agency.second_factor
    agreed = " ".join([*(str(role.pk) for role in new), *(["everyone"] if all_new else [])])
    if agreed and request.POST.get("agreed") != agreed:
        extra = {"stopped": _list_stopped(agency, new, all_new), "agreed": agreed, "everyone": everyone}
        affects_self = (all_new or get_account(request).user.role in new) and not factors.has_factor(
            get_account(request)
        )
        return render_page(request, "agency_second_factors_agree.html", form=form, own=affects_self, **extra)
    agency_settings.set_second_factors(
        agency, form.read_values(), form.read_original(), context, find_operator(request)
    )
    agency_settings.change(agency, {"second_factor": everyone}, {"second_factor": was_everyone}, context)
    messages.success(request, _("The second factor settings were saved."))
    return redirect("agency_second_factors")
