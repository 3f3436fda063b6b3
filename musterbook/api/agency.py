"""The settings of an agency, as its file and the pages of its settings have them."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from musterbook.api import access, etags
from musterbook.api.access import needs
from musterbook.api.feed_schemas import Limit, write_limit
from musterbook.api.schemas import Strict, answers
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_changes
from musterbook.directory.agency.agency_file import ACCOUNTS, IMPORTS

router = Router()
PERMISSION = "agency.configure"
Text = Annotated[str, Field(max_length=255)]


def _number(name: str) -> Any:
    least, most = {**ACCOUNTS, **IMPORTS}[name]
    return Field(0, ge=least, le=most)


class Accounts(Strict):
    """The rules for invitations, passwords, locks, sessions and second factors."""

    invitation_days: int = _number("invitation_days")
    password_length: int = _number("password_length")
    password_days: int = _number("password_days")
    lock_failures: int = _number("lock_failures")
    lock_minutes: int = _number("lock_minutes")
    lock_all_places: bool = False
    idle_minutes: int = _number("idle_minutes")
    sessions_most: int = _number("sessions_most")
    unused_days: int = _number("unused_days")
    reuse_days: int = _number("reuse_days")
    second_factor: bool = Field(default=False, description="Whether every user must sign in with a second factor")
    second_factor_roles: list[Text] = Field(
        default=[], max_length=1_000, description="The names of the roles that must sign in with a second factor"
    )


class AgencyChange(Strict):
    """The settings to change. A member that is left out stays as it is."""

    name: Text = ""
    default_country: Text = Field("", description="Two letters, such as US, or nothing", examples=["US"])
    language: Text = Field("", description="Such as en or es, or nothing")
    time_zone: Text = Field("", description="Such as America/Chicago, or nothing", examples=["America/Chicago"])
    limits: list[Limit] = Field([], max_length=500, description="All limits that the agency sets itself")
    second_approver: bool = Field(False, description="Whether another user must confirm imports on hold")
    grace_days: int = _number("grace_days")
    replaced_addresses_days: int = _number("replaced_addresses_days")
    preview_days: int = _number("preview_days")
    release_badges: bool = Field(False, description="Whether badges of Inactive users can be given to others")
    mail: bool = Field(False, description="Whether emails are sent after imports and edits")
    mails_off: list[Text] = Field([], max_length=10, description="Kinds of emails that are not sent")
    sign_in_notice: str = Field("", max_length=8_000, description="What users read before they sign in")
    defaults: dict[str, Text] = Field({}, description="Column → value of new users. Nothing removes a default")
    accounts: Accounts = Accounts()


class Provider(Schema):
    """An identity provider with which users sign in."""

    slug: str
    name: str
    kind: str


class Agency(Schema):
    """The settings of the agency. Providers of sign-on, and what imports have learned, are changed on their pages."""

    slug: str
    name: str
    default_country: str
    language: str
    time_zone: str
    limits: list[Limit]
    second_approver: bool
    grace_days: int
    replaced_addresses_days: int
    preview_days: int
    release_badges: bool
    mail: bool
    mails_off: list[str]
    sign_in_notice: str
    defaults: dict[str, str]
    values: dict[str, dict[str, str]] = Field(description="Column → value in files → value of the agency")
    headings: dict[str, str] = Field(description="Heading in files → column, or nothing for one that is not read")
    accounts: Accounts
    sign_on: list[Provider]


def _show(agency: models.Agency) -> Agency:
    settings = agency_changes.read_settings(agency)
    return Agency.model_validate(settings)


def _answer(response: HttpResponse, agency: models.Agency) -> Agency:
    shown = _show(agency)
    etags.set_etag(response, etags.make_version(shown))
    return shown


@router.get(
    "", auth=needs(PERMISSION), response=answers(Agency), operation_id="readAgency", summary="Read the settings"
)  # fmt: skip
def read_agency(request: HttpRequest, response: HttpResponse) -> Agency:
    """Return the settings of the agency, and their version in the header `ETag`. There are no secrets among them."""
    return _answer(response, access.get_agency(request))


@router.patch(
    "", auth=needs(PERMISSION), response=answers(Agency), operation_id="changeAgency", summary="Change the settings"
)  # fmt: skip
def change_agency(request: HttpRequest, response: HttpResponse, body: AgencyChange) -> Agency:
    """Change the settings that the body has, all or none.

    `limits` replaces all limits that the agency sets. Second factors of roles, and a default role, need the permissions
    of those roles. `If-Match` makes sure that nobody has changed the settings since you read them.
    """
    agency = access.get_agency(request)
    values = body.model_dump(exclude_unset=True)
    if "limits" in values:
        values["limits"] = [write_limit(limit) for limit in body.limits]
    with agencies.holding(agency):
        etags.check_if_match(request, lambda: etags.make_version(_show(agency)))
        agency_changes.change(agency, values, access.make_context(request), access.get_operator(request))
    return _answer(response, agency)
