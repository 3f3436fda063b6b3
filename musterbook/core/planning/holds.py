"""The holds of a plan: why it waits until the operator confirms it (rules S3, S4, F6, F11, N7)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import polars as pl

from musterbook.core.domain.policy import Confirmed, Limit, LimitKind, Mode, Policy
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.planning.harms import Harms
from musterbook.core.values.keys import fold

LIMIT = "limit"
UNREADABLE = "unreadable-rows"
CUT_OFF, SHRUNK = "cut-off", "shrunk"
NUMBERED = (*(kind.value for kind in LimitKind), UNREADABLE, "row-count", SHRUNK)
"""The names of holds that are confirmed by a number."""
UNNUMBERED = (CUT_OFF,)
"""The names of holds that have no number."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why an import waits for confirmation by the operator.

    - `code`: `limit`, `unreadable-rows`, or the code of a doubt (`cut-off`, `row-count`, `shrunk`).
    - `kind`: what the limit counts. `users`: their number. `active`: the number of active users. `limit`: the number
      allowed (without a kind: of deactivations). `role`, `group`: whose limit it is, if not the agency's.
    - `total`: the number of all users of the kind, which is to be confirmed.
    - `rows`: the number of rows that is to be confirmed, if the code has one.
    - `fact`: what the doubt says.
    - `external_ids`: the users, except those of the kinds that the outcomes of rows already list.
    """

    code: str
    kind: str = ""
    users: int = 0
    active: int = 0
    limit: int = 0
    role: str = ""
    group: str = ""
    total: int = 0
    rows: int = 0
    fact: str = ""
    external_ids: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return the name by which it is confirmed."""
        return self.kind or self.code

    @property
    def number(self) -> int | None:
        """Return the number that confirms it, or None if it has none."""
        return self.total if self.kind else None if self.code == CUT_OFF else self.rows

    def as_first(self, deactivations: int) -> dict[str, object]:
        """Return it in the format that has a single hold. `deactivations`: the number of users who lose access."""
        code = "deactivation-limit" if self.kind == LimitKind.DEACTIVATIONS else self.code
        more = {} if self.kind in ("", LimitKind.DEACTIVATIONS) else {"kind": self.kind, "users": self.users}
        return {"code": code, "deactivations": deactivations, "active": self.active, "limit": self.limit, **more}

    def as_json(self) -> dict[str, object]:
        """Return it in the format of the command line's contract."""
        if not self.kind:
            number = {} if self.number is None else {"rows": self.rows}
            return {"code": self.code, **number, **({"fact": self.fact} if self.fact else {})}
        scope = {name: value for name, value in (("role", self.role), ("group", self.group)) if value}
        return {
            "code": self.code, "kind": self.kind, "users": self.users, "active": self.active, "limit": self.limit,
            **scope, "total": self.total, "external_ids": list(self.external_ids),
        }  # fmt: skip

    @classmethod
    def of_json(cls, data: Mapping[str, object]) -> "Hold":
        """Return the hold from the JSON of `as_json`."""
        known = {name: value for name, value in data.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "external_ids": tuple(known.get("external_ids", ()))})  # type: ignore[arg-type]  # JSON that as_json wrote


def find_holds(
    table: Table, harms: Harms, changed: Mapping[LimitKind, pl.DataFrame], unreadable: int, snapshot: Snapshot, policy: Policy
) -> tuple[Hold, ...]:  # fmt: skip
    """Return why the import waits, without what the operator has confirmed by its exact number.

    `changed`: the added and the updated rows. `unreadable`: the number of rows that may mean any user (rule S3).
    """
    harmed = {
        LimitKind.DEACTIVATIONS: harms.losing_access,
        LimitKind.PRIVILEGES: harms.privileges,
        LimitKind.HANDOVERS: harms.handovers,
        LimitKind.CLEARED: harms.cleared,
    }
    others = [Hold(UNREADABLE, rows=unreadable)] if unreadable else []
    if policy.mode is Mode.SYNC:
        others += [Hold(doubt.code, rows=doubt.rows, fact=doubt.detail) for doubt in table.doubts]
    if policy.shrinks(table.cells.height):
        others.append(Hold(SHRUNK, rows=table.cells.height, fact=f"{policy.last_rows:,}"))
    if others:
        active, allowed = _measure_deactivations(snapshot, policy)
        others = [replace(hold, active=active, limit=allowed) for hold in others]
    holds = (*_find_over_limit({**harmed, **changed}, harmed, snapshot, policy), *others)
    return tuple(hold for hold in holds if not is_confirmed(hold, policy.confirmed))


def is_confirmed(hold: Hold, confirmed: Confirmed) -> bool:
    """Return whether the operator has confirmed the hold by its exact number."""
    return hold.key in confirmed and confirmed[hold.key] == hold.number


def _find_over_limit(
    kinds: Mapping[LimitKind, pl.DataFrame], named: Mapping[LimitKind, pl.DataFrame], snapshot: Snapshot, policy: Policy
) -> Iterator[Hold]:
    """Yield a hold for each limit that is exceeded.

    A kind that was confirmed with another number is held too: the number has changed. In an agency without users,
    nothing is held.
    """
    if snapshot.headcount is None and snapshot.users.is_empty():
        return
    for limit in sorted(policy.limits, key=lambda limit: (list(LimitKind).index(limit.kind), not limit.whole)):
        users = kinds.get(limit.kind)
        if users is None or limit.off:
            continue
        theirs = users if limit.whole else users.filter(_is_of(limit, snapshot))
        asked = limit.whole and limit.kind in policy.confirmed
        if theirs.is_empty() and not asked:
            continue
        active = _count_active(limit, snapshot)
        allowed = limit.allowed(active)
        if theirs.height > allowed or asked:
            ids = tuple(theirs["external_id"]) if limit.kind in named else ()
            yield Hold(
                LIMIT, limit.kind.value, theirs.height, active, allowed, limit.role, limit.group, users.height,
                external_ids=ids,
            )  # fmt: skip


def _measure_deactivations(snapshot: Snapshot, policy: Policy) -> tuple[int, int]:
    """Return the number of active users, and the number of deactivations allowed (all of them without a limit)."""
    limits = (one for one in policy.limits if one.kind is LimitKind.DEACTIVATIONS and one.whole and not one.off)
    limit = next(limits, Limit(LimitKind.DEACTIVATIONS, percent=100))
    active = _count_active(limit, snapshot)
    return active, limit.allowed(active)


def _is_of(limit: Limit, snapshot: Snapshot, prefixes: tuple[str, ...] = ("", "was_")) -> pl.Expr:
    """Return whether a user has the role or the group of the limit, before or after the import."""
    words = snapshot.vocabulary
    if limit.role:
        name, ids = "role_id", [role.id for role in words.roles if fold(role.name) == fold(limit.role)]
    else:
        name, ids = "group_id", [group.id for group in words.groups if group.external_id == limit.group]
    return pl.any_horizontal(pl.col(f"{prefix}{name}").is_in(ids).fill_null(False) for prefix in prefixes)


def _count_active(limit: Limit, snapshot: Snapshot) -> int:
    """Return the number of active users that the limit is about."""
    theirs = pl.lit(True) if limit.whole else _is_of(limit, snapshot, ("",))
    if snapshot.headcount is not None:
        return int(snapshot.headcount.filter(theirs)["active"].sum())
    return int(snapshot.users.filter(theirs, pl.col("active")).height)
