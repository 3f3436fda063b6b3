"""The first pages: those of the installation itself, and the one after sign-in."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import get_script_prefix
from django.utils.translation import gettext, gettext_lazy

from musterbook.directory.agency.agencies import find_known_slug, find_only_slug
from musterbook.directory.agency.agency_file import check_slug
from musterbook.directory.installation import migration
from musterbook.directory.storage import isolation
from musterbook.http import request_context
from musterbook.web import first_run, first_steps, middleware, status
from musterbook.web.permission import require_sign_in


@isolation.open_to_all()
def agencies(request: HttpRequest) -> HttpResponseBase:
    """Lead to an agency's pages, or show the first-run page if the installation is new.

    If there is one agency, redirect to it. Users who are signed in get to the pages of their agency. Others enter its
    address. The page does not look it up, so it does not reveal which agencies exist.
    """
    if migration.is_new():
        answer: HttpResponseBase = first_run.show_setup(request)
        return answer
    form = AddressForm(request.GET if "address" in request.GET else None)
    if form.is_bound:
        if form.is_valid():
            return _redirect_to_agency(form.cleaned_data["address"])
        return render(request, "agencies.html", {"form": form}, status=422)
    slug = find_only_slug() or find_known_slug(middleware.read_agency_cookie(request))
    if slug:
        return _redirect_to_agency(slug)
    return render(request, "agencies.html", {"form": form})


def _redirect_to_agency(slug: str) -> HttpResponseBase:
    return redirect(f"{get_script_prefix()}{slug}/")


class AddressForm(forms.Form):
    """The address of an agency's pages, or only its short name."""

    address = forms.CharField(
        label=gettext_lazy("Agency address"), max_length=500,
        help_text=gettext_lazy("The short name of your agency, such as springfield-pd. Your invitation email has it."),
        error_messages={"required": gettext_lazy("Enter the address of your agency.")},
        widget=forms.TextInput({"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    def clean_address(self) -> str:
        """Return the short name that the address contains. Raise ValidationError if it contains none."""
        text = str(self.cleaned_data["address"]).strip().lower()
        path = urlsplit(text).path if "://" in text else text
        slug = next((part for part in path.split("/") if part and "." not in part and ":" not in part), "")
        if check_slug(slug):
            raise forms.ValidationError(
                gettext("Enter the short name of your agency: lowercase letters, digits and hyphens.")
            )
        return slug

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]


@require_sign_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the status of the agency, as far as the user's permissions allow. In a new agency, show the first steps."""
    context = status.describe(request, request_context.agency(request), datetime.now(UTC))
    return render(request, "home.html", context | {"first_steps": first_steps.list_steps(request)})
