"""The sentences and labels of bulk actions: in the future for a preview, in the past for what was done."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy, npgettext_lazy

from musterbook.directory.imports.bulk import BulkChange
from musterbook.web.imports.sentences import count

LABELS: Mapping[str, Promise] = {
    "deactivate": gettext_lazy("Deactivate"),
    "reactivate": gettext_lazy("Reactivate"),
    "invite": gettext_lazy("Invite again"),
    "reset": gettext_lazy("Reset credentials"),
    "role": gettext_lazy("Set role"),
    "rank": gettext_lazy("Set rank"),
    "group": gettext_lazy("Set group"),
    "members": gettext_lazy("Change members"),
}
"""The label of each action."""
FIELDS: Mapping[str, tuple[Promise, Promise]] = {
    "role": (gettext_lazy("Role"), gettext_lazy("Choose a role.")),
    "rank": (gettext_lazy("Rank"), gettext_lazy("Choose a rank.")),
    "group": (gettext_lazy("Group"), gettext_lazy("Choose a group.")),
    "members": (gettext_lazy("Group"), gettext_lazy("Choose a group.")),
}
"""The label of the field for the value that an action sets, and what is said if it is blank."""
NONE: Mapping[str, Promise] = {"rank": gettext_lazy("No rank"), "group": gettext_lazy("No group")}
"""What is chosen to set no value."""
_BUTTONS: Mapping[str, Any] = {
    "deactivate": ngettext_lazy("Deactivate %(count)s user", "Deactivate %(count)s users", "number"),
    "reactivate": ngettext_lazy("Reactivate %(count)s user", "Reactivate %(count)s users", "number"),
    "invite": ngettext_lazy("Invite %(count)s user again", "Invite %(count)s users again", "number"),
    "reset": ngettext_lazy("Reset credentials of %(count)s user", "Reset credentials of %(count)s users", "number"),
    "role": ngettext_lazy("Set role of %(count)s user", "Set role of %(count)s users", "number"),
    "rank": ngettext_lazy("Set rank of %(count)s user", "Set rank of %(count)s users", "number"),
    "group": ngettext_lazy("Set group of %(count)s user", "Set group of %(count)s users", "number"),
    "members": ngettext_lazy("Change %(count)s member", "Change %(count)s members", "number"),
}
_CHANGES: dict[str, tuple[Any, Any]] = {
    "deactivate": (
        ngettext_lazy("%(count)s user will be deactivated.", "%(count)s users will be deactivated.", "number"),
        ngettext_lazy("%(count)s user was deactivated.", "%(count)s users were deactivated.", "number"),
    ),
    "reactivate": (
        ngettext_lazy("%(count)s user will be reactivated.", "%(count)s users will be reactivated.", "number"),
        ngettext_lazy("%(count)s user was reactivated.", "%(count)s users were reactivated.", "number"),
    ),
    "invite": (
        ngettext_lazy(
            "%(count)s user will be invited again, and their earlier link will stop working.",
            "%(count)s users will be invited again, and their earlier links will stop working.", "number"),
        ngettext_lazy(
            "%(count)s user was invited again. Their earlier link no longer works.",
            "%(count)s users were invited again. Their earlier links no longer work.", "number"),
    ),
    "reset": (
        ngettext_lazy(
            "%(count)s user will get a link to choose a new password. The old password works until they choose a new one.",
            "%(count)s users will get a link to choose a new password. Their old passwords work until they choose new ones.",
            "number"),
        ngettext_lazy(
            "%(count)s user got a link to choose a new password. The old password works until they choose a new one.",
            "%(count)s users got a link to choose a new password. Their old passwords work until they choose new ones.",
            "number"),
    ),
    "role": (
        ngettext_lazy(
            "%(count)s user will have the role %(value)s.", "%(count)s users will have the role %(value)s.", "number"),
        ngettext_lazy(
            "%(count)s user now has the role %(value)s.", "%(count)s users now have the role %(value)s.", "number"),
    ),
    "rank": (
        ngettext_lazy(
            "%(count)s user will have the rank %(value)s.", "%(count)s users will have the rank %(value)s.", "number"),
        ngettext_lazy(
            "%(count)s user now has the rank %(value)s.", "%(count)s users now have the rank %(value)s.", "number"),
    ),
    "group": (
        ngettext_lazy(
            "%(count)s user will be in the group %(value)s.", "%(count)s users will be in the group %(value)s.", "number"),
        ngettext_lazy(
            "%(count)s user is now in the group %(value)s.", "%(count)s users are now in the group %(value)s.", "number"),
    ),
    "members": (
        ngettext_lazy(
            "%(count)s user will join or leave the group %(value)s.",
            "%(count)s users will join or leave the group %(value)s.", "number"),
        ngettext_lazy(
            "%(count)s user joined or left the group %(value)s.", "%(count)s users joined or left the group %(value)s.",
            "number"),
    ),
}  # fmt: skip
_TO_NONE: dict[str, tuple[Any, Any]] = {
    "rank": (
        ngettext_lazy("%(count)s user will have no rank.", "%(count)s users will have no rank.", "number"),
        ngettext_lazy("%(count)s user now has no rank.", "%(count)s users now have no rank.", "number"),
    ),
    "group": (
        ngettext_lazy("%(count)s user will be in no group.", "%(count)s users will be in no group.", "number"),
        ngettext_lazy("%(count)s user is now in no group.", "%(count)s users are now in no group.", "number"),
    ),
}
"""The act → the sentence about the users that it changes, before and afterward."""
_OTHERS: tuple[tuple[str, Any, Any], ...] = (
    ("losing_access",
     ngettext_lazy("%(count)s user will lose access.", "%(count)s users will lose access.", "number"),
     ngettext_lazy("%(count)s user lost access.", "%(count)s users lost access.", "number")),
    ("privileges",
     ngettext_lazy("%(count)s user will gain a permission.", "%(count)s users will gain a permission.", "number"),
     ngettext_lazy("%(count)s user gained a permission.", "%(count)s users gained a permission.", "number")),
    ("unchanged",
     ngettext_lazy("%(count)s user needs no change.", "%(count)s users need no change.", "number"),
     ngettext_lazy("%(count)s user needed no change.", "%(count)s users needed no change.", "number")),
    ("errored",
     ngettext_lazy("%(count)s user will be left out, for the reason below.",
                   "%(count)s users will be left out, for the reasons below.", "number"),
     ngettext_lazy("%(count)s user was left out, for the reason below.",
                   "%(count)s users were left out, for the reasons below.", "number")),
)  # fmt: skip
"""The other counts, each with its sentence before and afterward. Harms come first."""
_HARMS = ("losing_access", "privileges")
_UPDATED: Mapping[str, tuple[Any, Any]] = {
    "deactivate": (
        npgettext_lazy("tile", "will be deactivated", "will be deactivated", "number"),
        npgettext_lazy("users", "deactivated", "deactivated", "number"),
    ),
    "reactivate": (
        npgettext_lazy("tile", "will be reactivated", "will be reactivated", "number"),
        npgettext_lazy("users", "reactivated", "reactivated", "number"),
    ),
    "invite": (
        npgettext_lazy("tile", "will be invited", "will be invited", "number"),
        npgettext_lazy("users", "invited", "invited", "number"),
    ),
    "reset": (
        npgettext_lazy("tile", "will get a link", "will get a link", "number"),
        npgettext_lazy("tile", "got a link", "got a link", "number"),
    ),
}
_CHANGED = (
    npgettext_lazy("tile", "will be changed", "will be changed", "number"),
    npgettext_lazy("users", "changed", "changed", "number"),
)
_SENTENCES: Mapping[str, tuple[Promise, Promise]] = {
    "errored": (
        gettext_lazy("These users will be left out. All others will still be changed."),
        gettext_lazy("These users were left out. All others were still changed."),
    ),
    "updated": (gettext_lazy("These users will be changed."), gettext_lazy("These users were changed.")),
    "unchanged": (gettext_lazy("These users need no change."), gettext_lazy("These users needed no change.")),
    "noted": (gettext_lazy("These users have warnings."), gettext_lazy("These users had warnings.")),
    "mailed": (gettext_lazy("These users will get an email."), gettext_lazy("These users got an email.")),
}
_MAILS: Mapping[str, tuple[Promise, Promise]] = {
    "invite": (
        gettext_lazy("Each of these users will get a new invitation. Earlier ones will stop working."),
        gettext_lazy("Each of these users got a new invitation. Earlier ones no longer work."),
    ),
    "reset": (
        gettext_lazy(
            "Each of these users will get a link to choose a new password. The old one works until they choose it."
        ),
        gettext_lazy(
            "Each of these users got a link to choose a new password. The old one works until they choose it."
        ),
    ),
}
MAILED: Mapping[str, Promise] = {
    "invite": gettext_lazy("a new invitation"),
    "reset": gettext_lazy("a link to choose a new password"),
}
"""What each user gets."""


def label_change(change: BulkChange) -> str:
    """Return a short description of the action, with the value that it sets."""
    if change.act not in FIELDS:
        return str(LABELS[change.act])
    value = change.value or str(NONE.get(change.act, ""))
    return _("%(action)s: %(value)s") % {"action": LABELS[change.act], "value": value}


def label_button(change: BulkChange, number: int) -> str:
    """Return the label of the button that applies the action to this number of users."""
    return str(_BUTTONS[change.act] % {"number": number, "count": count(number)})


def describe_counts(change: BulkChange, counts: Mapping[str, int], *, done: bool) -> list[str]:
    """Return the sentences that sum up the action: first users who lose access, or gain a permission."""
    updated = (_CHANGES if change.value else _CHANGES | _TO_NONE)[change.act]
    sentences = {name: pair[done] for name, *pair in _OTHERS}
    order = [*_HARMS, "updated", *(name for name in sentences if name not in _HARMS)]
    sentences["updated"] = updated[done]
    found = [_count(sentences[name], counts[name], change.value) for name in order if counts.get(name)]
    if not counts.get("updated"):
        found.insert(0, _("Nothing was changed.") if done else _("Nothing will change."))
    return found


def _count(text: Any, number: int, value: str) -> str:
    return str(text % {"number": number, "count": count(number), "value": value})


def label_tiles(change: BulkChange, *, done: bool) -> dict[str, Any]:
    """Return the label of each tile, which has a form for its number."""
    labels: dict[str, Any] = {
        "errored": npgettext_lazy("tile", "left out", "left out", "number"),
        "updated": _UPDATED.get(change.act, _CHANGED)[done],
        "unchanged": npgettext_lazy("tile", "need no change", "need no change", "number"),
        "noted": npgettext_lazy("tile", "with warnings", "with warnings", "number"),
    }
    if change.kind.column:
        labels["mailed"] = (
            npgettext_lazy("tile", "got email", "got email", "number")
            if done
            else npgettext_lazy("tile", "will get email", "will get email", "number")
        )
    return labels


def describe_tiles(change: BulkChange, *, done: bool) -> dict[str, str]:
    """Return the sentence about the users of each tile."""
    pairs = {**_SENTENCES, **({"updated": _MAILS[change.act]} if change.act in _MAILS else {})}
    return {name: str(pair[done]) for name, pair in pairs.items()}
