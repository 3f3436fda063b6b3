"""How a form of Django's becomes a page's markup: label, hint and error beside each field, and a summary of errors on top."""

from django.forms.renderers import DjangoTemplates


class Renderer(DjangoTemplates):
    """Renders forms and fields by our templates, and what is inside a field by Django's."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"
