"""How a user is a resource of SCIM, and a resource is a row of a file. No request is known here.

A row has only the headings that the resource names: what a client leaves out stays as it is (rule M2).
"""

from collections.abc import Callable, Mapping
from typing import Any

from scim2_models import GroupMembership, Meta, Reference

from musterbook.core.domain.columns import (
    BADGE_NUMBER,
    EMAIL,
    EVIDENCE_GROUP_EXT_ID,
    EXTERNAL_ID,
    FIRST_NAME,
    LAST_NAME,
    LOCATION,
    PHONE,
    RANK,
    ROLE,
    STATUS,
    SUPERVISOR_EMAIL,
    USERNAME,
)
from musterbook.directory.agency.provisioned_groups import format_id
from musterbook.directory.users.provisioning import (
    DISPLAY_NAME,
    EMAIL_LABEL,
    PHONE_LABEL,
    SENT,
    STORED,
    Provisioned,
    is_made,
)
from musterbook.scim.etags import format_tag
from musterbook.scim.schemas import (
    Email,
    EnterpriseUser,
    FullUser,
    Manager,
    MusterbookUser,
    Name,
    PhoneNumber,
)

OWN = str(MusterbookUser.__schema__)
ENTERPRISE = str(EnterpriseUser.__schema__)
ATTRIBUTES = {
    EXTERNAL_ID.heading: "externalId", USERNAME.heading: "userName", EMAIL.heading: "emails.value",
    BADGE_NUMBER.heading: f"{ENTERPRISE}:employeeNumber", FIRST_NAME.heading: "name.givenName",
    LAST_NAME.heading: "name.familyName", STATUS.heading: "active", ROLE.heading: f"{OWN}:role",
    SUPERVISOR_EMAIL.heading: f"{ENTERPRISE}:manager.value", LOCATION.heading: f"{OWN}:location",
    RANK.heading: f"{OWN}:rank", EVIDENCE_GROUP_EXT_ID.heading: f"{OWN}:evidenceGroup",
    PHONE.heading: "phoneNumbers.value",
}  # fmt: skip
"""Heading → the attribute that has its value, for errors."""

_WORK = "work"
FindSupervisor = Callable[[str], str]
"""Takes the id of a supervisor, and returns their email address. It raises for nobody."""


def build_resource(provisioned: Provisioned, base: str) -> Any:
    """Return the user as a resource. `base`: the address of the service."""
    user, row, kept = provisioned.user, provisioned.row, provisioned.kept
    names = (row[FIRST_NAME.heading], row[LAST_NAME.heading])
    group = user.group
    return FullUser(
        id=str(user.pk),
        external_id=_hide_made(EXTERNAL_ID.heading, row),
        user_name=row[USERNAME.heading],
        name=Name(given_name=names[0], family_name=names[1], formatted=" ".join(names)),
        display_name=kept.get(DISPLAY_NAME) or None,
        active=user.active,
        emails=[Email(value=row[EMAIL.heading], **_read_label(kept.get(EMAIL_LABEL)))],
        phone_numbers=_build_phones(row[PHONE.heading], kept.get(PHONE_LABEL) or {}),
        groups=[
            GroupMembership(
                value=format_id(group.pk), ref=_refer(base, "Groups", format_id(group.pk)), display=group.name, type="direct"
            )
        ] if group else None,
        EnterpriseUser=_build_enterprise(provisioned, base),
        MusterbookUser=MusterbookUser(
            role=row[ROLE.heading],
            rank=row[RANK.heading] or None,
            evidence_group=row[EVIDENCE_GROUP_EXT_ID.heading] or None,
            location=row[LOCATION.heading] or None,
            state=provisioned.versioned.state,
        ),
        meta=Meta(
            resource_type="User",
            created=user.created_at,
            last_modified=max(user.created_at, provisioned.changed_at),
            location=_refer(base, "Users", user.pk),
            version=format_tag(provisioned.version),
        ),
    )  # fmt: skip


def build_writable(provisioned: Provisioned, base: str) -> Any:
    """Return the user as the resource that a client changes: of the supervisor, it has the id alone."""
    resource = build_resource(provisioned, base)
    if resource.EnterpriseUser and resource.EnterpriseUser.manager:
        resource.EnterpriseUser.manager = Manager(value=resource.EnterpriseUser.manager.value)
    return resource


def _refer(base: str, endpoint: str, number: int | str) -> Any:
    return Reference(f"{base}/{endpoint}/{number}")


def _hide_made(heading: str, row: Mapping[str, str]) -> str | None:
    value = row[heading]
    return None if is_made(heading, value) else value


def _build_enterprise(provisioned: Provisioned, base: str) -> EnterpriseUser | None:
    supervisor = provisioned.user.supervisor
    badge = _hide_made(BADGE_NUMBER.heading, provisioned.row)
    if supervisor is None and badge is None:
        return None
    manager = None
    if supervisor is not None:
        names = f"{supervisor.first_name} {supervisor.last_name}"
        manager = Manager(value=str(supervisor.pk), ref=_refer(base, "Users", supervisor.pk), display_name=names)
    return EnterpriseUser(employee_number=badge, manager=manager)


def _read_label(label: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the type of an address or number, and whether it is the primary one, as they were sent."""
    return {"type": _WORK, "primary": True, **{name: (label or {})[name] for name in ("type", "primary") if label}}


def _build_phones(number: str, kept: Mapping[str, Any]) -> list[PhoneNumber] | None:
    """Return the number as it was sent, unless it has changed since."""
    if not number:
        return None
    sent = kept[SENT] if kept.get(STORED) == number else number
    return [PhoneNumber(value=sent, **_read_label(kept))]


def read_row(resource: Any, find_supervisor: FindSupervisor) -> dict[str, str]:
    """Return the headings that the resource names, with their texts."""
    named: dict[str, tuple[Any, str]] = {
        EXTERNAL_ID.heading: (resource, "external_id"),
        USERNAME.heading: (resource, "user_name"),
        FIRST_NAME.heading: (resource.name, "given_name"),
        LAST_NAME.heading: (resource.name, "family_name"),
        BADGE_NUMBER.heading: (resource.EnterpriseUser, "employee_number"),
        ROLE.heading: (resource.MusterbookUser, "role"),
        RANK.heading: (resource.MusterbookUser, "rank"),
        EVIDENCE_GROUP_EXT_ID.heading: (resource.MusterbookUser, "evidence_group"),
        LOCATION.heading: (resource.MusterbookUser, "location"),
    }
    row = {heading: getattr(part, field) or "" for heading, (part, field) in named.items() if _names(part, field)}
    if resource.active is not None:
        row[STATUS.heading] = "Active" if resource.active else "Inactive"
    if _names(resource, "emails"):
        row[EMAIL.heading] = _get_value(pick(resource.emails))
    if _names(resource, "phone_numbers"):
        row[PHONE.heading] = _get_value(pick(resource.phone_numbers))
    if _names(resource.EnterpriseUser, "manager"):
        manager = resource.EnterpriseUser.manager
        wanted = (manager.value or manager.ref or "") if manager else ""
        row[SUPERVISOR_EMAIL.heading] = find_supervisor(wanted) if wanted else ""
    return row


def _names(part: Any, field: str) -> bool:
    """Return whether the client has named the attribute, be it to clear it."""
    return part is not None and field in part.model_fields_set


def pick(entries: list[Any] | None) -> Any:
    """Return the one address or number that is kept of several, or None for none.

    It is the primary one, else the one of the type work, else the mobile one, else the first.
    """
    having = [entry for entry in entries or [] if entry.value]
    order = (
        lambda entry: entry.primary is True,
        lambda entry: entry.type == _WORK,
        lambda entry: entry.type == "mobile",
        lambda _: True,
    )
    return next((entry for test in order for entry in having if test(entry)), None)


def _get_value(entry: Any) -> str:
    return entry.value if entry else ""


def read_kept(resource: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of the resource as it was sent. `before`: what was kept until now."""
    kept = dict(before)
    if _names(resource, "display_name"):
        kept[DISPLAY_NAME] = resource.display_name or ""
    for name, field in ((EMAIL_LABEL, "emails"), (PHONE_LABEL, "phone_numbers")):
        if _names(resource, field):
            entry = pick(getattr(resource, field))
            kept[name] = _label(entry, before.get(name)) if entry else {}
    return {name: value for name, value in kept.items() if value}


def _label(entry: Any, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return how the value was sent; what it was stored as stays known if it was sent in the same way before."""
    primary = True if entry.primary is None else entry.primary
    label = {SENT: entry.value, "type": str(entry.type or _WORK), "primary": primary}
    same = before is not None and all(before.get(name) == value for name, value in label.items())
    return dict(before) if before and same else label
