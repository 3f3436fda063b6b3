"""New external IDs on pages (M14): a file on the page of imports, and one user's on the page that edits them."""

import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person

PAGE = "/springfield/users/import"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@built_once
def _build_springfield() -> Springfield:
    """An agency with an administrator, and two officers."""
    made = Springfield(cast.agency())
    made.imported(person(1, ROLE="Admin"), *cast.people(2, 3))
    made.registered(1)
    return made


@pytest.fixture
def chief(db: None, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    _build_springfield()
    signed_in(client, "user.1")
    return client


def send(client: Client, *lines: str) -> str:
    """Sends the lines as a file of new external IDs, and gives the address of its preview."""
    file = SimpleUploadedFile("ids.csv", "\n".join([*lines, ""]).encode())
    return client.post(PAGE, {"mode": "rekey", "do": "preview", "file": file}).headers["Location"]


def read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_file_of_new_ids_is_previewed_applied_and_undone(chief: Client) -> None:
    assert "Change external IDs" in read(chief, PAGE)
    plan = send(chief, "EXTERNAL_ID,NEW_EXTERNAL_ID", "E-1,N-1", "E-2,E-3", "E-3,E-2")
    page = read(chief, plan)
    assert "Change external IDs" in page
    assert '<del class="m-was">E-1</del>' in page and '<ins class="m-becomes">N-1</ins>' in page
    done = chief.post(plan).headers["Location"]
    assert "First 1 Last 1</a> (N-1)" in read(chief, done)
    assert set(models.User.objects.values_list("external_id", flat=True)) == {"N-1", "E-2", "E-3"}
    assert "Download results" in read(chief, done)
    assert "Change external IDs" in read(chief, "/springfield/imports/")
    back = chief.post(f"{done}/undo", {"once": "1"}).headers["Location"]
    assert chief.post(back).status_code == 302
    assert models.User.objects.get(email="user1@agency.example").external_id == "E-1"


def test_users_of_a_held_file_of_new_ids_come_first(chief: Client) -> None:
    """S4: a held plan is shown with the users that hold it first."""
    models.Agency.objects.update(limits=[{**cast.allow(0), "kind": "rekeys"}])
    page = read(chief, send(chief, "EXTERNAL_ID,NEW_EXTERNAL_ID", "E-2,N-2", "E-9,N-9"))
    assert "1 user will get another external ID." in page and "These users will be updated." in page
    assert '<a href="?show=updated#plan">See these rows</a>' in page and '<ins class="m-becomes">N-2</ins>' in page


def test_a_wrong_cell_is_corrected_on_the_page(chief: Client) -> None:
    plan = send(chief, "EXTERNAL_ID,NEW_EXTERNAL_ID", "E-9,N-2")
    page = read(chief, plan)
    assert "There is no user with the external ID “E-9”." in page
    cells = {
        "cell-2-EXTERNAL_ID": "E-2",
        "was-2-EXTERNAL_ID": "E-9",
        "cell-2-NEW_EXTERNAL_ID": "N-2",
        "was-2-NEW_EXTERNAL_ID": "N-2",
    }
    again = chief.post(f"{plan}/recheck", cells).headers["Location"]
    assert '<ins class="m-becomes">N-2</ins>' in read(chief, again.replace("show=errored", "show=updated"))


def test_other_headings_are_mapped_on_the_page_to_the_two_columns(chief: Client) -> None:
    plan = send(chief, "EXTERNAL_ID,Workday id", "E-2,N-2")
    page = read(chief, plan)
    (field,) = re.findall(r'<select[^>]*name="map-0".*?</select>', page, re.DOTALL)
    assert re.findall(r'<option value="(\w*)"', field) == ["", "NEW_EXTERNAL_ID"]
    again = chief.post(plan, {"map-0": "NEW_EXTERNAL_ID"}).headers["Location"]
    assert '<ins class="m-becomes">N-2</ins>' in read(chief, again)


def test_a_user_gets_another_external_id_on_their_page(chief: Client) -> None:
    user = models.User.objects.get(external_id="E-2")
    address = f"/springfield/users/{user.pk}/edit"
    page = read(chief, address)
    fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    shown = re.search(r'name="shown" value="([^"]*)"', page)
    assert fields["external_id"] == "E-2" and shown
    sent = fields | {"shown": shown[1].replace("&quot;", '"'), "external_id": "N-2", "role": "Officer"}
    answer = chief.post(address, sent)
    assert answer.status_code == 302, answer.content.decode()
    user.refresh_from_db()
    assert (user.external_id, user.last_name) == ("N-2", "Last 2")
    assert "Saved: External ID." in read(chief, answer.headers["Location"])
    sent |= {"shown": sent["shown"].replace("E-2", "N-2"), "external_id": "E-3"}
    refused = chief.post(address, sent)
    assert refused.status_code == 422
    assert "belongs to First 3 Last 3 (E-3, Active)" in refused.content.decode()


def test_a_new_id_that_looks_damaged_is_kept_as_written(chief: Client) -> None:
    models.User.objects.filter(external_id="E-2").update(external_id="0012")
    plan = send(chief, "EXTERNAL_ID,NEW_EXTERNAL_ID", "0012,12")
    page = read(chief, plan)
    assert "its leading zeros were lost" in page
    (button,) = re.findall(r'name="decide" value="(looks-damaged \d[^"]*)"', page)
    again = chief.post(f"{plan}/recheck", {"decide": button}).headers["Location"]
    assert '<ins class="m-becomes">12</ins>' in read(chief, again.replace("show=errored", "show=updated"))
