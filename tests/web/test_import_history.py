"""Import history: a log with a search, filters, pages that stand still, and the acts on each import."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Page
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import import_log, queue, records
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.options import Options
from musterbook.web.imports import log
from tests import worker
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

LOG = "/springfield/imports/"


@built_once
def _build() -> Springfield:
    made = Springfield(cast.agency(limits=[cast.allow(1)]))
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4, 5))
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def springfield(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> Springfield:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)
    return _build()


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    signed_in(client, "user.1")
    return client


def read(client: Client, query: str = "") -> str:
    answer = client.get(LOG + query)
    assert answer.status_code == 200
    return answer.content.decode()


def names(client: Client, query: str = "") -> list[str]:
    """The texts of the links to the imports, in their order."""
    return re.findall(r'<a class="m-log__name" href="[^"]+">([^<]+)</a>', read(client, query))


def act(made: Springfield, rows: list[cast.Row], name: str, by: str = "E-1", **options: object) -> models.Import:
    """An import of the rows, of a file of that name."""
    done = cast.run(made.agency, rows, Options(**options), by=by, at=datetime.now(UTC))  # type: ignore[arg-type]
    models.Import.objects.filter(pk=done.record.pk).update(file_name=name)
    done.record.refresh_from_db()
    return done.record


@pytest.fixture
def various(springfield: Springfield) -> dict[str, models.Import]:
    """An import of each kind and state."""
    made = springfield
    found = {
        "applied": act(made, [person(3, FIRST_NAME="Ada")], "100% new_roster.csv", source="hr-sworn"),
        "previewed": act(made, [person(4, FIRST_NAME="Bea")], "draft.csv", by="E-2", preview=True),
        "held": act(made, [person(1, ROLE="Admin")], "half.csv", mode=Mode.SYNC),
        "refused": act(made, [{"EXTERNAL_ID": "E-9"}], "odd.csv"),
    }
    context = AuditContext(datetime.now(UTC), "E-1", "page")
    found["bulk"] = queue.submit_bulk(
        made.agency, [made.user(3).pk], BulkChange("rank", "Captain"), context=context, preview=False
    )
    found["bulk"] = queue.wait(found["bulk"], 1)
    found["undo"] = queue.submit_undo(found["applied"], context=context, preview=False)
    found["undo"] = queue.wait(found["undo"], 1)
    waiting = queue.submit_undo(found["bulk"], context=context, preview=False)
    queue.cancel(waiting, context)
    found["canceled"] = waiting
    return found


def test_every_import_is_listed_with_its_name_as_the_link(boss: Client, various: dict[str, models.Import]) -> None:
    assert names(boss) == [
        "Undo of 100% new_roster.csv", "Set rank: Captain", "Undo of Set rank: Captain", "odd.csv", "half.csv",
        "draft.csv", "100% new_roster.csv", "users.csv",
    ]  # fmt: skip
    page = read(boss)
    assert "1–8 of 8" in page
    assert f'href="{LOG}{various["applied"].number}">100% new_roster.csv</a>' in page
    assert f'href="/springfield/users/bulk/{various["bulk"].number}">Set rank: Captain</a>' in page
    assert "Bulk action" in page and ">Undone<" in page and "hr-sworn" in page
    assert f'href="/springfield/users/?import={various["applied"].number}">Show these users' in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=ROSTER", ["100% new_roster.csv"]),
        ("?q=100%25", ["100% new_roster.csv"]),
        ("?q=new_r", ["100% new_roster.csv"]),
        ("?q=newxr", []),
        ("?q=%27%3B--", []),
        ("?state=open", ["half.csv", "draft.csv"]),
        ("?state=held", ["half.csv"]),
        ("?state=previewed", ["draft.csv"]),
        ("?state=refused", ["odd.csv"]),
        ("?state=canceled", ["Undo of Set rank: Captain"]),
        ("?state=failed", []),
        ("?state=running", []),
        ("?mode=sync", ["half.csv"]),
        ("?kind=bulk", ["Set rank: Captain"]),
        ("?kind=undo&state=applied", ["Undo of 100% new_roster.csv"]),
        ("?source=hr-sworn", ["100% new_roster.csv"]),
        ("?by=user:E-2", ["draft.csv"]),
        ("?by=system", ["users.csv"]),
        ("?to=2026-03-02", ["users.csv"]),
        ("?from=2026-03-03&kind=bulk", ["Set rank: Captain"]),
    ],
)
def test_each_filter_finds_its_imports(
    boss: Client, various: dict[str, models.Import], query: str, found: list[str]
) -> None:
    assert names(boss, query) == found


@pytest.mark.parametrize(
    "query",
    [
        "?state=sleeping", "?kind=x", "?mode=x", "?by=E-1", "?by=user:E-77", "?source=nowhere", "?from=yesterday",
        "?to=9999-01-01", "?from=2026-03-03&to=2026-03-01", f"?q={'x' * 256}",
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_shows_nothing_and_says_so(
    boss: Client, various: dict[str, models.Import], query: str
) -> None:
    page = read(boss, query)
    assert names(boss, query) == []
    assert "No imports are shown because a filter could not be read." in page
    assert "m-summary" in page


def test_pages_stand_still_while_new_imports_begin(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_log, "PAGE", 2)
    for number in range(4):
        act(springfield, [person(3, FIRST_NAME=f"Ada {number}")], f"{number}.csv")
    first = read(boss)
    assert "1–2 of 5" in first
    assert names(boss) == ["3.csv", "2.csv"]
    following = re.search(r'rel="next" href="([^"]+)"', first).group(1).replace("&amp;", "&")  # type: ignore[union-attr]
    act(springfield, [person(3, FIRST_NAME="Eve")], "late.csv")
    assert names(boss, following) == ["1.csv", "0.csv"]
    page = read(boss, following)
    assert "3–4 of 5" in page
    last = re.search(r'rel="next" href="([^"]+)"', page).group(1).replace("&amp;", "&")  # type: ignore[union-attr]
    assert names(boss, last) == ["users.csv"]
    assert 'rel="next"' not in read(boss, last) and ">First</a>" in read(boss, last)
    assert names(boss, "?page=999") == ["0.csv", "users.csv"]
    assert names(boss, "?page=-1&until=%27") == []


def test_more_imports_than_are_counted_are_said_to_be_more(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_log, "PAGE", 1)
    monkeypatch.setattr(import_log, "MOST", 2)
    for number in range(3):
        act(springfield, [person(3, FIRST_NAME=f"Ada {number}")], f"{number}.csv")
    assert "1–1 of more than 2" in read(boss)
    assert 'rel="next"' not in read(boss, "?page=2")


def test_a_plan_that_waits_is_discarded_from_the_list(boss: Client, various: dict[str, models.Import]) -> None:
    held = various["held"]
    page = read(boss, "?state=held")
    assert f'action="{LOG}{held.number}/discard"' in page
    assert boss.post(f"{LOG}{held.number}/discard", {"back": "imports"}).headers["Location"] == LOG
    page = read(boss, "?state=held")
    assert ">Discarded<" in page and "/discard" not in page


def test_a_preview_that_was_applied_says_so_and_leads_to_its_import(
    boss: Client, various: dict[str, models.Import]
) -> None:
    """D9."""
    seen = various["previewed"]
    done = boss.post(f"{LOG}{seen.number}").headers["Location"]
    page = read(boss, "?state=previewed")
    assert f'<a class="m-id" href="{done}">Applied</a>' in page and "/discard" not in page
    assert names(boss, "?state=open") == ["half.csv"]


def test_what_was_canceled_is_not_called_failed_and_names_who_did_it(
    boss: Client, various: dict[str, models.Import]
) -> None:
    """D12."""
    page = boss.get(f"{LOG}{various['canceled'].number}").content.decode()
    assert "<h1>Canceled: nothing has changed</h1>" in page
    assert ">First 1 Last 1</a> canceled this import." in page
    assert "0 rows" not in page
    models.User.objects.filter(external_id="E-1").update(first_name="Jo")
    assert "Jo Last 1</a> canceled this import." in boss.get(f"{LOG}{various['canceled'].number}").content.decode()


def test_a_failure_for_another_reason_is_no_cancellation(springfield: Springfield) -> None:
    record = act(springfield, [person(3)], "a.csv", preview=True)
    models.Import.objects.filter(pk=record.pk).update(state="running", finished_at=None, stop=True, stopped_by="E-1")
    record.refresh_from_db()
    records.record_failure(record, "The disk is full.")
    record.refresh_from_db()
    assert (record.state, record.stop, record.stopped_by) == ("failed", False, "")


def test_users_without_permission_to_see_users_get_no_links_to_them(
    springfield: Springfield, various: dict[str, models.Import]
) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["users.import"])
    chief = Client()
    signed_in(chief, "user.2")
    page = read(chief)
    assert "/springfield/users/?import=" not in page and "/discard" not in page
    assert 'href="/springfield/users/' not in page.replace("/springfield/users/import", "").replace(
        "/springfield/users/bulk", ""
    )


def test_another_agencys_imports_are_not_listed(boss: Client, springfield: Springfield) -> None:
    other = Springfield(cast.agency("shelbyville"))
    other.imported(person(1, ROLE="Admin"))
    assert "1–1 of 1" in read(boss)
    assert names(boss, "?by=system") == ["users.csv"]


def test_an_agency_without_imports_is_led_to_its_first(boss: Client) -> None:
    models.Import.objects.all().delete()
    assert "There are no imports yet." in read(boss)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (125, "2 min 5 s"), (3_840, "1 h 4 min"), (-1, "0.0 s")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert log.format_duration(timedelta(seconds=seconds)) == text


@pytest.fixture
def window(page: Page, db: None) -> Page:
    made = _build()
    act(made, [person(1, ROLE="Admin")], "a-very-long-file-name-" * 6 + ".csv", mode=Mode.SYNC)
    enter(page, "user.1", "imports/")
    return page


def test_the_log_has_no_barriers(window: Page) -> None:
    assert barriers(window) == []
    window.goto("/springfield/imports/?state=nothing&q=x")
    assert barriers(window) == []
