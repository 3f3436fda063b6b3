"""The setup of the first agency and its first administrator, on a page that requires a setup code.

Anyone who can read the output of `muster serve` can use the code. It is stored as a hash, in a file of the
installation. It becomes invalid once it is used, once another is printed, and after a day.
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
from django.utils.translation import gettext

from musterbook.accounts import links, registration
from musterbook.config import home
from musterbook.core.domain import columns
from musterbook.core.domain.problems import Problem
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, setting_values, vocabularies
from musterbook.directory.agency.agency_file import ADMINISTRATOR, AgencyFile
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import migration
from musterbook.directory.users import editing

CODE_LIFETIME = timedelta(hours=24)
REQUIRED_COLUMNS = tuple(c for c in columns.REQUIRED if c not in (columns.STATUS, columns.ROLE))
"""The columns of the administrator's row that must be entered."""
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_BLOCKS, _OF = 7, 4
"""The number of blocks of a code, and of letters in each block: 140 bits."""


class WrongCode(Exception):
    """The error for a code that is not the last one printed, or that is invalid."""


class NotNew(Exception):
    """The error for an installation that already has users."""


class Problems(Exception):
    """The error for an administrator who cannot be added; `found` contains every problem."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class SetupData:
    """The data of the first agency and of its administrator.

    `administrator`: heading → text, of the columns ASKED.
    """

    slug: str
    name: str
    country: str
    administrator: Mapping[str, str]
    second_factor: bool = False
    """Whether administrators must sign in with a second factor."""


def create_code(at: datetime) -> str:
    """Return a new setup code, which invalidates the previous one.

    Return "" if there are users already.
    """
    if not migration.is_new():
        _path().unlink(missing_ok=True)
        return ""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_BLOCKS * _OF))
    draft = _path().with_suffix(".draft")
    home.prepare_folder(draft.parent)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(f"{(at + CODE_LIFETIME).isoformat()} {_hash(letters)}")
    draft.replace(_path())
    return "-".join(letters[start : start + _OF] for start in range(0, len(letters), _OF))


def _path() -> Path:
    folder: Path = settings.MUSTER_HOME
    return folder / "setup-code"


def _hash(code: str) -> str:
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    return salted_hmac("musterbook.accounts.first_run", letters, algorithm="sha256").hexdigest()


def check_code(code: str, at: datetime) -> None:
    """Raise WrongCode unless the code is the last one printed, and is still valid."""
    try:
        until, _, digest = _path().read_text(encoding="ascii").partition(" ")
    except OSError:
        raise WrongCode from None
    if not constant_time_compare(digest, _hash(code)) or datetime.fromisoformat(until) <= at:
        raise WrongCode


def set_up_agency(code: str, data: SetupData, context: AuditContext) -> str:
    """Create the agency and its administrator, all or nothing, and return the path of the registration page.

    Raise WrongCode or NotNew, InvalidValue for the data of the agency, or Problems for the data of the administrator.
    """
    check_code(code, context.at)
    with _claim_code(), transaction.atomic():
        if not migration.is_new():
            raise NotNew
        agency = _create_agency(data, context)
        user = _add_administrator(agency, data.administrator, context)
        registration.issue_invitation(user, context)
        return f"{agency.slug}/register/{links.make_token(user, 'invitation')}"


@contextmanager
def _claim_code() -> Iterator[None]:
    """Claim the code, so that only one of two concurrent requests succeeds.

    The other request gets WrongCode. The code is restored if the setup fails.
    """
    claimed_path = _path().with_suffix(".taken")
    try:
        _path().rename(claimed_path)
    except FileNotFoundError:
        raise WrongCode from None
    try:
        yield
    except BaseException:
        claimed_path.rename(_path())
        raise
    claimed_path.unlink()


def _create_agency(data: SetupData, context: AuditContext) -> models.Agency:
    unfit = agency_file.check_slug(data.slug)
    if unfit:
        raise InvalidValue("slug", unfit)
    country = setting_values.read_country(data.country)
    if country is None:
        raise InvalidValue(
            "country", gettext("Use the two letters of an ISO 3166 country, such as US, or leave it blank.")
        )
    name = vocabularies.clean_text(data.name, "name")
    role_keys = frozenset({keys.fold(ADMINISTRATOR)}) if data.second_factor else None
    agencies.apply_file(AgencyFile(data.slug, name, country=country, second_factor_roles=role_keys), context)
    return agencies.find_agency(data.slug)


def _add_administrator(agency: models.Agency, cells: Mapping[str, str], context: AuditContext) -> models.User:
    row = dict.fromkeys(columns.BY_HEADING, "") | {column.heading: cells[column.heading] for column in REQUIRED_COLUMNS}
    row |= {columns.STATUS.heading: "Active", columns.ROLE.heading: ADMINISTRATOR}
    # No email: another invitation would invalidate the one that the page leads to.
    result = editing.add(agency, row, context, mails=False)
    if result.user is None:
        raise Problems(result.problems)
    return result.user
