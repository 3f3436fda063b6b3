"""The oracle's limits: the users of each kind of harm, the notes about whole columns, and the holds (S3, S4)."""

from musterbook.core.domain.policy import Limit
from tests.laws.model_cells import key, meant, role
from tests.laws.model_clashes import list_space
from tests.laws.model_rows import VALUED, Line, Run
from tests.laws.world import OPTIONAL, Person, Row

_LARGE = 50


def find_harms(run: Run, sound: list[Line]) -> None:
    """Set the users of each kind, and the notes about whole columns."""
    known = [(line, line.person) for line in sound if line.person]
    losing = {line.external_id for line, person in known if person.active and line.after("STATUS") == "Inactive"}
    blank = _list_blank(run)
    cleared = {h: {line.external_id for line, person in known if _clears(run, line, person, h)} for h in blank}
    run.out.harms = {
        "deactivations": run.out.deactivated | losing,
        "privileges": {line.external_id for line in sound if _gains(line)},
        "handovers": {line.external_id for line in sound if _takes_over(run, line)},
        "cleared": set().union(*cleared.values()),
        "updates": {line.external_id for line, _ in known if run.out.outcomes[line.number] == "updated"},
        "additions": {line.external_id for line in sound if not line.person},
    }
    run.out.file_notes |= {("blank-column", heading) for heading, users in cleared.items() if users}
    for heading in (*VALUED, "SUPERVISOR_EMAIL"):
        changed = [line for line, person in known if _changes(run, line, person, heading)]
        if len(run.known) >= _LARGE and 2 * len(changed) > len(run.known) and heading not in blank:
            run.out.file_notes.add(("most-users-change", heading))


def _gains(line: Line) -> bool:
    """Whether the user is Active afterwards with a permission that they do not have now. An Inactive user has none."""
    active = line.person is not None and line.person.active
    had = role(line.was("ROLE")).permissions if active else frozenset[str]()
    return line.after("STATUS") == "Active" and not role(line.after("ROLE")).permissions <= had


def _takes_over(run: Run, line: Line) -> bool:
    """M12: a handover."""
    others = [person for person in run.known.values() if person is not line.person]
    names = {key(person.values[heading]) for person in others for heading in list_space("EMAIL")}
    return any(line.asks(heading) in names for heading in ("EMAIL", "USERNAME"))


def _list_blank(run: Run) -> list[str]:
    rows, headings = run.case.file.rows.values(), run.case.file.headings
    return [h for h in OPTIONAL if h in headings and not any(meant(row[h]) for row in rows)]


def _clears(run: Run, line: Line, person: Person, heading: str) -> bool:
    return _changes(run, line, person, heading) and not _read_after(run, line)[heading]


def _changes(run: Run, line: Line, person: Person, heading: str) -> bool:
    return _read_after(run, line)[heading] != (person.values | {"SUPERVISOR_EMAIL": person.boss})[heading]


def _read_after(run: Run, line: Line) -> Row:
    after = {heading: line.after(heading) for heading in VALUED}
    if line.external_id in run.out.released:
        after["BADGE_NUMBER"] = run.out.released[line.external_id]
    return after | {"SUPERVISOR_EMAIL": run.bosses.get(line.external_id, "")}


# Holds


def find_holds(run: Run) -> None:
    """Set what is to be confirmed, with the number that confirms it."""
    confirmed = run.case.confirmed
    for limit in run.case.limits:
        total = len(run.out.harms.get(limit.kind, ()))
        if _is_over(run, limit) and confirmed.get(limit.kind) != total:
            run.out.holds.append((limit.kind.value, total, limit.role or limit.group))
    if run.out.unreadable and confirmed.get("unreadable-rows") != run.out.unreadable:
        run.out.holds.append(("unreadable-rows", run.out.unreadable, ""))
    run.out.holds.sort()


def _is_over(run: Run, limit: Limit) -> bool:
    """Whether more users are concerned than the limit allows, or another number than was confirmed."""
    users = run.out.harms.get(limit.kind)
    if users is None or limit.off or not run.known:
        return False  # A first load is not held: nobody can lose anything, and every permission is new.
    theirs = {one for one in users if _concerns(run, limit, one)}
    whole = not (limit.role or limit.group)
    return len(theirs) > _measure(run, limit) or (whole and limit.kind in run.case.confirmed)


def _measure(run: Run, limit: Limit) -> int:
    """The number of users that the limit allows."""
    active = len([p for p in run.known.values() if p.active and _has(limit, p.values)])
    allowed = max(limit.users, int(active * limit.percent / 100))
    allowed = allowed if limit.most is None else min(allowed, limit.most)
    return min(allowed, max(1, active // 3)) if limit.cautious else allowed


def _concerns(run: Run, limit: Limit, external_id: str) -> bool:
    """Whether the user has the role or the group of the limit, before or after."""
    known = [run.known[external_id].values] if external_id in run.known else []
    return any(_has(limit, values) for values in (*known, run.out.final[external_id]))


def _has(limit: Limit, values: Row) -> bool:
    if limit.role:
        return values["ROLE"].casefold() == limit.role.casefold()
    return values["EVIDENCE_GROUP_EXT_ID"] == limit.group if limit.group else True
