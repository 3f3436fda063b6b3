"""Agency settings: a page for each section, each saved separately."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
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
    LimitsForm,
    MailsForm,
    NamedLimitForm,
    SecondFactorsForm,
    SectionForm,
    name_limit,
)
from musterbook.web.permission import get_account, needs

PERMISSION = "agency.configure"


@needs(PERMISSION)
def details(request: HttpRequest) -> HttpResponseBase:
    """Edit the agency's name and country."""
    return _show_section(request, DetailsForm, "agency_settings", "The details are saved.", title="Agency settings")


@needs(PERMISSION)
def imports(request: HttpRequest) -> HttpResponseBase:
    """Edit the limits of what needs no confirmation, and show the remembered mapping of headings."""
    agency = request_context.agency(request)
    intro = (
        "An import that would concern more users than this is held until somebody types their number. "
        "So a file that was cut off takes nobody's access away. Leave a limit blank for its default."
    )
    return _show_section(
        request, LimitsForm, "agency_imports", "The limits are saved.", title="Imports", intro=intro,
        **_describe_imports(agency),
    )  # fmt: skip


_READING = {"encoding": "Encoding of files that are not UTF-8", "header_row": "Row that has the headings"}


def _describe_imports(agency: models.Agency) -> dict[str, Any]:
    """Return the remembered mapping of headings, and the limits of roles and groups."""
    named = [one for one in limits.read_own_limits(agency) if not one.whole]
    return {
        "mapping": sorted(agency.mapping.items()),
        "reading": [(name, _READING[name], value) for name, value in sorted(agency.reading.items())],
        "named_limits": [(limits.name_limit(one), name_limit(one), limits.explain_limit(one)) for one in named],
        "limit_form": NamedLimitForm(agency),
    }


@require_POST
@needs(PERMISSION)
def add_limit(request: HttpRequest) -> HttpResponseBase:
    """Add a limit for the users of one role or group."""
    agency = request_context.agency(request)
    form = NamedLimitForm(agency, request.POST)
    if not form.is_valid():
        context = {"title": "Imports", "form": LimitsForm(agency), **_describe_imports(agency), "limit_form": form}
        return render_page(request, "agency_section.html", **context)
    agency_settings.add_limit(agency, form.read_limit(), request_context.audit_context(request))
    messages.success(request, "The limit is added.")
    return redirect("agency_imports")


@require_POST
@needs(PERMISSION)
def remove_limit(request: HttpRequest) -> HttpResponseBase:
    """Remove a limit for the users of one role or group."""
    name, context = request.POST.get("limit", ""), request_context.audit_context(request)
    if agency_settings.remove_limit(request_context.agency(request), name, context):
        messages.success(request, "The limit is removed.")
    return redirect("agency_imports")


@require_POST
@needs(PERMISSION)
def forget(request: HttpRequest) -> HttpResponseBase:
    """Forget the column to which a heading was mapped, or how files are read."""
    heading, name = request.POST.get("heading", ""), request.POST.get("reading", "")
    agency, context = request_context.agency(request), request_context.audit_context(request)
    if agency_settings.forget_reading(agency, name, context):
        messages.success(request, f"{_READING[name]}: it is forgotten. It is found in each file again.")
    if agency_settings.forget_heading(request_context.agency(request), heading, request_context.audit_context(request)):
        messages.success(request, f"What “{heading}” was mapped to is forgotten. The next file that has it asks.")
    return redirect("agency_imports")


@needs(PERMISSION)
def accounts(request: HttpRequest) -> HttpResponseBase:
    """Edit the rules for invitations, passwords, locks, and sessions."""
    handler: Any = _secure_section if request.method == "POST" else _show_section
    response: HttpResponseBase = handler(
        request, AccountsForm, "agency_accounts", "The rules are saved.", title="Sign-in and passwords"
    )
    return response


@needs(PERMISSION)
def mails(request: HttpRequest) -> HttpResponseBase:
    """Edit the kinds of mails that are sent."""
    intro = "What tells users of their account's safety (a new password, a new address, a lock, second factors) always leaves."
    return _show_section(
        request, MailsForm, "agency_mails", "What mails leave is saved.", title="Mails", intro=intro,
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
    return [*rows, ("Everyone", factors.count_without(agency))] if everyone else rows


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
    messages.success(request, "Who must have a second factor is saved.")
    return redirect("agency_second_factors")
