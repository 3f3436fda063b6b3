"""Lists of choices are marked up by us: as Django's templates do it, in a fraction of the time."""

from typing import Any

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.test.html import parse_html

from musterbook.web.forms import Renderer

_CHOICES = [("", "Any"), ("1", "R&D <north>"), (2, 'The "old" one'), ("Ranks", [("c", "Captain"), ("s", "Sergeant")])]


@pytest.mark.parametrize("widget", [forms.Select, forms.SelectMultiple])
@pytest.mark.parametrize("value", [None, "", "1", 2, "s", ["1", "c"], "nobody's"])
@pytest.mark.parametrize("attrs", [{}, {"id": "x", "class": 'a "b"', "placeholder": False, "required": True}])
def test_choices_are_those_of_django(widget: type[forms.Select], value: Any, attrs: dict[str, Any]) -> None:
    made = widget(choices=_CHOICES)
    ours, theirs = (made.render("which <one>", value, attrs, kind()) for kind in (Renderer, DjangoTemplates))
    assert parse_html(ours) == parse_html(theirs)
    assert "north>" not in ours
