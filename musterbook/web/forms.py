"""How a form of Django's becomes a page's markup: label, hint and error beside each field, and a summary of errors on top."""

from typing import Any

from django.forms.renderers import DjangoTemplates

_OURS = {"django/forms/widgets/select.html": "forms/select.html"}
"""Of Django's templates, one of ours: a list of options in one piece, which is much quicker where they are many."""


class Renderer(DjangoTemplates):
    """Renders forms and fields by our templates, and what is inside a field by Django's."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"

    def get_template(self, template_name: str) -> Any:
        """The template of that name, or ours in its place."""
        return super().get_template(_OURS.get(template_name, template_name))
