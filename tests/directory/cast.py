"""A small cast of people, and the agency they serve: made, imported, and read back."""

import csv
import io
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from musterbook.core.domain.columns import COLUMNS
from musterbook.core.domain.policy import LimitKind
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, pending_uploads
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult

NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)
HEADINGS = [column.heading for column in COLUMNS]
IMPORTS = ["users.import", "users.synchronize", "users.view"]

Row = dict[str, str]


def allow(users: int, percent: float = 0, most: int | None = None, kind: str = "deactivations") -> dict[str, Any]:
    """The limit of this kind, as an agency stores it."""
    return {"kind": kind, "users": users, "percent": percent, "most": most, "off": False, "role": None, "group": None}


def unlimited() -> list[dict[str, Any]]:
    """The limits of an agency that holds no import."""
    return [{**allow(0, kind=kind.value), "off": True} for kind in LimitKind]


def agency(slug: str = "springfield", **settings: Any) -> models.Agency:
    """An agency with the roles Admin, Chief (may import) and Officer, two ranks and a group.

    It lets five users go, although it is small.
    """
    known = {"limits": [allow(5, 10, 500)], **settings}
    made = models.Agency.objects.create(slug=slug, name=slug.title(), created_at=NOW, **known)
    for name, permissions in (("Admin", []), ("Chief", IMPORTS), ("Officer", [])):
        models.Role.objects.create(
            agency=made, name=name, name_key=fold(name), permissions=permissions, administrator=name == "Admin"
        )
    for position, name in enumerate(("Sergeant", "Captain")):
        models.Rank.objects.create(
            agency=made, name=name, name_key=fold(name), abbreviation=name[:3], position=position
        )
    models.Group.objects.create(agency=made, external_id="PATROL", name="Patrol")
    return made


def person(number: int | str, **cells: str) -> Row:
    """A row of somebody: `person(7, EMAIL="x@y.example")`; all else follows from the number."""
    usual = {
        "EXTERNAL_ID": f"E-{number}", "EMAIL": f"user{number}@agency.example", "BADGE_NUMBER": f"B-{number}",
        "FIRST_NAME": f"First {number}", "LAST_NAME": f"Last {number}", "STATUS": "Active",
        "USERNAME": f"user.{number}", "ROLE": "Officer",
    }  # fmt: skip
    return usual | cells


def people(*numbers: int | str, **cells: str) -> list[Row]:
    """A row of each."""
    return [person(number, **cells) for number in numbers]


def file(rows: Iterable[Mapping[str, str]]) -> bytes:
    """The rows as a file, with the columns that any of them has."""
    listed = list(rows)
    text = io.StringIO()
    bears = [heading for heading in HEADINGS if any(heading in row for row in listed)] or HEADINGS[:8]
    writer = csv.DictWriter(text, bears, restval="")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue().encode()


def run(
    made: models.Agency, rows: Iterable[Mapping[str, str]] | bytes, options: Options | None = None, **more: Any
) -> ImportResult:
    """One import of the rows, or of a file's bytes."""
    content = rows if isinstance(rows, bytes) else file(rows)
    at, by, through = more.pop("at", NOW), more.pop("by", ""), more.pop("through", "cli")
    context = AuditContext(at, by, through, more.pop("address", ""), more.pop("agent", ""))
    return file_import.run_import(made, Upload(content, "users.csv"), options or Options(), context=context, **more)


def keep_waiting(
    user: models.User,
    content: bytes,
    at: datetime,
    options: Options | None = None,
    *,
    name: str = "a.csv",
    address: str = "",
) -> str:
    """The token of a file that waits for the user."""
    with closing(pending_uploads.open_arriving(user, at)) as file:
        file.write(content)
        return pending_uploads.keep_file(user, name, options or Options(), file, at, address=address)


def apply_rows(
    made: models.Agency, rows: Iterable[Mapping[str, str]] | bytes, options: Options | None = None, **more: Any
) -> ImportResult:
    """One import of the rows, or of a file's bytes, all of which are good."""
    done = run(made, rows, options, **more)
    assert done.record.state == "applied", done.record.message or done.record.holds
    assert done.record.counts["errored"] == 0
    return done


def user(made: models.Agency, number: int | str) -> models.User:
    """The user of that number."""
    return models.User.objects.get(agency=made, external_id=f"E-{number}")


def register(made: models.Agency, *numbers: int | str) -> None:
    """These users have registered."""
    ids = [f"E-{number}" for number in numbers]
    models.User.objects.filter(agency=made, external_id__in=ids).update(registered_at=NOW)


def read_everything(made: models.Agency) -> dict[str, list[dict[str, Any]]]:
    """Every row that the agency has in the tables that an import writes, but the imports themselves."""
    tables: list[tuple[Any, str]] = [
        (models.User, "agency"), (models.Event, "agency"), (models.TrailLink, "agency"), (models.TrailEnd, "agency"),
        (models.Mail, "agency"), (models.ImportProblem, "of__agency"),
    ]  # fmt: skip
    return {model.__name__: list(model.objects.filter(**{by: made}).order_by("pk").values()) for model, by in tables}


def mails(done: ImportResult) -> list[tuple[str, str]]:
    """The mails of an import: kind and address."""
    return sorted(models.Mail.objects.filter(of=done.record).values_list("kind", "to"))


def assert_whole(made: models.Agency) -> None:
    """The agency's trail is."""
    assert verify.verify_trail(made).error == ""
