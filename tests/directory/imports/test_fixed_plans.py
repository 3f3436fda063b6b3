"""A plan made again with fixes is applied unseen only if nothing but the fixed rows differs."""

from dataclasses import replace

import pytest

from musterbook.directory import models
from musterbook.directory.imports import fixed_plans, plan_files
from musterbook.directory.imports.options import Options
from tests.directory.cast import agency, apply_rows, person, run

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = [person(1), person(2, ROLE="Oficer"), person(3, EMAIL="x"), person(4)]


def plan(made: models.Agency, corrections: dict[str, dict[str, str]]) -> models.Import:
    """The preview of the rows with these corrections."""
    return run(made, ROWS, replace(Options(preview=True), corrections=corrections)).record


@pytest.mark.parametrize(("cells", "same"), [
    ({"ROLE": "Officer"}, True), ({"ROLE": "Oficcer"}, False), ({"ROLE": "Officer", "BADGE_NUMBER": "B-4"}, False),
])  # fmt: skip
def test_a_fixed_row_is_applied_and_any_other_difference_is_shown(cells: dict[str, str], same: bool) -> None:
    made = agency()
    apply_rows(made, [person(1)])
    shown, again = plan(made, {}), plan(made, {"3": cells})
    assert fixed_plans.is_only_fixed(shown, again, [3]) is same


def test_a_plan_is_shown_if_it_ends_access_is_not_over_or_is_no_longer_kept() -> None:
    made = agency()
    apply_rows(made, [person(1), person(2)])
    shown = plan(made, {})
    assert not fixed_plans.is_only_fixed(shown, plan(made, {"3": {"ROLE": "Officer", "STATUS": "Inactive"}}), [3])
    again = plan(made, {"3": {"ROLE": "Officer"}})
    assert fixed_plans.is_only_fixed(shown, again, [3])
    again.state = "waiting"
    assert not fixed_plans.is_only_fixed(shown, again, [3])
    again.state = "previewed"
    plan_files.find_path(shown.number, "added").unlink()
    assert not fixed_plans.is_only_fixed(shown, again, [3])
