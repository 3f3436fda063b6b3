"""A user as JSON, and the members that a request may give. Their names are those of the columns of a file."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.conf import settings
from ninja import Schema
from pydantic import Field

from musterbook.api.problems import FieldError, list_errors
from musterbook.api.schemas import Strict, Time
from musterbook.core.domain import columns
from musterbook.core.domain.problems import Problem
from musterbook.directory.users import marks
from musterbook.directory.users.versions import VersionedUser

COLUMNS = {column.field: column.heading for column in columns.COLUMNS}
"""Member → heading of the columns of a file."""
MARKS = {"exempt": marks.EXEMPT, "no_files": marks.NO_FILES, "source": marks.SOURCE, "ends_on": marks.ENDS_ON}
"""Member → the mark outside these columns."""
_POINTERS = {heading: f"/{name}" for name, heading in {**COLUMNS, **MARKS}.items()}


class User(Schema):
    """A user. Members that a user does not have are null."""

    id: int = Field(description="The number of the user in Musterbook, which never changes")
    external_id: str = Field(description="The ID that your organization assigns to the user", examples=["E-1024"])
    email: str
    badge_number: str
    first_name: str
    last_name: str
    status: str = Field(description="Active or Inactive", examples=["Active"])
    username: str
    role: str = Field(description="The name of the role")
    supervisor_email: str | None
    location: str | None
    rank: str | None = Field(description="The name of the rank")
    evidence_group_ext_id: str | None = Field(description="The external ID of the evidence group")
    phone: str | None
    exempt: bool = Field(description="Whether the user stays Active if missing from a synchronize file")
    no_files: bool = Field(description="Whether imports skip the user")
    source: str | None = Field(description="The source that lists the user, such as hr-sworn")
    ends_on: date | None = Field(description="The last day on which the user has access")
    state: str = Field(
        description="Active, Invited, Invitation expired, Locked, Password reset or Inactive", examples=["Invited"]
    )
    managed_by: str | None = Field(description="The system that manages the user")
    leaving_since: date | None = Field(description="Since when the user has been missing from synchronize files")
    created_at: Time
    invited_at: Time | None
    invitation_expires_at: Time | None
    registered_at: Time | None
    last_sign_in_at: Time | None
    locked_at: Time | None
    page: str = Field(description="The address of the user's page")
    version: str = Field(description="The value of ETag and If-Match, which changes with every change of the user")


def show(known: VersionedUser) -> User:
    """Return the user as JSON."""
    user, row = known.user, known.row
    texts: dict[str, Any] = {name: row[heading] or None for name, heading in COLUMNS.items()}
    times = {
        name: getattr(user, name)
        for name in (
            "created_at", "invited_at", "invitation_expires_at", "registered_at", "last_sign_in_at", "locked_at",
        )
    }  # fmt: skip
    return User.model_construct(
        **texts,
        **times,
        id=user.pk,
        exempt=user.exempt,
        no_files=user.no_files,
        source=user.source or None,
        ends_on=user.ends_on,
        state=known.state,
        managed_by=user.managed_by or None,
        leaving_since=user.missing_since,
        page=f"{settings.MUSTER_URL}/{user.agency.slug}/users/{user.pk}/",
        version=known.version,
    )


class _Columns(Strict):
    """The members of a user that a request may give. null clears an optional one."""

    external_id: str | None = Field(None, description="The ID that your organization assigns to the user")
    email: str | None = Field(None, examples=["ann.lee@agency.example"])
    badge_number: str | None = Field(None, examples=["1024"])
    first_name: str | None = Field(None, examples=["Ann"])
    last_name: str | None = Field(None, examples=["Lee"])
    status: str | None = Field(None, description="Active or Inactive", examples=["Active"])
    username: str | None = Field(None, examples=["ann.lee"])
    role: str | None = Field(None, description="The name of a role of the agency", examples=["Officer"])
    supervisor_email: str | None = Field(None, description="The email address of the supervisor")
    location: str | None = None
    rank: str | None = Field(None, description="The name or abbreviation of a rank of the agency")
    evidence_group_ext_id: str | None = Field(None, description="The external ID of an active group of the agency")
    phone: str | None = Field(None, description="With the country code, such as +12025550143")


class _Marked(_Columns):
    exempt: bool | None = Field(None, description="Needs the permission users.synchronize")
    no_files: bool | None = Field(None, description="Needs the permission users.synchronize")
    ends_on: str | None = Field(None, description="The last day on which the user has access", examples=["2026-12-31"])


class NewUser(_Marked):
    """A user to add. Without a status, they are Active; without a username, it is the email address up to the @.

    Other members that are left out have the defaults of the agency, if it has any.
    """


class UserChange(_Marked):
    """The members of a user to change, as a JSON Merge Patch (RFC 7396): all others stay, and null clears one."""

    source: str | None = Field(None, description="Needs the permission users.synchronize", examples=["hr-sworn"])


class SentRow(_Columns):
    """A row of a batch. All rows of a batch have the same members; the other columns stay unchanged."""


def read_row(given: Strict) -> dict[str, str]:
    """Return the members that the request gives, as a row: heading → text."""
    names = {**COLUMNS, **MARKS}
    return {names[name]: _write(getattr(given, name)) for name in names if name in given.model_fields_set}


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return value or ""


def list_row_errors(problems: Sequence[Problem], place: str = "") -> list[FieldError]:
    """Return the problems of a row as errors. `place`: the JSON pointer of the row in the body."""
    return list_errors(problems, {"": place} | {heading: f"{place}{pointer}" for heading, pointer in _POINTERS.items()})
