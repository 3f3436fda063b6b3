"""Drives the product through the shared cases: an agency of the case's words and users, its file, and what came of it."""

import csv
import importlib.util
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from musterbook.core.domain import problems
from musterbook.core.domain.columns import COLUMNS
from musterbook.core.domain.policy import Mode
from musterbook.core.domain.problems import Problem
from musterbook.core.planning import changes
from musterbook.core.planning.plan import Plan
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.permissions import ALL
from musterbook.directory.users import export
from tests.built_once import built_once

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)
HEADINGS = [column.heading for column in COLUMNS]
MODES = {"add_or_update": Mode.UPDATE, "synchronize": Mode.SYNC}


@cache
def judge() -> Any:
    """The judge of the cases."""
    spec = importlib.util.spec_from_file_location("judge", CASES / "judge.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@built_once
def agency(words: Mapping[str, Any], users: Iterable[Mapping[str, str]] = ()) -> models.Agency:
    """An agency with the roles, ranks, groups and users of a case."""
    made = models.Agency.objects.create(slug="case", name="Case", created_at=NOW)
    for name in words["roles"]:
        allowed = sorted(ALL) if name == "Administrator" else []
        models.Role.objects.create(agency=made, name=name, name_key=fold(name), permissions=allowed)
    for position, name in enumerate(words["ranks"]):
        models.Rank.objects.create(agency=made, name=name, name_key=fold(name), position=position)
    for group in words["groups"]:
        models.Group.objects.create(
            agency=made, external_id=group["external_id"], name=group.get("name", ""), active=True
        )
    _people(made, list(users))
    for group in words["groups"]:
        models.Group.objects.filter(agency=made, external_id=group["external_id"]).update(
            active=group.get("active", True)
        )
    return made


def _people(made: models.Agency, users: list[Mapping[str, str]]) -> None:
    """Imports the users, first all Active, then with their status."""
    for rows in ([{**user, "STATUS": "Active"} for user in users], users) if users else ():
        done = run(made, csv_of(rows))
        assert done.record.state == "applied"
        assert done.plan
        assert done.plan.problems.is_empty(), problems.list_problems(done.plan.problems)


def csv_of(rows: Iterable[Mapping[str, str]]) -> bytes:
    """The rows as a file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def run(
    made: models.Agency, content: bytes, mode: Mode = Mode.UPDATE, name: str = "users.csv", by: str = ""
) -> ImportResult:
    """One import of the file. What S4 (2) holds is confirmed by its exact number: S022 and S118 are older than that rule."""
    options, context = Options(mode), AuditContext(NOW, by, "command")
    done = file_import.run_import(made, Upload(content, name), options, context=context)
    if done.record.state != "held":
        return done
    assert done.plan
    confirmed = {hold.key: hold.number for hold in done.plan.holds}
    return file_import.run_import(made, Upload(content, name), replace(options, confirmed=confirmed), context=context)


def counts(done: ImportResult) -> dict[str, int]:
    """The counts of an import that are not 0."""
    assert done.plan
    return {name: count for name, count in done.plan.counts.items() if count}


def outcome(made: models.Agency, done: ImportResult) -> dict[str, Any]:
    """What the judge wants to know of an import."""
    plan = done.plan
    assert plan
    refused = " ".join(_join_sentences(problem) for problem in plan.refusals)
    return {
        "file_rejected": refused or None,
        "rows": _rows(plan) if plan.rows.height else [],
        "deactivated": [] if refused else plan.leavers.deactivated["external_id"].to_list(),
        "directory": directory(made),
    }


def _rows(plan: Plan) -> list[dict[str, Any]]:
    found, notes = problems.list_problems(plan.problems), problems.list_problems(plan.notes)
    return [
        {
            "record": record,
            "external_id": row["external_id"],
            "outcome": row["outcome"].replace("errored", "error"),
            "columns": sorted({problem.column for problem in found if problem.row == row["row"]}),
            "message": " ".join(_join_sentences(problem) for problem in found if problem.row == row["row"]),
            "warnings": [f"{note.column}: {_join_sentences(note)}" for note in notes if note.row == row["row"]],
        }
        for record, row in enumerate(plan.rows.iter_rows(named=True), 1)
    ]


def _join_sentences(problem: Problem) -> str:
    return f"{problem.message} {problem.remedy}".strip()


def directory(made: models.Agency) -> list[dict[str, str]]:
    """All users of the agency, as a file would bear them."""
    users = export._join_supervisors(snapshot_queries.read_all_users(made))
    texts = users.with_columns(supervisor_external_id="supervisor_email").select(
        "external_id", *changes.render_texts(snapshot_queries.read_vocabulary(made))
    )
    return [{heading: row[heading.lower()] for heading in HEADINGS} for row in texts.iter_rows(named=True)]
