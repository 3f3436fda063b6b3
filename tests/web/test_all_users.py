"""All Users: searched, filtered, sorted, page by page, and exported, through the pages."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports.options import Options
from musterbook.directory.storage import formats
from musterbook.directory.users import orders, user_list
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import sign_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.any_database


PAGE = "/springfield/users/"
HTMX = {"HX-Request": "true"}


@built_once
def _build_springfield() -> Springfield:
    """An agency with an administrator, and users of several kinds."""
    made = Springfield(cast.agency())
    made.imported(
        person(1, ROLE="Admin"), person(2, LAST_NAME="Müller", RANK="Captain", SUPERVISOR_EMAIL="user1@agency.example"),
        person(3, STATUS="Inactive", EVIDENCE_GROUP_EXT_ID="PATROL"), person(4, ROLE="Chief", FIRST_NAME="Ann"),
    )  # fmt: skip
    made.registered(1)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency with an administrator, and users of several kinds."""
    return _build_springfield()


def read_page(client: Client, query: str = "") -> str:
    answer = client.get(f"{PAGE}{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def list_ids(client: Client, query: str = "") -> list[str]:
    """The external IDs on the page, in their order."""
    return re.findall(r'<span class="m-id">(E-\d+)</span>', read_page(client, query))


def test_all_users_are_listed_by_name(chief: Client) -> None:
    assert list_ids(chief) == ["E-1", "E-3", "E-4", "E-2"]
    assert "4 users" in read_page(chief)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("?q=muller", ["E-2"]), ("?q=USER3%40", ["E-3"]), ("?q=b-4", ["E-4"]), ("?q=nobody", []),
        ("?status=Inactive", ["E-3"]), ("?status=Invited", ["E-4", "E-2"]), ("?never=on", ["E-3", "E-4", "E-2"]),
        ("?supervisor=User1@agency.example", ["E-2"]), ("?supervisor=E-1", ["E-2"]), ("?supervisor=E-4", []),
        ("?q=agency&status=Invited", ["E-4", "E-2"]),
    ],
)  # fmt: skip
def test_users_are_found_by_words_and_filters(chief: Client, query: str, ids: list[str]) -> None:
    assert list_ids(chief, query) == ids


def test_users_are_found_by_role_rank_group_supervisor_and_import(springfield: Springfield, chief: Client) -> None:
    for name, model, ids in (
        ("role", models.Role, ["E-4"]),
        ("rank", models.Rank, ["E-2"]),
        ("group", models.Group, ["E-3"]),
    ):
        choice = {"role": "Chief", "rank": "Captain", "group": "Patrol"}[name]
        one = model.objects.get(name=choice)
        assert list_ids(chief, f"?{name}={one.pk}") == ids
        assert f"<strong>{choice}</strong>" in read_page(chief, f"?{name}={one.pk}")
    assert list_ids(chief, f"?supervisor={springfield.user(1).pk}") == ["E-2"]
    springfield.imported(person(4, ROLE="Chief", FIRST_NAME="Anna"))
    number = models.Import.objects.latest("pk").number
    assert list_ids(chief, f"?import={number.lower()}") == ["E-4"]


def test_users_are_found_by_their_last_sign_in_as_their_reader_counts_days(
    springfield: Springfield, chief: Client
) -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    models.User.objects.filter(external_id="E-2").update(last_sign_in_at=late)
    assert list_ids(chief, "?signed_in_from=2026-03-02&signed_in_before=2026-03-02") == ["E-2"]
    assert "E-2" not in list_ids(chief, "?signed_in_from=2026-03-03")
    account = springfield.user(1).account
    account.time_zone = "Europe/Helsinki"
    account.save()
    assert list_ids(chief, "?signed_in_from=2026-03-03&signed_in_before=2026-03-03") == ["E-2"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?supervisor=x", "No user has this email address"), ("?import=x", "There is no import with this number"),
        ("?role=999999", "This value does not exist any more"), ("?status=Dead", "This value does not exist any more"),
        ("?signed_in_from=yesterday", "valid date"), ("?q=" + "x" * 300, "at most 255"),
        ("?supervisor=999999999999", "No user has"), ("?supervisor=" + "9" * 40, "No user has"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_says_so_shows_no_users_and_exports_none(
    chief: Client, query: str, sentence: str
) -> None:
    page = read_page(chief, query)
    assert sentence in page and "A filter cannot be read, so no users are shown." in page
    assert list_ids(chief, query) == [] and "Export results" not in page and 'id="selection"' not in page
    for form in ("csv", "xlsx"):
        answer = chief.get(f"{PAGE}export.{form}{query}")
        assert answer.status_code == 422 and "no users were exported" in answer.content.decode()
        assert "E-2" not in answer.content.decode()
    assert not models.Event.objects.filter(kind="users.exported").exists()


def test_a_filter_that_cannot_be_read_can_be_removed(chief: Client) -> None:
    page = read_page(chief, "?q=muller&supervisor=nobody&status=Dead")
    assert 'href="?q=muller&amp;status=Dead"' in page and 'href="?q=muller&amp;supervisor=nobody"' in page


@pytest.mark.parametrize("sort", [sort for sort in orders.SORTS if sort != "last_sign_in"])
def test_users_are_sorted_by_any_column_either_way(chief: Client, sort: str) -> None:
    up, down = list_ids(chief, f"?sort={sort}"), list_ids(chief, f"?sort={sort}&desc=1")
    assert up == down[::-1]
    assert 'aria-sort="ascending"' in read_page(chief, f"?sort={sort}")
    assert 'aria-sort="descending"' in read_page(chief, f"?sort={sort}&desc=1")


def test_an_order_that_there_is_not_is_that_by_name(chief: Client) -> None:
    assert list_ids(chief, "?sort=password&desc=x") == list_ids(chief)


def test_pages_follow_each_other_and_nobody_shifts(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_list, "PAGE", 2)
    first = read_page(chief)
    after = re.search(r'id="after" href="([^"]+)"', first)
    assert after and 'id="before"' not in first
    springfield.imported(person(5, LAST_NAME="Aaa"))
    second = after.group(1).replace("&amp;", "&")
    assert list_ids(chief, second) == ["E-4", "E-2"]
    before = re.search(r'id="before" href="([^"]+)"', read_page(chief, second))
    assert before
    assert list_ids(chief, before.group(1).replace("&amp;", "&")) == ["E-1", "E-3"]


def test_a_place_that_is_none_leads_to_the_first_page(chief: Client) -> None:
    assert chief.get(f"{PAGE}?q=user&place=xyz").headers["Location"] == f"{PAGE}?q=user"


def test_a_part_is_given_alone_and_its_address_says_only_what_is_asked_for(chief: Client) -> None:
    answer = chief.get(f"{PAGE}?q=muller&status=&role=&sort=name&desc=", headers=HTMX)
    assert answer.content.decode().lstrip().startswith('<div id="found"')
    assert answer.headers["HX-Push-Url"] == f"{PAGE}?q=muller&sort=name"


def test_an_agency_without_users_sees_the_first_step(springfield: Springfield, chief: Client) -> None:
    assert "No users match." in read_page(chief, "?q=nobody")


def test_a_page_takes_as_few_queries_for_many_users_as_for_few(springfield: Springfield, chief: Client) -> None:
    with CaptureQueriesContext(connection) as few:
        read_page(chief)
    springfield.imported(*cast.people(*range(100, 160), RANK="Captain"))
    with CaptureQueriesContext(connection) as many:
        read_page(chief)
    assert len(many) <= len(few) + 1


# Export


def rows(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{PAGE}export.csv{query}")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_the_export_has_everybody_who_matches(chief: Client) -> None:
    assert [row["EXTERNAL_ID"] for row in rows(chief)] == ["E-1", "E-2", "E-3", "E-4"]
    assert [row["EXTERNAL_ID"] for row in rows(chief, "?status=Invited&q=agency")] == ["E-2", "E-4"]
    assert rows(chief, "?q=muller")[0]["SUPERVISOR_EMAIL"] == "user1@agency.example"
    assert rows(chief, "?q=nobody") == []


def test_what_is_exported_comes_back_unchanged(springfield: Springfield, chief: Client) -> None:
    content = b"".join(chief.get(f"{PAGE}export.csv").streaming_content)  # type: ignore[attr-defined]
    done = cast.run(springfield.agency, content, Options(Mode.SYNC))
    assert (done.record.counts["unchanged"], done.record.counts["deactivated"]) == (4, 0)


def test_the_workbook_has_the_same(springfield: Springfield, chief: Client) -> None:
    answer = chief.get(f"{PAGE}export.xlsx?q=ann")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert re.fullmatch(
        r'attachment; filename="springfield-users-\d{4}-\d\d-\d\d.xlsx"', answer.headers["Content-Disposition"]
    )
    done = cast.run(springfield.agency, content)
    assert (done.record.counts["rows"], done.record.counts["unchanged"]) == (1, 1)


def test_an_export_is_an_event_that_names_the_exported_users(springfield: Springfield, chief: Client) -> None:
    rows(chief, "?status=Invited")
    event = models.Event.objects.get(kind="users.exported")
    assert event.actor == "E-1"
    assert event.changes == '{"format":["","csv"],"users":["","2"],"status":["","Invited"]}'


def test_more_than_a_workbook_holds_is_said(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_IN_A_SHEET", 3)
    answer = chief.get(f"{PAGE}export.xlsx")
    assert answer.status_code == 422 and "Too many users for a workbook" in answer.content.decode()
    assert not models.Event.objects.filter(kind="users.exported").exists()


def test_only_who_may_export_is_offered_it(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=["users.view"])
    springfield.registered(2)
    sign_in(client, "user.2")
    assert "Export results" not in read_page(client)
    assert client.get(f"{PAGE}export.pdf").status_code == 403


def test_there_is_no_export_of_another_form(chief: Client) -> None:
    assert chief.get(f"{PAGE}export.pdf").status_code == 404


def test_old_sign_ins_are_shown(springfield: Springfield, chief: Client) -> None:
    models.User.objects.filter(external_id="E-2").update(last_sign_in_at=datetime.now(UTC) - timedelta(days=1))
    assert "never" in read_page(chief) and "<time" in read_page(chief)
