"""*Match columns and values*: the likely answers are chosen, names are created, and nothing is decided by the sender alone."""

import re
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from musterbook.directory import models
from musterbook.directory.agency import missing_names
from tests.accounts.conftest import Springfield, age_session
from tests.accounts.test_entrance import sign_in
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db

PAGE = "/springfield/users/import"


@pytest.fixture(autouse=True)
def _new_agency(springfield: Springfield) -> None:
    """An agency with an administrator and an officer, in which no import was applied yet."""
    springfield.registered(1)
    models.Import.objects.all().delete()


@pytest.fixture
def admin(client: Client) -> Client:
    sign_in(client, "user.1")
    return client


def send(client: Client, content: bytes, **more: str) -> str:
    """Sends a file; gives the address led to."""
    sent = {"mode": "update", "do": "preview", "file": SimpleUploadedFile("roster.csv", content)} | more
    return client.post(PAGE, sent).headers["Location"]


def read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def find_fields(page: str) -> dict[str, tuple[str, str]]:
    """What each list of the page is for → its name, and what is chosen in it."""
    found = {}
    for name, label in re.findall(r'<label[^>]* for="id_([\w-]+)">([^<]*)</label>', page):
        chosen = re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL)
        if chosen:
            selected = re.search(r'<option value="([^"]*)" selected', chosen.group())
            found[unescape(label)] = (name, unescape(selected[1]) if selected else "")
    return found


def get_record(address: str) -> models.Import:
    return models.Import.objects.get(number=re.search(r"imports/(\w+)", address)[1])  # type: ignore[index]


ROWS = [
    person(7, ROLE="Detective", RANK="Corporal"),
    person(8, ROLE="Detective", RANK="Major", EVIDENCE_GROUP_EXT_ID="K9"),
    person(9, RANK="Sargent", STATUS="Terminated"),
    person(10, RANK="Corporal"),
]


# Columns


def test_the_likely_columns_are_chosen_and_the_reason_is_said(admin: Client) -> None:
    """F4: by another name, by content, by spelling; required ones on top."""
    file = cast.file([person(7, PHONE="+12025550143", LOCATION="HQ")])
    for ours, theirs in (
        ("EMAIL", "Mailbox"),
        ("BADGE_NUMBER", "Shield #"),
        ("LAST_NAME", "LST_NAME"),
        ("PHONE", "Mobile"),
    ):
        file = file.replace(ours.encode(), theirs.encode(), 1)
    address = send(admin, file.replace(b"LOCATION", b"Shoe"))
    assert address.endswith("/match")
    page = read(admin, address)
    fields = find_fields(page)
    chosen = {label.removeprefix("Our column for "): column for label, (_, column) in fields.items()}
    expected = {"Mailbox": "EMAIL", "Shield #": "BADGE_NUMBER", "LST_NAME": "LAST_NAME", "Mobile": "PHONE", "Shoe": ""}
    assert {name: chosen[name] for name in expected} == expected
    assert "Check 3 required columns" in page
    assert page.index("Other systems use this name.") and "The spelling is similar." in page
    assert "Its values look like those of this column." in page and "No likely column." in page
    assert page.index("<strong>Mailbox</strong></td>") < page.index("<strong>Mobile</strong></td>")
    assert page.index("<strong>Mobile</strong></td>") < page.index("<strong>Shoe</strong></td>")
    sent = dict(fields.values())
    plan = admin.post(address, sent).headers["Location"]
    assert get_record(plan).counts["added"] == 1
    page = read(admin, f"{plan}/match")
    assert "You chose this." in page and "You chose to ignore it." in page and "is missing" not in page


def test_a_suggestion_for_a_required_column_comes_back_after_it_was_ignored(admin: Client) -> None:
    """D29."""
    file = cast.file([person(7)]).replace(b"EMAIL", b"Work Email").replace(b"ROLE", b"Rights")
    address = send(admin, file)
    fields = find_fields(read(admin, address))
    models.Import.objects.update(options=models.Import.objects.get().options | {"mapping": {"Work Email": ""}})
    assert find_fields(read(admin, address)) == fields
    assert "optional" not in read(admin, address)


def test_what_is_still_missing_and_what_is_chosen_twice_is_said_with_what_was_chosen(admin: Client) -> None:
    file = cast.file([person(7)]).replace(b"BADGE_NUMBER", b"A").replace(b"EMAIL", b"B").replace(b"LAST_NAME", b"C")
    address = send(admin, file)
    answer = admin.post(address, {"map-0": "EMAIL", "map-1": "EMAIL", "map-2": ""})
    page = unescape(answer.content.decode())
    assert answer.status_code == 422 and "There is a problem" in page and "<title>Error: " in page
    assert "EMAIL is chosen for more than one column of your file: B · A." in page
    assert "BADGE_NUMBER is required. Choose its column." in page and "LAST_NAME is required" in page
    assert page.count('<option value="EMAIL" selected') == 2
    assert models.Import.objects.count() == 1


def test_a_file_without_a_role_gets_one_for_all_new_users(admin: Client) -> None:
    """F14."""
    file = cast.file([{name: cell for name, cell in person(7).items() if name != "ROLE"}])
    address = send(admin, file)
    name, chosen = find_fields(read(admin, address))["Or use one ROLE for all new users"]
    assert chosen == ""
    assert "ROLE is required" in admin.post(address).content.decode()
    plan = admin.post(address, {name: "Officer"}).headers["Location"]
    assert (get_record(plan).counts["added"], get_record(plan).options["defaults"]) == (1, {"ROLE": "Officer"})


def test_addresses_are_the_usernames_of_a_file_without_them(admin: Client) -> None:
    file = cast.file([{name: cell for name, cell in person(7).items() if name != "USERNAME"}])
    for content in (file, file.replace(b"EMAIL", b"Work Email")):
        address = send(admin, content)
        page = read(admin, address)
        fields = dict(find_fields(page).values())
        assert "so users sign in with their addresses" in page and "EMAIL,USERNAME" in fields.values()
        assert get_record(admin.post(address, fields).headers["Location"]).counts["added"] == 1


def test_a_file_whose_columns_and_values_match_is_not_asked_about(admin: Client) -> None:
    plan = send(admin, cast.file([person(7)]))
    assert not plan.endswith("/match")
    page = read(admin, f"{plan}/match")
    assert "All columns match." in page and "Values" not in re.findall(r"<h2[^>]*>([^<]*)", page)
    assert not send(admin, b"\x00\x00").endswith("/match")


# Values


def test_a_first_file_offers_to_create_all_that_it_names(admin: Client) -> None:
    address = send(admin, cast.file(ROWS))
    assert address.endswith("/match")
    page = read(admin, address)
    assert "does not have these yet" in page
    fields = find_fields(page)
    assert [(label, chosen) for label, (_, chosen) in fields.items() if label.startswith("What ")] == [
        ("What STATUS “Terminated” means", "=Inactive"),
        ("What ROLE “Detective” means", "+"),
        ("What RANK “Major” means", "+"),
        ("What RANK “Sargent” means", "=Sergeant"),
        ("What RANK “Corporal” means", "+"),
        ("What EVIDENCE_GROUP_EXT_ID “K9” means", "+"),
    ]
    answer = admin.post(address, dict(fields.values()))
    plan = answer.headers["Location"]
    record = get_record(plan)
    assert (record.counts["added"], record.counts["errored"]) == (4, 0)
    assert not plan.endswith("/match")
    role = models.Role.objects.get(name="Detective")
    assert (role.permissions, role.administrator) == ([], False)
    assert list(models.Rank.objects.order_by("position").values_list("name", flat=True)) == [
        "Sergeant", "Captain", "Major", "Corporal",
    ]  # fmt: skip
    assert "1 role created. 2 ranks created. 1 group created." in unescape(read(admin, plan))
    event = models.Event.objects.filter(kind="agency.changed").latest("pk")
    assert (event.actor, event.through) == ("E-1", "page") and "role detective" in event.changes
    # The same form sent once more creates nothing, and leads to the same plan or to one like it.
    again = admin.post(address, dict(fields.values()))
    assert again.status_code == 302 and models.Role.objects.filter(name="Detective").count() == 1


def test_a_rare_value_with_a_letter_wrong_is_not_offered_as_a_new_name(admin: Client) -> None:
    """*Polizeikomissar* in one row next to *Polizeikommissar* in three is a mistake; *Sergeant II* is a rank."""
    names = ["Polizeikommissar"] * 3 + [
        "Polizeikomissar",
        "Poliziekommissar",
        "Guard I",
        "Guard II",
        "Guard II",
        "Guard II",
    ]
    page = read(admin, send(admin, cast.file([person(7 + n, RANK=name) for n, name in enumerate(names)])))
    chosen = {label: choice for label, (_, choice) in find_fields(page).items() if "RANK “" in label}
    assert chosen == {
        "What RANK “Polizeikommissar” means": "+",
        "What RANK “Polizeikomissar” means": "",
        "What RANK “Poliziekommissar” means": "",
        "What RANK “Guard I” means": "+",
        "What RANK “Guard II” means": "+",
    }


def test_only_the_required_columns_without_a_likely_heading_are_missing(admin: Client) -> None:
    file = cast.file([person(7)])
    address = send(admin, file.replace(b"EMAIL", b"E-Mail-Adresse", 1).replace(b"ROLE", b"Sonstiges", 1))
    page = read(admin, address)
    assert "1 required column is missing" in page and "2 required" not in page
    page = read(admin, send(admin, file.replace(b"EMAIL", b"E-Mail-Adresse", 1)))
    assert "Check 1 required column" in page and "missing</h2>" not in page


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4 not a list", b"<html><body>Sign in</body></html>"])
def test_a_file_without_headings_leads_to_no_page_that_matches_them(admin: Client, content: bytes) -> None:
    """It was a page that said that eight columns are missing, and had nothing to choose."""
    address = send(admin, content)
    page = read(admin, address)
    assert "Refused: nothing has changed" in page and "Match columns and values" not in page
    answer = admin.get(f"{address}/match")
    assert (answer.status_code, answer.headers["Location"]) == (302, address)


def test_a_later_file_is_not_interrupted_and_nothing_is_created_unless_chosen(
    admin: Client, springfield: Springfield
) -> None:
    springfield.imported(person(6))
    plan = send(admin, cast.file(ROWS))
    assert not plan.endswith("/match")
    fields = find_fields(read(admin, f"{plan}/match"))
    assert fields["What ROLE “Detective” means"][1] == "" and fields["What RANK “Sargent” means"][1] == "=Sergeant"
    fields["What RANK “Major” means"] = (fields["What RANK “Major” means"][0], "-")
    again = admin.post(f"{plan}/match", dict(fields.values())).headers["Location"]
    record = get_record(again)
    assert record.options["values"] == {
        "STATUS": {"Terminated": "Inactive"},
        "RANK": {"Major": "", "Sargent": "Sergeant"},
    }
    assert not models.Role.objects.filter(name="Detective").exists()


def test_columns_come_first_and_unknown_values_after_them(admin: Client) -> None:
    address = send(admin, cast.file(ROWS).replace(b"BADGE_NUMBER", b"Shield"))
    page = read(admin, address)
    assert "Detective" not in page.partition("Values</h2>")[2]
    following = admin.post(address, dict(find_fields(page).values())).headers["Location"]
    assert following.endswith("/match")
    assert "What ROLE “Detective” means" in find_fields(read(admin, following))


def test_only_a_permitted_user_creates_each_kind(client: Client, springfield: Springfield) -> None:
    """An attack: the choices of an administrator, sent by a user who may create ranks alone."""
    springfield.registered(2)
    manages = ["users.import", "users.view", "ranks.manage"]
    models.Role.objects.filter(name="Officer").update(permissions=manages)
    sign_in(client, "user.2")
    address = send(client, cast.file(ROWS))
    page = read(client, address)
    assert "Create the rank" in page and "Create the role" not in page and "Create the group" not in page
    fields = find_fields(page)
    forged = {name: "+" for label, (name, _) in fields.items() if label.startswith("What ")}
    answer = client.post(address, forged)
    assert answer.status_code == 422 and "Select a valid choice" in answer.content.decode()
    assert not models.Role.objects.filter(name="Detective").exists()
    assert not models.Rank.objects.filter(name="Major").exists() and models.Import.objects.count() == 1
    models.Role.objects.filter(name="Officer").update(permissions=[*manages, "roles.manage"])
    assert "Create the role" in read(client, address)


def test_only_names_of_the_file_are_created(admin: Client) -> None:
    """An attack: nothing but what the file names is ever created, whatever the form says."""
    address = send(admin, cast.file(ROWS))
    before = models.Role.objects.count()
    sent = {"value-0123456789abcdef": "+", "value-Boss": "+", "Boss": "+", "value-ROLE": "=Admin"}
    assert admin.post(address, sent).status_code == 302
    assert models.Role.objects.count() == before
    assert get_record(admin.post(address, sent).headers["Location"]).options.get("values", {}) == {}


def test_the_file_of_another_agency_is_not_there(admin: Client) -> None:
    other = cast.agency("shelbyville")
    record = cast.run(other, ROWS).record
    for act in (admin.get, admin.post):
        assert act(f"/springfield/imports/{record.number}/match").status_code == 404


def test_creating_roles_asks_for_a_recent_sign_in(admin: Client) -> None:
    address = send(admin, cast.file(ROWS))
    sent = dict(find_fields(read(admin, address)).values())
    age_session(admin, 16)
    assert "/sign-in/again" in admin.post(address, sent).headers["Location"]
    assert not models.Role.objects.filter(name="Detective").exists()


def test_a_file_with_thousands_of_values_makes_a_page_of_some(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [person(n, EVIDENCE_GROUP_EXT_ID=f"G{n}") for n in range(100, 100 + missing_names.MOST + 10)]
    plan = send(admin, cast.file(rows))
    assert not plan.endswith("/match")  # so many groups are another column
    monkeypatch.setattr("musterbook.web.imports.match_form._MOST_OPTIONS", 100)
    monkeypatch.setattr("musterbook.web.default_fields.MOST_NAMES", 0)
    page = read(admin, f"{plan}/match")
    values = [chosen for label, (_, chosen) in find_fields(page).items() if label.startswith("What ")]
    assert values and len(values) < 50 and set(values) == {""}
    assert "more values are listed after these" in page and "Create the group" not in page


def test_an_import_without_a_file_or_still_running_has_nothing_to_match(admin: Client) -> None:
    plan = send(admin, cast.file([person(7)]))
    models.Import.objects.update(state="waiting")
    assert admin.get(f"{plan}/match").headers["Location"] == plan
    models.Import.objects.update(state="applied", kind="undo")
    assert admin.get(f"{plan}/match").headers["Location"] == plan
