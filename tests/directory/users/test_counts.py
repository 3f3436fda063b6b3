"""The numbers of All Users: exact, and next to a plain count of the same users."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.directory import models
from musterbook.directory.users import candidates, counts, keyset, states
from musterbook.directory.users.filters import UserFilters
from musterbook.directory.users.user_list import Position
from tests.directory.cast import NOW, agency, apply_rows, people
from tests.directory.users.test_user_list import HOUR, _draw_filters, edited, everybody, fill, search_plainly
from tests.examples import examples

__all__ = ["edited"]
pytestmark = pytest.mark.any_database
_generated = settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An agency that is counted exactly, and one that is too large for it."""
    counts._kept.clear()
    if request.param == "large":
        for module, name, number in (
            (counts, "_SMALL", 1), (counts, "_MOST", 4), (counts, "_MOST_WITH_WORDS", 3), (keyset, "_FEW", 1),
            (keyset, "_FOUND", 1), (candidates, "_MANY", 4), (candidates, "_READ_FIRST", 2),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, number)
    return str(request.param)


@_generated
@given(st.data())
def test_numbers_are_those_of_a_plain_count(size: str, edited: models.Agency, data: st.DataObject) -> None:
    counts._kept.clear()  # the examples change users behind the back of the trail
    criteria = data.draw(st.composite(lambda draw: _draw_filters(edited, draw))())
    plain = search_plainly(edited, criteria, "name", NOW + HOUR)
    found = counts.read_page(edited, criteria, Position(), NOW + HOUR)
    assert found.number == len(plain) or (found.is_more and found.number < len(plain) and size == "large")
    if found.by_state is not None:
        for name in states.STATES:
            one = UserFilters(**{**{f: getattr(criteria, f) for f in criteria.__slots__}, "status": name})
            assert found.by_state[name] == len(search_plainly(edited, one, "name", NOW + HOUR))
    assert found.by_state is not None or size == "large"


@pytest.mark.django_db
def test_the_states_of_all_users_are_counted_by_their_indexes() -> None:
    made = fill()
    plain = [state for _, state in everybody(made, NOW + HOUR)]
    assert counts.count_by_state(made, NOW + HOUR) == {name: plain.count(name) for name in states.STATES}


@pytest.mark.django_db
def test_the_users_of_one_filter_are_counted_by_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    counts._kept.clear()
    made = fill()
    officer = models.Role.objects.get(agency=made, name="Officer")
    number = models.User.objects.filter(agency=made, role=officer).count()
    for name in ("_SMALL", "_MOST"):
        monkeypatch.setattr(counts, name, 1)
    for _again in range(2):
        found = counts.read_page(made, UserFilters(role=officer.pk), Position(), NOW)
        assert (found.number, found.is_more, found.by_state) == (number, False, None)
    found = counts.read_page(made, UserFilters(role=officer.pk, status="Active"), Position(), NOW)
    assert found.is_more and found.number == 1


@pytest.mark.django_db
def test_numbers_of_many_users_are_kept_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    counts._kept.clear()
    monkeypatch.setattr(counts, "_MOST", 2)
    made = agency()
    apply_rows(made, people(1, 2, 3))
    assert counts.count_by_state(made, NOW)["Invited"] == 3
    models.User.objects.filter(external_id="E-1").update(active=False)
    assert counts.count_by_state(made, NOW)["Invited"] == 3
    later = NOW + timedelta(seconds=61)
    assert counts.count_by_state(made, later)["Invited"] == 2
    apply_rows(made, people(4))
    assert counts.count_by_state(made, later)["Invited"] == 3
    monkeypatch.setattr(counts, "_MOST_KEPT", 1)
    other = agency("shelbyville")
    apply_rows(other, people(1, 2, 3))
    assert counts.count_by_state(other, later)["Invited"] == 3
    assert [key[0] for key in counts._kept] == [other.pk]
