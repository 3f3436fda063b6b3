"""The first agency and its first administrator, made on a page by whoever can read what `muster serve` prints: a setup code.

The code is kept as a hash, in a file of the installation, and is void once used, once another is printed, and after a day.
"""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from musterbook import home
from musterbook.accounts import links, registration
from musterbook.core.domain import columns
from musterbook.core.domain.problems import Problem
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, vocabularies
from musterbook.directory.agency.agency_file import ADMINISTRATOR, AgencyFile
from musterbook.directory.agency.vocabularies import Unfit
from musterbook.directory.audit.trail import Act
from musterbook.directory.installation import migration
from musterbook.directory.users import editing

LASTS = timedelta(hours=24)
ASKED = tuple(c for c in columns.REQUIRED if c not in (columns.STATUS, columns.ROLE))
"""The columns of the administrator's row that somebody has to say."""
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_BLOCKS, _OF = 7, 4
"""A code has so many blocks of so many letters: 140 bits."""


class WrongCode(Exception):
    """It is not the code that was printed last, or that is void."""


class NotNew(Exception):
    """There are users already."""


class Problems(Exception):
    """The administrator cannot be added so; `found` says everything that is wrong."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of the first agency, and of its administrator: heading → text, of the columns ASKED."""

    slug: str
    name: str
    country: str
    administrator: Mapping[str, str]
    second_factor: bool = False
    """Whether administrators must sign in with a second factor."""


def new_code(at: datetime) -> str:
    """A new setup code, which voids the one before; "" where there are users already."""
    if not migration.is_new():
        _path().unlink(missing_ok=True)
        return ""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_BLOCKS * _OF))
    draft = _path().with_suffix(".draft")
    home.prepare(draft.parent)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(f"{(at + LASTS).isoformat()} {_hash(letters)}")
    draft.replace(_path())
    return "-".join(letters[start : start + _OF] for start in range(0, len(letters), _OF))


def _path() -> Path:
    folder: Path = settings.MUSTER_HOME
    return folder / "setup-code"


def _hash(code: str) -> str:
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    return salted_hmac("musterbook.accounts.first_run", letters, algorithm="sha256").hexdigest()


def check(code: str, at: datetime) -> None:
    """Raises WrongCode unless it is the code that was printed last, and good still."""
    try:
        until, _, kept = _path().read_text(encoding="ascii").partition(" ")
    except OSError:
        raise WrongCode from None
    if not constant_time_compare(kept, _hash(code)) or datetime.fromisoformat(until) <= at:
        raise WrongCode


def begin(code: str, told: Told, act: Act) -> str:
    """Makes the agency and its administrator, all or nothing; gives the path by which the administrator registers.

    Raises WrongCode and NotNew; Unfit for what is said of the agency, and Problems for what of the administrator.
    """
    check(code, act.at)
    with _claimed(), transaction.atomic():
        if not migration.is_new():
            raise NotNew
        agency = _agency(told, act)
        user = _administrator(agency, told.administrator, act)
        registration.issue(user, act)
        return f"{agency.slug}/register/{links.token(user, 'invitation')}"


@contextmanager
def _claimed() -> Iterator[None]:
    """Takes the code, so that of two who send it at once one is told that it is void; gives it back if nothing comes of it."""
    taken = _path().with_suffix(".taken")
    try:
        _path().rename(taken)
    except FileNotFoundError:
        raise WrongCode from None
    try:
        yield
    except BaseException:
        taken.rename(_path())
        raise
    taken.unlink()


def _agency(told: Told, act: Act) -> models.Agency:
    unfit = agency_file.unfit_slug(told.slug)
    if unfit:
        raise Unfit("slug", unfit)
    country = agency_file.read_country(told.country)
    if country is None:
        raise Unfit("country", "Write the two letters of an ISO 3166 country, such as US, or leave it blank.")
    name = vocabularies.cleaned(told.name, "name")
    asked = frozenset({keys.fold(ADMINISTRATOR)}) if told.second_factor else None
    agencies.apply(AgencyFile(told.slug, name, country=country, second_factor_roles=asked), act)
    return agencies.find(told.slug)


def _administrator(agency: models.Agency, said: Mapping[str, str], act: Act) -> models.User:
    row = dict.fromkeys(columns.BY_HEADING, "") | {column.heading: said[column.heading] for column in ASKED}
    row |= {columns.STATUS.heading: "Active", columns.ROLE.heading: ADMINISTRATOR}
    # No mail: one with another invitation would void that which the page leads to.
    came = editing.add(agency, row, act, mails=False)
    if came.user is None:
        raise Problems(came.problems)
    return came.user
