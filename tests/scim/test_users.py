"""Users through SCIM: created, read, replaced, patched, deleted and created again, as real requests."""

import json
import sqlite3
from typing import Any

import pytest
from django.db import OperationalError

from musterbook.directory import models
from musterbook.directory.users import provisioning
from tests.accounts.conftest import Springfield
from tests.scim.conftest import ENTERPRISE, OWN, Scim, person, read

pytestmark = pytest.mark.any_database


def _user(made: dict[str, Any]) -> models.User:
    return models.User.objects.get(pk=made["id"])


def test_a_user_is_created_with_everything_that_the_client_sends(scim: Scim, springfield: Springfield) -> None:
    made = scim.post(
        person(
            externalId="X-77",
            displayName="Jane",
            phoneNumbers=[{"value": "+1 202 555 0143", "type": "mobile"}],
            **{ENTERPRISE: {"employeeNumber": "0077", "manager": {"value": "2"}}, OWN: {"location": "East"}},
        )
    )
    user = _user(made)
    assert (user.external_id, user.username, user.first_name, user.last_name) == ("X-77", "jane.doe", "Jane", "Doe")
    assert (user.email, user.phone, user.badge_number) == ("jane.doe@agency.example", "+12025550143", "0077")
    assert (user.supervisor_id, user.location, user.role.name, user.active) == (2, "East", "Officer", True)
    assert (user.source, user.managed_by) == ("scim", "scim")
    assert made["phoneNumbers"] == [{"value": "+1 202 555 0143", "type": "mobile", "primary": True}]
    assert (made["externalId"], made["displayName"], made["active"]) == ("X-77", "Jane", True)
    assert made[ENTERPRISE]["employeeNumber"] == "0077"
    assert made[ENTERPRISE]["manager"]["$ref"].endswith("/springfield/scim/v2/Users/2")
    assert made == scim.get(f"Users/{made['id']}")
    event = models.Event.objects.get(kind="user.added", subject=user)
    assert (event.actor, event.through, event.agent) == ("E-1", "scim", "Token “HR”: idp/1")


def test_a_user_needs_no_external_id_and_no_badge(scim: Scim) -> None:
    made = scim.post(person())
    user = _user(made)
    assert user.external_id.startswith("scim-") and user.badge_number.startswith("no-badge-")
    assert "externalId" not in made and ENTERPRISE not in made
    assert scim.find("externalId pr") == ["user.1", "user.2", "user.3"] == scim.find(f"{ENTERPRISE}:employeeNumber pr")


def test_a_deleted_user_is_inactive_and_absent_until_they_are_created_again(scim: Scim) -> None:
    made = scim.post(person(externalId="X-77"))
    scim.delete(made["id"])
    assert not _user(made).active
    scim.get(f"Users/{made['id']}", 404)
    scim.delete(made["id"], 404)
    assert "jane.doe" not in scim.find("")
    assert scim.post(person(externalId="X-77"))["id"] == made["id"]
    assert _user(made).active
    assert "jane.doe" in scim.find("")
    scim.post(person(externalId="X-77"), 409)


def test_what_a_client_leaves_out_of_a_put_stays_and_what_it_clears_is_cleared(scim: Scim) -> None:
    made = scim.post(person(externalId="X-77", displayName="Jane", **{OWN: {"location": "East", "role": "Officer"}}))
    put = scim.put(made["id"], person(active=False))
    assert (put["externalId"], put["displayName"], put[OWN], put["active"]) == ("X-77", "Jane", made[OWN], False)
    put = scim.put(made["id"], person(displayName=None, **{OWN: {"location": None}}))
    assert "displayName" not in put and put[OWN] == {"role": "Officer"}


def test_a_lost_race_is_refused_and_changes_nothing(scim: Scim) -> None:
    made = scim.post(person())
    old = made["meta"]["version"]
    scim.patch(made["id"], {"op": "replace", "path": "displayName", "value": "J"}, **{"If-Match": old})
    change = {"op": "replace", "path": "active", "value": False}
    answer = scim.ask(f"Users/{made['id']}", "patch", {"Operations": [change]}, **{"If-Match": old})
    assert answer.status_code == 412
    now = scim.get(f"Users/{made['id']}")
    assert now["active"] and answer.headers["ETag"] == now["meta"]["version"]
    scim.delete(made["id"], 412, **{"If-Match": old})
    assert scim.ask(f"Users/{made['id']}", **{"If-None-Match": now["meta"]["version"]}).status_code == 304
    scim.delete(made["id"], **{"If-Match": now["meta"]["version"]})


def test_a_problem_is_said_in_the_words_of_the_page(scim: Scim, springfield: Springfield) -> None:
    taken = scim.post(person("user.1"), 409)
    assert taken["scimType"] == "uniqueness" and "belongs to First 1 Last 1" in taken["detail"]
    wrong = scim.post(person(emails=[{"value": "nowhere"}]), 400)
    assert (wrong["scimType"], wrong["detail"].partition(":")[0]) == ("invalidValue", "emails.value")
    springfield.agency.defaults = {}
    springfield.agency.save()
    assert "set the default of ROLE" in scim.post(person(), 400)["detail"]
    nobody = scim.post(person(**{ENTERPRISE: {"manager": {"value": "404"}}}), 400)
    assert "no user has the id “404”" in nobody["detail"]
    assert json.loads(scim.ask("Users", "post", "[").content)["scimType"] == "invalidSyntax"


def test_a_change_that_another_writer_prevents_can_be_sent_again(scim: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        cause = sqlite3.OperationalError("database is locked")
        cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise OperationalError("database is locked") from cause

    monkeypatch.setattr(provisioning, "add", busy)
    answer = scim.ask("Users", "post", person("ann.lee"))
    assert read(answer, 503)["detail"].startswith("Another change is being written right now.")
    assert answer.headers["Retry-After"] == "30"
