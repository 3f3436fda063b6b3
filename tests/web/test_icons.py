"""Icons, names without spaces, and the messages of blank fields, as templates show them."""

import pytest
from django import forms
from django.template import engines

from musterbook.web.templatetags import muster


def _render(text: str, **context: object) -> str:
    return str(engines["django"].from_string("{% load muster %}" + text).render(context))


def test_an_icon_is_hidden_from_screen_readers_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in _render('{% icon "lock" %}')
    labelled = _render('{% icon "lock" label=about %}', about="Locked <b>")
    assert 'role="img" aria-label="Locked &lt;b&gt;"' in labelled
    assert "aria-hidden" not in labelled


def test_an_icon_that_the_sprite_lacks_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no icon 'unicorn'"):
        muster.icon("unicorn")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jane.doe@riverton.example", "jane.doe@riverton.example"),
        ("x" * 30, "x" * 30),
        ("x" * 65, f"{'x' * 30}<wbr>{'x' * 30}<wbr>{'x' * 5}"),
        (f"Ann {'y' * 31}", f"Ann <wbr>{'y' * 30}<wbr>y"),
        (f"{'z' * 28}<b>{'&' * 9}", f"{'z' * 28}&lt;b<wbr>&gt;{'&amp;' * 9}"),
    ],
)
def test_a_long_name_can_break_and_stays_text(text: str, shown: str) -> None:
    assert muster.wraps(text) == shown


class _Form(forms.Form):
    name = forms.CharField(label="Name")
    kind = forms.ChoiceField(label="Kind", choices=[("a", "A")])
    several = forms.MultipleChoiceField(label="Several", choices=[("a", "A")], widget=forms.CheckboxSelectMultiple)
    file = forms.FileField(label="File")
    agreed = forms.BooleanField(label="I agree")
    own = forms.CharField(error_messages={"required": "Say something."})


def test_what_is_blank_is_named_and_the_summary_has_the_words_of_the_fields() -> None:
    form = _Form({})
    messages = [
        "Enter a value for “Name”.", "Select a value for “Kind”.", "Select a value for “Several”.", "Select a file for “File”.",
        "Select “I agree”.", "Say something.",
    ]  # fmt: skip
    assert [message for field in form for message in muster.list_errors(field)] == messages
    page = form.render()
    assert "There is a problem" in page
    assert [page.count(message) for message in messages] == [2] * 6
