"""The sentences that sum up an import: what it does, and why it waits."""

from collections.abc import Mapping, Sequence
from itertools import chain

from musterbook.core.domain import texts
from musterbook.core.domain.labels import count_emails
from musterbook.core.domain.policy import LimitKind
from musterbook.core.planning.holds import CUT_OFF, UNREADABLE, Hold

_COUNTS = (
    ("added", "to add"),
    ("updated", "to update"),
    ("reactivated", "of these to reactivate"),
    ("losing_access", "will lose access"),
    ("privileges", "will gain a permission"),
    ("handovers", "will take another user's address or username"),
    ("identity_changes", "with an identity change"),
    ("cleared", "will lose a value to a blank column"),
    ("released", "will lose their badge"),
    ("marked", "to mark with the source of the file, or as leaving"),
)
_DONE = {
    "added": "added",
    "updated": "updated",
    "reactivated": "of these reactivated",
    "losing_access": "lost access",
    "privileges": "gained a permission",
    "handovers": "took another user's address or username",
    "cleared": "lost a value to a blank column",
    "released": "lost their badge",
    "marked": "marked with the source of the file, or as leaving",
    "skipped": "skipped",
}
_OF_OTHERS = ("of these reactivated", "of these to reactivate")
"""Counts that always follow another one."""
_ROWS = (("errored", "with problems"), ("skipped", "to skip"))

_CHOSEN = {
    "deactivated": "to deactivate",
    "reactivated": "to reactivate",
    "invited": "to invite",
    "sent a reset": "to send a reset",
    "changed": "to change",
}
"""What a bulk change did to the users chosen for it → what it is going to do."""
_LEFT_OUT = "left out"


def summarize(
    counts: Mapping[str, int],
    mails: Mapping[str, int] | None = None,
    *,
    done: bool = False,
    words: Mapping[str, str] | None = None,
) -> str:
    """Return one sentence, such as “6 users to add, 11 to update, 8 will lose access, 6 invitations, 7 rows to skip”.

    `mails`: the number of emails of each kind. `done`: whether the import was applied. `words`: other words for some counts,
    where each row is a chosen user, as they are afterward: *deactivated*, which is *to deactivate* before.
    """
    if "removed" in counts:
        return _summarize_entries(counts, done=done)
    words = {name: word if done else _CHOSEN.get(word, word) for name, word in (words or {}).items()}
    labels = {**dict(_COUNTS), **dict(_ROWS), **(_DONE if done else {}), **words}
    users = [(labels[name], counts.get(name, 0)) for name, _ in _COUNTS]
    rows = [(labels[name], counts.get(name, 0)) for name, _ in _ROWS]
    named = [(users + rows, "user")] if words else [(users, "user"), (rows, "row")]
    first, *others = (_name_first([part for part in parts if part[1]], noun) for parts, noun in named)
    emails = filter(None, [count_emails(mails or {})])
    return ", ".join([*first, *emails, *chain.from_iterable(others)]) or texts.translate(NOTHING)


_ENTRIES = (("added", "to add", "added"), ("updated", "to update", "updated"), ("removed", "to remove", "removed"))
_OF_USERS = (
    ("losses", "will lose a group or a permission", "lost a group or a permission"),
    ("privileges", "will gain a permission", "gained a permission"),
)
"""The counts of an import of groups, members, roles or ranks: of entries, and of users. Each has its words before and after."""


def _summarize_entries(counts: Mapping[str, int], *, done: bool) -> str:
    rows = [(name, label, _DONE.get(name, label)) for name, label in _ROWS]
    groups = ((_ENTRIES, "entry"), (_OF_USERS, "user"), (rows, "row"))
    parts = [
        _name_first([(words[done], counts[name]) for name, *words in kinds if counts.get(name)], noun)
        for kinds, noun in groups
    ]
    return ", ".join(chain.from_iterable(parts)) or texts.translate(NOTHING)


NOTHING = "Nothing changes"


def _name_first(parts: Sequence[tuple[str, int]], noun: str) -> list[str]:
    """Return the parts as text. The first one names what is counted: “6 users to add”, “11 to update”."""
    forms = [_make_forms(label, "" if place else noun) for place, (label, _) in enumerate(parts)]
    return [texts.count(both, number) for both, (_, number) in zip(forms, parts, strict=True)]


def _make_forms(label: str, noun: str = "") -> texts.Forms:
    if not noun:
        return (f"{{number}} {label}",) * 2
    return f"{{number}} {noun} {label}", f"{{number}} {_PLURALS.get(noun, f'{noun}s')} {label}"


_PLURALS = {"entry": "entries"}


_OVER_LIMIT = {
    LimitKind.DEACTIVATIONS: "would lose access",
    LimitKind.PRIVILEGES: "would gain a permission",
    LimitKind.HANDOVERS: "would take an email address or username that another user has now",
    LimitKind.CLEARED: "would lose a value to a column that is blank in every row",
    LimitKind.LOSSES: "would lose a group or a permission",
    LimitKind.REKEYS: "would get another external ID",
    LimitKind.UPDATES: "would change",
    LimitKind.ADDITIONS: "would be added",
}
_WHOSE = ("", " with the role {role}", " of the group {group}")
_DOUBTS = {
    CUT_OFF: "The file ends in the middle of row {fact}, so it was cut off.",
    "row-count": "The file says that it has {fact} rows, but it has {rows}.",
    "shrunk": "The file has {rows} rows. The last one had {fact}.",
    UNREADABLE: "Rows that cannot be read well enough to identify their users: {rows}.",
}
_LIMIT = (
    "The limit is {limit}, with {number} active user.",
    "The limit is {limit}, with {number} active users.",
)
_TOTAL = "All users of this kind: {total}."


def describe_hold(hold: Hold) -> str:
    """Return the reason why an import waits, as one or more sentences."""
    if not hold.kind:
        return texts.translate(_DOUBTS[hold.code]).format(rows=f"{hold.rows:,}", fact=hold.fact)
    whose = _WHOSE[1] if hold.role else _WHOSE[2] if hold.group else ""
    forms = _make_hold_forms(LimitKind(hold.kind), whose)
    users = texts.count(forms, hold.users, role=str(hold.role), group=str(hold.group))
    limit = texts.count(_LIMIT, hold.active, limit=f"{hold.limit:,}")
    total = texts.translate(_TOTAL).format(total=f"{hold.total:,}") if whose else ""
    return " ".join(filter(None, (users, limit, total)))


def _make_hold_forms(kind: LimitKind, whose: str) -> texts.Forms:
    return f"{{number}} user{whose} {_OVER_LIMIT[kind]}.", f"{{number}} users{whose} {_OVER_LIMIT[kind]}."


def list_sources() -> tuple[list[str], list[texts.Forms]]:
    """Return every text of this module in English: those without a number, and the forms of those with one."""
    users = dict.fromkeys((*dict(_COUNTS).values(), *_DONE.values(), *dict(_ROWS).values()))
    forms = [_make_forms(label, noun) for label in users for noun in ("user", "") if not (noun and label in _OF_OTHERS)]
    chosen = (*_CHOSEN, *_CHOSEN.values(), _LEFT_OUT)
    forms += [_make_forms(label, noun) for label in chosen for noun in ("user", "")]
    forms += [_make_forms(label, "row") for label in (*dict(_ROWS).values(), _DONE["skipped"])]
    forms += [_make_forms(label, noun) for _, *both in _ENTRIES for label in both for noun in ("entry", "")]
    forms += [_make_forms(label, noun) for _, *both in _OF_USERS for label in both for noun in ("user", "")]
    forms += [_make_hold_forms(kind, whose) for kind in _OVER_LIMIT for whose in _WHOSE]
    return [NOTHING, *_DOUBTS.values(), _TOTAL], [*forms, _LIMIT]
