"""Agencies: find and list them, and apply an agency file, with one event in the trail for the changes."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from musterbook.core.domain.policy import LimitKind
from musterbook.core.domain.vocabulary import Role
from musterbook.core.values.keys import fold
from musterbook.directory import models, permissions
from musterbook.directory.agency import feed_writing, group_settings, limits, sign_on_file, values_in_file
from musterbook.directory.agency.agency_file import (
    ACCOUNT_FLAGS,
    ACCOUNTS,
    ADMINISTRATOR,
    IMPORT_FLAGS,
    IMPORTS,
    AgencyFile,
    InvalidAgencyFile,
)
from musterbook.directory.agency.feed_errors import InvalidFeed
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks


class UnknownAgency(Exception):
    """No agency has this slug."""


@dataclass(frozen=True, slots=True)
class ListedAgency:
    """An agency in the list of all agencies. `paused_at`: since when it is paused, None if it is not."""

    slug: str
    name: str
    users: int
    active: int
    paused_at: str | None = None


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The result of an agency file: whether the agency is new, each setting before and after, and the entries kept."""

    created: bool
    changes: Mapping[str, tuple[str, str]]
    kept_entries: tuple[str, ...]
    """The roles, ranks and groups that the file does not name but users have."""


def find_agency(slug: str) -> models.Agency:
    """Return the agency with this slug. Raise UnknownAgency."""
    try:
        return models.Agency.objects.get(slug=slug)
    except models.Agency.DoesNotExist:
        raise UnknownAgency(slug) from None


def find_only_slug() -> str:
    """Return the slug of the agency if there is only one, else ""."""
    slugs = list(models.Agency.objects.values_list("slug", flat=True)[:2])
    return slugs[0] if len(slugs) == 1 else ""


def find_known_slug(slug: str) -> str:
    """Return the slug if an agency has it, else ""."""
    return slug if slug and models.Agency.objects.filter(slug=slug).exists() else ""


def list_slugs() -> list[str]:
    """Return the slugs of all agencies, in their order."""
    return list(models.Agency.objects.order_by("slug").values_list("slug", flat=True))


def list_agencies() -> list[ListedAgency]:
    """Return all agencies, by slug."""
    users = dict(_count_users(models.User.objects.all()))
    active = dict(_count_users(models.User.objects.filter(active=True)))
    return [
        ListedAgency(
            agency.slug,
            agency.name,
            users.get(agency.pk, 0),
            active.get(agency.pk, 0),
            agency.paused_at.isoformat(timespec="seconds") if agency.paused_at else None,
        )
        for agency in models.Agency.objects.order_by("slug")
    ]


def _count_users(users: "QuerySet[models.User]") -> Iterable[tuple[int, int]]:
    return list(users.order_by().values_list("agency_id").annotate(number=Count("id")))


def apply_file(file: AgencyFile, context: AuditContext) -> ApplyResult:
    """Create the agency, or update it to match the file. Settings that the file does not mention stay as they are.

    Raise InvalidAgencyFile, with nothing changed, if the file names a role that does not exist.
    """
    with transaction.atomic():
        agency, created = models.Agency.objects.get_or_create(
            slug=file.slug, defaults={"name": file.name, "created_at": context.at}
        )
        locks.lock_row(agency)
        before = {} if created else read_settings(agency)
        _write_settings(agency, file)
        _write_roles(agency, file.roles or ())
        kept_entries = [*_drop_roles(agency, file), *_write_ranks(agency, file), *_write_groups(agency, file)]
        _require_factors(agency, file)
        _check_values(agency, file)
        _write_limits(agency, file)
        changes = compare_settings(before, read_settings(agency))
        if changes:
            trail.record_event(
                agency, context, EventKind.AGENCY_ADDED if created else EventKind.AGENCY_CHANGED, changes=changes
            )
        feed_changes, kept_feeds = _write_feeds(agency, file, context)
    return ApplyResult(created, {**changes, **feed_changes}, (*kept_entries, *kept_feeds))


@contextmanager
def holding(agency: models.Agency) -> Iterator[None]:
    """Hold the agency's lock in one transaction, so that what is read of it stays true until it is changed."""
    with transaction.atomic():
        locks.lock_row(agency)
        agency.refresh_from_db()
        yield


@contextmanager
def changing(agency: models.Agency, context: AuditContext) -> Iterator[None]:
    """Allow changes to the agency's settings, in one transaction and under its lock.

    At the end, record the changes in one event.
    """
    with transaction.atomic():
        locks.lock_row(agency)
        agency.refresh_from_db()
        before = read_settings(agency)
        yield
        changes = compare_settings(before, read_settings(agency))
        if changes:
            trail.record_event(agency, context, EventKind.AGENCY_CHANGED, changes=changes)


def _write_settings(agency: models.Agency, file: AgencyFile) -> None:
    agency.refresh_from_db()
    agency.name = file.name
    values: dict[str, object] = {
        "default_country": file.country,
        "language": file.language,
        "time_zone": file.time_zone,
        "sends_mail": file.mail,
        "mails_off": None if file.mails_off is None else list(file.mails_off),
        "sign_in_notice": file.notice,
        "second_factor": file.second_factor,
        "values": file.values,
        "defaults": file.defaults,
        "second_approver": file.second_approver,
        "sign_on": None if file.sign_on is None else list(file.sign_on),
        **file.imports,
        **file.accounts,
    }
    for name, value in values.items():
        if value is not None:
            setattr(agency, name, value)
    agency.save()


def _write_roles(agency: models.Agency, roles: tuple[Role, ...]) -> None:
    """Add the roles and update them to match the file.

    Admin always exists, regardless of the file, and stays as it is.
    """
    models.Role.objects.get_or_create(
        agency=agency, administrator=True, defaults={"name": ADMINISTRATOR, "name_key": fold(ADMINISTRATOR)}
    )
    for role in roles:
        if not role.administrator:
            models.Role.objects.update_or_create(
                agency=agency, name_key=fold(role.name),
                defaults={"name": role.name, "permissions": sorted(role.permissions)},
            )  # fmt: skip


def _write_limits(agency: models.Agency, file: AgencyFile) -> None:
    """Write the limits that the file names. Raise InvalidAgencyFile for one of a role or group that does not exist.

    The limit of deactivations stays if the file does not name it.
    """
    listed = file.limits or ()
    whole = [limit for limit in (file.limit, *listed) if limit and limit.whole]
    named = None if file.limits is None else [limit for limit in listed if not limit.whole]
    if file.limits is not None:
        agency.limits = [one for one in agency.limits if one["kind"] == LimitKind.DEACTIVATIONS]
    try:
        agency.limits = limits.replace_limits(agency, whole, named)
    except limits.UnknownName as unknown:
        raise InvalidAgencyFile([_("[[limits]]: there is no role or group “%(name)s”.") % {"name": unknown}]) from None
    agency.save(update_fields=["limits"])


def _write_feeds(
    agency: models.Agency, file: AgencyFile, context: AuditContext
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Write the feeds that the file lists, each with its own event. Raise InvalidAgencyFile."""
    if file.feeds is None:
        return {}, []
    try:
        return feed_writing.apply_listed(agency, file.feeds, context)
    except InvalidFeed as error:
        raise InvalidAgencyFile([f"[[feeds]]: {name}: {sentence}" for name, sentence in error.errors]) from None


def _require_factors(agency: models.Agency, file: AgencyFile) -> None:
    """Require a second factor of the roles that the file names, and of no others.

    Raise InvalidAgencyFile if a role does not exist.
    """
    if file.second_factor_roles is None:
        return
    roles = models.Role.objects.filter(agency=agency)
    unknown = file.second_factor_roles - set(roles.values_list("name_key", flat=True))
    if unknown:
        text = _("[accounts]: second_factor_roles names “%(name)s”, and there is no such role.")
        raise InvalidAgencyFile([text % {"name": name} for name in sorted(unknown)])
    roles.update(second_factor=Q(name_key__in=file.second_factor_roles))


def _check_values(agency: models.Agency, file: AgencyFile) -> None:
    """Raise InvalidAgencyFile if the file maps a value to something that the agency does not have, or so for a default."""
    words = snapshot_queries.read_vocabulary(agency)
    wrong = values_in_file.find_unusable(file.values or {}, file.defaults or {}, words)
    if wrong:
        raise InvalidAgencyFile(wrong)


def _drop_roles(agency: models.Agency, file: AgencyFile) -> list[str]:
    if file.roles is None:
        return []
    others = models.Role.objects.filter(agency=agency, administrator=False)
    unnamed = others.exclude(name_key__in=[fold(role.name) for role in file.roles])
    return _drop_entries(agency, unnamed, "role", "name")


def _write_ranks(agency: models.Agency, file: AgencyFile) -> list[str]:
    if file.ranks is None:
        return []
    unnamed = models.Rank.objects.filter(agency=agency).exclude(name_key__in=[fold(rank.name) for rank in file.ranks])
    kept_ranks = _drop_entries(agency, unnamed, "rank", "name")
    for position, rank in enumerate(file.ranks):
        models.Rank.objects.update_or_create(
            agency=agency, name_key=fold(rank.name),
            defaults={"name": rank.name, "abbreviation": rank.abbreviation, "position": position},
        )  # fmt: skip
    for position, other in enumerate(unnamed.order_by("position", "id"), len(file.ranks)):
        models.Rank.objects.filter(pk=other.pk).update(position=position)
    return kept_ranks


def _write_groups(agency: models.Agency, file: AgencyFile) -> list[str]:
    if file.groups is None:
        return []
    ids = [group.external_id for group in file.groups]
    kept_groups = _drop_entries(
        agency, models.Group.objects.filter(agency=agency).exclude(external_id__in=ids), "group", "external_id"
    )
    try:
        group_settings.write_groups(agency, file.groups)
    except group_settings.WrongGroups as wrong:
        raise InvalidAgencyFile([f"[[groups]]: {sentence}" for sentence in wrong.sentences]) from None
    return kept_groups


def _drop_entries(agency: models.Agency, unnamed: "QuerySet[Any]", noun: str, name: str) -> list[str]:
    """Delete the entries that no user has; return a description of each entry that is kept."""
    used = dict(models.User.objects.filter(agency=agency).values_list(noun).annotate(number=Count("id")).order_by())
    kept_entries = [entry for entry in unnamed.order_by("pk") if entry.pk in used]
    unnamed.exclude(pk__in=[pk for pk in used if pk]).delete()
    return [f"{noun} “{getattr(entry, name)}” (users: {used[entry.pk]:,})" for entry in kept_entries]


def read_settings(agency: models.Agency) -> dict[str, str]:
    """Return the agency file settings of an agency, and those that imports remember, each by a name of its own."""
    settings = {
        "name": agency.name,
        "default_country": agency.default_country,
        "language": agency.language,
        "time_zone": agency.time_zone,
        **limits.describe_limits(agency),
        "mail": "true" if agency.sends_mail else "false",
        "mails_off": ", ".join(agency.mails_off),
        "sign_in_notice": " / ".join(agency.sign_in_notice.splitlines()),
        **{name: str(getattr(agency, name)) for name in (*IMPORTS, *IMPORT_FLAGS, *ACCOUNTS, *ACCOUNT_FLAGS)},
        "second_factor": "true" if agency.second_factor else "false",
        "second_approver": "true" if agency.second_approver else "false",
    }
    for heading, column in agency.mapping.items():
        settings[f"heading {heading}"] = column or "(not read)"
    settings |= {f"file {name}": str(value) for name, value in agency.reading.items()}
    for column, pairs in agency.values.items():
        settings |= {f"value {column} {theirs}": ours or "(blank)" for theirs, ours in pairs.items()}
    for column, text in agency.defaults.items():
        settings[f"default {column}"] = text
    for provider in agency.sign_on:
        settings[f"sign_on {provider['slug']}"] = sign_on_file.describe_provider(provider)
    for role in models.Role.objects.filter(agency=agency).order_by("pk"):
        settings[f"role {role.name_key}"] = permissions.describe_role(role)
    for rank in models.Rank.objects.filter(agency=agency).order_by("position"):
        short = f" ({rank.abbreviation})" if rank.abbreviation else ""
        settings[f"rank {rank.name_key}"] = f"{rank.position + 1}. {rank.name}{short}"
    return settings | group_settings.describe_groups(agency)


def compare_settings(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the settings that differ, each before and after."""
    names = [*before, *(name for name in after if name not in before)]
    pairs = {name: (before.get(name, ""), after.get(name, "")) for name in names}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}
