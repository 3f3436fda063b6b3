"""What holds for each page that there is, taken from the list of addresses so that no new one is forgotten."""

import csv
import io
import re
from http import HTTPStatus
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no stubs
from django.db import OperationalError, connection
from django.test import Client
from playwright.sync_api import Error, Page

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import TokenData
from musterbook.directory import models, permissions
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports.options import Options
from musterbook.directory.installation import readiness
from musterbook.server import concurrency
from tests.accounts.conftest import Springfield, context
from tests.accounts.test_attacks import PAGES as ADDRESSES
from tests.accounts.test_entrance import sign_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import NOW, person
from tests.web.conftest import enter
from tests.web.every_page import EVIL, SAME_EVERYWHERE, pages
from tests.web.looks import barriers

PAGES = list(pages())


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency that has something on each page."""
    return make_agency("springfield")


@built_once
def make_agency(slug: str) -> Springfield:
    """An agency with an administrator (1) and an officer (2) whose role may do nothing."""
    one = Springfield(cast.agency(slug))
    one.imported(person(1, ROLE="Admin"), person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL"))
    one.registered(1)
    one.registered(2)
    tokens.create_token(
        one.agency,
        TokenData("HR", frozenset({"users.view"}), 90),
        context(),
        snapshot_queries.read_operator(one.agency, "E-1"),
    )
    return one


def open_signed_in(name: str, agency: str = "springfield", program: str = "") -> Client:
    """A browser in which that user is signed in; it calls itself so."""
    client = Client(raise_request_exception=True, headers={"User-Agent": program})
    sign_in(client, name, agency=agency)
    return client


def leads_above(answer: Any, path: str) -> bool:
    """Whether the address answered with the page above it, as one that takes only forms."""
    return answer.status_code == 302 and path.startswith(answer.headers["Location"].rstrip("/"))


def test_there_are_pages() -> None:
    assert {"home", "import_users", "import", "my_account"} <= {one.name for one in PAGES}
    assert {one.permission for one in PAGES} <= {"", *permissions.ALL}


def test_nobody_sees_anything_who_is_not_signed_in(springfield: Springfield) -> None:
    seen = {}
    for one in PAGES:
        for method in ("get", "post"):
            answer = getattr(Client(), method)(f"/springfield/{one.path(springfield.agency)}")
            led = answer.headers.get("Location", "").startswith("/springfield/sign-in?next=")
            if not (led or answer.status_code == 405) or b"First 1" in answer.content:
                seen[one.name, method] = answer.status_code
    assert seen == {}


def test_no_page_opens_without_its_permission(springfield: Springfield) -> None:
    opened, client = {}, open_signed_in("user.2")
    for one in PAGES:
        path = f"/springfield/{one.path(springfield.agency)}"
        others = sorted(permissions.ALL - {one.permission})
        models.Role.objects.filter(agency=springfield.agency, name="Officer").update(permissions=others)
        before = models.Event.objects.filter(kind="act.refused").count()
        sent = [client.get(path), client.post(path)]
        if leads_above(sent[0], path):
            del sent[0]
        answers = [answer.status_code for answer in sent if answer.status_code != 405]
        refusals = models.Event.objects.filter(kind="act.refused").count() - before
        if one.permission and (not answers or set(answers) != {403} or refusals != len(answers)):
            opened[one.name] = answers, refusals
    assert opened == {}


def test_nothing_of_another_agency_is_there(springfield: Springfield) -> None:
    make_agency("shelbyville")
    client, there = open_signed_in("user.1", "shelbyville"), {}
    for one in PAGES:
        if "<" in one.route and one.name not in SAME_EVERYWHERE:
            path = f"/shelbyville/{one.path(springfield.agency)}"
            there[one.name] = {client.get(path, follow=True).status_code, client.post(path).status_code}
    assert there
    assert {name: codes for name, codes in there.items() if not codes <= {404, 405}} == {}


OTHERS = (
    "/", "/readyz", "/metrics", "/nowhere", "/nowhere/api/v1/me", "/springfield", "/springfield/api/v1/me",
    "/springfield/nowhere",
    "/springfield/api/v1/feeds/hr/file",
    "/springfield/sign-in/with/saml/state/metadata/", "/static/nowhere.css", "/springfield/users/?q=%00",
)  # fmt: skip


def test_every_text_says_how_it_is_encoded(springfield: Springfield, monkeypatch: pytest.MonkeyPatch) -> None:
    client, agency = open_signed_in("user.1"), springfield.agency
    paths = {f"/springfield/{one.path(agency)}" for one in PAGES} | {f"/springfield/{path}" for _, path in ADDRESSES}
    saml = {"slug": "state", "kind": "saml", "name": "S", "entity_id": "e", "sso_url": "https://a.example/"}
    more = {
        "certificate": "x",
        "match": "email",
        "claim": "",
        "trust_email": False,
        "second_factor": False,
        "secret": "",
    }
    models.Agency.objects.filter(pk=agency.pk).update(sign_on=[saml | more])
    answers = [(path, browser.get(path)) for path in {*paths, *OTHERS} for browser in (Client(), client)]
    answers += [
        (path, Client().post(path, {"x": "y" * 2 * concurrency.MAX_BUFFERED})) for path in ("/", "/springfield/sign-in")
    ]
    answers += [(path, Client(enforce_csrf_checks=True).post(path)) for path in ("/", "/springfield/sign-in")]
    answers += [("another host", Client(headers={"Host": "evil.example"}).get("/"))]
    with monkeypatch.context() as away:
        away.setattr(connection, "cursor", _away)
        readiness.forget()
        answers += [("/readyz", Client().get("/readyz"))]
    assert {200, 400, 401, 403, 404, 413, 503} <= {answer.status_code for _, answer in answers}
    kinds = {path: answer.headers["Content-Type"] for path, answer in answers if answer.streaming or answer.content}
    assert {"text/html; charset=utf-8", "text/plain; charset=utf-8", "text/xml; charset=utf-8"} <= set(kinds.values())
    assert {path: kind for path, kind in kinds.items() if _TEXT.match(kind) and "charset=utf-8" not in kind} == {}
    assert {kind for kind in kinds.values() if not _TEXT.match(kind)} <= _OTHER_KINDS


_TEXT = re.compile(r"text/|[^;]*[/+]xml\b")
_OTHER_KINDS = {
    "application/json", "application/problem+json", "application/pdf",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
"""Kinds that take no charset: JSON is UTF-8 by its standard."""


def _away(*_: object) -> None:
    raise OperationalError


@pytest.mark.parametrize("address", ["springfield/users/?q=%00", "springfield/imports/%00", "spring%00field/", "?%00"])
def test_there_is_nothing_at_an_address_that_no_database_can_look_for(springfield: Springfield, address: str) -> None:
    assert open_signed_in("user.1").get(f"/{address}").status_code == 404


def test_what_users_are_called_stays_text(springfield: Springfield) -> None:
    agency = springfield.agency
    texts = ("first_name", "last_name", "location", "badge_number")
    for user in models.User.objects.filter(agency=agency):
        for name in texts:
            setattr(user, name, f"{EVIL}{user.pk}")
        user.external_id += EVIL
        user.save()
    for model in (models.Role, models.Rank, models.Group):
        model.objects.filter(agency=agency).update(name=EVIL)
    models.Import.objects.filter(agency=agency).update(file_name=EVIL, actor=EVIL)
    models.Agency.objects.update(name=EVIL, mapping={EVIL: "EMAIL"})
    Token.objects.update(name=EVIL, used_on=NOW, used_from=EVIL)
    numbers = _previews_of_markup(agency)
    client = open_signed_in("user.1", program=EVIL)
    assert {one.name for one in PAGES if not _is_text(client.get(f"/springfield/{one.path(agency)}"))} == set()
    shown = [
        f"/springfield/imports/{number}?show={show}" for number in numbers for show in ("errored", "added", "noted")
    ]
    assert [path for path in shown if not _is_text(client.get(path))] == []
    matched = client.get(f"/springfield/imports/{numbers[0]}/match")
    assert _is_text(matched) and "NICKNAME&lt;script&gt;" in matched.content.decode()


def _previews_of_markup(agency: models.Agency) -> list[str]:
    """Previews of files with markup in all that a file can have; gives their numbers, one that could not be read last."""
    rows = [
        person(30, FIRST_NAME=EVIL, LAST_NAME=EVIL, PHONE=EVIL, LOCATION=EVIL),
        person(31, STATUS=EVIL, ROLE=EVIL, RANK=EVIL, EVIDENCE_GROUP_EXT_ID=EVIL, SUPERVISOR_EMAIL=EVIL, EMAIL=EVIL),
        person(f"32{EVIL}", USERNAME=EVIL, BADGE_NUMBER=EVIL),
    ]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*cast.HEADINGS, f"NICKNAME{EVIL}", EVIL])
    writer.writerows([*(row.get(heading, "") for heading in cast.HEADINGS), EVIL, EVIL] for row in rows)
    workbook = io.BytesIO()
    with xlsxwriter.Workbook(workbook) as book:
        book.add_worksheet("<img src=x>").write_row(0, 0, ["NICKNAME"])
        book.add_worksheet("<script>alert(1)").write_row(0, 0, ["EXTERNAL_ID"])
    made = [
        cast.run(agency, text.getvalue().encode(), Options(preview=True, mapping={EVIL: "PHONE"})),
        cast.run(agency, workbook.getvalue(), Options(preview=True)),
        cast.run(agency, workbook.getvalue(), Options(preview=True, sheet=EVIL)),
        cast.run(agency, b"\x00\xff" * 50, Options(preview=True)),
    ]
    models.Import.objects.filter(agency=agency).update(file_name=EVIL, actor=EVIL)
    return [done.record.number for done in made]


def _is_text(answer: Any) -> bool:
    if answer.status_code == 405:
        return True
    if not answer.headers["Content-Type"].startswith("text/html"):
        return str(answer.headers["Content-Disposition"]).startswith("attachment")
    said = answer.content.decode()
    return "<script>alert" not in said and "<img src=x" not in said and "49" not in re.findall(r">\s*(\d+)\s*<", said)


@pytest.mark.any_database
def test_no_page_has_barriers(page: Page, springfield: Springfield) -> None:
    enter(page, "user.1")
    found, titles = {}, {}
    seen: dict[tuple[str, str], list[Any]] = {}
    for one in PAGES:
        if not _open(page, f"/springfield/{one.path(springfield.agency)}"):
            continue
        # Many addresses take only forms, and lead to the same page.
        look = page.url, _TOKEN.sub("", page.content())
        found[one.name] = seen[look] = seen[look] if look in seen else barriers(page)
        titles[one.name] = page.title()
        assert page.get_by_role("heading", level=1).count() == 1, one.name
    assert len(found) > 25 and len(seen) > 25
    assert {name: bars for name, bars in found.items() if bars} == {}
    assert all("Springfield" in title for title in titles.values())


_TOKEN = re.compile(r'(?<=name="csrfmiddlewaretoken" value=")\w+|(?<=name="once" value=")[\w-]+')
"""What differs each time that a page is made: the tokens in its hidden fields."""


def _open(page: Page, path: str) -> bool:
    """Go to the address, and return whether it is one of a page."""
    try:
        answer = page.goto(path)
    except Error as error:
        if "Download is starting" not in str(error):
            raise
        return False
    assert answer
    return answer.status != HTTPStatus.METHOD_NOT_ALLOWED and answer.headers["content-type"].startswith("text/html")
