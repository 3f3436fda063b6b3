"""How a form of Django's becomes a page's markup: label, hint and error beside each field, and a summary of errors on top."""

from collections.abc import Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_SELECT = "django/forms/widgets/select.html"


class Renderer(DjangoTemplates):
    """Renders forms and fields by our templates, lists of choices by `choices`, and what else is inside a field by Django's."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """The markup of a form, a field or what is inside one."""
        if template_name == _SELECT:
            return choices(context["widget"])
        return super().render(template_name, context, request)


def choices(widget: Mapping[str, Any]) -> SafeString:
    """A list of choices. Django's has two templates for each choice: they took longer than all else of a page of 50 users."""
    parts = ((name, _options(options)) for name, options, _ in widget["optgroups"])
    listed = [format_html('<optgroup label="{}">{}</optgroup>', name, some) if name else some for name, some in parts]
    return format_html(
        '<select name="{}"{}>{}</select>',
        widget["name"],
        flatatt(widget["attrs"]),
        format_html_join("", "{}", ((one,) for one in listed)),
    )


def _options(options: list[Mapping[str, Any]]) -> SafeString:
    told = ((str(one["value"]), flatatt(one["attrs"]), one["label"]) for one in options)
    return format_html_join("", '<option value="{}"{}>{}</option>', told)
