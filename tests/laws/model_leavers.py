"""The oracle's synchronize import: who is missing, who becomes Inactive, who is protected, and marks (S1–S11)."""

from tests.laws.model_cells import id_key, key
from tests.laws.model_clashes import is_administrator, list_administrators
from tests.laws.model_rows import Line, Run
from tests.laws.world import KEYED, Person

_NO_LONGER_MISSING = ("exempt", "not-by-files", "named-by-faulty-row")


def name_person(line: Line, person: Person) -> bool:
    """S2: whether a row with a problem has the email, username or badge of the person, or an id that looks like theirs."""
    alike = not line.person and id_key(line.external_id) == id_key(person.external_id)
    return alike or any(h in line.values and key(line.values[h]) == key(person.values[h]) for h in KEYED)


def find_leavers(run: Run, sound: list[Line]) -> None:
    """Set who becomes Inactive unmentioned, and who is protected (S1–S6, S9–S11)."""
    out, errored = run.out, [line for line in run.lines if line not in sound]
    out.deactivated, out.protected, out.named_by = set(), {}, {}
    for person in _list_missing(run):
        rows = [line.number for line in errored if name_person(line, person)]
        code = _find_protection(run, person, rows)
        if code == "named-by-faulty-row":
            out.named_by[person.external_id] = min(rows)
        if code:
            out.protected[person.external_id] = code
        else:
            out.deactivated.add(person.external_id)
    _keep_administrators(run, sound)
    out.unreadable = sum(_is_unreadable(run, line) for line in errored)


def _list_missing(run: Run) -> list[Person]:
    """The active users whose external ID no row has."""
    mentioned = [line.person for line in run.lines if line.person]
    return [person for person in run.known.values() if person.active and person not in mentioned]


def _find_protection(run: Run, person: Person, rows: list[int]) -> str:
    """The first reason to keep the person, "" for none. `rows`: those with problems that name them."""
    source = run.case.source
    reasons = {
        "exempt": person.exempt,
        "own-account": person == run.operator,
        "above-your-role": not run.may_change(person),
        "not-by-files": person.no_files,
        "other-source": bool(source) and person.source != source,
        "named-by-faulty-row": bool(rows),
        "leaving": _is_in_grace(run, person),
    }
    return next((code for code, applies in reasons.items() if applies), "")


def _count_missing(person: Person) -> tuple[int, int]:
    """S10: for how many days, and in how many imports with this one, the person is missing."""
    days, imports = person.missing or (0, 0)
    return days, imports + 1


def _is_in_grace(run: Run, person: Person) -> bool:
    return min(_count_missing(person)) < run.case.grace_days


def _keep_administrators(run: Run, sound: list[Line]) -> None:
    """M11."""
    out = run.out
    leaving = {e for e in out.deactivated if run.known[e].registered and is_administrator(run.known[e].values)}
    if leaving and leaving.issuperset(list_administrators(run, sound)):
        out.deactivated -= leaving
        out.protected.update(dict.fromkeys(leaving, "last-administrator"))


def _is_unreadable(run: Run, line: Line) -> bool:
    """S3: whether a row with a problem may mean any user: its external ID cannot be read, or may be in another cell."""
    doubtful = (
        "EXTERNAL_ID" not in line.values
        or ("looks-damaged", "EXTERNAL_ID") in line.problems
        or line.number in run.case.file.short
    )
    return doubtful and not line.person and not any(name_person(line, person) for person in run.known.values())


def find_marks(run: Run, sound: list[Line]) -> None:
    """Set the marks of the users who are Active in the end (S9, S10)."""
    source, out = run.case.source, run.out
    errored = [line for line in run.lines if line not in sound]
    good = {line.external_id for line in sound if not line.kept}
    mentioned = {line.person.external_id for line in run.lines if line.person}
    for person in run.known.values():
        me = person.external_id
        named = me in mentioned or any(name_person(line, person) for line in errored)
        missing = None if named or out.protected.get(me) in _NO_LONGER_MISSING else person.missing
        missing = _count_missing(person) if out.protected.get(me) == "leaving" else missing
        out.marks[me] = ((source if me in good and not person.source else person.source), missing)
    out.marks |= {me: (source, None) for me in good if me not in run.known}
