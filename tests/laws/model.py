"""The oracle: the rules of spec/import.md, sections 2 to 4, row by row, slowly, and written from the rules alone.

Its parts are in `model_cells`, `model_rows`, `model_clashes`, `model_leavers`, `model_supervisors` and `model_limits`.
"""

from musterbook.core.domain.policy import Mode
from tests.laws import model_clashes, model_leavers, model_limits, model_rows, model_supervisors
from tests.laws.model_clashes import Clashes, Verdict
from tests.laws.model_rows import VALUED, Expected, Line, Run
from tests.laws.world import Case, Person

_STRICT = ("unknown-supervisor", "own-supervisor", "supervisor-circle", "address-changed-hands")


def expected(case: Case) -> Expected:
    """The effect of the case."""
    run = Run(case)
    if case.mode is Mode.SYNC and not run.lines:
        run.out.refused = "no-rows"
        return run.out
    model_rows.judge_alone(run)
    sound = model_supervisors.link_supervisors(run, _judge_together(run))
    sound = _judge_strictly(run, sound)
    if run.out.skipped:
        run.out.file_notes.add(("repeated-row", ""))
    _conclude(run, sound)
    model_limits.find_harms(run, sound)
    if not run.out.refused:
        model_leavers.find_marks(run, sound)
        model_limits.find_holds(run)
        _count(run, sound)
    return run.out


def _judge_together(run: Run) -> list[Line]:
    """The rows without problems in the final state, and the users who leave.

    A badge is released only if its holder is Inactive in the end (M13): otherwise its row is an error, and so on.
    """
    barred: set[int] = set()
    while True:
        verdict = Clashes(run, barred).judge()
        sound = [line for line in run.lines if not line.problems and line.number not in verdict.failed]
        if run.case.mode is Mode.SYNC:
            model_leavers.find_leavers(run, sound)
        kept = {line.number for line, holder in verdict.taken if line not in sound or _stays(run, holder)}
        if kept <= barred:
            break
        barred |= kept
    for line, problem in verdict.problems:
        line.problems.add(problem)
    _release(run, verdict, sound)
    return sound


def _stays(run: Run, holder: Person | Line) -> bool:
    """Whether a holder whom no row mentions is Active in the end."""
    if isinstance(holder, Line) or any(line.person == holder for line in run.lines):
        return False
    return holder.active and holder.external_id not in run.out.deactivated


def _release(run: Run, verdict: Verdict, sound: list[Line]) -> None:
    """M13."""
    taken = [pair for pair in verdict.taken if pair[0] in sound and (pair[1] in sound or isinstance(pair[1], Person))]
    verdict.taken = taken
    run.out.released = model_clashes.name_badges(run, verdict, sound)
    for line, _ in taken:
        run.note(line, "badge-released")


def _judge_strictly(run: Run, sound: list[Line]) -> list[Line]:
    """D4: in strict mode, the notes of M9 are errors."""
    if not run.case.strict:
        return sound
    for line in run.lines:
        line.problems |= {
            (code, "SUPERVISOR_EMAIL") for n, code in run.out.notes if n == line.number and code in _STRICT
        }
    run.out.notes = {(number, code) for number, code in run.out.notes if code not in _STRICT}
    return [line for line in sound if not line.problems]


def _conclude(run: Run, sound: list[Line]) -> None:
    """Set the outcome of each row, and the directory in the end."""
    out = run.out
    for line in run.lines:
        out.outcomes[line.number] = _find_outcome(run, line) if line in sound else "errored"
        out.problems |= {(line.number, *problem) for problem in line.problems}
        _note_source(run, line)
    if run.case.strict and "errored" in out.outcomes.values():
        _refuse(run, "not-strict")
    elif run.case.mode is Mode.SYNC and not sound:
        _refuse(run, "no-good-row")
    out.final = {p.external_id: {**p.values, "boss": p.boss} for p in run.known.values()}
    for line in sound:
        values = {heading: line.after(heading) for heading in VALUED} | {"EXTERNAL_ID": line.external_id}
        out.final[line.external_id] = {**values, "boss": run.bosses.get(line.external_id, "")}
    for external_id in out.deactivated:
        out.final[external_id]["STATUS"] = "Inactive"
    for external_id, badge in out.released.items():
        out.final[external_id]["BADGE_NUMBER"] = badge


def _refuse(run: Run, code: str) -> None:
    """F10: a refused file says nothing about users that it does not mention."""
    run.out.refused, run.out.deactivated, run.out.protected, run.out.named_by = code, set(), {}, {}


def _find_outcome(run: Run, line: Line) -> str:
    if not line.person:
        return "added"
    changed = run.bosses[line.external_id] != line.person.boss or line.external_id in run.out.released
    return "updated" if changed or line.differs() else "unchanged"


def _note_source(run: Run, line: Line) -> None:
    """S9: the user of another source is updated."""
    source = line.person.source if line.person else ""
    if run.case.source and source not in ("", run.case.source) and run.out.outcomes[line.number] == "updated":
        run.note(line, "other-source")


def _count(run: Run, sound: list[Line]) -> None:
    """A1."""
    out, outcomes = run.out, list(run.out.outcomes.values())
    known = [(line.person, line) for line in sound if line.person]
    out.counts = {
        "rows": len(run.case.file.rows),
        **{outcome: outcomes.count(outcome) for outcome in ("added", "updated", "unchanged", "errored")},
        "skipped": len(out.skipped),
        "reactivated": sum(not person.active and line.after("STATUS") == "Active" for person, line in known),
        "deactivated": len(out.deactivated),
        "protected": len(out.protected),
        "losing_access": len(out.harms["deactivations"]),
        **{kind: len(out.harms[kind]) for kind in ("privileges", "handovers", "cleared")},
        "released": len(out.released),
    }
