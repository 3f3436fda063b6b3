"""What a person or a program writes to find events of the trail: users and imports by name, as the filters need them."""

from datetime import datetime

from musterbook.directory.audit import former_ids
from musterbook.directory.imports import file_import
from musterbook.directory.models import Agency
from musterbook.directory.users import user_list

MOST = 20
"""The most users that a text may mean."""
SYSTEM = "system"


class NobodyFound(Exception):
    """No user matches the text."""


def find_actors(agency: Agency, text: str, at: datetime) -> tuple[str, ...] | None:
    """Return the external IDs, now and before, of the users who match; None for a blank text. The system has "".

    Raise NobodyFound and TooManyUsers.
    """
    if text.lower() == SYSTEM:
        return ("",)
    if not text:
        return None
    ids = [external_id for _, external_id in _find_users(agency, text, at)]
    return (*ids, *former_ids.list_former(agency, ids))


def find_subjects(agency: Agency, text: str, at: datetime) -> tuple[int, ...] | None:
    """Return the ids of the users who match; None for a blank text. Raise NobodyFound and TooManyUsers."""
    return tuple(number for number, _ in _find_users(agency, text, at)) if text else None


def find_import(agency: Agency, number: str) -> int | None:
    """Return the id of the import with this number; None for a blank text. Raise UnknownImport."""
    return int(file_import.find_import(agency, number.upper()).pk) if number else None


def _find_users(agency: Agency, text: str, at: datetime) -> list[tuple[int, str]]:
    matches = user_list.find_by_text(agency, text, at=at, most=MOST)
    if not matches:
        raise NobodyFound(text)
    return matches
