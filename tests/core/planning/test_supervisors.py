"""Supervisors on the final state (M9): whom an address means, what stays as it was, and circles."""

import json
import random
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musterbook.core.domain.snapshot import REPLACED, Snapshot
from musterbook.core.planning import cycles
from tests.core.cast import (
    ADA,
    BEN,
    CY,
    DEE,
    OFFICER,
    agency,
    codes,
    get_written,
    locate_problems,
    messages,
    outcomes,
    plan_rows,
    row,
    user,
    without,
)


def test_the_supervisor_may_exist_with_an_address_in_another_case() -> None:
    assert get_written(plan_rows(row(DEE, SUPERVISOR_EMAIL="CY@a.example")), DEE)["supervisor_id"] == 3


@pytest.mark.parametrize("first", ["E", DEE])
def test_the_supervisor_may_be_added_by_this_file_wherever_in_it(first: str) -> None:
    rows = {"E": row("E"), DEE: row(DEE, SUPERVISOR_EMAIL="e@new.example")}
    made = plan_rows(rows.pop(first), *rows.values())
    after = get_written(made, DEE)
    assert (after["supervisor_id"], after["supervisor_row"]) == (None, 2 if first == "E" else 3)
    assert json.loads(after["changes"]) == {
        "SUPERVISOR_EMAIL": ["ben@a.example (B)", "e@new.example (E)"], "X_SUPERVISOR_EXTERNAL_ID": ["B", "E"],
    }  # fmt: skip


def test_m9_an_address_that_moves_to_another_person_in_this_file_is_ambiguous_and_the_link_stays() -> None:
    made = plan_rows(
        row(CY, EMAIL="new@a.example"),
        row("E", EMAIL="cy@a.example", SUPERVISOR_EMAIL="cy@a.example"),
        row(DEE, SUPERVISOR_EMAIL="CY@a.example"),
        row("F", SUPERVISOR_EMAIL="cy@a.example"),
    )
    assert outcomes(made) == ["updated", "added", "unchanged", "added"]
    assert codes(made.notes) == ["address-changed-hands"] * 3
    passed = "passed from Cy Ruiz (C) to First E Last E (E), so it is not clear who is meant. The supervisor stays"
    advice = "Write the present address of the first. If you mean the second, set the supervisor on the user's page."
    assert messages(made.notes)[1:] == [
        f"SUPERVISOR_EMAIL “CY@a.example” {passed} ben@a.example. {advice}",
        f"SUPERVISOR_EMAIL “cy@a.example” {passed} blank. {advice}",
    ]
    assert get_written(made, "F")["supervisor_id"] is None


def test_m9_a_link_to_the_person_who_gets_an_address_that_is_stored_already_is_clear() -> None:
    of = agency(D={"supervisor_id": 2})
    moved = row(CY, EMAIL="ben@a.example", SUPERVISOR_EMAIL=""), row(BEN, EMAIL="cy@a.example")
    made = plan_rows(*moved, row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=of)
    assert outcomes(made)[2] == "unchanged" and made.notes.is_empty()


def remembering(*pairs: tuple[str, int], **changed: dict[str, object]) -> Snapshot:
    """The cast's agency, which remembers the users of these replaced addresses, the latest first."""
    return replace(agency(**changed), replaced=pl.DataFrame(pairs, schema=REPLACED, orient="row"))


def test_m9_a_remembered_address_means_the_same_person_with_a_note() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="Old@a.example"), of=remembering(("old@a.example", 2)))
    assert outcomes(made) == ["unchanged"]
    assert codes(made.notes) == ["replaced-supervisor-address"]
    made = plan_rows(row("E", SUPERVISOR_EMAIL="old@a.example"), of=remembering(("old@a.example", 3)))
    assert get_written(made, "E")["supervisor_id"] == 3


def test_m9_a_remembered_address_that_another_user_has_now_is_ambiguous() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=remembering(("cy@a.example", 1)))
    assert outcomes(made) == ["unchanged"]
    assert "passed from Ada Ruiz (A) to Cy Ruiz (C)" in messages(made.notes)[0]


def test_m9_an_address_that_two_users_gave_up_is_ambiguous() -> None:
    of = remembering(("old@a.example", 3), ("old@a.example", 1), ("old@a.example", 3))
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="old@a.example"), of=of)
    assert "passed from Ada Ruiz (A) to Cy Ruiz (C)" in messages(made.notes)[0]


def test_m9_whoever_has_an_address_again_is_meant_by_it() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=remembering(("cy@a.example", 3)))
    assert get_written(made, DEE)["supervisor_id"] == 3 and made.notes.is_empty()


def test_m9_an_address_in_a_form_means_the_user_who_has_it() -> None:
    of = replace(agency(), replaced=None)
    made = plan_rows(
        row(CY, EMAIL="dee@a.example"), row(DEE, EMAIL="cy@a.example"), row("E", SUPERVISOR_EMAIL="cy@a.example"), of=of
    )
    assert get_written(made, "E")["supervisor_id"] == 4 and made.notes.is_empty()


def test_m9_in_strict_mode_an_ambiguous_address_is_an_error() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=remembering(("cy@a.example", 1)), strict=True)
    assert codes(made.problems) == ["address-changed-hands"]


def test_an_address_that_this_file_replaces_stands_for_the_same_person_with_a_note() -> None:
    made = plan_rows(row(CY, EMAIL="new@a.example"), row(DEE, SUPERVISOR_EMAIL="cy@a.example"))
    assert get_written(made, DEE)["supervisor_id"] == 3
    assert messages(made.notes) == [
        (
            "SUPERVISOR_EMAIL “cy@a.example” is a former address. It was read as the same person,"
            " new@a.example. Write the new address."
        )
    ]


def test_an_address_that_an_errored_row_would_have_replaced_stays_with_its_user() -> None:
    made = plan_rows(row(CY, EMAIL="new@a.example", RANK="Pope"), row(DEE, SUPERVISOR_EMAIL="cy@a.example"))
    assert get_written(made, DEE)["supervisor_id"] == 3 and made.notes.is_empty()


def test_a_user_that_an_errored_row_would_have_added_does_not_exist() -> None:
    made = plan_rows(row("E", RANK="Pope"), row(DEE, SUPERVISOR_EMAIL="e@new.example"))
    assert outcomes(made) == ["errored", "unchanged"] and codes(made.notes) == ["unknown-supervisor"]


def test_the_link_is_to_the_person_so_reports_follow_when_the_address_changes() -> None:
    made = plan_rows(row(BEN, EMAIL="benny@a.example"), row(DEE, SUPERVISOR_EMAIL="benny@a.example", FIRST_NAME="Di"))
    after = get_written(made, DEE)
    assert after["supervisor_id"] == 2 and json.loads(after["changes"]) == {"FIRST_NAME": ["Dee", "Di"]}


def test_an_address_that_names_nobody_leaves_the_link_as_it_was_with_a_note() -> None:
    made = plan_rows(
        row(CY, SUPERVISOR_EMAIL="nobody@a.example", FIRST_NAME="Cyrus"), row("E", SUPERVISOR_EMAIL="no address")
    )
    assert outcomes(made) == ["updated", "added"]
    assert (get_written(made, CY)["supervisor_id"], get_written(made, "E")["supervisor_id"]) == (2, None)
    assert messages(made.notes) == [
        (
            "No user has the email address “nobody@a.example”. The supervisor stays ben@a.example."
            " Correct the address, or add that user."
        ),
        (
            "No user has the email address “no address”. The supervisor stays blank."
            " Correct the address, or add that user."
        ),
    ]


@pytest.mark.parametrize("address", ["cy@a.example", "new@a.example"])
def test_ones_own_address_old_or_new_leaves_the_link_as_it_was(address: str) -> None:
    made = plan_rows(row(CY, EMAIL="new@a.example", SUPERVISOR_EMAIL=address))
    assert get_written(made, CY)["supervisor_id"] == 2 and codes(made.notes) == ["own-supervisor"]


def test_a_blank_cell_clears_the_supervisor_and_an_absent_column_does_not() -> None:
    after = get_written(plan_rows(row(CY, SUPERVISOR_EMAIL="")), CY)
    assert (after["supervisor_id"], after["supervisor_row"]) == (None, None)
    assert json.loads(after["changes"]) == {
        "SUPERVISOR_EMAIL": ["ben@a.example (B)", ""],
        "X_SUPERVISOR_EXTERNAL_ID": ["B", ""],
    }
    made = plan_rows(*without("SUPERVISOR_EMAIL", row(CY, FIRST_NAME="Cyrus"), row("E")))
    assert [get_written(made, who)["supervisor_id"] for who in (CY, "E")] == [2, None]


def test_an_inactive_supervisor_is_accepted_with_a_note() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=agency(C={"active": False}))
    assert outcomes(made) == ["updated"]
    assert messages(made.notes) == ["The supervisor “cy@a.example” is Inactive."]


def test_an_inactive_supervisor_is_noted_on_a_row_that_only_repeats_them() -> None:
    made = plan_rows(row(CY), of=agency(B={"active": False}))
    assert outcomes(made) == ["unchanged"] and codes(made.notes) == ["inactive-supervisor"]


def test_a_note_shows_the_cell_unchanged_even_if_its_address_is_replaced() -> None:
    made = plan_rows(row(BEN, STATUS="Inactive", EMAIL="Ben@A.example"), row(CY))
    assert made.notes.select("row", "code", "value").rows() == [(3, "inactive-supervisor", "ben@a.example")]


def test_whether_a_supervisor_is_inactive_is_judged_on_the_final_state() -> None:
    assert codes(plan_rows(row(BEN, STATUS="Inactive"), row(CY)).notes) == ["inactive-supervisor"]
    assert codes(plan_rows(row(BEN), row(CY), of=agency(B={"active": False})).notes) == []
    assert codes(plan_rows(row("E", STATUS="Inactive"), row(CY, SUPERVISOR_EMAIL="e@new.example")).notes) == [
        "inactive-supervisor"
    ]


def test_every_row_that_asks_for_a_link_of_a_cycle_has_a_note_and_the_links_stay() -> None:
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="dee@a.example"), row(DEE))
    assert outcomes(made) == ["unchanged", "unchanged"]
    assert messages(made.notes) == [
        "The supervisors would form a circle: B → D → B. The supervisor stays ada@a.example. Correct one of those rows.",
        "The supervisors would form a circle: D → B → D. The supervisor stays ben@a.example. Correct one of those rows.",
    ]


def test_a_link_of_a_cycle_that_the_file_does_not_ask_for_has_no_note() -> None:
    assert locate_problems(plan_rows(row(BEN, SUPERVISOR_EMAIL="dee@a.example")).notes) == [
        (2, "supervisor-circle", "SUPERVISOR_EMAIL")
    ]
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="dee@a.example"), row(DEE, SUPERVISOR_EMAIL="nobody@a.example"))
    assert codes(made.notes) == ["supervisor-circle", "unknown-supervisor"]


def test_the_rest_of_a_row_on_a_circle_is_applied() -> None:
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="dee@a.example", FIRST_NAME="Benny"))
    assert (get_written(made, BEN)["first_name"], get_written(made, BEN)["supervisor_id"]) == ("Benny", 1)


def test_new_users_in_a_circle_are_added_without_a_supervisor() -> None:
    made = plan_rows(row("E", SUPERVISOR_EMAIL="f@new.example"), row("F", SUPERVISOR_EMAIL="e@new.example"))
    assert outcomes(made) == ["added", "added"]
    assert made.added.select("supervisor_id", "supervisor_row").rows() == [(None, None), (None, None)]


def test_putting_one_link_back_may_close_another_circle() -> None:
    # Ben and Cy ask for each other; Cy goes back under Dee, who asks for Cy.
    of = agency(D={"supervisor_id": None}, C={"supervisor_id": 4})
    rows = (
        row(BEN, SUPERVISOR_EMAIL="cy@a.example"),
        row(CY, SUPERVISOR_EMAIL="ben@a.example"),
        row(DEE, SUPERVISOR_EMAIL="cy@a.example"),
    )
    made = plan_rows(*rows, of=of)
    assert outcomes(made) == ["unchanged"] * 3
    assert [code for _, code, _ in locate_problems(made.notes)] == ["supervisor-circle"] * 3


def test_a_supervisor_who_was_put_back_is_not_noted_as_inactive() -> None:
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="dee@a.example"), of=agency(A={"active": False}, D={"active": False}))
    assert codes(made.notes) == ["supervisor-circle"]


def test_a_swap_of_chief_and_report_is_no_circle() -> None:
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="cy@a.example"), row(CY, SUPERVISOR_EMAIL="ada@a.example"))
    assert outcomes(made) == ["updated", "updated"] and made.notes.is_empty()


def test_a_long_cycle_is_cut_in_its_note() -> None:
    crowd = [user(100 + n, f"U{n}", OFFICER, None, external_id=f"U{n}") for n in range(9)]
    rows = [
        row(
            f"U{n}",
            EMAIL=f"u{n}@a.example",
            BADGE_NUMBER=f"{100 + n}00",
            USERNAME=f"u{n}",
            SUPERVISOR_EMAIL=f"u{(n + 1) % 9}@a.example",
        )
        for n in range(9)
    ]
    made = plan_rows(*rows, of=agency(*crowd))
    assert "U0 → U1 → U2 → U3 → U4 → U5 → U6 → …" in messages(made.notes)[0]


def test_a_circle_that_stands_in_the_directory_hangs_nothing_and_hinders_nobody() -> None:
    of = agency(A={"supervisor_id": 2})
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), row("E", SUPERVISOR_EMAIL="e2@a.example"), of=of)
    assert outcomes(made)[0] == "updated"
    turned = plan_rows(row(CY, SUPERVISOR_EMAIL="dee@a.example"), row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=of)
    assert codes(turned.notes) == ["supervisor-circle"] * 2


# The search for circles, against the plainest one


def _plainly_broken(stored: list[int | None], requested: list[int | None]) -> tuple[set[int], set[int]]:
    """Who goes back and who was on a circle, a step at a time."""
    now, back, around = list(requested), set(), set()
    while on := {n for n in range(len(now)) if n in _above(now, n)}:
        moved = {n for n in on if now[n] != stored[n]}
        if not moved:
            break
        around |= on
        back |= moved
        for n in moved:
            now[n] = stored[n]
    return back, around


def _above(graph: list[int | None], start: int) -> set[int]:
    passed: set[int] = set()
    here = graph[start]
    while here is not None and here not in passed:
        passed.add(here)
        here = graph[here]
    return passed


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[int | None], list[int | None]]:
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(size)))
    stored: list[int | None] = [None] * size
    for place, node in enumerate(order[1:]):
        stored[node] = draw(st.sampled_from([None, order[place], *order[: place + 1]]))
    asks = st.one_of(st.none(), st.integers(0, size - 1))
    asked = [draw(asks) if draw(st.booleans()) else above for above in stored]
    return stored, [None if above == node else above for node, above in enumerate(asked)]


@example(([None, 0, None, 2], [1, 0, 3, 2]))  # two cycles, each with one changed link
@example(
    ([2, None, None, 2], [1, 0, 3, None])
)  # the last is cleared, and must not count as having its stored supervisor
@given(_graphs())
def test_circles_are_broken_as_by_the_plainest_search(graphs: tuple[list[int | None], list[int | None]]) -> None:
    stored, asked = graphs
    found = cycles.break_cycles(pl.Series(stored, dtype=pl.Int64), pl.Series(asked, dtype=pl.Int64))
    back, around = _plainly_broken(stored, asked)
    assert (set(found.restored), set(found.paths)) == (back, around)
    assert len(found.restored) == len(back)
    assert all(path[0] == node and (len(path) == 7 or path[-1] == node) for node, path in found.paths.items())


def test_a_line_turned_upside_down_with_one_mistake_is_found_in_one_search() -> None:
    size = 3000
    stored = pl.Series([*range(1, size), None], dtype=pl.Int64)
    asked = pl.Series([1, *range(size - 1)], dtype=pl.Int64)
    found = cycles.break_cycles(stored, asked)
    assert set(found.restored) == set(range(1, size)) and set(found.paths) == set(range(size))


def test_the_order_of_rows_does_not_matter_to_circles() -> None:
    rows = [
        row(BEN, SUPERVISOR_EMAIL="dee@a.example"),
        row(CY, SUPERVISOR_EMAIL="e@new.example"),
        row("E", SUPERVISOR_EMAIL="cy@a.example"),
        row(ADA, SUPERVISOR_EMAIL="cy@a.example"),
    ]
    found = []
    for seed in range(6):
        made = plan_rows(*random.Random(seed).sample(rows, len(rows)))
        names = dict(made.rows.select("row", "external_id").iter_rows())
        found.append({(names[number], code) for number, code, _ in locate_problems(made.notes)})
    assert all(one == found[0] for one in found)
