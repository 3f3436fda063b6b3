"""The invented agency in the database: its users written, files about it imported, and what it holds afterwards."""

import csv
import io
import itertools
from collections.abc import Sequence
from datetime import date

import polars as pl
from django.db import transaction

from musterbook.core.domain.columns import COLUMNS, KEYED
from musterbook.core.domain.policy import Mode
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import changes
from musterbook.core.planning.plan import ADDED, UPDATED, Plan
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.storage import frames, locks
from tests.directory.cast import unlimited
from tests.laws import world
from tests.laws.model_cells import key
from tests.laws.world import WORDS, Case, File, Person, Row

Marks = dict[str, tuple[str, date | None, int]]
"""External ID → source, since when and in how many imports missing."""
NOW = world.NOW
_numbers = itertools.count(1)


def agency(people: Sequence[Person], case: Case | None = None) -> models.Agency:
    """A new agency with these users, and the settings and the memory of the case."""
    made = models.Agency.objects.create(
        slug=f"agency-{next(_numbers)}", name="Riverton", created_at=NOW, limits=unlimited(),
        grace_days=case.grace_days if case else 0, release_badges=case.release_badges if case else False,
    )  # fmt: skip
    models.Role.objects.bulk_create(
        models.Role(
            agency=made, name=role.name, name_key=keys.fold(role.name), permissions=sorted(role.permissions),
            administrator=role.administrator,
        ) for role in WORDS.roles
    )  # fmt: skip
    models.Rank.objects.bulk_create(
        models.Rank(
            agency=made, name=rank.name, name_key=keys.fold(rank.name), abbreviation=rank.abbreviation, position=position
        ) for position, rank in enumerate(WORDS.ranks)
    )  # fmt: skip
    models.Group.objects.bulk_create(
        models.Group(agency=made, external_id=group.external_id, name="", active=group.active) for group in WORDS.groups
    )
    if people:
        write_people(made, people)
        add_marks(made, people)
    if case:
        _remember(made, case)
    return made


def _remember(made: models.Agency, case: Case) -> None:
    """Store the replaced addresses, the latest last."""
    ids = dict(models.User.objects.filter(agency=made).values_list("external_id", "pk"))
    for address, place in reversed(case.memory):
        user = ids[case.people[place].external_id]
        models.ReleasedName.objects.create(agency=made, key=key(address), user_id=user, address=True, released_at=NOW)


def write_people(made: models.Agency, people: Sequence[Person]) -> None:
    """Add the users as the import of a file with them does, which takes several times as long (`test_directory`)."""
    words = snapshot_queries.read_vocabulary(made)
    rows = _make_rows(people, words)
    added = rows.with_columns(keys.make_keys(rows[column.field]).alias(column.key) for column in KEYED)
    plan = Plan(Mode.UPDATE, File({}).table(), words, added=added, updated=pl.DataFrame(schema=UPDATED))
    with transaction.atomic():
        locks.lock_row(made)
        writer.apply_plan(plan, made, AuditContext(NOW, "", "cli"), of=None, written=lambda _: None)


def _make_rows(people: Sequence[Person], words: Vocabulary) -> pl.DataFrame:
    """The users as a plan adds them, without keys."""
    places = {person.external_id: row for row, person in enumerate(people, start=2)}
    emails = {person.external_id: person.values["EMAIL"] for person in people}
    roles, ranks = ({word.name: word.id for word in listed} for listed in (words.roles, words.ranks))
    groups = {group.external_id: group.id for group in words.groups}
    rows = [
        {
            **{heading.lower(): text for heading, text in person.values.items()},
            "row": places[person.external_id], "active": person.active, "role_id": roles[person.values["ROLE"]],
            "rank_id": ranks.get(person.values["RANK"]), "group_id": groups.get(person.values["EVIDENCE_GROUP_EXT_ID"]),
            "supervisor_row": places.get(person.boss), "supervisor_external_id": person.boss or None,
            "supervisor_email": emails.get(person.boss),
        } for person in people
    ]  # fmt: skip
    return pl.DataFrame([{name: row.get(name) for name in ADDED} for row in rows], schema=ADDED)


def add_marks(made: models.Agency, people: Sequence[Person]) -> None:
    """Mark the users as registered, exempt, of a source, missing."""
    for flag, value in (("registered", {"registered_at": NOW}), ("exempt", {"exempt": True})):
        ids = [person.external_id for person in people if getattr(person, flag)]
        models.User.objects.filter(agency=made, external_id__in=ids).update(**value)
    for person in people:
        if person.source or person.no_files or person.missing:
            models.User.objects.filter(agency=made, external_id=person.external_id).update(
                source=person.source, no_files=person.no_files, missing_since=person.missing_since,
                missing_imports=person.missing[1] if person.missing else 0,
            )  # fmt: skip


def content(file: File) -> bytes:
    """The file as CSV; the short rows lack their last cell."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(file.headings)
    for number, row in file.rows.items():
        cells = [row[heading] for heading in file.headings]
        lines.writerow(cells[:-1] if number in file.short else cells)
    return text.getvalue().encode()


def run(
    made: models.Agency, file: File | bytes, case: Case | None = None, *,
    preview: bool = False, shown: models.Import | None = None,
) -> ImportResult:  # fmt: skip
    """One import of the file, in the way that the case says; whatever holds it is confirmed."""
    case = case or Case((), File({}), Mode.UPDATE)
    operator = case.people[case.operator].external_id if case.operator is not None else ""
    options = Options(
        case.mode, preview=preview, strict=case.strict, confirmed=case.confirmed, source=case.source, accepted=case.accepted,
        decided={str(row): choices for row, choices in case.decided.items()},
    )  # fmt: skip
    upload = Upload(file if isinstance(file, bytes) else content(file), "users.csv")
    return file_import.run_import(made, upload, options, context=AuditContext(NOW, operator, "cli"), shown=shown)


def users(made: models.Agency) -> dict[str, Row]:
    """All that the agency's users hold: external ID → column → text, the supervisor by external ID as `boss`."""
    stored, words = snapshot_queries.read_all_users(made), snapshot_queries.read_vocabulary(made)
    bosses = stored.select(supervisor_id="id", supervisor_external_id="external_id")
    texts = stored.join(bosses, on="supervisor_id", how="left", maintain_order="left").with_columns(
        supervisor_email=pl.lit("")
    )
    rows = texts.select("external_id", *changes.render_texts(words)).to_dicts()
    headings = [column for column in COLUMNS if column.heading not in ("SUPERVISOR_EMAIL", "EXTERNAL_ID")]
    return {
        one["external_id"]: {column.heading: one[column.field] for column in headings}
        | {"boss": one["supervisor_external_id"], "EXTERNAL_ID": one["external_id"]}
        for one in rows
    }


def marks(made: models.Agency) -> Marks:
    """The marks of the agency's active users."""
    stored = models.User.objects.filter(agency=made, active=True)
    names = ("external_id", "source", "missing_since", "missing_imports")
    return {external_id: (source, since, imports) for external_id, source, since, imports in stored.values_list(*names)}


def traces(made: models.Agency) -> tuple[int, int]:
    """How many events and mails the agency has, without the notices to those who can confirm an import."""
    mails = models.Mail.objects.filter(agency=made).exclude(kind__in=models.NoticeKind.values)
    return (models.Event.objects.filter(agency=made).count(), mails.count())


def keys_hold(made: models.Agency) -> bool:
    """Whether every stored key is its value's own: none is left vacated."""
    name = frames.table(models.User)
    columns = ("email", "badge_number", "username")
    listed = ", ".join(f"{column}, {column}_key" for column in columns)
    schema = {part: pl.String for column in columns for part in (column, f"{column}_key")}
    stored = frames.read_frame(f"SELECT {listed} FROM {name} WHERE agency_id = %s", [made.pk], schema)
    return all(keys.make_keys(stored[column]).to_list() == stored[f"{column}_key"].to_list() for column in columns)
