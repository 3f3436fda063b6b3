"""What roles, ranks and groups have in common where they are changed one by one: what may be a name, and who has them still."""

import unicodedata
from typing import Any

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency.agency_file import ILLEGAL

_LONGEST = 255


class Unfit(Exception):
    """A value cannot be taken; `field` says which, `sentence` why."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field, self.sentence = field, sentence


class InUse(Exception):
    """It cannot be deleted, for so many users have it."""

    def __init__(self, users: int) -> None:
        super().__init__(users)
        self.users = users


class NotAllowed(Exception):
    """The operator's role does not allow it, or nobody's does; the message says why."""


def cleaned(text: str, field: str, *, required: bool = True) -> str:
    """The text as it is kept. Raises Unfit."""
    value = unicodedata.normalize("NFC", text).strip()
    if required and not value:
        raise Unfit(field, "This is blank. Write something.")
    if len(value) > _LONGEST:
        raise Unfit(field, f"This has {len(value)} characters. Shorten it to {_LONGEST}.")
    if ILLEGAL.search(value):
        raise Unfit(field, "This holds a line break or another control character. Type it again.")
    return value


def named(text: str, model: Any, agency: models.Agency, but: int = 0) -> tuple[str, str]:
    """A name as it is kept, and what it is compared by. Raises Unfit if another than `but` has it."""
    name = cleaned(text, "name")
    key = fold(name)
    if model.objects.filter(agency=agency, name_key=key).exclude(pk=but).exists():
        raise Unfit("name", f"There is one that is called {name}. Choose another name.")
    return name, key


def users(agency: models.Agency, noun: str, number: int) -> int:
    """How many users have that role, rank or group (`noun`), active or not."""
    return models.User.objects.filter(agency=agency, **{noun: number}).count()


def delete(entry: Any, noun: str) -> None:
    """Deletes what no user has; the caller holds the agency's lock. Raises InUse."""
    number = users(entry.agency, noun, entry.pk)
    if number:
        raise InUse(number)
    entry.delete()
