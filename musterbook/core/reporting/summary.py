"""The sentences that sum up an import: what it does, and why it waits."""

from collections.abc import Mapping, Sequence
from itertools import chain

from musterbook.core.domain.labels import count_emails
from musterbook.core.domain.policy import LimitKind
from musterbook.core.planning.holds import CUT_OFF, UNREADABLE, Hold

_COUNTS = (
    ("added", "added"),
    ("updated", "updated"),
    ("reactivated", "of these reactivated"),
    ("losing_access", "will lose access"),
    ("privileges", "will gain a permission"),
    ("handovers", "will take another user's address or username"),
    ("identity_changes", "with an identity change"),
    ("cleared", "will lose a value to a blank column"),
    ("released", "will lose their badge"),
    ("marked", "marked with their source, or as leaving"),
)
_DONE = {
    "losing_access": "lost access",
    "privileges": "gained a permission",
    "handovers": "took another user's address or username",
    "cleared": "lost a value to a blank column",
    "released": "lost their badge",
}
_ROWS = (("errored", "with problems"), ("skipped", "skipped"))


def summarize(
    counts: Mapping[str, int],
    mails: Mapping[str, int] | None = None,
    *,
    done: bool = False,
    words: Mapping[str, str] | None = None,
) -> str:
    """Return one sentence, such as “6 users added, 11 updated, 8 will lose access, 6 invitations, 7 rows skipped”.

    `mails`: the number of emails of each kind. `done`: whether the import was applied. `words`: other words for some counts,
    where each row is a chosen user.
    """
    labels = {**dict(_COUNTS), **dict(_ROWS), **(_DONE if done else {}), **(words or {})}
    users = [(counts.get(name, 0), labels[name]) for name, _ in _COUNTS]
    rows = [(counts.get(name, 0), labels[name]) for name, _ in _ROWS]
    named = [(users + rows, "user")] if words else [(users, "user"), (rows, "row")]
    first, *others = (_name_first([part for part in parts if part[0]], noun) for parts, noun in named)
    emails = filter(None, [count_emails(mails or {})])
    return ", ".join([*first, *emails, *chain.from_iterable(others)]) or "Nothing changes"


def _name_first(parts: Sequence[tuple[int, str]], noun: str) -> list[str]:
    """Return the parts as text. The first one names what is counted: “6 users added”, “11 updated”."""
    nouns = [f" {noun}{'' if number == 1 else 's'}" if not place else "" for place, (number, _) in enumerate(parts)]
    return [f"{number:,}{named} {label}" for (number, label), named in zip(parts, nouns, strict=True)]


_OVER_LIMIT = {
    LimitKind.DEACTIVATIONS: "would lose access",
    LimitKind.PRIVILEGES: "would gain a permission",
    LimitKind.HANDOVERS: "would take an email address or username that another user has now",
    LimitKind.CLEARED: "would lose a value to a column that is blank in every row",
    LimitKind.REKEYS: "would get another external id",
    LimitKind.UPDATES: "would change",
    LimitKind.ADDITIONS: "would be added",
}
_DOUBTS = {
    CUT_OFF: "The file ends in the middle of row {fact}, so it was cut off.",
    "row-count": "The file says that it has {fact} rows, but it has {rows:,}.",
    "shrunk": "The file has {rows:,} rows. The last one had {fact}.",
    UNREADABLE: "Rows that cannot be read well enough to identify their users: {rows:,}.",
}


def describe_hold(hold: Hold) -> str:
    """Return the reason why an import waits, as one or two sentences."""
    if not hold.kind:
        return _DOUBTS[hold.code].format(rows=hold.rows, fact=hold.fact)
    users = f"{hold.users:,} user{'' if hold.users == 1 else 's'}"
    whose = f" with the role {hold.role}" if hold.role else f" of the group {hold.group}" if hold.group else ""
    limit = f"The limit is {hold.limit:,}, with {hold.active:,} active user{'' if hold.active == 1 else 's'}."
    total = f" All users of this kind: {hold.total:,}." if whose else ""
    return f"{users}{whose} {_OVER_LIMIT[LimitKind(hold.kind)]}. {limit}{total}"
