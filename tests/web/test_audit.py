"""The audit trail's pages: filters, pages, files and the check, as an auditor and as an attacker asks for them."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from musterbook.directory import models
from musterbook.directory.audit import trail, verify
from musterbook.directory.audit.event_kinds import KINDS
from musterbook.directory.audit.trail import AuditContext
from musterbook.web.records import audit_pdf
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.every_page import EVIL
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


PAGE = "/springfield/audit/"


@built_once
def filled() -> None:
    """An agency with an administrator (1), an officer (2), and user 5, whose role may see the audit trail and nothing else."""
    made = Springfield(cast.agency())
    made.imported(person(1, ROLE="Admin"), person(2), person(5))
    models.Role.objects.filter(agency=made.agency, name="Officer").update(permissions=["audit.view"])
    made.registered(5)


@pytest.fixture
def auditor(db: None, client: Client) -> Client:
    """A browser in which user 5 is signed in."""
    filled()
    signed_in(client, "user.5")
    return client


def springfield() -> models.Agency:
    return models.Agency.objects.get(slug="springfield")


def record_something(kind: str, about: int | None = None, minutes: float = 0, **more: Any) -> None:
    """An event of user 5's at a page."""
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    context = AuditContext(at, "E-5", "page", "192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
    trail.record_event(springfield(), context, KINDS[kind], cast.user(springfield(), about) if about else None, **more)


def read_page(answer: Any) -> str:
    """What the page says, without its markup."""
    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<(select|option)\b.*?</\1>|<[^>]+>", " ", main, flags=re.DOTALL).split())


def list_kinds() -> list[str]:
    return list(models.Event.objects.order_by("pk").values_list("kind", flat=True))


def test_an_event_is_shown_in_plain_words(auditor: Client) -> None:
    record_something("user.updated", 2, changes={"LAST_NAME": ("Last 2", "New"), "RANK": ("", "Captain")})
    page = read_page(auditor.get(PAGE))
    assert "Updated First 2 Last 2 (E-2) Last name Last 2 → became New Rank Captain First 5 Last 5 E-5" in page
    assert "A web page, Firefox on Linux 192.0.2.7" in page


def test_refused_and_failed_events_are_marked_in_words_and_not_by_color_alone(auditor: Client) -> None:
    record_something("user.sign-in-failed", 2, outcome="failed")
    record_something("act.refused", outcome="refused")
    page = read_page(auditor.get(PAGE))
    assert "A sign-in as First 2 Last 2 (E-2) failed ✕ Failed" in page and "⊘ Refused" in page


@pytest.mark.parametrize(
    ("query", "found", "absent"),
    [
        ({"by": "E-5"}, "Updated First 2", "Added First 1"),
        ({"by": "user5@agency.example"}, "Updated First 2", "Added First 1"),
        ({"by": "user.5"}, "Updated First 2", "Added First 1"),
        ({"by": "first 5"}, "Updated First 2", "Added First 1"),
        ({"by": "System"}, "Added First 1", "Updated First 2"),
        ({"about": "E-2"}, "Updated First 2", "Added First 1"),
        ({"kind": "user.updated"}, "Updated First 2", "Added First 1"),
        ({"kind": "all of Users"}, "Updated First 2", "signed in"),
        ({"through": "cli"}, "Added First 1", "Updated First 2"),
        ({"outcome": "failed"}, "failed", "Updated First 2"),
        ({"since": "2026-05-01"}, "Updated First 2", "Added First 1"),
        ({"until": "2026-03-02"}, "Added First 1", "Updated First 2"),
        ({"until": "2026-03-02T07:00"}, "Added First 1", "Updated First 2"),
        ({"until": "2026-03-02T06:59"}, "No events match", "Added First 1"),
    ],
)
def test_a_filter_in_the_address_is_heeded(auditor: Client, query: dict[str, str], found: str, absent: str) -> None:
    record_something("user.updated", 2, changes={"LAST_NAME": ("Last 2", "New")})
    record_something("user.sign-in-failed", 2, outcome="failed")
    page = read_page(auditor.get(PAGE, query))
    assert found in page and absent not in page


def test_an_import_is_one_line_that_opens(auditor: Client) -> None:
    models.Agency.objects.update(limits=cast.unlimited())
    Springfield(springfield()).imported(*(person(number) for number in range(10, 40)))
    page = auditor.get(PAGE).content.decode()
    assert "users.csv: 30 added" in page and page.count("Added First") == 10 + 3
    number = models.Import.objects.latest("pk").number
    assert f"?of={number}" in page
    assert auditor.get(PAGE, {"of": number}).content.decode().count("Added First") == 30


def test_names_are_links_for_those_who_may_see_users(auditor: Client) -> None:
    record_something("user.updated", 2)
    two = cast.user(springfield(), 2).pk
    assert f"/users/{two}/" not in auditor.get(PAGE).content.decode()
    models.Role.objects.filter(name="Officer").update(permissions=["audit.view", "users.view", "users.import"])
    page = auditor.get(PAGE).content.decode()
    assert f'Updated <a href="/springfield/users/{two}/">First 2 Last 2</a> (E-2)' in page
    assert f"/imports/{models.Import.objects.latest('pk').number}" in page


def test_an_import_is_found_by_its_number(auditor: Client) -> None:
    number = models.Import.objects.latest("pk").number
    page = read_page(auditor.get(PAGE, {"of": number.lower()}))
    assert "Added First 5 Last 5 (E-5) users.csv, row 4" in page and "signed in" not in page
    assert f"/imports/{number}" not in auditor.get(PAGE, {"of": number}).content.decode()
    assert "There is no import" in read_page(auditor.get(PAGE, {"of": "0" * 26}))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"by": "nobody"}, "No user matches this."),
        ({"kind": "no.such"}, "Select a valid choice"),
        ({"since": "yesterday"}, "Enter a date and time"),
        ({"by": "x" * 256}, "at most 255"),
    ],
)
def test_an_invalid_filter_is_reported_and_shows_nothing(auditor: Client, query: dict[str, str], says: str) -> None:
    before = list_kinds()
    answer = auditor.get(PAGE, query)
    assert answer.status_code == 422 and says in read_page(answer)
    assert "signed in" not in read_page(answer) and list_kinds() == before


def test_a_name_of_many_asks_for_more(auditor: Client) -> None:
    models.Agency.objects.update(limits=cast.unlimited())
    Springfield(springfield()).imported(*(person(n, LAST_NAME="Smith") for n in range(10, 40)))
    assert "More than 20 users match this" in read_page(auditor.get(PAGE, {"by": "smith"}))


def test_times_are_those_of_the_reader(auditor: Client) -> None:
    five = cast.user(springfield(), 5)
    type(five.account).objects.update(time_zone="America/New_York")
    page = auditor.get(PAGE, {"kind": "user.added"}).content.decode()
    assert "Monday, 2 March 2026</h2>" in page and 'title="2026-03-02 02:00:00-05:00 (EST)">02:00<' in page
    assert "Added First 1" in read_page(auditor.get(PAGE, {"since": "2026-03-02T02:00", "until": "2026-03-02T02:00"}))
    assert "Added First 1" not in read_page(
        auditor.get(PAGE, {"since": "2026-03-02T02:01", "until": "2026-03-02T07:00"})
    )


def links(answer: Any) -> dict[str, str]:
    """Label → address of the links to other pages."""
    paging = answer.content.decode().partition('aria-label="Pages"')[2].partition("</nav>")[0]
    return {
        label: address.replace("&amp;", "&") for address, label in re.findall(r'href="([^"]*)"[^>]*>([^<]*)<', paging)
    }


def test_one_turns_pages_under_the_same_filters(auditor: Client) -> None:
    for minute in range(120):
        record_something("user.signed-out", 2, -minute)
    first = auditor.get(PAGE, {"kind": "user.signed-out"})
    second = auditor.get(PAGE + links(first)["Older events"])
    third = auditor.get(PAGE + links(second)["Older events"])
    counts = [page.content.decode().count('data-label="When"') for page in (first, second, third)]
    assert counts == [50, 50, 20]
    assert set(links(third)) == {"Newer events", "Newest"}
    assert read_page(auditor.get(PAGE + links(third)["Newer events"])) == read_page(second)
    assert auditor.get(PAGE, {"place": "nowhere"}).status_code == 404


def test_each_view_of_the_trail_is_one_event(auditor: Client) -> None:
    for _ in range(120):
        record_something("user.signed-out", 2)
    first = auditor.get(PAGE, {"kind": "user.signed-out"})
    second = auditor.get(PAGE + links(first)["Older events"])
    auditor.get(PAGE + links(second)["Older events"])
    assert list_kinds().count("audit.viewed") == 1
    auditor.get(PAGE)
    viewed = models.Event.objects.filter(kind="audit.viewed").order_by("pk")
    assert [event.changes for event in viewed] == ['{"filters":["","kind=user.signed-out"]}', "{}"]
    assert [event.actor for event in viewed] == ["E-5", "E-5"]


def test_a_place_that_is_none_shows_nothing_and_is_no_view(auditor: Client) -> None:
    assert auditor.get(PAGE, {"place": "nowhere"}).status_code == 404
    assert "audit.viewed" not in list_kinds()


def test_nobody_views_the_trail_untold_by_turning_to_a_page_they_have_not_opened(auditor: Client) -> None:
    auditor.get(PAGE, {"place": "29990101T000000.000000-9", "by": "E-5"})
    assert list_kinds().count("audit.viewed") == 1


def test_a_filtered_export_is_a_file_and_an_event(auditor: Client) -> None:
    record_something("user.updated", 2, changes={"LOCATION": ("", "=1+1")})
    answer = auditor.post(f"{PAGE}export?kind=user.updated", {"form": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2 and lines[0].startswith("AT,KIND") and "E-2,E-5,page,192.0.2.7" in lines[1]
    assert re.fullmatch(
        r'attachment; filename="springfield-audit-trail-[-\d]+\.csv"', answer.headers["Content-Disposition"]
    )
    event = models.Event.objects.get(kind="audit.exported")
    assert event.changes == '{"form":["","CSV"],"filters":["","kind=user.updated"]}'


def pdf(client: Client, query: str = "") -> str:
    """The text of the trail as a PDF, page by page, blanks and line ends as one blank."""
    answer = client.post(f"{PAGE}export{query}", {"form": "pdf"})
    assert answer.headers["Content-Type"] == "application/pdf"
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


def test_a_pdf_has_the_filters_the_reader_and_every_event_in_words(auditor: Client) -> None:
    record_something(
        "user.updated", 2, changes={"LOCATION": ("", "北 Ж é"), "RANK": ("Captain", "")}, outcome="refused"
    )
    document = pdf(auditor, "?kind=user.updated")
    for text in (
        "Audit trail: Springfield", "What: Updated", "by First 5 Last 5 (E-5)", "1 links", "Updated First 2 Last 2 (E-2)",
        "[Refused]", "Location: “‹U+5317› Ж é”", "Rank: “Captain” became blank", "192.0.2.7", "1 event. End.", "Page 1",
    ):  # fmt: skip
        assert text.replace("1 links", "links, the last sealed as") in document, text
    assert "Import 0" in pdf(auditor, "?kind=user.added") and "row 2" in pdf(auditor, "?kind=user.added")
    event = models.Event.objects.filter(kind="audit.exported").earliest("pk")
    assert event.changes == '{"form":["","PDF"],"filters":["","kind=user.updated"]}'


def test_a_name_from_right_to_left_does_not_reverse_the_text_around_it(auditor: Client) -> None:
    models.User.objects.filter(external_id="E-2").update(first_name="דוד", last_name="כהן")
    record_something("user.updated", 2)
    assert "Updated \u2068דוד כהן\u2069 (E-2)" in read_page(auditor.get(PAGE))
    assert "U+2068" not in pdf(auditor, "?kind=user.updated")


def test_a_pdf_takes_any_text_over_as_many_pages_as_it_needs(auditor: Client) -> None:
    for _ in range(30):
        record_something(
            "user.updated", 2, changes={"LOCATION": ("x" * 700, "a b " * 200), "RANK": ("", "\u202e\ud7ff")}
        )
    document = pdf(auditor, "?kind=user.updated")
    assert document.count("Updated First 2") == 30 and "Page 5" in document and "‹U+202E›" in document
    assert document.replace(" ", "").count("x" * 700) >= 20
    assert "No event matches." in pdf(auditor, "?kind=user.locked")


@pytest.mark.parametrize("query", ["", "?about=E-2"])
def test_a_pdf_of_too_many_events_is_none_and_the_page_says_what_to_take(
    auditor: Client, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    record_something("user.updated", 2)
    monkeypatch.setattr(audit_pdf, "MOST", 1)
    answer = auditor.post(f"{PAGE}export{query}", {"form": "pdf"}, follow=True)
    assert "These are more than 1 events" in read_page(answer)
    assert "audit.exported" not in list_kinds()


def test_a_file_of_filters_that_cannot_be_understood_is_none(auditor: Client) -> None:
    for answer in (auditor.get(f"{PAGE}export"), auditor.post(f"{PAGE}export?by=nobody", {"form": "csv"})):
        assert answer.status_code == 302 and answer.headers["Location"].startswith(PAGE)
    assert "audit.exported" not in list_kinds()


def test_another_agency_s_events_and_users_are_not_found(auditor: Client) -> None:
    other = Springfield(cast.agency("shelbyville"))
    other.imported(person(1, FIRST_NAME="Shelby"), person(77))
    number = models.Import.objects.filter(agency=other.agency).latest("pk").number
    assert "There is no import" in read_page(auditor.get(PAGE, {"of": number}))
    assert "No user matches this" in read_page(auditor.get(PAGE, {"about": "E-77"}))
    assert "Shelby" not in read_page(auditor.get(PAGE))


@pytest.mark.usefixtures("as_owner")
def test_values_stay_text(auditor: Client) -> None:
    record_something("user.updated", 2, changes={EVIL: (EVIL, EVIL)})
    models.Event.objects.filter(kind="user.updated").update(agent=EVIL, address=EVIL[:60], actor=EVIL, kind=EVIL[:40])
    for query in ({}, {"by": EVIL}, {"kind": EVIL}, {"since": EVIL}):
        page = auditor.get(PAGE, query).content.decode()
        assert "<script>alert" not in page and "<img src=x" not in page


def test_a_check_of_the_trail_is_an_event(auditor: Client) -> None:
    assert "A check takes" in read_page(auditor.get(f"{PAGE}check"))
    page = read_page(auditor.post(f"{PAGE}check"))
    assert "Nothing was altered. 6 events are as they were sealed. Links checked: 4." in page
    event = models.Event.objects.get(kind="audit.checked")
    assert verify.verify_trail(springfield()).error == ""
    digest = models.TrailLink.objects.get(number=4).digest
    assert event.changes == f'{{"found":["","nothing was altered"],"events":["","6"],"digest":["","{digest}"]}}'
    assert digest in page


@pytest.mark.usefixtures("as_owner")
def test_an_alteration_is_shown_where_it_stands(auditor: Client) -> None:
    models.Event.objects.filter(kind="user.signed-in").update(address="192.0.2.99")
    page = read_page(auditor.post(f"{PAGE}check"))
    assert "The trail was altered: the events of link 4 are not those that were sealed." in page
    assert "Up to link 3 (5 events)" in page


def test_a_long_check_goes_on_in_steps(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_LINKS", 1)
    monkeypatch.setattr("musterbook.web.records.audit._AT_ONCE", -1.0)
    answer, steps = auditor.post(f"{PAGE}check"), 0
    while signed := re.search(r'name="so_far" value="([^"]+)"', answer.content.decode()):
        answer = auditor.post(f"{PAGE}check", {"so_far": signed[1]}, headers={"HX-Request": "true"})
        assert b"<h1>" not in answer.content
        steps += 1
    assert steps == 4 and "Nothing was altered" in answer.content.decode()
    assert list_kinds().count("audit.checked") == 1


@pytest.mark.usefixtures("as_owner")
def test_how_far_a_check_is_cannot_be_made_up(auditor: Client) -> None:
    models.Event.objects.filter(kind="user.added").update(address="192.0.2.99")
    assert "altered: the events of link 1" in read_page(auditor.post(f"{PAGE}check", {"so_far": "made:up"}))


def open_trail(page: Page, springfield: Springfield) -> None:
    """The trail, in a browser in which the administrator is signed in."""
    springfield.registered(1)
    enter(page, "user.1", "audit/")
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()


def test_an_auditor_looks_through_the_trail(page: Page, springfield: Springfield) -> None:
    open_trail(page, springfield)
    found = {"all": barriers(page)}
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Done to").fill("nobody at all")
    show = page.get_by_role("button", name="Show events")
    show.click()
    expect(page.get_by_role("alert")).to_be_focused()
    found["error"] = barriers(page)
    page.get_by_label("Done to").fill("E-2")
    page.get_by_label("What").select_option("Added")
    show.click()
    expect(page.get_by_text("Added First 2 Last 2 (E-2)")).to_be_visible()
    expect(page.get_by_text("Added First 1 Last 1 (E-1)")).to_have_count(0)
    page.get_by_text("7 fields").click()
    found["filtered"] = barriers(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("From").fill("2999-01-01T00:00")
    show.click()
    expect(page.get_by_text("No events match")).to_be_visible()
    found["empty"] = barriers(page)
    assert {state: bars for state, bars in found.items() if bars} == {}


@pytest.mark.usefixtures("as_owner")
def test_an_auditor_checks_the_trail(page: Page, springfield: Springfield, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_LINKS", 1)
    monkeypatch.setattr("musterbook.web.records.audit._AT_ONCE", -1.0)
    open_trail(page, springfield)
    page.get_by_role("link", name="check that nothing was altered").click()
    found = {"check": barriers(page)}
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Nothing was altered.")).to_be_visible()
    found["checked"] = barriers(page)
    models.Event.objects.filter(kind="user.added").update(changes="{}")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_text("The trail was altered")).to_be_visible()
    found["altered"] = barriers(page)
    assert {state: bars for state, bars in found.items() if bars} == {}
