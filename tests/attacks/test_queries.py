"""Attacks by queries: dates at the ends of the calendar, huge numbers, and acts of users who lost access a moment ago."""

import pytest
from django.test import Client

from musterbook.directory.apply import snapshot_queries
from musterbook.web import parsers
from tests.accounts.conftest import Springfield, signed_in

DAYS = (
    "9999-12-31", "0001-01-01", "0000-01-01", "9999-12-31T23:59", "0001-01-01 00:00", "10000-01-01", "-0001-01-01",
    "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "2026-02-30", "1e9", "٢٠٢٦-01-01", "9" * 5000,
)  # fmt: skip
NUMBERS = (
    "0",
    "-1",
    str(2**31),
    str(2**63 - 1),
    str(2**63),
    "9" * 25,
    "9" * 5000,
    "1e9",
    "０",
    "²",
    "0x10",
    " 1",
    "1_0",
    "",
)
PATHS = {
    "users/": (("signed_in_from", "signed_in_before"), ("role",
    "rank", "group", "supervisor", "import", "chosen", "shown", "place")),
    "audit/": (("since", "until"), ("of", "by", "about", "place")),
    "imports/": (("from", "to"), ("page", "until", "state", "by")),
    "users/export.csv": (("signed_in_from", "signed_in_before"), ("role", "group", "supervisor")),
}  # fmt: skip
ASKED = [(path, name, value) for path, (days, numbers) in PATHS.items() for name in days for value in DAYS] + [
    (path, name, value) for path, (days, numbers) in PATHS.items() for name in numbers for value in NUMBERS
]


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    springfield.registered(1)
    signed_in(client, "user.1")
    return client


def test_no_query_breaks_a_page(springfield: Springfield, boss: Client) -> None:
    got = {
        (path, name, value[:40]): boss.get(f"/springfield/{path}", {name: value}).status_code
        for path, name, value in ASKED
    }
    assert {address: code for address, code in got.items() if code >= 500} == {}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_break_no_page_in_any_time_zone(
    springfield: Springfield, boss: Client, zone: str
) -> None:
    boss.post("/springfield/my-account/", {"time_zone": zone})
    got = [
        boss.get(f"/springfield/{path}", {name: day}).status_code
        for path, (days, _) in PATHS.items()
        for name in days
        for day in DAYS
    ]
    assert max(got) < 500


def test_a_day_that_is_asked_for_still_finds_users(springfield: Springfield, boss: Client) -> None:
    assert (
        "user.1"
        in boss.get("/springfield/users/?signed_in_from=2000-01-01&signed_in_before=2999-12-31").content.decode()
    )


@pytest.mark.any_database
@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_read_in_plain_digits_and_as_large_as_an_id(text: str) -> None:
    plain = {"0": 0, str(2**31): 2**31, str(2**63 - 1): 2**63 - 1}
    assert parsers.parse_number(text) == plain.get(text)


def test_no_other_module_of_pages_reads_numbers_or_days() -> None:
    import ast
    from pathlib import Path

    web = Path(parsers.__file__).parent
    found = set()
    for path in web.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "int":
                found.add(f"{path.name}: {ast.unparse(node)}")
            if isinstance(called, ast.Attribute) and called.attr in {
                "DateField",
                "DateTimeField",
                "strptime",
                "fromisoformat",
            }:
                found.add(f"{path.name}: {ast.unparse(called)}")
    allowed = {
        "parsers.py: int(digits)", "forms.py: int(number)", "audit_pdf.py: int(width / size)",
        "audit_form.py: int(file_import.find_import(self._agency, number.upper()).pk)",
        "search.py: int(editing.find_named(self._agency, name, parsers.parse_number(name)).pk)",
        "search.py: int(record.pk)",
        # Of what was checked before: a choice of the form, and rows of at most eight digits.
        "import_forms.py: int(number)", "actions.py: int(row)", "drafts.py: int(row)", "decisions.py: int(row)",
        # Of our own: a time in the session, and constants.
        "links.py: datetime.fromisoformat", "links.py: int(SHOWN_FOR.total_seconds() // 60)",
        "links.py: int(links.RESET_LIFETIME.total_seconds() // 3600)",
        "actions.py: int(links.RESET_LIFETIME.total_seconds() // 3600)",
    }  # fmt: skip
    assert found <= allowed


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("users/2/deactivate", {}),
        ("users/add", {"first_name": "A"}),
        ("settings/sign-on/", {}),
        ("users/bulk?all=1", {"act": "rank", "all": "1"}),
    ],
)
def test_an_act_of_a_user_who_lost_access_a_moment_ago_leads_to_signing_in(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch, path: str, sent: dict[str, str]
) -> None:
    def gone(*_: object, **__: object) -> object:
        raise snapshot_queries.UnknownOperator("E-1")

    monkeypatch.setattr(snapshot_queries, "read_operator", gone)
    user = springfield.user(2).pk
    answer = boss.post(f"/springfield/{path.replace('2', str(user), 1)}", sent)
    assert answer.headers["Location"].startswith("/springfield/sign-in?next=")
    assert boss.get("/springfield/my-account/").headers["Location"].startswith("/springfield/sign-in")
