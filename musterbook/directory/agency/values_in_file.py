"""The tables [values] and [defaults] of an agency file (F13, F14)."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from musterbook.core.checking import defaults, meanings
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import DEFAULTED, MAPPED, Defaults, FileValues, Meanings
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary


def read_values(value: object, problems: list[str]) -> dict[str, dict[str, str]]:
    """Return the mapped values of the table [values]. Add what is wrong with it to the problems."""
    example = 'STATUS = { Terminated = "Inactive" }'
    values: dict[str, dict[str, str]] = {}
    for heading, pairs in _read_table(value, "values", example, problems).items():
        if not _is_allowed(heading, "values", MAPPED, problems):
            continue
        if not isinstance(pairs, dict) or not all(isinstance(ours, str) for ours in pairs.values()):
            problems.append(
                _("[values]: %(heading)s is not a table of texts. Write it like %(example)s.")
                % {"heading": heading, "example": example}
            )
            continue
        if any(not meanings.normalize_value(theirs) for theirs in pairs):
            problems.append(
                _("[values]: %(heading)s maps a blank value, but a blank cell cannot be mapped.") % {"heading": heading}
            )
        if len({meanings.normalize_value(theirs) for theirs in pairs}) < len(pairs):
            problems.append(
                _("[values]: %(heading)s maps a value more than once. Upper and lower case are the same.")
                % {"heading": heading}
            )
        values[heading] = {theirs.strip(): ours.strip() for theirs, ours in pairs.items()}
    return {heading: pairs for heading, pairs in values.items() if pairs}


def read_defaults(value: object, problems: list[str]) -> dict[str, str]:
    """Return the defaults of the table [defaults]. Add what is wrong with it to the problems."""
    example = 'ROLE = "Officer"'
    texts: dict[str, str] = {}
    for heading, text in _read_table(value, "defaults", example, problems).items():
        if not _is_allowed(heading, "defaults", DEFAULTED, problems):
            continue
        if isinstance(text, str):
            texts[heading] = text.strip()
        else:
            problems.append(
                _("[defaults]: %(heading)s is %(text)s, which is not text. Write it like %(example)s.")
                % {"heading": heading, "text": text, "example": example}
            )
    return texts


def find_unusable(values: Meanings, texts: Defaults, words: Vocabulary) -> list[str]:
    """Return what is wrong with values and defaults that name something that the agency does not have."""
    wrong = [*meanings.find_unusable(values, words)]
    wrong += defaults.read_defaults(Table.refused([]), FileValues(defaults=texts), words).problems
    return [f"{problem.message} {problem.remedy}".strip() for problem in wrong]


def _read_table(value: object, name: str, example: str, problems: list[str]) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    problems.append(
        _("%(name)s is not a table: write [%(name)s], and below it lines like %(example)s.")
        % {"name": name, "example": example}
    )
    return {}


def _is_allowed(heading: str, name: str, allowed: tuple[Column, ...], problems: list[str]) -> bool:
    known = [column.heading for column in allowed]
    if heading not in known:
        problems.append(
            _("[%(name)s]: %(heading)s cannot be used there. There are: %(what)s.")
            % {"name": name, "heading": heading, "what": ", ".join(known)}
        )
    return heading in known
