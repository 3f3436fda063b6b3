"""The first page while there are no users: the first steps, and a form that requires the setup code."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from musterbook.accounts import first_run
from musterbook.accounts.first_run import NotNew, Problems, SetupData, WrongCode
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.http import rate_limits, request_context

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_INVALID_CODE = gettext_lazy(
    "This is not the code that was printed last, or it no longer works. Start muster serve again to print a new code."
)
_LABELS: "dict[str, tuple[StrOrPromise, str, StrOrPromise]]" = {
    "FIRST_NAME": (gettext_lazy("First name"), "given-name", ""),
    "LAST_NAME": (gettext_lazy("Last name"), "family-name", ""),
    "EMAIL": (gettext_lazy("Email address"), "email", ""),
    "USERNAME": (gettext_lazy("Username"), "username", gettext_lazy("The name that you sign in with.")),
    "BADGE_NUMBER": (gettext_lazy("Badge number"), "off", ""),
    "EXTERNAL_ID": (
        gettext_lazy("External ID"),
        "off",
        gettext_lazy("Your ID in your personnel system. Files identify you by it."),
    ),
}
"""The label, the autocomplete value, and the hint of each heading."""


class SetupForm(forms.Form):
    """The setup code, the agency, and its administrator."""

    code = forms.CharField(
        label=gettext_lazy("Setup code"), max_length=255, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("The command muster serve printed it when it started."),
    )  # fmt: skip
    name = forms.CharField(label=gettext_lazy("Agency name"), max_length=255)
    slug = forms.CharField(
        label=gettext_lazy("Short name"), max_length=255, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Part of the address of its pages. Use lowercase letters, digits and hyphens, such as springfield-pd."
        ),
    )  # fmt: skip
    country = forms.CharField(
        label=gettext_lazy("Country"), max_length=255, required=False, widget=forms.TextInput({"autocomplete": "country"}),
        help_text=gettext_lazy("Two letters, such as US. It applies to phone numbers without a country code."),
    )  # fmt: skip

    second_factor = forms.BooleanField(
        label=gettext_lazy("Administrators must sign in with a second factor"), required=False, initial=True,
        help_text=gettext_lazy("Recommended: a code from an app, or a passkey. You set up yours after you choose a password."),
    )  # fmt: skip

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for heading, (label, autocomplete, hint) in _LABELS.items():
            widget = forms.TextInput({"autocomplete": autocomplete})
            self.fields[heading.lower()] = forms.CharField(label=label, help_text=hint, widget=widget)

    @property
    def agency(self) -> list[forms.BoundField]:
        """Return the fields of the agency."""
        return [self[name] for name in ("name", "slug", "country")]

    @property
    def administrator(self) -> list[forms.BoundField]:
        """Return the fields of the administrator."""
        return [self[heading.lower()] for heading in _LABELS]

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def read_values(self) -> SetupData:
        """Return the values that were entered."""
        data = self.cleaned_data
        row = {heading: data[heading.lower()] for heading in _LABELS}
        return SetupData(data["slug"], data["name"], data["country"], row, data["second_factor"])


@sensitive_post_parameters("code")
@rate_limits.limit_by_address("set-up", "POST")
def show_setup(request: HttpRequest) -> HttpResponseBase:
    """Show the first steps, or create the first agency and its administrator.

    The administrator is redirected to the page on which they choose a password.
    """
    form = SetupForm(request.POST) if request.method == "POST" else SetupForm()
    if form.is_bound and form.is_valid():
        path = _set_up(request, form)
        if path:
            answer = redirect(f"/{path}")
            # From here on, the cookies of the agency's pages are used.
            answer.delete_cookie(settings.CSRF_COOKIE_NAME, samesite="Lax")
            return answer
    return render(request, "first_run.html", {"form": form}, status=422 if form.is_bound else 200)


def _set_up(request: HttpRequest, form: SetupForm) -> str:
    """Return the path on which the administrator registers, or "" if the form has errors."""
    try:
        return first_run.set_up_agency(
            form.cleaned_data["code"], form.read_values(), request_context.audit_context(request)
        )
    except (WrongCode, NotNew):
        form.add_error("code", _INVALID_CODE)
    except InvalidValue as unfit:
        form.add_error(unfit.field, unfit.sentence)
    except Problems as problems:
        for problem in problems.found:
            form.add_error(problem.column.lower(), f"{problem.message} {problem.remedy}".strip())
    return ""
