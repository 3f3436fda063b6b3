"""The oracle's supervisors (M9)."""

from tests.laws.model_cells import key
from tests.laws.model_rows import Line, Run
from tests.laws.world import Person


def link_supervisors(run: Run, sound: list[Line]) -> list[Line]:
    """Set `run.bosses`, external ID → external ID, and the notes; return the rows that still have no problem (M10)."""
    if "SUPERVISOR_EMAIL" not in run.case.file.headings:
        return sound
    present, former = _find_addresses(run, sound)
    asked: dict[str, str] = {}
    barred = []
    for line in (line for line in sound if not line.kept):
        text = line.values["SUPERVISOR_EMAIL"]
        here, others = present.get(key(text), ""), former.get(key(text), [])
        others = [person for person in others if person != here]
        target = here or (others[0] if others else "")
        code = _find_note(line, target, {here, *others} - {""}) if text else ""
        if code:
            run.note(line, code)
        elif line.person and target != line.person.boss and not run.may_change(line.person):
            barred.append(line)
        else:
            asked[line.external_id] = target
            if text and not here:
                run.note(line, "replaced-supervisor-address")
    for line in barred:
        line.problems.add(("above-your-role", "ROLE"))
    back = _without_circles(run, asked, {line.external_id: line for line in sound})
    _note_inactive(run, sound, {me: boss for me, boss in asked.items() if boss and me not in back})
    return [line for line in sound if line not in barred]


def _find_addresses(run: Run, sound: list[Line]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Who has each address in the end, and who gave it up: in this file, or within the days that are remembered."""
    present = {key(person.values["EMAIL"]): person.external_id for person in run.known.values()}
    former: dict[str, list[str]] = {}
    moved = [line for line in sound if line.person and line.asks("EMAIL") is not None]
    for line in moved:
        address = key(line.was("EMAIL"))
        del present[address]
        former.setdefault(address, []).append(line.external_id)
    for address, place in run.case.memory:
        former.setdefault(address, []).append(run.case.people[place].external_id)
    return present | {key(line.after("EMAIL")): line.external_id for line in sound}, former


def _find_note(line: Line, target: str, people: set[str]) -> str:
    """The note that leaves the link as it was, "" for none. `people`: who has the address, or gave it up."""
    if len(people) > 1 and not (line.person and target == line.person.boss):
        return "address-changed-hands"
    return "unknown-supervisor" if not people else "own-supervisor" if line.external_id == target else ""


def _without_circles(run: Run, asked: dict[str, str], lines: dict[str, Line]) -> set[str]:
    was = dict(run.bosses)
    run.bosses.update(asked)
    back: set[str] = set()
    while around := _list_around(run.bosses):
        for me in around & asked.keys():
            if me not in back:
                run.note(lines[me], "supervisor-circle")
        for me in around:
            if run.bosses[me] != was.get(me, ""):
                back.add(me)
                run.bosses[me] = was.get(me, "")
    return back


def _list_around(bosses: dict[str, str]) -> set[str]:
    """Everybody on a circle."""
    found = set()
    for start in bosses:
        passed, here = set(), start
        while here and here not in passed:
            passed.add(here)
            here = bosses.get(here, "")
            if here == start:
                found.add(start)
    return found


def _note_inactive(run: Run, sound: list[Line], asked: dict[str, str]) -> None:
    active = {p.external_id: _stays_active(run, p) for p in run.known.values()}
    active |= {line.external_id: line.after("STATUS") == "Active" for line in sound}
    for line in sound:
        if line.external_id in asked and not active[asked[line.external_id]]:
            run.note(line, "inactive-supervisor")


def _stays_active(run: Run, person: Person) -> bool:
    return person.active and person.external_id not in run.out.deactivated
