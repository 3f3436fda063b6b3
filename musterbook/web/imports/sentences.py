"""The sentences and labels on the page of an import: in the future for a plan, in the past for what was done."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from musterbook.core.domain.policy import LimitKind, Mode
from musterbook.core.planning.holds import CUT_OFF, UNREADABLE, Hold
from musterbook.directory import models
from musterbook.directory.imports import cancellation, entry_files, plan_ends
from musterbook.directory.imports.plan_ends import PlanEnd
from musterbook.directory.models import ImportKind


def count(number: int) -> str:
    """Return a number with the separators of the reader's language."""
    return str(number_format(number, force_grouping=True))


_WILL: tuple[tuple[str, Any], ...] = (
    ("added", ngettext_lazy("%(count)s user will be added.", "%(count)s users will be added.", "number")),
    ("updated", ngettext_lazy("%(count)s user will be updated.", "%(count)s users will be updated.", "number")),
    ("reactivated", ngettext_lazy("%(count)s of them will be reactivated.", "%(count)s of them will be reactivated.", "number")),
    ("losing_access", ngettext_lazy("%(count)s user will lose access.", "%(count)s users will lose access.", "number")),
    ("privileges", ngettext_lazy("%(count)s user will gain a permission.", "%(count)s users will gain a permission.", "number")),
    ("handovers", ngettext_lazy(
        "%(count)s user will take an email address or username from another user.",
        "%(count)s users will take an email address or username from another user.", "number")),
    ("identity_changes", ngettext_lazy(
        "%(count)s account will belong to another person, or to the same person under another name.",
        "%(count)s accounts will belong to another person, or to the same person under another name.", "number")),
    ("cleared", ngettext_lazy(
        "%(count)s user will lose a value, because its column is blank in every row.",
        "%(count)s users will lose a value, because its column is blank in every row.", "number")),
    ("released", ngettext_lazy("%(count)s user will lose their badge.", "%(count)s users will lose their badge.", "number")),
    ("marked", ngettext_lazy(
        "%(count)s user will be marked with the source of the file, or as leaving.",
        "%(count)s users will be marked with the source of the file, or as leaving.", "number")),
    ("errored", ngettext_lazy(
        "%(count)s row has problems and will be skipped.", "%(count)s rows have problems and will be skipped.", "number")),
    ("skipped", ngettext_lazy("%(count)s row will be skipped.", "%(count)s rows will be skipped.", "number")),
)  # fmt: skip
_DID: tuple[tuple[str, Any], ...] = (
    ("added", ngettext_lazy("%(count)s user was added.", "%(count)s users were added.", "number")),
    ("updated", ngettext_lazy("%(count)s user was updated.", "%(count)s users were updated.", "number")),
    ("reactivated", ngettext_lazy("%(count)s of them was reactivated.", "%(count)s of them were reactivated.", "number")),
    ("losing_access", ngettext_lazy("%(count)s user lost access.", "%(count)s users lost access.", "number")),
    ("privileges", ngettext_lazy("%(count)s user gained a permission.", "%(count)s users gained a permission.", "number")),
    ("handovers", ngettext_lazy(
        "%(count)s user took an email address or username from another user.",
        "%(count)s users took an email address or username from another user.", "number")),
    ("identity_changes", ngettext_lazy(
        "%(count)s account belongs to another person now, or to the same person under another name.",
        "%(count)s accounts belong to another person now, or to the same person under another name.", "number")),
    ("cleared", ngettext_lazy(
        "%(count)s user lost a value, because its column is blank in every row.",
        "%(count)s users lost a value, because its column is blank in every row.", "number")),
    ("released", ngettext_lazy("%(count)s user lost their badge.", "%(count)s users lost their badge.", "number")),
    ("marked", ngettext_lazy(
        "%(count)s user was marked with the source of the file, or as leaving.",
        "%(count)s users were marked with the source of the file, or as leaving.", "number")),
    ("errored", ngettext_lazy(
        "%(count)s row has problems and was skipped.", "%(count)s rows have problems and were skipped.", "number")),
    ("skipped", ngettext_lazy("%(count)s row was skipped.", "%(count)s rows were skipped.", "number")),
)  # fmt: skip
"""The count → its sentence, for a plan and for an import that was applied."""
_ENTRIES_WILL: tuple[tuple[str, Any], ...] = (
    ("added", ngettext_lazy("%(count)s entry will be added.", "%(count)s entries will be added.", "number")),
    ("updated", ngettext_lazy("%(count)s entry will be changed.", "%(count)s entries will be changed.", "number")),
    ("removed", ngettext_lazy("%(count)s entry will be removed.", "%(count)s entries will be removed.", "number")),
    ("losses", ngettext_lazy(
        "%(count)s user will lose a group or a permission.", "%(count)s users will lose a group or a permission.", "number")),
)  # fmt: skip
_ENTRIES_DID: tuple[tuple[str, Any], ...] = (
    ("added", ngettext_lazy("%(count)s entry was added.", "%(count)s entries were added.", "number")),
    ("updated", ngettext_lazy("%(count)s entry was changed.", "%(count)s entries were changed.", "number")),
    ("removed", ngettext_lazy("%(count)s entry was removed.", "%(count)s entries were removed.", "number")),
    ("losses", ngettext_lazy(
        "%(count)s user lost a group or a permission.", "%(count)s users lost a group or a permission.", "number")),
)  # fmt: skip
"""The same for a file of groups, members, roles or ranks."""
_SHARED = ("privileges", "errored", "skipped")
"""The counts that every file has."""
_REACTIVATED_WILL = gettext_lazy("This user will be reactivated.")
_REACTIVATED_DID = gettext_lazy("This user was reactivated.")
"""The sentence about the reactivated user, if only one is updated."""
_CHANGES = ("added", "updated", "losing_access", "deactivated", "released", "marked", "removed")
"""The counts of what an import changes."""


def describe_counts(counts: Mapping[str, int], *, done: bool) -> list[str]:
    """Return the sentences that sum up the plan, or what was done."""
    texts = dict(_DID if done else _WILL)
    if "removed" in counts:
        texts = dict(_ENTRIES_DID if done else _ENTRIES_WILL) | {name: texts[name] for name in _SHARED}
    if counts.get("updated") == 1:
        texts["reactivated"] = _REACTIVATED_DID if done else _REACTIVATED_WILL
    sentences = [_count(text, counts[name]) for name, text in texts.items() if counts.get(name)]
    if not would_change(counts):
        sentences.insert(0, _("Nothing was changed.") if done else _("Nothing will change."))
    return sentences


def would_change(counts: Mapping[str, int]) -> bool:
    """Return whether an import with these counts changes a user."""
    return any(counts.get(name) for name in _CHANGES)


def _count(text: Any, number: int) -> str:
    return str(text % {"number": number, "count": count(number)})


_MAILS_WILL: dict[str, Any] = {
    "invitation": ngettext_lazy("%(count)s invitation will be sent.", "%(count)s invitations will be sent.", "number"),
    "reset": ngettext_lazy(
        "%(count)s link for a new password will be sent.", "%(count)s links for a new password will be sent.", "number"),
    "reactivated": ngettext_lazy(
        "%(count)s notice of a reactivation will be sent.", "%(count)s notices of a reactivation will be sent.", "number"),
    "deactivated": ngettext_lazy(
        "%(count)s notice of a deactivation will be sent.", "%(count)s notices of a deactivation will be sent.", "number"),
    "email-changed": ngettext_lazy(
        "%(count)s notice of a changed address will be sent.", "%(count)s notices of a changed address will be sent.", "number"),
}  # fmt: skip
_MAILS_DID: dict[str, Any] = {
    "invitation": ngettext_lazy("%(count)s invitation was sent.", "%(count)s invitations were sent.", "number"),
    "reset": ngettext_lazy(
        "%(count)s link for a new password was sent.", "%(count)s links for a new password were sent.", "number"),
    "reactivated": ngettext_lazy(
        "%(count)s notice of a reactivation was sent.", "%(count)s notices of a reactivation were sent.", "number"),
    "deactivated": ngettext_lazy(
        "%(count)s notice of a deactivation was sent.", "%(count)s notices of a deactivation were sent.", "number"),
    "email-changed": ngettext_lazy(
        "%(count)s notice of a changed address was sent.", "%(count)s notices of a changed address were sent.", "number"),
}  # fmt: skip


def describe_emails(mails: Mapping[str, int], *, done: bool) -> list[str]:
    """Return a sentence for each kind of email with its number, or the sentence that there is none."""
    texts = _MAILS_DID if done else _MAILS_WILL
    sentences = [_count(text, mails[kind]) for kind, text in texts.items() if mails.get(kind)]
    return sentences or [_("No email was sent.") if done else _("No email will be sent.")]


_TITLES = {
    "waiting": gettext_lazy("Waiting to start"),
    "running": gettext_lazy("Running"),
    "previewed": gettext_lazy("Preview: nothing has changed yet"),
    "held": gettext_lazy("On hold: nothing has changed"),
    "applied": gettext_lazy("Applied"),
    "refused": gettext_lazy("Refused: nothing has changed"),
    "canceled": gettext_lazy("Canceled: nothing has changed"),
    "failed": gettext_lazy("Failed: nothing has changed"),
}


_ENDED = {
    PlanEnd.APPLIED: gettext_lazy("This preview was applied"),
    PlanEnd.REPLACED: gettext_lazy("Replaced by a newer plan"),
    PlanEnd.DISCARDED: gettext_lazy("Discarded: nothing has changed"),
    PlanEnd.EXPIRED: gettext_lazy("Expired: nothing has changed"),
}


def make_title(record: models.Import) -> str:
    """Return the title of the page of an import: its state, and whether it has changed anything."""
    ended = plan_ends.get_end(record, datetime.now(UTC))
    if ended:
        return str(_ENDED[PlanEnd(ended)])
    if has_changed(record):
        return _("The plan has changed: nothing was applied")
    if record.state == "applied" and not would_change(record.counts):
        return _("Applied: there was nothing to change")
    return str(_TITLES[cancellation.get_shown_state(record)])


def has_changed(record: models.Import) -> bool:
    """Return whether the import was not applied because its plan was no longer the one that was shown (D2)."""
    return record.state == "refused" and plan_ends.shows_plan(record)


_OVER_LIMIT: Mapping[LimitKind, Any] = {
    LimitKind.DEACTIVATIONS: ngettext_lazy(
        "%(users)s user will lose access. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will lose access. The limit is %(limit)s. Active users: %(active)s.", "number"),
    LimitKind.PRIVILEGES: ngettext_lazy(
        "%(users)s user will gain a permission. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will gain a permission. The limit is %(limit)s. Active users: %(active)s.", "number"),
    LimitKind.HANDOVERS: ngettext_lazy(
        "%(users)s user will take another user’s email address or username. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will take another user’s email address or username. The limit is %(limit)s. Active users: %(active)s.",
        "number"),
    LimitKind.CLEARED: ngettext_lazy(
        "%(users)s user will lose a value to a column that is blank in every row. The limit is %(limit)s. Active users:"
        " %(active)s.",
        "%(users)s users will lose a value to a column that is blank in every row. The limit is %(limit)s. Active users:"
        " %(active)s.", "number"),
    LimitKind.LOSSES: ngettext_lazy(
        "%(users)s user will lose a group or a permission. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will lose a group or a permission. The limit is %(limit)s. Active users: %(active)s.", "number"),
    LimitKind.REKEYS: ngettext_lazy(
        "%(users)s user will get another external ID. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will get another external ID. The limit is %(limit)s. Active users: %(active)s.", "number"),
    LimitKind.UPDATES: ngettext_lazy(
        "%(users)s user will be updated. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will be updated. The limit is %(limit)s. Active users: %(active)s.", "number"),
    LimitKind.ADDITIONS: ngettext_lazy(
        "%(users)s user will be added. The limit is %(limit)s. Active users: %(active)s.",
        "%(users)s users will be added. The limit is %(limit)s. Active users: %(active)s.", "number"),
}  # fmt: skip


def describe_hold(hold: Hold) -> str:
    """Return the reason why an import is on hold, in a few sentences."""
    return " ".join(_describe_hold(hold))


def _describe_hold(hold: Hold) -> Iterator[str]:
    if hold.code == CUT_OFF:
        yield _("The file ends in the middle of row %(row)s, so it was cut off.") % {"row": hold.fact}
    elif hold.code == UNREADABLE:
        yield _("Rows that cannot be read well enough to identify their users: %(rows)s.") % {"rows": count(hold.rows)}
    elif hold.code == "row-count":
        yield _("The file says that it has %(said)s rows, but it has %(rows)s.") % {
            "said": hold.fact,
            "rows": count(hold.rows),
        }
    elif not hold.kind:
        yield _("The file has %(rows)s rows. The last one had %(before)s.") % {
            "rows": count(hold.rows),
            "before": hold.fact,
        }
    else:
        if hold.role:
            yield _("Limit of the role %(role)s:") % {"role": hold.role}
        elif hold.group:
            yield _("Limit of the group %(group)s:") % {"group": hold.group}
        numbers = {"users": count(hold.users), "limit": count(hold.limit), "active": count(hold.active)}
        yield str(_OVER_LIMIT[LimitKind(hold.kind)] % ({"number": hold.users} | numbers))
        if hold.role or hold.group:
            yield _("In the whole agency it is %(total)s.") % {"total": count(hold.total)}


_MODES = {
    Mode.UPDATE: gettext_lazy("Add or update user accounts"),
    Mode.SYNC: gettext_lazy("Synchronize all user accounts"),
    Mode.REKEY: gettext_lazy("Change external IDs"),
}


_ENTRY_FILES: Mapping[str, Any] = {
    "groups": gettext_lazy("Groups: add or update"),
    "members": gettext_lazy("Members of groups: add or update"),
    "roles": gettext_lazy("Roles: add or update"),
    "ranks": gettext_lazy("Ranks: add or update"),
}
_SYNCHRONIZED: Mapping[str, Any] = {
    "groups": gettext_lazy("Groups: synchronize the groups in the file"),
    "members": gettext_lazy("Members: synchronize the groups in the file"),
}


def name_mode(record: models.Import) -> str:
    """Return the import option of an import of a file, "" for other imports."""
    if record.kind in (ImportKind.UNDO, ImportKind.BULK):
        return ""
    return name_option(entry_files.get_layout(record), Mode(record.mode))


def name_option(what: str, mode: Mode) -> str:
    """Return the import option of a file. `what`: its layout if it is one of groups, members, roles or ranks."""
    if what:
        return str(_SYNCHRONIZED[what] if mode is Mode.SYNC else _ENTRY_FILES[what])
    return str(_MODES[mode])
