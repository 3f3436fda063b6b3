"""The filters of a list of users by the names that programs know, in place of the ids that a page has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.users import editing, states
from musterbook.directory.users.filters import UserFilters


class UnknownName(Exception):
    """A filter names something that the agency does not have: the name of the filter, and the value."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"{name}: {value}")
        self.name, self.value = name, value


@dataclass(frozen=True, slots=True)
class NamedFilters:
    """The criteria of `UserFilters`; "" and None for any.

    `state`: one of states.STATES; `role`: a name; `rank`: a name or an abbreviation; `group`: an external ID;
    `supervisor`: an email address or an external ID; `touched_by`: the number of an import.
    """

    text: str = ""
    state: str = ""
    role: str = ""
    rank: str = ""
    group: str = ""
    supervisor: str = ""
    signed_in_from: datetime | None = None
    signed_in_before: datetime | None = None
    never_signed_in: bool = False
    touched_by: str = ""


def resolve_filters(agency: models.Agency, named: NamedFilters) -> UserFilters:
    """Return the filters, with the ids of what they name. Names are compared as in a file. Raise UnknownName."""

    def find(name: str) -> int | None:
        value = getattr(named, name)
        if not value:
            return None
        number = _FINDERS[name](agency, value)
        if number is None:
            raise UnknownName(name, value)
        return number

    state = {fold(state): state for state in states.STATES}.get(fold(named.state), "")
    if named.state and not state:
        raise UnknownName("state", named.state)
    return UserFilters(
        text=named.text,
        status=state,
        role=find("role"),
        rank=find("rank"),
        group=find("group"),
        supervisor=find("supervisor"),
        signed_in_from=named.signed_in_from,
        signed_in_before=named.signed_in_before,
        never_signed_in=named.never_signed_in,
        touched_by=find("touched_by"),
    )


def _find_role(agency: models.Agency, name: str) -> int | None:
    return models.Role.objects.filter(agency=agency, name_key=fold(name)).values_list("pk", flat=True).first()


def _find_rank(agency: models.Agency, name: str) -> int | None:
    ranks = models.Rank.objects.filter(agency=agency)
    found = ranks.filter(name_key=fold(name)).values_list("pk", flat=True).first()
    short = (pk for pk, text in ranks.values_list("pk", "abbreviation") if text and fold(text) == fold(name))
    return found if found is not None else next(short, None)


def _find_group(agency: models.Agency, external_id: str) -> int | None:
    groups = models.Group.objects.filter(agency=agency, external_id=external_id.strip())
    return groups.values_list("pk", flat=True).first()


def _find_supervisor(agency: models.Agency, text: str) -> int | None:
    try:
        return int(editing.find_named(agency, text).pk)
    except editing.UnknownUser:
        return None


def _find_import(agency: models.Agency, number: str) -> int | None:
    imports = models.Import.objects.filter(agency=agency, number=number.strip().upper())
    return imports.values_list("pk", flat=True).first()


_FINDERS: Mapping[str, Callable[[models.Agency, str], int | None]] = {
    "role": _find_role,
    "rank": _find_rank,
    "group": _find_group,
    "supervisor": _find_supervisor,
    "touched_by": _find_import,
}
