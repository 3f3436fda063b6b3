"""The marks of a user outside the thirteen columns: their texts, as the export has them, their checks, and their writing."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.translation import gettext as _

from musterbook.core.domain.problems import Problem
from musterbook.core.values import text as text_rules
from musterbook.core.values.keys import fold
from musterbook.directory import models

EXEMPT = "X_EXEMPT"
"""Whether synchronize imports keep the user; "yes" or ""."""
NO_FILES = "X_NO_FILES"
"""Whether files leave the user unchanged (S11); "yes" or ""."""
SOURCE = "X_SOURCE"
"""The source that lists the user (S9), or ""."""
ENDS_ON = "X_ENDS_ON"
"""The last day on which the user has access, as 2026-12-31, or "" for no end."""
FIELDS = {EXEMPT: "exempt", NO_FILES: "no_files", SOURCE: "source", ENDS_ON: "ends_on"}
"""The marks, each with the name of its field."""
FLAGS = (EXEMPT, NO_FILES)
"""The marks that are "yes" or ""."""
OF_IMPORTS = (EXEMPT, NO_FILES, SOURCE)
"""The marks that decide what imports do to the user. They need the permission `PERMISSION`."""
PERMISSION = "users.synchronize"

SOURCE_LONGEST = 63


class InvalidSource(Exception):
    """The text cannot be the name of a source; the message says why."""


def clean_source(text: str) -> str:
    """Return the name of a source as it is stored: case and runs of white space make no difference. Raise InvalidSource."""
    source = fold(text)
    if len(source) > SOURCE_LONGEST or re.search(text_rules.ILLEGAL, source):
        raise InvalidSource(
            _(
                "“%(what)s” cannot be the name of a source. Write at most %(SOURCE_LONGEST)s characters in "
                "one line, such as hr-sworn."
            )
            % {"what": text[:SOURCE_LONGEST], "SOURCE_LONGEST": SOURCE_LONGEST}
        )
    return source


def clean_row(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row of a user with its source as it is stored, as far as it is valid."""
    with suppress(InvalidSource):
        return {**row, **({SOURCE: clean_source(row[SOURCE])} if SOURCE in row else {})}
    return dict(row)


def read_texts(user: models.User) -> dict[str, str]:
    """Return the marks of the user as text."""
    flags = {mark: "yes" if getattr(user, FIELDS[mark]) else "" for mark in FLAGS}
    return {**flags, SOURCE: user.source, ENDS_ON: user.ends_on.isoformat() if user.ends_on else ""}


def find_problems(marks: Mapping[str, str], today: date) -> list[Problem]:
    """Return what is wrong with these marks: a last day must be a date that is not past, a source must be a name."""
    ends_on, source = marks.get(ENDS_ON, ""), marks.get(SOURCE, "")
    problems = list[Problem]()
    if ends_on and (_parse_day(ends_on) or date.min) < today:
        problems.append(Problem.of("invalid-last-day", column=ENDS_ON, value=ends_on))
    try:
        clean_source(source)
    except InvalidSource:
        problems.append(Problem.of("invalid-source", column=SOURCE, value=source, most=str(SOURCE_LONGEST)))
    return problems


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def write(user: models.User, marks: Mapping[str, str]) -> None:
    """Write these marks, which are valid.

    A user whose other marks change is no longer leaving (S10): the imports in which they were missing do not count.
    """
    values: dict[str, object] = {FIELDS[mark]: bool(text) for mark, text in marks.items() if mark in FLAGS}
    if SOURCE in marks:
        values["source"] = clean_source(marks[SOURCE])
        if values["source"] != user.managed_by:
            # An identity provider manages only the users of its own source.
            values["managed_by"] = ""
    if ENDS_ON in marks:
        values["ends_on"] = _parse_day(marks[ENDS_ON])
    if marks.keys() & set(OF_IMPORTS):
        values |= {"missing_since": None, "missing_imports": 0}
    models.User.objects.filter(pk=user.pk).update(**values)


def find_leaving_day(user: models.User) -> date | None:
    """Return the first day on which a synchronize import can make the user Inactive, or None if they are not leaving."""
    return user.missing_since and user.missing_since + timedelta(days=user.agency.grace_days)


@dataclass(frozen=True, slots=True)
class Risk:
    """That the next synchronize import makes a user Inactive: the day of the last one, and the days of grace."""

    last: date
    grace_days: int


def find_risk(user: models.User) -> Risk | None:
    """Return that the next synchronize import makes this user Inactive if its file does not mention them, else None."""
    kept = not user.active or user.exempt or user.managed_by or user.no_files
    return None if kept else find_risk_of_source(user.agency, user.source)


def find_risk_of_source(agency: models.Agency, source: str = "") -> Risk | None:
    """Return the same for a user of that source, "" for one who is added by hand.

    The next synchronize import is taken to be like the last one, which looked for missing users among all of them if it
    named no source. An agency that has never synchronized has no such risk.
    """
    imports = models.Import.objects.filter(agency=agency, kind=models.ImportKind.FILE, mode="sync", state="applied")
    last = imports.order_by("-pk").values_list("started_at", "options__source").first()
    if last is None or last[1] not in (None, "", source):
        return None
    return Risk(last[0].date(), agency.grace_days)
