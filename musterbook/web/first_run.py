"""The first page while there is nobody yet: what to do first, and a form for whoever has the setup code."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from musterbook.accounts import first_run, limited, requests
from musterbook.accounts.first_run import NotNew, Problems, Told, WrongCode
from musterbook.directory.agency.vocabularies import Unfit

_VOID = "This is not the code that was printed last, or it is void. Start muster serve again: it prints another."
_LABELS = {
    "FIRST_NAME": ("First name", "given-name", ""),
    "LAST_NAME": ("Last name", "family-name", ""),
    "EMAIL": ("E-mail address", "email", ""),
    "USERNAME": ("Username", "username", "What you sign in with."),
    "BADGE_NUMBER": ("Badge number", "off", ""),
    "EXTERNAL_ID": ("External id", "off", "As your personnel system knows you: files will mean you by it."),
}
"""Heading → what the page calls it, how browsers fill it in, and what to say of it."""


class SetUp(forms.Form):
    """The setup code, the agency, and who is its administrator."""

    code = forms.CharField(
        label="Setup code", max_length=255, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Where muster serve was started, it printed one.",
    )  # fmt: skip
    name = forms.CharField(label="Name of the agency", max_length=255)
    slug = forms.CharField(
        label="Short name", max_length=255, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Its address begins with it: lower-case letters, digits and hyphens, such as springfield-pd.",
    )  # fmt: skip
    country = forms.CharField(
        label="Country", max_length=255, required=False, widget=forms.TextInput({"autocomplete": "country"}),
        help_text="Two letters, such as US. Phone numbers without a country code are of it.",
    )  # fmt: skip

    second_factor = forms.BooleanField(
        label="Administrators must sign in with a second factor", required=False, initial=True,
        help_text="Recommended: a code from an app, or a passkey. You set yours up after you have chosen a password.",
    )  # fmt: skip

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for heading, (label, completed, about) in _LABELS.items():
            widget = forms.TextInput({"autocomplete": completed})
            self.fields[heading.lower()] = forms.CharField(label=label, help_text=about, widget=widget)

    @property
    def agency(self) -> list[forms.BoundField]:
        """The fields that are of the agency."""
        return [self[name] for name in ("name", "slug", "country")]

    @property
    def administrator(self) -> list[forms.BoundField]:
        """The fields that are of the administrator."""
        return [self[heading.lower()] for heading in _LABELS]

    @property
    def wrong(self) -> list[tuple[forms.BoundField, list[str]]]:
        """The fields with what is wrong with each, as a summary of errors lists them."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def told(self) -> Told:
        """What was said."""
        said = self.cleaned_data
        row = {heading: said[heading.lower()] for heading in _LABELS}
        return Told(said["slug"], said["name"], said["country"], row, said["second_factor"])


@sensitive_post_parameters("code")
@limited.by_address("set-up", "POST")
def begin(request: HttpRequest) -> HttpResponseBase:
    """Says what to do first; makes the first agency and its administrator, who is led to choose a password."""
    form = SetUp(request.POST) if request.method == "POST" else SetUp()
    if form.is_bound and form.is_valid():
        path = _begun(request, form)
        if path:
            answer = redirect(f"/{path}")
            # From here on cookies are those of the agency's pages.
            answer.delete_cookie(settings.CSRF_COOKIE_NAME, samesite="Lax")
            return answer
    return render(request, "first_run.html", {"form": form}, status=422 if form.is_bound else 200)


def _begun(request: HttpRequest, form: SetUp) -> str:
    """The path on which the administrator registers; "" where the form says why not."""
    try:
        return first_run.begin(form.cleaned_data["code"], form.told(), requests.act(request))
    except (WrongCode, NotNew):
        form.add_error("code", _VOID)
    except Unfit as unfit:
        form.add_error(unfit.field, unfit.sentence)
    except Problems as problems:
        for problem in problems.found:
            form.add_error(problem.column.lower(), f"{problem.message} {problem.remedy}".strip())
    return ""
