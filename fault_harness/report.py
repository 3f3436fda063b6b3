"""The report of a run: what was injected, how often, and what was lost; as text and as JSON."""

import json
import platform
from collections import Counter
from collections.abc import Sequence

from fault_harness.round import Result
from fault_harness.schedule import Kind


def build_json(results: Sequence[Result]) -> str:
    """Return everything that is known of the rounds, as JSON."""
    rounds = [
        {
            "seed": one.seed, "database": one.database, "steps": one.steps, "seconds": one.seconds, "disk": one.disk,
            "injected": {kind.value: number for kind, number in sorted(one.injected.items())},
            "imports": dict(one.imports), "rows": dict(one.rows), "cuts": dict(sorted(one.cuts.items())),
            "lost": [{"check": finding.check, "what": finding.what} for finding in one.findings],
        }
        for one in results
    ]  # fmt: skip
    total = {
        "faults": sum(one.injected.total() for one in results),
        "lost": sum(len(one.findings) for one in results),
        "seeds": [one.seed for one in results],
    }
    return json.dumps({"machine": platform.machine(), "total": total, "rounds": rounds}, indent=1) + "\n"


def build_text(results: Sequence[Result]) -> str:
    """Return the report for people: a table of the kinds, and each finding."""
    injected = {database: Counter[Kind]() for database in dict.fromkeys(one.database for one in results)}
    for one in results:
        injected[one.database].update(one.injected)
    lines = ["| fault | " + " | ".join(injected) + " |", "|---|" + "---:|" * len(injected)]
    lines += [
        f"| {kind} | " + " | ".join(str(counts[kind]) for counts in injected.values()) + " |"
        for kind in Kind
        if any(counts[kind] for counts in injected.values())
    ]
    lines.append("| **all** | " + " | ".join(f"**{counts.total()}**" for counts in injected.values()) + " |")
    lines += ["", *(_describe(one) for one in results)]
    lines += [f"Seed {one.seed}: {finding.check}: {finding.what}" for one in results for finding in one.findings]
    return "\n".join(lines) + "\n"


def _describe(one: Result) -> str:
    imports = ", ".join(f"{number} {state}" for state, number in sorted(one.imports.items()))
    rows = ", ".join(f"{number} rows of {name}" for name, number in sorted(one.rows.items()))
    statements = f"; connection cut at {len(one.cuts)} different statements" if one.cuts else ""
    return (
        f"Seed {one.seed}, {one.database}, {one.steps} steps: {one.injected.total()} faults hit, in {one.seconds:.0f} seconds;"
        f" imports: {imports}; {rows}{statements}; full disk: {one.disk}; lost: {len(one.findings) or 'nothing'}."
    )
