"""Acts of programs on imports: a plan is applied as it was seen, confirmed by exact numbers, corrected, and undone."""

from typing import Any
from unittest.mock import patch

import pytest

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.imports import drafts, problem_groups, queue
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.drafts import Edit
from musterbook.directory.imports.options import Options
from musterbook.directory.storage import import_files
from tests.accounts.conftest import Springfield, context
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.import_calls import MAY, call, done, preview, read, send, show, work
from tests.api.import_calls import own_folder as own_folder  # noqa: PLC0414
from tests.api.import_calls import secret as secret  # noqa: PLC0414
from tests.api.test_me import make_token, problem
from tests.directory import cast
from tests.directory.cast import allow, file, people, person

pytestmark = pytest.mark.any_database

WRONG = file([person(7, ROLE="Oficer"), person(8, ROLE="Oficer", EMAIL="bad"), person(9)])
"""Two rows with problems, one of them with two."""


def act(secret: str, shown: dict[str, Any], name: str, data: Any = None, **headers: str) -> Any:
    """The answer to an act on an import."""
    return call(secret, "POST", f"/{shown['number']}/{name}", data, **headers)


def apply(secret: str, shown: dict[str, Any], **headers: str) -> Any:
    """The answer to the application of a plan as it was seen."""
    return act(secret, shown, "apply", {"digest": shown["digest"]}, **headers)


def waited() -> Any:
    """While a request waits, a worker runs the import."""

    def run(record: models.Import, _seconds: float) -> models.Import:
        work()
        record.refresh_from_db()
        return record

    return patch.object(queue, "wait", run)


def has_user(springfield: Springfield, number: int) -> bool:
    return models.User.objects.filter(agency=springfield.agency, external_id=f"E-{number}").exists()


def limit(springfield: Springfield, users: int, kind: str = "additions") -> None:
    """The agency holds imports with more than so many users of a kind."""
    models.Agency.objects.filter(pk=springfield.agency.pk).update(limits=[allow(users, kind=kind)])


def test_a_preview_is_applied_by_the_digest_that_was_seen(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    assert not has_user(springfield, 7)
    applied = done(secret, apply(secret, shown))
    assert (applied["state"], applied["counts"]["added"], applied["plan_of"]) == ("applied", 1, shown["number"])
    assert has_user(springfield, 7)
    ended = show(secret, shown["number"])
    assert (ended["ended"], ended["is_open"]) == ({"how": "applied-as", "number": applied["number"]}, False)
    assert "apply" not in ended["links"]


def test_a_plan_is_applied_once(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    first = read(apply(secret, shown, Idempotency_Key="a"), 202)
    assert read(apply(secret, shown, Idempotency_Key="a"), 202)["number"] == first["number"], "while it waits"
    work()
    assert read(apply(secret, shown, Idempotency_Key="a"))["number"] == first["number"], "when it is done"
    said = problem(apply(secret, shown, Idempotency_Key="b"), 409)
    assert (said["code"], said["import"]) == ("plan-ended", first["number"])
    assert models.Import.objects.filter(state="applied", through="api").count() == 1


def test_two_requests_without_a_key_apply_a_plan_once(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    numbers = [read(apply(secret, shown), 202)["number"] for _ in range(2)]
    work()
    assert [show(secret, number)["state"] for number in numbers] == ["applied", "refused"]
    assert show(secret, numbers[1])["problems"][0]["code"] == "plan-ended"


def test_another_digest_applies_nothing_and_the_answer_has_the_digest(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    said = problem(act(secret, shown, "apply", {"digest": "0" * 64}), 409)
    assert (said["code"], said["import"], said["digest"]) == ("plan-changed", shown["number"], shown["digest"])
    assert models.Import.objects.filter(through="api").count() == 1


def test_a_plan_that_has_changed_is_not_applied_and_the_answer_has_the_new_digest(
    springfield: Springfield, secret: str
) -> None:
    shown = preview(secret, file([person(2, FIRST_NAME="Ann"), person(7)]))
    springfield.imported(person(2, FIRST_NAME="Ann"))
    with waited():
        said = problem(call(secret, "POST", f"/{shown['number']}/apply?wait=5", {"digest": shown["digest"]}), 409)
    assert said["code"] == "plan-changed"
    assert said["digest"] not in ("", shown["digest"])
    assert not has_user(springfield, 7)
    new = show(secret, said["import"])
    assert (new["state"], new["digest"], new["is_open"]) == ("refused", said["digest"], True)
    assert new["problems"][0]["code"] == "plan-changed"
    applied = done(secret, apply(secret, new))
    assert applied["state"] == "applied"
    assert has_user(springfield, 7)


def test_without_a_wait_a_changed_plan_is_a_refused_import(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, file([person(2, FIRST_NAME="Ann"), person(7)]))
    springfield.imported(person(2, FIRST_NAME="Ann"))
    made = done(secret, apply(secret, shown))
    assert (made["state"], made["is_open"], made["digest"] != shown["digest"]) == ("refused", True, True)


def test_emails_can_be_switched_off_when_a_plan_is_applied(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    assert shown["mails"] == {"invitation": 1}
    done(secret, act(secret, shown, "apply", {"digest": shown["digest"], "mails": False}))
    assert not models.Mail.objects.filter(of__through="api").exists()


def test_a_held_import_is_confirmed_by_its_exact_numbers(springfield: Springfield, secret: str) -> None:
    limit(springfield, 1)
    held = done(secret, send(secret, file(people(7, 8, 9))))
    assert (held["state"], held["is_open"]) == ("held", True)
    assert [(one["kind"], one["number"], one["limit"]) for one in held["holds"]] == [("additions", 3, 1)]
    assert "confirm" in held["links"]
    assert "apply" not in held["links"]
    said = problem(apply(secret, held), 409)
    assert (said["code"], said["holds"][0]["kind"], said["holds"][0]["number"]) == ("held", "additions", 3)
    answer = act(secret, held, "confirm", {"digest": held["digest"], "confirm": {"additions": 3}})
    assert done(secret, answer)["state"] == "applied"
    assert has_user(springfield, 9)


def test_a_wrong_number_leaves_it_held(springfield: Springfield, secret: str) -> None:
    limit(springfield, 1)
    held = done(secret, send(secret, file(people(7, 8, 9))))
    again = done(secret, act(secret, held, "confirm", {"digest": held["digest"], "confirm": {"additions": 2}}))
    assert (again["state"], again["holds"][0]["number"]) == ("held", 3)
    assert not has_user(springfield, 7)
    ended = show(secret, held["number"])
    assert ended["ended"] == {"how": "replaced-by", "number": again["number"]}
    other = done(secret, act(secret, again, "confirm", {"digest": again["digest"], "confirm": {"updates": 3}}))
    assert other["state"] == "held"


def test_a_preview_over_a_limit_is_confirmed_or_becomes_an_import_that_is_held(
    springfield: Springfield, secret: str
) -> None:
    limit(springfield, 1)
    shown = preview(secret, file(people(7, 8)))
    assert "confirm" in shown["links"]
    held = done(secret, apply(secret, shown))
    assert held["state"] == "held"
    other = preview(secret, file(people(7, 9)))
    confirmed = act(secret, other, "confirm", {"digest": other["digest"], "confirm": {"additions": 2}})
    assert done(secret, confirmed)["state"] == "applied"


def test_a_plan_that_nothing_holds_is_not_confirmed(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    said = problem(act(secret, shown, "confirm", {"digest": shown["digest"], "confirm": {"additions": 1}}), 409)
    assert said["code"] == "nothing-to-confirm"


@pytest.mark.parametrize("confirm", [{}, {"everything": 1}, {"cut-off": 1}, {"additions": True}, {"additions": -1}, 3])
def test_what_cannot_be_confirmed_is_refused(springfield: Springfield, secret: str, confirm: Any) -> None:
    limit(springfield, 1)
    shown = preview(secret, file(people(7, 8)))
    said = problem(act(secret, shown, "confirm", {"digest": shown["digest"], "confirm": confirm}), 422)
    assert said["errors"][0]["pointer"].startswith("/confirm")


def test_a_second_approver_confirms_what_another_user_has_requested(springfield: Springfield, secret: str) -> None:
    limit(springfield, 1)
    models.Agency.objects.update(second_approver=True)
    held = done(secret, send(secret, file(people(7, 8))))
    data = {"digest": held["digest"], "confirm": {"additions": 2}}
    said = problem(act(secret, held, "confirm", data), 403)
    assert said["code"] == "needs-approver"
    springfield.imported(person(2, ROLE="Chief"))
    models.Import.objects.filter(number=held["number"]).update(requester="E-2")
    assert done(secret, act(secret, held, "confirm", data))["state"] == "applied"


def test_what_cannot_be_applied_is_said(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret))
    assert problem(apply(secret, applied), 409)["code"] == "nothing-to-apply"
    shown = preview(secret, file(people(8)))
    import_files.delete_file(shown["number"])
    assert problem(apply(secret, shown), 410)["code"] == "file-gone"


@pytest.mark.parametrize(
    "data", [None, {}, {"digest": ""}, {"digest": 3}, {"digest": "x", "more": 1}, {"digest": "x", "mails": "no"}, []]
)
def test_a_body_of_another_form_is_refused(springfield: Springfield, secret: str, data: Any) -> None:
    shown = preview(secret)
    assert act(secret, shown, "apply", data).status_code in {400, 422}


def test_acts_on_a_synchronize_plan_need_its_permission(springfield: Springfield, secret: str) -> None:
    _, weak = make_token_named(springfield, "Weak", "users.view", "users.import")
    shown = preview(secret, file(people(1, 2)), "?preview=true&mode=sync")
    events = models.Event.objects.filter(kind="act.refused")
    for name, data in (
        ("apply", {"digest": shown["digest"]}), ("discard", None), ("corrections", {"options": {"strict": True}}),
        ("confirm", {"digest": shown["digest"], "confirm": {"additions": 1}}),
    ):  # fmt: skip
        before = events.count()
        assert "users.synchronize" in problem(act(weak, shown, name, data), 403)["detail"]
        assert events.count() == before + 1
    other = preview(secret, file(people(2)))
    assert "users.synchronize" in problem(act(weak, other, "corrections", {"options": {"mode": "sync"}}), 403)["detail"]


def make_token_named(springfield: Springfield, name: str, *may: str) -> Any:
    """Another token of the same administrator."""
    Token.objects.filter(name="HR").update(name="HR before")
    made = make_token(springfield, *may)
    Token.objects.filter(pk=made[0].pk).update(name=name)
    return made


def test_an_import_of_groups_needs_the_permission_to_manage_them(springfield: Springfield, secret: str) -> None:
    content = b"EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID\nK9,Canine unit,Active,\n"
    record = cast.run(springfield.agency, content, Options(preview=True, what="groups")).record
    assert record.state == "previewed"
    assert "groups.manage" in problem(call(secret, "GET", f"/{record.number}"), 403)["detail"]
    _, groups = make_token_named(springfield, "Groups", "groups.manage")
    shown = show(groups, record.number)
    assert (shown["kind"], shown["counts"]["added"]) == ("groups", 1)
    assert "groups.manage" in problem(apply(secret, shown), 403)["detail"]
    assert done(groups, apply(groups, shown))["state"] == "applied"
    assert models.Group.objects.filter(external_id="K9").exists()


def test_cells_are_corrected_by_row_and_column(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, WRONG)
    assert shown["counts"]["errored"] == 2
    cells = [
        {"row": 2, "column": "ROLE", "text": "Officer"},
        {"row": 3, "column": "EMAIL", "text": "e8@agency.example", "was": "bad"},
    ]
    again = done(secret, act(secret, shown, "corrections", {"cells": cells}))
    assert (again["state"], again["counts"]["added"], again["counts"]["errored"]) == ("previewed", 2, 1)
    assert (again["corrected_cells"], again["plan_of"]) == (2, shown["number"])
    assert show(secret, shown["number"])["ended"] == {"how": "replaced-by", "number": again["number"]}
    more = done(secret, act(secret, again, "corrections", {"cells": [{"row": 3, "column": "ROLE", "text": "Officer"}]}))
    assert (more["counts"]["errored"], more["corrected_cells"]) == (0, 3)
    assert done(secret, apply(secret, more))["counts"]["added"] == 3


def test_all_rows_with_the_same_problem_are_corrected_at_once(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, WRONG)
    groups = read(call(secret, "GET", f"/{shown['number']}/problems"))["items"]
    top = groups[0]
    assert (top["code"], top["column"], top["value"], top["rows"], top["suggestion"]) == (
        "unknown-role", "ROLE", "Oficer", 2, "Officer",
    )  # fmt: skip
    fix = {name: top[name] for name in ("code", "column", "value")} | {"text": top["suggestion"]}
    again = done(secret, act(secret, shown, "corrections", {"groups": [fix]}))
    assert (again["counts"]["errored"], again["corrected_cells"]) == (1, 2)


def test_options_make_the_plan_again_and_a_mapping_is_remembered_when_it_is_applied(
    springfield: Springfield, secret: str
) -> None:
    refused = preview(secret, WRONG.replace(b"BADGE_NUMBER", b"Shield"))
    assert refused["state"] == "refused"
    options = {"mapping": {"Shield": "BADGE_NUMBER"}, "values": {"ROLE": {"Oficer": "Officer"}}, "strict": False}
    again = done(secret, act(secret, refused, "corrections", {"options": options}))
    assert (again["state"], again["counts"]["added"]) == ("previewed", 2)
    assert again["options"]["mapping"] == {"Shield": "BADGE_NUMBER"}
    done(secret, apply(secret, again))
    springfield.agency.refresh_from_db()
    assert springfield.agency.mapping == {"Shield": "BADGE_NUMBER"}


def test_a_decision_about_a_row_applies_it(springfield: Springfield, secret: str) -> None:
    content = file([person(2, FIRST_NAME="Zed", LAST_NAME="Zulu", EMAIL="z@agency.example", USERNAME="zed")])
    shown = preview(secret, content)
    assert shown["counts"]["errored"] == 1
    decision = {"row": 2, "code": "identity-change", "choice": "other"}
    again = done(secret, act(secret, shown, "corrections", {"decisions": [decision]}))
    assert (again["counts"]["errored"], again["counts"]["updated"]) == (0, 1)
    wrong = act(secret, again, "corrections", {"decisions": [decision | {"choice": "nobody"}]})
    assert problem(wrong, 422)["errors"][0]["pointer"] == "/decisions/0"


def test_a_cell_that_someone_has_changed_is_not_corrected_unseen(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, WRONG)
    record = models.Import.objects.get(number=shown["number"])
    drafts.save_fixes(record, [Edit(2, "ROLE", "Oficer", "Chief")], context())
    assert show(secret, shown["number"])["open_fixes"] == 1
    cell = {"row": 2, "column": "ROLE", "text": "Officer", "was": "Oficer"}
    said = problem(act(secret, shown, "corrections", {"cells": [cell]}), 409)
    assert (said["code"], said["cells"]) == ("cells-changed", [{"row": 2, "column": "ROLE", "text": "Chief"}])
    assert models.Import.objects.filter(through="api").count() == 1
    again = done(secret, act(secret, shown, "corrections", {"cells": [cell | {"was": "Chief"}]}))
    assert again["counts"]["errored"] == 1


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({}, ""),
        ({"cells": [{"row": 4, "column": "ROLE", "text": "Officer"}]}, "/cells/0"),
        ({"cells": [{"row": 2, "column": "SALARY", "text": "1"}]}, "/cells/0"),
        ({"cells": [{"row": 0, "column": "ROLE", "text": "x"}]}, "/cells/0/row"),
        ({"cells": [{"row": 2, "column": "ROLE"}]}, "/cells/0/text"),
        ({"groups": [{"code": "unknown-role", "column": "ROLE", "value": "Chef", "text": "Officer"}]}, "/groups/0"),
        ({"groups": [{"code": "unknown-role", "column": "EMAIL", "text": "Officer"}]}, "/groups/0"),
        ({"groups": [{"code": "unknown-role", "column": "ROLE", "text": " "}]}, "/groups/0"),
        ({"options": {"preview": False}}, "/options/preview"),
        ({"options": {"mode": "all"}}, "/options/mode"),
        ({"decisions": [{"row": 2, "code": "taken", "choice": "EMAIL"}]}, "/decisions/0"),
    ],
)
def test_corrections_that_cannot_be_used_are_refused(
    springfield: Springfield, secret: str, data: Any, pointer: str
) -> None:
    shown = preview(secret, WRONG)
    said = problem(act(secret, shown, "corrections", data), 422)
    assert not pointer or said["errors"][0]["pointer"] == pointer
    assert models.Import.objects.filter(through="api").count() == 1


def test_too_many_corrections_are_refused(
    springfield: Springfield, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = preview(secret, WRONG)
    monkeypatch.setattr(problem_groups, "MOST_CORRECTED", 1)
    cells = [{"row": row, "column": "ROLE", "text": "Officer"} for row in (2, 3)]
    assert problem(act(secret, shown, "corrections", {"cells": cells}), 422)["code"] == "too-many-corrections"


def test_a_plan_that_cannot_be_made_again_is_said(springfield: Springfield, secret: str) -> None:
    strict = {"options": {"strict": True}}
    shown = preview(secret)
    applied = done(secret, apply(secret, shown))
    said = problem(act(secret, shown, "corrections", strict), 409)
    assert (said["code"], said["import"]) == ("plan-ended", applied["number"])
    undo = done(secret, act(secret, applied, "undo", {"preview": True}))
    assert problem(act(secret, undo, "corrections", strict), 409)["code"] == "cannot-correct"
    assert done(secret, act(secret, applied, "corrections", strict))["state"] == "previewed", "its errors can be fixed"


def test_the_same_corrections_with_one_key_make_one_plan(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, WRONG)
    data = {"options": {"mails": False}}
    waiting = read(act(secret, shown, "corrections", data, Idempotency_Key="k"), 202)
    assert read(act(secret, shown, "corrections", data, Idempotency_Key="k"), 202)["number"] == waiting["number"]
    work()
    assert read(act(secret, shown, "corrections", data, Idempotency_Key="k"))["number"] == waiting["number"]
    said = problem(act(secret, shown, "corrections", data, Idempotency_Key="other"), 409)
    assert said["import"] == waiting["number"]


def test_a_waiting_import_is_canceled(springfield: Springfield, secret: str) -> None:
    waiting = read(send(secret), 202)
    ended = read(act(secret, waiting, "cancel"))
    assert ended["state"] == "canceled"
    work()
    assert not has_user(springfield, 7)
    assert problem(act(secret, waiting, "cancel"), 409)["code"] == "already-ended"
    assert problem(call(secret, "GET", f"/{waiting['number']}/results"), 409)


def test_a_plan_is_discarded_once(springfield: Springfield, secret: str) -> None:
    shown = preview(secret)
    ended = read(act(secret, shown, "discard"))
    assert ended["ended"] == {"how": "discarded", "number": None}
    assert problem(act(secret, shown, "discard"), 409)["code"] == "plan-ended"
    assert problem(apply(secret, shown), 409)["code"] == "plan-ended"
    applied = done(secret, send(secret))
    assert problem(act(secret, applied, "discard"), 409)["code"] == "nothing-to-discard"


def test_an_import_is_undone_after_a_preview(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret, file([person(2, FIRST_NAME="Ann"), person(7)])))
    shown = done(secret, act(secret, applied, "undo", {"preview": True}))
    assert (shown["state"], shown["kind"], shown["undoes"]) == ("previewed", "undo", applied["number"])
    assert shown["counts"]["updated"] == 2
    undone = done(secret, apply(secret, shown))
    assert undone["state"] == "applied"
    assert springfield.user(2).first_name == "First 2"
    assert not models.User.objects.get(agency=springfield.agency, external_id="E-7").active
    assert show(secret, applied["number"])["undone_by"] == undone["number"]


def test_a_second_undo_changes_nothing(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret, file([person(2, FIRST_NAME="Ann")])))
    first = read(act(secret, applied, "undo", {}, Idempotency_Key="u"), 202)
    work()
    assert read(act(secret, applied, "undo", {}, Idempotency_Key="u"))["number"] == first["number"]
    assert springfield.user(2).first_name == "First 2"
    second = done(secret, act(secret, applied, "undo", {}))
    assert (second["counts"]["updated"], second["counts"]["added"]) == (0, 0)


def test_an_undo_over_a_limit_is_held_or_confirmed_beforehand(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret, file(people(7, 8))))
    limit(springfield, 1, "deactivations")
    held = done(secret, act(secret, applied, "undo", {"mails": False}))
    assert (held["state"], [one["number"] for one in held["holds"]]) == ("held", [2])
    undone = done(secret, act(secret, applied, "undo", {"confirm": {"deactivations": 2}}))
    assert undone["state"] == "applied"
    wrong = act(secret, applied, "undo", {"confirm": {"everything": 2}})
    assert problem(wrong, 422)["errors"][0]["pointer"] == "/confirm"


def test_what_was_not_applied_is_not_undone(springfield: Springfield, secret: str) -> None:
    assert problem(act(secret, preview(secret), "undo", {}), 409)["code"] == "nothing-to-undo"


def test_new_external_ids_are_imported_and_undone(springfield: Springfield, secret: str) -> None:
    content = b"EXTERNAL_ID,Neu\nE-2,P-2\n"
    shown = preview(secret, content, "?preview=true&mode=rekey&mapping=%7B%22Neu%22%3A%22NEW_EXTERNAL_ID%22%7D")
    assert (shown["state"], shown["kind"], shown["mode"]) == ("previewed", "rekey", "rekey")
    applied = done(secret, apply(secret, shown))
    assert applied["counts"]["updated"] == 1
    assert models.User.objects.filter(external_id="P-2").exists()
    done(secret, act(secret, applied, "undo", {}))
    assert not models.User.objects.filter(external_id="P-2").exists()


def test_a_bulk_action_is_applied_by_its_own_permission(springfield: Springfield, secret: str) -> None:
    user = springfield.user(2)
    queue.submit_bulk(springfield.agency, [user.pk], BulkChange("deactivate"), context=context(), preview=True)
    work()
    shown = show(secret, models.Import.objects.get(kind="bulk").number)
    assert (shown["kind"], shown["action"], shown["file"]) == ("bulk", {"act": "deactivate", "value": ""}, None)
    for name, data in (("apply", {"digest": shown["digest"]}), ("discard", None)):
        assert "users.edit" in problem(act(secret, shown, name, data), 403)["detail"]
    _, strong = make_token_named(springfield, "Strong", *MAY, "users.edit")
    assert done(strong, apply(strong, shown))["state"] == "applied"
    assert not springfield.user(2).active
    queue.submit_bulk(springfield.agency, [user.pk], BulkChange("reactivate"), context=context(), preview=True)
    waiting = show(strong, models.Import.objects.get(kind="bulk", state="waiting").number)
    assert "users.edit" in problem(act(secret, waiting, "cancel"), 403)["detail"]
    assert read(act(strong, waiting, "cancel"))["state"] == "canceled"
