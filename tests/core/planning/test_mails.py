"""The emails of a plan, decided before anything is written (rule D8)."""

import pytest

from musterbook.core.planning.plan import Plan
from tests.core.cast import ADA, BEN, CY, agency, plan_rows, row, synchronize_rows

INACTIVE = {"active": False}


def list_mails(made: Plan) -> list[tuple[str, str, str]]:
    """The emails of a plan: external ID, kind, address."""
    return sorted(made.mailings.select("external_id", "kind", "to").iter_rows())


def test_a_new_user_is_invited_if_active() -> None:
    made = plan_rows(row("E"), row("F", STATUS="Inactive"))
    assert list_mails(made) == [("E", "invitation", "e@new.example")]
    assert made.mails == {"invitation": 1}


@pytest.mark.parametrize(
    ("who", "was", "cells", "expected"),
    [
        (BEN, {}, {"STATUS": "Inactive"}, [("deactivated", "ben@a.example")]),
        (BEN, INACTIVE, {}, [("reactivated", "ben@a.example")]),
        (BEN, {}, {"EMAIL": "b@a.example"}, [("email-changed", "ben@a.example")]),
        (BEN, INACTIVE, {"EMAIL": "b@a.example"}, [("email-changed", "ben@a.example"), ("reactivated", "b@a.example")]),
        (BEN, {}, {"EMAIL": "Ben@A.example"}, []),
        (BEN, {}, {"LAST_NAME": "Rey"}, []),
        (CY, {}, {"STATUS": "Inactive"}, []),
        (CY, INACTIVE, {}, [("invitation", "cy@a.example")]),
        (CY, {}, {"EMAIL": "c@a.example"}, [("invitation", "c@a.example")]),
        (CY, {}, {"EMAIL": "CY@a.example"}, []),
        (CY, INACTIVE, {"EMAIL": "c@a.example"}, [("invitation", "c@a.example")]),
        (CY, INACTIVE, {"EMAIL": "c@a.example", "STATUS": "Inactive"}, []),
    ],
)
def test_a_registered_user_gets_notices_and_others_invitations(
    who: str, was: dict[str, object], cells: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    made = plan_rows(row(who, **cells), of=agency(**{who: was}))
    assert list_mails(made) == [(who, kind, to) for kind, to in expected]


def test_two_spellings_of_one_domain_are_one_mailbox() -> None:
    of = agency(C={"email": "cy@müller.example"})
    assert not plan_rows(row(CY, EMAIL="cy@xn--mller-kva.example"), of=of).mails


def test_of_the_users_whom_no_row_mentions_only_the_registered_are_notified() -> None:
    assert list_mails(synchronize_rows(row(ADA))) == [("B", "deactivated", "ben@a.example")]


def test_a_refused_plan_and_a_row_with_a_problem_send_nothing() -> None:
    assert not plan_rows(row("E", EMAIL="no address")).mails
    assert not plan_rows(row("E"), row("F", EMAIL="no address"), strict=True).mails


def test_kinds_that_are_switched_off_are_neither_counted_nor_listed() -> None:
    made = plan_rows(row("E"), row(BEN, STATUS="Inactive"))
    assert made.without_mails(["invitation"]).mails == {"deactivated": 1}
    assert made.without_mails([]).mails == {"deactivated": 1, "invitation": 1}
    assert not made.without_mails(None).mails
