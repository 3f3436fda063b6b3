"""Template tags and filters for the control of a field, for icons, for times, and for the version."""

import re
from datetime import date, datetime

from django import forms, template
from django.forms.boundfield import BoundField
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from musterbook import __version__
from musterbook.directory.storage import database_errors
from musterbook.web import icons, times
from musterbook.web.users.search import STATE_LABELS

register = template.Library()

_UNBROKEN = re.compile(r"(\S{30})(?=\S)")
_BLANK = forms.Field.default_error_messages["required"]

_CLASSES: tuple[tuple[type[forms.Widget], str], ...] = (
    (forms.CheckboxInput, "usa-checkbox__input"),
    (forms.RadioSelect, "m-choices"),
    (forms.CheckboxSelectMultiple, "m-choices"),
    (forms.Select, "usa-select"),
    (forms.Textarea, "usa-textarea"),
    (forms.FileInput, "m-file"),
    (forms.Widget, "usa-input"),
)


@register.filter
def control(field: BoundField) -> SafeString:
    """Return the control of a field, with the class for its kind.

    It has no placeholder: the label is the only label.
    """
    widget = field.field.widget
    dress = next(name for kind, name in _CLASSES if isinstance(widget, kind))
    wrong = f"{dress} usa-input--error" if field.errors and dress.startswith("usa-") else dress
    return field.as_widget(attrs={"class": wrong, "placeholder": False})


@register.filter
def stored_message(message: str) -> str:
    """Return the message of an import, which is stored in English, in the language of the reader."""
    return database_errors.translate_message(message)


@register.filter
def list_errors(field: BoundField) -> list[str]:
    """Return the messages of a field, as they are shown at the field and in the summary.

    Django's own message for a blank field names no field. Ours does, so that it makes sense in the summary.
    """
    return [
        _name_missing(field) if error.code == "required" and error.message == _BLANK else message
        for error in field.errors.as_data()
        for message in error.messages
    ]


def _name_missing(field: BoundField) -> str:
    label = {"label": field.label}
    widget = field.field.widget
    if isinstance(widget, forms.CheckboxInput):
        return _("Select “%(label)s”.") % label
    if isinstance(widget, forms.FileInput):
        return _("Select a file for “%(label)s”.") % label
    if isinstance(widget, (forms.Select, forms.RadioSelect)):  # which includes several choices
        return _("Select a value for “%(label)s”.") % label
    return _("Enter a value for “%(label)s”.") % label


@register.filter
def looks_like(field: BoundField, kind: str) -> bool:
    """Return whether a field is one “checkbox”, or several “choices”."""
    kinds = {"checkbox": forms.CheckboxInput, "choices": (forms.RadioSelect, forms.CheckboxSelectMultiple)}
    return isinstance(field.field.widget, kinds[kind])  # type: ignore[arg-type]


@register.filter
def wraps(text: object) -> SafeString:
    """Return the text with a place to break after each 30 characters without a space, so that it cannot widen a table."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in _UNBROKEN.split(str(text)) if part))


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Return a time in the reader's zone, with the exact time on hover, or “never” for None."""
    return times.render_moment(at)


@register.filter
def day(at: date | None) -> str:
    """Return a day as the reader's language writes it."""
    return times.format_day(at) if at else ""


@register.filter
def state(name: str) -> str:
    """Return the name of a user's state in the reader's language."""
    return str(STATE_LABELS.get(name, name))


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Return an icon of the sprite. Its label is read aloud; without one, it only decorates the text next to it.

    Raise ValueError for a name that is not in musterbook/web/icons.py.
    """
    if name not in icons.NAMES:
        raise ValueError(f"The sprite has no icon {name!r}: see musterbook/web/icons.py.")
    address = f"{static(icons.SPRITE)}#{name}"
    if label:
        return format_html('<svg class="m-icon" role="img" aria-label="{}"><use href="{}"/></svg>', label, address)
    return format_html('<svg class="m-icon" aria-hidden="true" focusable="false"><use href="{}"/></svg>', address)


@register.simple_tag
def version() -> str:
    """Return the version of Musterbook that rendered the page."""
    return __version__
