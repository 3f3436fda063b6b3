"""The markup of Django forms: label, hint, and error at each field, and an error summary at the top."""

from collections.abc import Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_SELECT = "django/forms/widgets/select.html"


class Renderer(DjangoTemplates):
    """A renderer that uses our templates for forms and fields, and `render_select` for select lists.

    Django's templates render all other widgets.
    """

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """Return the markup of a form, a field, or a widget."""
        if template_name == _SELECT:
            return render_select(context["widget"])
        return super().render(template_name, context, request)


def render_select(widget: Mapping[str, Any]) -> SafeString:
    """Return the markup of a select list.

    Django's own renders two templates for each choice. That took longer than the rest of a page of 50 users.
    """
    parts = ((name, _render_options(options)) for name, options, _ in widget["optgroups"])
    groups = [format_html('<optgroup label="{}">{}</optgroup>', name, some) if name else some for name, some in parts]
    return format_html(
        '<select name="{}"{}>{}</select>',
        widget["name"],
        flatatt(widget["attrs"]),
        format_html_join("", "{}", ((group,) for group in groups)),
    )


def _render_options(options: list[Mapping[str, Any]]) -> SafeString:
    rows = ((str(option["value"]), flatatt(option["attrs"]), option["label"]) for option in options)
    return format_html_join("", '<option value="{}"{}>{}</option>', rows)
