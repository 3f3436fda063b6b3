"""The books of an installation, which must balance: read by plain SQL, and never by the product's own use cases."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fault_harness.rosters import HEADINGS, Roster, Row, replay
from fault_harness.tables import Rows, Tables, read_json

_USERS = (
    "SELECT u.external_id, u.email, u.badge_number, u.first_name, u.last_name, u.active, u.username, r.name"
    " FROM directory_user u JOIN directory_role r ON r.id = u.role_id ORDER BY u.external_id"
)
_EVENTS = (
    "SELECT e.of_id, e.kind, e.subject_external_id, e.changes FROM directory_event e"
    " WHERE e.kind IN ('user.added', 'user.updated', 'user.deactivated') ORDER BY e.id"
)
_IMPORTS = "SELECT id, number, state, file_sha256, counts, mails, message, mode FROM directory_import ORDER BY id"
_OPEN = {
    "import": "finished_at IS NULL",
    "feedfile": "settled_at IS NULL",
    "mail": "ended_at IS NULL",
    "webhookmessage": "ended_at IS NULL",
    "feed": "lease_until IS NOT NULL",
    "webhookendpoint": "lease_until IS NOT NULL",
}
"""Table → the condition of a row that waits for something, or that a worker has claimed."""
_ADDED, _ENDED = "user.added", "user.deactivated"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not balance: the check, and what it found."""

    check: str
    what: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is compared with the tables.

    `known`: every file that was made, by its hash. `arrived`: the hashes of those that the product has said it has.
    `placed`: the name of each file that was placed in the folder, and its hash. `keys`: the key of each command that ended
    well, and the hash of its file. `journal`: the receiver's. `home`, `folder`: of the installation, and of its feed.
    """

    known: Mapping[str, Roster]
    arrived: frozenset[str]
    placed: Mapping[str, str]
    keys: Mapping[str, str]
    journal: Path
    home: Path
    folder: Path


def count_open(tables: Tables) -> dict[str, int]:
    """Return what waits or is claimed: table → rows, without those that have none."""
    found = {table: tables.count(table, condition) for table, condition in _OPEN.items()}
    return {table: number for table, number in found.items() if number}


def list_in_vain(tables: Tables) -> set[str]:
    """Return the hashes of the files whose imports have all failed or were refused."""
    rows = tables.select("SELECT file_sha256, state FROM directory_import")
    return {sha256 for sha256, _ in rows} - {sha256 for sha256, state in rows if state not in ("failed", "refused")}


def check_all(tables: Tables, evidence: Evidence) -> Iterator[Finding]:
    """Yield everything that does not balance."""
    imports = tables.select(_IMPORTS)
    events = tables.select(_EVENTS)
    yield from _check_open(tables)
    yield from _check_once(imports, evidence)
    yield from _check_directory(tables, imports, events, evidence)
    yield from _check_counts(imports, events)
    yield from _check_mails(tables, imports, evidence)
    yield from _check_messages(tables, imports, events, evidence)
    yield from _check_files(tables, imports, evidence)


def _check_open(tables: Tables) -> Iterator[Finding]:
    for table, number in count_open(tables).items():
        yield Finding("nothing waits forever", f"{number} rows of {table} still wait or are claimed")


def _check_once(imports: Rows, evidence: Evidence) -> Iterator[Finding]:
    """Each file is applied exactly once; a file whose import failed was brought again until it was."""
    applied = Counter(row[3] for row in imports if row[2] == "applied")
    for sha256, roster in evidence.known.items():
        if applied[sha256] != 1:
            yield Finding("applied once", f"a file by {roster.path} was applied {applied[sha256]} times: {sha256[:12]}")
    for sha256 in applied.keys() - evidence.known.keys():
        yield Finding("applied once", f"a file that nobody brought was applied: {sha256[:12]}")
    for row in imports:
        if row[2] not in ("applied", "failed", "refused"):
            yield Finding("applied once", f"import {row[1]} ended as {row[2]}")


def _check_directory(tables: Tables, imports: Rows, events: Rows, evidence: Evidence) -> Iterator[Finding]:
    """The directory is what the applied files say, in the order of their events, and what the events say."""
    found = {row[0]: _describe_user(row) for row in tables.select(_USERS)}
    of_import = {row[0]: row[3] for row in imports if row[2] == "applied"}
    order = list(dict.fromkeys(event[0] for event in events if event[0] in of_import))
    said = replay([evidence.known[of_import[one]] for one in order if of_import[one] in evidence.known])
    yield from _compare("directory and files", said, found)
    told, wrong = _replay_events(events)
    yield from (Finding("directory and events", text) for text in wrong[:_SHOWN])
    yield from _compare("directory and events", told, found)


def _describe_user(row: tuple[object, ...]) -> Row:
    cells = [
        "Active" if cell is True or cell == 1 else "Inactive" if cell is False or cell == 0 else cell for cell in row
    ]
    return dict(zip(HEADINGS, map(str, cells), strict=True))


def _replay_events(events: Rows) -> tuple[dict[str, Row], list[str]]:
    """Return the users that the events lead to, and what an event says of a value that was not so before it."""
    users: dict[str, Row] = {}
    wrong = []
    for _, kind, external_id, changes in events:
        if (kind == _ADDED) == (external_id in users):
            wrong.append(f"{kind} of {external_id}, who is {'there already' if external_id in users else 'not there'}")
        user = users.setdefault(external_id, {"EXTERNAL_ID": external_id})
        for name, (before, after) in read_json(changes).items():
            if user.get(name, "") != before:
                wrong.append(f"{kind} of {external_id}: {name} was {user.get(name, '')!r}, not {before!r}")
            user[name] = after
    return users, wrong


def _compare(check: str, expected: Mapping[str, Row], found: Mapping[str, Row]) -> Iterator[Finding]:
    differences = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    for name in differences[:_SHOWN]:
        yield Finding(check, f"{name}: expected {expected.get(name)}, found {found.get(name)}")
    if len(differences) > _SHOWN:
        yield Finding(check, f"and {len(differences) - _SHOWN} more users")


def _check_counts(imports: Rows, events: Rows) -> Iterator[Finding]:
    """The counts of each import are those of its events; an import that was not applied has none."""
    written = Counter((event[0], event[1]) for event in events)
    for number, name, state, _, counts, *_ in imports:
        given = read_json(counts) if state == "applied" else {}
        expected = {
            _ADDED: given.get("added", 0),
            "user.updated": given.get("updated", 0),
            _ENDED: given.get("deactivated", 0),
        }
        for kind, expected_number in expected.items():
            if written[number, kind] != expected_number:
                found = written[number, kind]
                yield Finding(
                    "counts and events", f"import {name}: {found} events {kind}, but it counts {expected_number}"
                )


def _check_mails(tables: Tables, imports: Rows, evidence: Evidence) -> Iterator[Finding]:
    """Each import has the emails that it counts; each email that was sent is there, once, and no other."""
    rows = tables.select("SELECT id, of_id, kind, sent_at, handed_at, problem, attempts FROM directory_mail")
    queued = Counter((row[1], row[2]) for row in rows)
    for number, name, state, _, _, mails, *_ in imports:
        expected = read_json(mails) if state == "applied" else {}
        for kind in expected.keys() | {kind for of, kind in queued if of == number}:
            if queued[number, kind] != expected.get(kind, 0):
                text = f"import {name}: {queued[number, kind]} emails {kind}, but it counts {expected.get(kind, 0)}"
                yield Finding("emails", text)
    delivered = {int(path.name.split("-")[1].split(".")[0]) for path in (evidence.home / "mail").glob("mail-*.eml")}
    sent, handed = ({row[0] for row in rows if row[column] is not None} for column in (3, 4))
    for what, ids in (
        ("was sent, but did not leave", sent - delivered),
        ("left, but was not begun", delivered - handed),
    ):
        for one in sorted(ids)[:_SHOWN]:
            row = next((row for row in rows if row[0] == one), ())
            yield Finding("emails", f"email {one} {what}: {', '.join(map(str, row[2:]))}")
    for row in rows:
        if row[3] is None and not row[5]:
            yield Finding("emails", f"email {row[0]} was neither sent, nor is there a reason")


def _check_messages(tables: Tables, imports: Rows, events: Rows, evidence: Evidence) -> Iterator[Finding]:
    """Each event and each import has its webhook message, and each message that was delivered has arrived as it was written."""
    numbers = {row[0]: row[1] for row in imports}
    expected = Counter(
        (numbers.get(of, ""), _name_message(kind, read_json(changes))) for of, kind, _, changes in events
    )
    for _, number, state, *_ in imports:
        expected[number, f"import.{'applied' if state == 'applied' else 'failed'}"] += 1
    rows = tables.select("SELECT webhook_id, kind, subject, body, delivered FROM directory_webhookmessage")
    found = Counter(_find_import(*row[1:4]) for row in rows if row[1].startswith(("user.", "import.")))
    for one in sorted((expected - found) + (found - expected))[:_SHOWN]:
        yield Finding("webhooks", f"{found[one]} messages {one[1]} of import {one[0]} instead of {expected[one]}")
    arrived = set(map(tuple, map(json.loads, _read_lines(evidence.journal))))
    said = {(row[0], hashlib.sha256(row[3].encode()).hexdigest()): row[4] for row in rows}
    lost = [one for one, delivered in said.items() if delivered and one not in arrived]
    given_up = [one for one, delivered in said.items() if not delivered]
    for what, ids in (
        ("delivered, but did not arrive", lost),
        ("was not delivered", given_up),
        ("arrived, but was not written", list(arrived - said.keys())),
    ):
        for one in ids[:_SHOWN]:
            yield Finding("webhooks", f"message {one[0]} {what}")


def _name_message(kind: str, changes: Mapping[str, list[str]]) -> str:
    """Return the kind of the message of an event."""
    status = changes.get("STATUS")
    if kind != _ADDED and status == ["Active", "Inactive"]:
        return _ENDED
    return "user.reactivated" if kind != _ADDED and status == ["Inactive", "Active"] else kind


def _find_import(kind: str, subject: str, body: str) -> tuple[str, str]:
    """Return the import that a message is about, and its kind."""
    return (subject.partition(":")[2] if kind.startswith("import.") else json.loads(body)["data"]["import"], kind)


def _read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _check_files(tables: Tables, imports: Rows, evidence: Evidence) -> Iterator[Finding]:
    """No file is lost: each is in a folder with its content, remembered, and kept next to its import."""
    for name, sha256 in evidence.placed.items():
        places = [folder / name for folder in (evidence.folder, evidence.folder / "done", evidence.folder / "failed")]
        there = [path for path in places if path.exists()]
        if len(there) != 1 or there[0].parent == evidence.folder:
            yield Finding("files", f"{name} is at {len(there)} places of the feed, or was not taken")
        elif _hash(there[0]) != sha256:
            yield Finding("files", f"{name} has another content than when it was placed")
    remembered = {row[0] for row in tables.select("SELECT sha256 FROM directory_feedfile")}
    for sha256 in (evidence.arrived | set(evidence.placed.values())) - remembered:
        yield Finding("files", f"a file that the product took is not remembered: {sha256[:12]}")
    applied = {row[3] for row in imports if row[2] == "applied"}
    for key in sorted(key for key, sha256 in evidence.keys.items() if sha256 not in applied):
        yield Finding("files", f"the command {key} said that its file was applied")
    for row in imports:
        if row[2] == "applied" and _hash(evidence.home / "files" / row[1]) != row[3]:
            yield Finding("files", f"the file of import {row[1]} is not kept as it was")


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file, "" if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
