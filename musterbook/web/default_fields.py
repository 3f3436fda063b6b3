"""The form fields of defaults: what new users get in columns that a file does not have (F14)."""

from collections.abc import Iterable, Mapping

from django import forms

from musterbook.core.checking import meanings
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import MAPPED
from musterbook.core.domain.vocabulary import Vocabulary

MOST_NAMES = 200
"""The most names that are offered in a list. If there are more, the name is typed."""


def list_choices(column: Column, words: Vocabulary) -> list[str]:
    """Return the agency's values for the column, in their order; none if they are too many for a list."""
    if column not in MAPPED:
        return []
    names = list(dict.fromkeys(meanings.list_names(column, words).values()))
    return names if len(names) <= MOST_NAMES else []


def make_fields(columns: Iterable[Column], words: Vocabulary, current: Mapping[str, str]) -> dict[str, forms.Field]:
    """Return a field for the default of each column, by its heading. `current`: the defaults now."""
    fields: dict[str, forms.Field] = {}
    for column in columns:
        names = list_choices(column, words)
        now = current.get(column.heading, "")
        if names:
            offered = names if not now or now in names else [now, *names]
            choices = [("", "No default"), *((name, name) for name in offered)]
            fields[column.heading] = forms.ChoiceField(label=column.heading, choices=choices, required=False)
        else:
            fields[column.heading] = forms.CharField(label=column.heading, max_length=column.longest, required=False)
    return fields
