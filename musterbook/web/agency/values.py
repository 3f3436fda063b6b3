"""Agency settings: what values of files mean, and what new users get in columns that a file does not have (F13, F14)."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from musterbook.core.domain.file_values import DEFAULTED
from musterbook.directory import models
from musterbook.directory.agency import file_values
from musterbook.directory.agency.agency_settings import StaleSettings
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.apply import snapshot_queries
from musterbook.http import request_context
from musterbook.web import default_fields
from musterbook.web.agency.forms import SectionForm
from musterbook.web.agency.settings import PERMISSION, find_operator, render_page
from musterbook.web.permission import needs


class DefaultsForm(SectionForm):
    """The defaults of an agency, a field for each column that can have one."""

    settings = tuple(column.heading for column in DEFAULTED)

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        now = {heading: agency.defaults.get(heading, "") for heading in self.settings}
        forms.Form.__init__(self, sent, initial=now | {"shown": json.dumps(now)})
        self.fields |= default_fields.make_fields(DEFAULTED, snapshot_queries.read_vocabulary(agency), now)


@needs(PERMISSION)
def values(request: HttpRequest) -> HttpResponseBase:
    """Show the remembered values, and edit the defaults."""
    agency = request_context.agency(request)
    form = DefaultsForm(agency, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _save(request, agency, form):
        messages.success(request, _("The defaults were saved."))
        return redirect("agency_values")
    entries = [(heading, *pair) for heading, pairs in sorted(agency.values.items()) for pair in sorted(pairs.items())]
    return render_page(request, "agency_values.html", form=form, entries=entries)


def _save(request: HttpRequest, agency: models.Agency, form: DefaultsForm) -> bool:
    try:
        file_values.change_defaults(
            agency,
            form.read_values(),
            form.read_original(),
            request_context.audit_context(request),
            find_operator(request),
        )
    except InvalidValue as unfit:
        form.add_error(unfit.field, unfit.sentence)
    except StaleSettings as stale:
        form.add_stale_errors(stale)
    else:
        return True
    return False


@require_POST
@needs(PERMISSION)
def forget(request: HttpRequest) -> HttpResponseBase:
    """Forget what a value of a column means."""
    agency, context = request_context.agency(request), request_context.audit_context(request)
    column, theirs = request.POST.get("column", ""), request.POST.get("value", "")
    if file_values.forget_value(agency, column, theirs, context):
        text = _("“%(value)s” in %(column)s was forgotten. Rows of the next file that have it will have a problem.")
        messages.success(request, text % {"value": theirs, "column": column})
    return redirect(f"{reverse('agency_values')}#values")
