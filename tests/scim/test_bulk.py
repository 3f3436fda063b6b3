"""Many operations at once, as real requests: one import, whose operations have a status each."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, memberships, queue, quotas, undo
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import ALL
from musterbook.directory.storage import locks
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.scim.conftest import ENTERPRISE, GROUP, OWN, PATCH, Scim, person, read

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
ONE = "/Users" + "/"
"""The path of one user, before the id. In one piece it looks like the folder of a person."""
HELD = "urn:ietf:params:scim:api:messages:musterbook:2.0:Held"


@pytest.fixture
def client(springfield: Springfield) -> Scim:
    """A program that may do everything. New users are officers."""
    springfield.agency.defaults = {"ROLE": "Officer"}
    springfield.agency.save()
    _, secret = make_token(springfield, *ALL)
    return Scim(springfield.agency, secret)


def post(name: str, bulk_id: str = "", /, **others: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id or name, "data": person(name, **others)}


def patch(number: object, **values: Any) -> dict[str, Any]:
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return {"method": "PATCH", "path": f"{ONE}{number}", "data": {"schemas": [PATCH], "Operations": operations}}


def ask(client: Scim, *operations: Any, status: int = 200, **more: Any) -> Any:
    """The JSON of the response."""
    return read(client.ask("Bulk", "post", {"schemas": [BULK], "Operations": list(operations), **more}), status)


def send(client: Scim, *operations: Any, **more: Any) -> list[dict[str, Any]]:
    """The results of the operations."""
    content = ask(client, *operations, **more)
    assert content["schemas"] == [RESPONSE]
    results: list[dict[str, Any]] = content["Operations"]
    for one in results:
        failed = int(one["status"]) >= 400
        assert failed == ("response" in one)
        assert "location" in one or (failed and one["method"] == "POST")
    return results


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [one["status"] for one in results]


def detail(result: dict[str, Any]) -> str:
    assert result["response"]["status"] == result["status"]
    return str(result["response"]["detail"])


def user(number: int) -> models.User:
    return models.User.objects.get(pk=number)


def number_of(result: dict[str, Any]) -> int:
    return int(result["location"].rpartition("/")[2])


def test_users_are_created_changed_and_deleted_by_one_import(client: Scim) -> None:
    manager = {ENTERPRISE: {"manager": {"value": "bulkId:boss"}, "employeeNumber": "B-9"}}
    results = send(
        client,
        post("jane.doe", displayName="Jane", phoneNumbers=[{"value": "+1 202 555 0143", "type": "mobile"}], **manager),
        post("ann.lee", "boss", externalId="X-1"),
        patch(2, active=False),
        {
            "method": "PUT",
            "path": f"{ONE}3",
            "data": {**person("user.3"), "name": {"givenName": "New", "familyName": "Name"}},
        },
    )
    assert statuses(results) == ["201", "201", "200", "200"]
    assert [one.get("bulkId") for one in results] == ["jane.doe", "boss", None, None]
    jane, boss = number_of(results[0]), number_of(results[1])
    assert (user(jane).supervisor_id, user(jane).badge_number, user(boss).external_id) == (boss, "B-9", "X-1")
    assert (user(2).active, user(3).first_name, user(jane).source, user(jane).managed_by) == (
        False,
        "New",
        "scim",
        "scim",
    )
    for one in results:
        shown = client.get(one["location"].partition("/scim/v2/")[2])
        assert (shown["meta"]["version"], shown["meta"]["location"]) == (one["version"], one["location"])
    shown = client.get(f"Users/{jane}")
    assert (shown["displayName"], shown["phoneNumbers"][0]) == (
        "Jane",
        {"value": "+1 202 555 0143", "type": "mobile", "primary": True},
    )
    record = models.Import.objects.get(through="scim")
    assert (record.state, record.kind, record.actor, record.options["source"]) == ("applied", "file", "E-1", "scim")
    assert (record.counts["added"], record.counts["updated"]) == (2, 2)
    events = models.Event.objects.filter(of=record).values_list("through", "agent").distinct()
    assert list(events) == [("scim", "Token “HR”: idp/1")]
    undo.run_undo(record, context=AuditContext(datetime.now(UTC), "E-1", "page"))
    assert (user(2).active, user(3).first_name, user(jane).active) == (True, "First 3", False)


def test_what_an_operation_does_not_name_stays(client: Scim) -> None:
    models.User.objects.filter(pk=3).update(location="East", phone="+12025550143", supervisor=1)
    before = {
        name: getattr(user(3), name) for name in ("email", "location", "phone", "supervisor_id", "rank_id", "role_id")
    }
    assert statuses(send(client, patch(3, userName="other.name"), post("a.b", **{OWN: {"location": "West"}}))) == [
        "200",
        "201",
    ]
    assert {name: getattr(user(3), name) for name in before} == before
    assert user(3).username == "other.name"


def test_a_deleted_user_is_absent_until_they_are_created_again(client: Scim) -> None:
    [made] = send(client, post("jane.doe", externalId="X-1"))
    number = number_of(made)
    [deleted] = send(client, {"method": "DELETE", "path": f"{ONE}{number}"})
    assert (deleted["status"], deleted["location"], user(number).active) == ("204", made["location"], False)
    client.get(f"Users/{number}", 404)
    [again] = send(client, {"method": "DELETE", "path": f"{ONE}{number}"})
    assert again["status"] == "404"
    [back] = send(client, post("jane.doe", externalId="X-1"))
    assert (back["status"], number_of(back), user(number).active) == ("201", number, True)
    assert client.get(f"Users/{number}")["active"]


def test_the_same_request_again_writes_nothing(client: Scim) -> None:
    operations = [patch(2, userName="two"), patch(3, displayName="Three")]
    send(client, *operations)
    events = models.Event.objects.count()
    assert statuses(send(client, *operations)) == ["200", "200"]
    assert models.Event.objects.count() == events


def test_swapped_names_are_no_conflict_and_a_taken_one_is(client: Scim) -> None:
    first, second = user(2).username, user(3).username
    assert statuses(send(client, patch(2, userName=second), patch(3, userName=first))) == ["200", "200"]
    assert (user(2).username, user(3).username) == (second, first)
    results = send(client, patch(2, userName=user(1).username), post("new.one"), post("other", externalId="E-1"))
    assert statuses(results) == ["409", "201", "409"]
    assert results[0]["response"]["scimType"] == "uniqueness"
    assert "belongs to First 1 Last 1" in detail(results[0])


@pytest.mark.parametrize(
    ("operation", "status", "words"),
    [
        ({"method": "GET", "path": f"{ONE}2"}, "400", "method must be"),
        ({"method": "POST", "path": "/Users", "data": {}}, "400", "bulkId"),
        ({"method": "POST", "path": f"{ONE}2", "bulkId": "x", "data": {}}, "400", "path must be"),
        ({"method": "DELETE", "path": "/Users"}, "400", "path must be"),
        ({"method": "DELETE", "path": "/Roles/2"}, "400", "path must be"),
        ({"method": "DELETE", "path": "https://agency.example/Users/2"}, "400", "path must be"),
        ({"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "G"}}, "501", "Groups"),
        ({"method": "PATCH", "path": f"{ONE}2", "data": "x"}, "400", "data must be"),
        ({"method": "PATCH", "path": f"{ONE}bulkId:x", "data": {}}, "400", "only that operation"),
        ({"method": "DELETE", "path": f"{ONE}4711"}, "404", "no user"),
        ({"method": "DELETE", "path": f"{ONE}x"}, "404", "no user"),
        ({"method": "DELETE", "path": ONE + "9" * 40}, "404", "no user"),
        ({"method": "PUT", "path": f"{ONE}2", "data": {"userName": "x"}}, "400", ""),
        ({"method": "PATCH", "path": f"{ONE}2", "data": {"Operations": [{"op": "fly"}]}}, "400", "fly"),
        (patch(2, externalId="E-77"), "501", "by itself"),
        ({"method": "DELETE", "path": f"{ONE}2", "version": 'W/"old"'}, "412", "has changed"),
        ("nonsense", "400", "method must be"),
        (post("x", **{ENTERPRISE: {"manager": {"value": "bulkId:nobody"}}}), "400", "bulkId “nobody”"),
        (post("x", **{ENTERPRISE: {"manager": {"value": "4711"}}}), "400", "4711"),
        (post("x", emails=[{"value": "nowhere"}]), "400", "emails.value"),
        (post("x", "b" * 300), "400", "bulkId"),
    ],
)
def test_what_cannot_be_done_is_said_of_its_operation_alone(
    client: Scim, operation: Any, status: str, words: str
) -> None:
    results = send(client, operation, patch(3, userName="still.done"))
    assert statuses(results) == [status, "200"]
    assert words in detail(results[0])
    assert (user(2).active, user(2).external_id, user(3).username) == (True, "E-2", "still.done")


def test_a_version_counts_until_the_import_is_made(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program changes the same attribute after the versions were compared, and before the lock is taken."""
    tag = client.get("Users/2")["meta"]["version"]
    check, later = quotas.check_quotas, [lambda: client.ask("Users/2", "patch", patch(2, userName="theirs")["data"])]

    def race(*given: Any) -> None:
        check(*given)
        while later:
            later.pop()()

    monkeypatch.setattr(quotas, "check_quotas", race)
    results = send(client, {**patch(2, userName="ours"), "version": tag}, patch(3, userName="still.done"))
    assert (statuses(results), later) == (["412", "200"], [])
    assert (user(2).username, user(3).username) == ("theirs", "still.done")
    assert statuses(send(client, {**patch(2, userName="ours"), "version": "*"})) == ["200"]
    tag = client.get("Users/2")["meta"]["version"]
    assert statuses(send(client, {**patch(2, userName="ours.again"), "version": tag})) == ["200"]


def test_a_bulk_id_and_a_user_are_named_once(client: Scim) -> None:
    results = send(client, post("one", "x"), post("two", "x"), patch(2, userName="a"), patch(2, userName="b"))
    assert statuses(results) == ["201", "400", "200", "400"]
    assert user(2).username == "a"


def _with_manager(name: str, manager: str) -> dict[str, Any]:
    return post(name, **{ENTERPRISE: {"manager": {"value": f"bulkId:{manager}"}}})


def test_supervisors_in_a_circle_are_refused_and_who_leads_to_it_as_well(client: Scim) -> None:
    results = send(
        client, _with_manager("a", "b"), _with_manager("b", "c"), _with_manager("c", "a"), _with_manager("d", "a"),
        _with_manager("e", "e"), post("f"), _with_manager("g", "f"),
    )  # fmt: skip
    assert statuses(results) == ["409", "409", "409", "400", "409", "201", "201"]
    assert "circle" in detail(results[0])
    assert user(number_of(results[6])).supervisor_id == number_of(results[5])


def test_who_reports_to_a_user_who_cannot_be_created_is_not_created(client: Scim) -> None:
    results = send(client, _with_manager("a", "b"), post("b", externalId="E-1"), _with_manager("c", "a"))
    assert statuses(results) == ["400", "409", "400"]
    assert not models.User.objects.filter(username__in=("a", "b", "c")).exists()


def test_a_long_chain_of_references_is_read(client: Scim) -> None:
    chain = [post("u0"), *(_with_manager(f"u{n}", f"u{n - 1}") for n in range(1, 60))]
    assert set(statuses(send(client, *reversed(chain)))) == {"201"}
    assert user(models.User.objects.get(username="u59").pk).supervisor == models.User.objects.get(username="u58")


def test_nothing_is_done_after_as_many_errors_as_the_client_accepts(client: Scim) -> None:
    operations = [
        patch(2, userName="done"), post("taken", externalId="E-1"), post("early"), {"method": "DELETE", "path": f"{ONE}x"},
        post("late"),
    ]  # fmt: skip
    results = send(client, *operations, failOnErrors=2)
    assert statuses(results) == ["200", "409", "201", "404"]
    assert not models.User.objects.filter(username="late").exists()
    assert statuses(send(client, *operations[1:2], *operations, failOnErrors=1)) == ["409"]


def test_what_is_left_out_has_no_part_in_what_is_done(client: Scim) -> None:
    first, second = user(2).username, user(3).username
    results = send(client, patch(2, userName=second), post("x", emails=[]), patch(3, userName=first), failOnErrors=1)
    assert statuses(results) == ["409"]  # user 3 keeps the name, because nothing is done after the second operation
    assert (user(2).username, user(3).username) == (first, second)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Operations": [{}]}, 400, "schemas"),
        ({"schemas": [BULK]}, 400, "Operations"),
        ({"schemas": [BULK], "Operations": []}, 400, "Operations"),
        ({"schemas": [BULK], "Operations": {}}, 400, "Operations"),
        ({"schemas": [BULK], "Operations": [{}], "failOnErrors": 0}, 400, "failOnErrors"),
        ({"schemas": [BULK], "Operations": [{}], "failOnErrors": True}, 400, "failOnErrors"),
        ({"schemas": [BULK], "Operations": [{}], "failOnErrors": "1"}, 400, "failOnErrors"),
        ({"schemas": [BULK], "Operations": [{}] * 1_001}, 413, "1,000"),
        ("[" * 100_000, 400, "JSON"),
        ('{"schemas": ["' + BULK + '"], "Operations": ' + "[" * 5_000 + "]" * 5_000 + "}", 400, ""),
        (" " * (4 << 20) + "{}", 413, "bytes"),
    ],
)
def test_a_request_that_is_no_bulk_is_refused_as_a_whole(client: Scim, body: Any, status: int, words: str) -> None:
    answer = client.ask("Bulk", "post", body)
    assert answer.status_code in (status, 200)
    assert words in json.loads(answer.content).get("detail", words)
    assert not models.Import.objects.filter(through="scim").exists()


def test_deep_data_is_an_error_of_its_operation(client: Scim) -> None:
    deep: Any = "x"
    for _ in range(25):  # a body that is deeper than 64 is refused as a whole
        deep = {"value": [deep]}
    new = {**post("a"), "data": {**person("a"), "name": deep}}
    results = send(client, new, patch(2, userName=deep), patch(3, userName="three"))
    assert statuses(results) == ["400", "400", "200"]


def test_a_thousand_operations_are_one_import(client: Scim) -> None:
    results = send(client, *(post(f"user.x{n}") for n in range(1_000)))
    assert set(statuses(results)) == {"201"}
    assert models.Import.objects.get(through="scim").counts["added"] == 1_000
    assert client.get("ServiceProviderConfig")["bulk"] == {
        "supported": True, "maxOperations": 1_000, "maxPayloadSize": 4 << 20
    }  # fmt: skip


def _limit(client: Scim, kind: str, users: int) -> None:
    one = {"kind": kind, "users": users, "percent": 0, "most": None, "off": False, "role": None, "group": None}
    models.Agency.objects.filter(pk=client.agency.pk).update(limits=[one])


def test_a_bulk_over_a_limit_is_held_until_its_number_is_confirmed(client: Scim) -> None:
    _limit(client, "deactivations", 0)
    operations = [patch(2, active=False), patch(3, userName="three"), post("new.one")]
    held = ask(client, *operations, status=202)
    record = models.Import.objects.get(through="scim")
    assert (held["schemas"], held["import"], held["holds"][0]["kind"]) == ([HELD], record.number, "deactivations")
    assert held["location"].endswith(f"/springfield/api/v1/imports/{record.number}")
    assert held["page"].endswith(f"/springfield/imports/{record.number}")
    assert (user(2).active, user(3).username, _exists("new.one")) == (True, "user.3", False)
    assert ask(client, *operations, status=202)["import"] == record.number  # a program that tries again makes no other
    assert models.Import.objects.filter(through="scim").count() == 1
    context = AuditContext(datetime.now(UTC), "E-1", "page")
    queue.submit_apply(record.agency, record.number, context=context, confirmed={"deactivations": 1})
    run_next_import("tests", lambda: datetime.now(UTC))
    assert (user(2).active, user(3).username, _exists("new.one")) == (False, "three", True)
    assert {one.managed_by for one in (user(2), user(3), models.User.objects.get(username="new.one"))} == {"scim"}
    assert statuses(send(client, *operations[:2])) == ["200", "200"]


def _exists(username: str) -> bool:
    return models.User.objects.filter(username=username).exists()


def test_an_agency_answers_409_for_clients_that_cannot_wait(client: Scim) -> None:
    _limit(client, "deactivations", 0)
    models.Agency.objects.update(scim_refuses_held=True)
    refused = client.ask("Bulk", "post", {"schemas": [BULK], "Operations": [patch(2, active=False)]})
    content = read(refused, 409)
    record = models.Import.objects.get(through="scim")
    assert record.number in content["detail"]
    assert refused.headers["Location"].endswith(f"/api/v1/imports/{record.number}")
    assert (record.state, user(2).active) == ("held", True)


def test_a_group_over_a_limit_is_held_as_well(client: Scim) -> None:
    group = read(client.ask("Groups", "post", {"schemas": [GROUP], "displayName": "North"}), 201)["id"]
    _limit(client, "updates", 1)
    add = {
        "schemas": [PATCH],
        "Operations": [{"op": "add", "path": "members", "value": [{"value": "2"}, {"value": "3"}]}],
    }
    held = read(client.ask(f"Groups/{group}", "patch", add), 202)
    assert held["page"].endswith(f"/springfield/users/bulk/{held['import']}")
    assert read(client.ask(f"Groups/{group}", "patch", add), 202)["import"] == held["import"]
    models.Agency.objects.update(scim_refuses_held=True)
    assert held["import"] in read(client.ask(f"Groups/{group}", "patch", add), 409)["detail"]
    both = {"schemas": [GROUP], "displayName": "South", "members": [{"value": "2"}, {"value": "3"}]}
    assert "without members" in read(client.ask("Groups", "post", both), 409)["detail"]
    assert not models.Group.objects.filter(name="South").exists()


def test_a_bulk_needs_the_permission_to_import(client: Scim, springfield: Springfield) -> None:
    for permissions in (("users.view", "users.edit"), ("users.import",)):
        Token.objects.all().delete()
        _, secret = make_token(springfield, *permissions)
        weak = Scim(springfield.agency, secret)
        read(weak.ask("Bulk", "post", {"schemas": [BULK], "Operations": [patch(2, active=False)]}), 403)
    assert user(2).active


def test_no_operation_reaches_a_user_of_another_agency_or_above_the_own_role(
    client: Scim, springfield: Springfield, shelbyville: Springfield
) -> None:
    foreign = models.User.objects.filter(agency=shelbyville.agency).first()
    assert foreign is not None
    results = send(client, patch(foreign.pk, active=False), {"method": "DELETE", "path": f"{ONE}{foreign.pk}"})
    assert statuses(results) == ["404", "400"]
    assert user(foreign.pk).active
    officer = models.Role.objects.get(agency=springfield.agency, name="Officer")
    models.Role.objects.filter(pk=officer.pk).update(permissions=["users.view", "users.import"])
    models.User.objects.filter(pk=2).update(role=user(1).role)
    models.User.objects.filter(pk=1).update(role=officer)
    results = send(client, patch(2, active=False), patch(3, userName="three"))
    assert statuses(results) == ["403", "200"]
    assert user(2).active


def test_what_someone_else_writes_meanwhile_is_not_taken_back(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, calls = file_import.make_attempt, []

    def written_meanwhile(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:  # after the rows were made
            models.User.objects.filter(pk=2).update(first_name="Other")
        return usual(*args, **kwargs)

    monkeypatch.setattr(file_import, "make_attempt", written_meanwhile)
    assert statuses(send(client, patch(2, userName="new.name"))) == ["200"]
    assert (user(2).username, user(2).first_name, len(calls)) == ("new.name", "Other", 2)


def test_it_waits_for_another_import_only_for_a_while(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "PATIENCE", 0.3)
    monkeypatch.setattr(locks, "_try_flock", lambda _file: False)
    monkeypatch.setattr(locks, "_advisory_lock", locks._file_lock)
    answer = client.ask("Bulk", "post", {"schemas": [BULK], "Operations": [patch(2, active=False)]})
    assert "again" in read(answer, 503)["detail"]
    assert answer.headers["Retry-After"]
    assert user(2).active
