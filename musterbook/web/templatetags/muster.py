"""Template tags and filters for the control of a field, for times, and for the version."""

from datetime import datetime

from django import forms, template
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.safestring import SafeString

from musterbook import __version__
from musterbook.web import times

register = template.Library()

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
def looks_like(field: BoundField, kind: str) -> bool:
    """Return whether a field is one “checkbox”, or several “choices”."""
    kinds = {"checkbox": forms.CheckboxInput, "choices": (forms.RadioSelect, forms.CheckboxSelectMultiple)}
    return isinstance(field.field.widget, kinds[kind])  # type: ignore[arg-type]


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Return a time in the reader's zone, with the exact time on hover, or “never” for None."""
    return times.render_time(at, timezone.get_current_timezone()) if at else "never"


@register.simple_tag
def version() -> str:
    """Return the version of Musterbook that rendered the page."""
    return __version__
