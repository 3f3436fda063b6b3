"""All users, page by page: beside a plain sort of all of them in Python."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from musterbook.core.values.search_keys import fold_text
from musterbook.directory import models
from musterbook.directory.users import candidates, filters, keyset, orders, states, user_list
from musterbook.directory.users.filters import UnknownStatus, UserFilters
from musterbook.directory.users.orders import UnknownCursor, UnknownSort
from musterbook.directory.users.user_list import ListedUser
from tests.built_once import built_once
from tests.directory.cast import NOW, agency, apply_rows, people, person
from tests.examples import examples

pytestmark = pytest.mark.django_db
_generated = settings(max_examples=examples(15), suppress_health_check=list(HealthCheck))

NAMES = ("Özil", "ozil", "De", "De Ann", "O'Neil", "O’Neil", "Zoë", "zoe", "Łoś", "Дмитрий", "山田", "Àb", "ab", "aB-c")
HOUR = timedelta(hours=1)


@pytest.fixture(params=["sorted", "walked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to a page, and pages small enough for a small agency to have some."""
    monkeypatch.setattr(user_list, "PAGE", 3)
    if request.param == "walked":
        sizes = {"_FEW": 1, "_FOUND": 1, "_STEP": 5, "_READ_STEP": 2, "_LONGEST_STEP": 7}
        for name, size in sizes.items():
            monkeypatch.setattr(keyset, name, size)
        monkeypatch.setattr(candidates, "_MANY", 4)
        monkeypatch.setattr(candidates, "_READ_FIRST", 5)
    return str(request.param)


@built_once
def fill(slug: str = "springfield") -> models.Agency:
    """An agency of people with awkward names, in all states, of all roles, ranks and groups."""
    made = agency(slug)
    rows = [
        person(
            number, LAST_NAME=name, FIRST_NAME=NAMES[number % 5],
            ROLE=("Officer", "Chief", "Officer")[number % 3], RANK=("", "Captain", "Sergeant")[number % 3],
            EVIDENCE_GROUP_EXT_ID=("", "PATROL")[number % 2], SUPERVISOR_EMAIL="user0@agency.example" if number > 9 else "",
        )
        for number, name in enumerate(NAMES)
    ]  # fmt: skip
    apply_rows(made, rows)
    for number in range(len(NAMES)):
        _lives(made, number)
    return made


def _lives(made: models.Agency, number: int) -> None:
    """What may have happened to the user of that number."""
    registered: dict[str, Any] = {"registered_at": NOW, "last_sign_in_at": NOW + number // 3 * HOUR}
    fates: tuple[dict[str, Any], ...] = (
        {}, {"invitation_expires_at": NOW}, {"invitation_expires_at": NOW + 2 * HOUR}, registered,
        registered | {"reset_at": NOW}, registered | {"locked_at": NOW}, {"active": False}, {"registered_at": NOW},
    )  # fmt: skip
    fate = fates[number % len(fates)]
    if fate:
        models.User.objects.filter(agency=made, external_id=f"E-{number}").update(**fate)


def everybody(made: models.Agency, at: datetime) -> list[tuple[models.User, str]]:
    return [
        (user, state(user, at))
        for user in models.User.objects.filter(agency=made).select_related("role", "rank", "group")
    ]


def state(user: models.User, at: datetime) -> str:
    if not user.active:
        return "Inactive"
    if user.locked_at:
        return "Locked"
    if not user.registered_at:
        expired = user.invitation_expires_at is not None and user.invitation_expires_at < at
        return "Invitation expired" if expired else "Invited"
    return "Password reset" if user.reset_at else "Active"


def search_plainly(made: models.Agency, criteria: UserFilters, sort: str, at: datetime) -> list[str]:
    """The external IDs of the wanted users, sorted, by looking at all of them."""
    touched = set(models.Event.objects.filter(of=criteria.touched_by).values_list("subject", flat=True))
    kept = [
        (user, now)
        for user, now in everybody(made, at)
        if _has(user, criteria.text)
        and criteria.status in ("", now)
        and all(
            getattr(criteria, name) in (None, getattr(user, f"{name}_id"))
            for name in ("role", "rank", "group", "supervisor")
        )
        and _signed_in(user, criteria)
        and (criteria.touched_by is None or user.pk in touched)
    ]
    return [user.external_id for user, now in sorted(kept, key=lambda pair: _key(pair[0], pair[1], sort))]


def _has(user: models.User, text: str) -> bool:
    fields = (user.email, user.first_name, user.last_name, user.username, user.badge_number, user.external_id)
    return all(any(word in fold_text(field) for field in fields) for word in fold_text(text).split())


def _signed_in(user: models.User, criteria: UserFilters) -> bool:
    last = user.last_sign_in_at
    if criteria.never_signed_in and last:
        return False
    if criteria.signed_in_from and (last is None or last < criteria.signed_in_from):
        return False
    return not (criteria.signed_in_before and (last is None or last >= criteria.signed_in_before))


def _key(user: models.User, now: str, sort: str) -> tuple[Any, ...]:
    name = (f"{fold_text(user.last_name)}\x1f{fold_text(user.first_name)}", user.pk)
    last = user.last_sign_in_at
    keys: dict[str, Callable[[], tuple[Any, ...]]] = {
        "name": lambda: name,
        "username": lambda: (user.username_key,),
        "email": lambda: (user.email_key,),
        "badge_number": lambda: (user.badge_number_key,),
        "external_id": lambda: (user.external_id,),
        "status": lambda: (states.STATES.index(now), *name),
        "role": lambda: (user.role.name_key, *name),
        "rank": lambda: (user.rank.position if user.rank else 99, *name),
        "group": lambda: (user.group.name if user.group else "\U0010ffff", *name),
        "last_sign_in": lambda: (1, last, user.pk) if last else (0, *name),
    }
    return keys[sort]()


def pages(
    made: models.Agency, criteria: UserFilters, between: Callable[[], None] = lambda: None, **how: Any
) -> Iterator[list[ListedUser]]:
    """Page after page, from the first to the last; something may happen in between."""
    place = ""
    while True:
        page = user_list.read_page(made, criteria, place=place, **how)
        yield page.users
        if not (place := page.after):
            return
        between()


def list_ids(made: models.Agency, criteria: UserFilters, **how: Any) -> list[str]:
    return [user.external_id for page in pages(made, criteria, **how) for user in page]


@pytest.mark.parametrize("sort", orders.SORTS)
def test_pages_are_those_of_a_plain_sort_either_way(way: str, sort: str) -> None:
    made = fill()
    fill("shelbyville")
    plain = search_plainly(made, UserFilters(), sort, NOW + HOUR)
    assert list_ids(made, UserFilters(), sort=sort, at=NOW + HOUR) == plain
    assert list_ids(made, UserFilters(), sort=sort, at=NOW + HOUR, descending=True) == plain[::-1]


@pytest.mark.parametrize("sort", orders.SORTS)
@pytest.mark.parametrize("descending", [False, True])
def test_one_comes_back_by_the_pages_by_which_one_went(way: str, sort: str, descending: bool) -> None:
    made = fill()
    there, page = [], user_list.read_page(made, at=NOW, sort=sort, descending=descending)
    assert page.before == ""
    while page.after:
        there.append(page.users)
        page = user_list.read_page(made, at=NOW, sort=sort, descending=descending, place=page.after)
    while page.before:
        page = user_list.read_page(made, at=NOW, sort=sort, descending=descending, place=page.before)
        assert page.users == there.pop()
    assert there == []


def _draw_filters(made: models.Agency, draw: st.DrawFn) -> UserFilters:
    def one(model: Any) -> int | None:
        return draw(st.none() | st.sampled_from(list(model.objects.filter(agency=made).values_list("pk", flat=True))))

    maybe = st.booleans()
    return UserFilters(
        text=draw(st.sampled_from(["", "", "o", "user", "ozil", "de ann", "e-1", "łoś 8", "дм", "agency first"])),
        status=draw(st.sampled_from(["", "", *states.STATES])),
        role=one(models.Role), rank=one(models.Rank), group=one(models.Group),
        supervisor=models.User.objects.get(agency=made, external_id="E-0").pk if draw(st.integers(0, 5)) == 0 else None,
        signed_in_from=NOW + HOUR if draw(maybe) and draw(maybe) else None,
        signed_in_before=NOW + 3 * HOUR if draw(maybe) and draw(maybe) else None,
        never_signed_in=draw(maybe) and draw(maybe),
        touched_by=one(models.Import) if draw(maybe) else None,
    )  # fmt: skip


@pytest.fixture
def edited(db: None) -> models.Agency:
    """The agency after a second import, which touched some users."""
    return fill_and_edit()


@built_once
def fill_and_edit() -> models.Agency:
    made = fill()
    apply_rows(made, [person(number, LOCATION="Harbor") for number in range(5)])
    return made


@given(data=st.data())
@_generated
def test_any_filters_in_any_order_give_what_a_plain_look_gives(
    way: str, edited: models.Agency, data: st.DataObject
) -> None:
    made = edited
    criteria = data.draw(st.composite(lambda draw: _draw_filters(made, draw))())
    sort, descending = data.draw(st.sampled_from(orders.SORTS)), data.draw(st.booleans())
    plain = search_plainly(made, criteria, sort, NOW + HOUR)
    assert list_ids(made, criteria, sort=sort, at=NOW + HOUR, descending=descending) == (
        plain[::-1] if descending else plain
    )
    for most in (2, 1_000):
        number = min(len(plain), most + 1)
        assert user_list.count_users(made, criteria, at=NOW + HOUR, most=most) == number
        page = user_list.read_page(made, criteria, at=NOW + HOUR, sort=sort, descending=descending, counted=most)
        assert page.number == number


@pytest.mark.parametrize("words", [(), ("agency",)])
def test_users_that_a_walk_is_slow_to_meet_are_looked_up_once(
    words: tuple[str, ...], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = fill()
    officer = models.Role.objects.get(agency=made, name="Officer").pk
    conditions = tuple(filters.build_conditions(UserFilters(role=officer), NOW))
    narrow = candidates.CandidateLookup(made, words)
    found = narrow.find_many(conditions)
    assert found and set(found.ids) == set(models.User.objects.filter(role=officer).values_list("pk", flat=True))
    with django_assert_num_queries(0):
        assert narrow.find_many(conditions) is narrow.get_found(conditions) is found


def test_filters_that_let_many_through_are_counted_with_words_and_without(way: str) -> None:
    made = fill()
    officer = models.Role.objects.get(agency=made, name="Officer").pk
    for criteria in (UserFilters(role=officer, never_signed_in=True), UserFilters(role=officer, text="agency")):
        number = len(search_plainly(made, criteria, "name", NOW + HOUR))
        assert number > 2
        for most in (2, 1_000):
            assert user_list.count_users(made, criteria, at=NOW + HOUR, most=most) == min(number, most + 1)
            assert user_list.read_page(made, criteria, at=NOW + HOUR, counted=most).number == min(number, most + 1)


@pytest.fixture
def filled(db: None) -> models.Agency:
    return fill()


@given(data=st.data())
@_generated
def test_an_unchanged_user_is_on_exactly_one_page_during_concurrent_changes(
    way: str, filled: models.Agency, data: st.DataObject
) -> None:
    example = transaction.atomic()
    example._from_testcase = True  # type: ignore[attr-defined]  # so that an import may begin its transaction within
    with example:
        _walk_while_users_change(filled, data)
        transaction.set_rollback(True)


def _walk_while_users_change(made: models.Agency, data: st.DataObject) -> None:
    sort, descending = data.draw(st.sampled_from(orders.SORTS)), data.draw(st.booleans())
    plain = search_plainly(made, UserFilters(), sort, NOW)
    moved: set[str] = set()

    def happens() -> None:
        number = data.draw(st.integers(0, 30))
        moved.add(f"E-{number}")
        name = data.draw(st.sampled_from(NAMES))
        apply_rows(made, [person(number, LAST_NAME=name, ROLE=data.draw(st.sampled_from(["Chief", "Officer"])))])

    seen = [
        user.external_id
        for page in pages(made, UserFilters(), happens, sort=sort, at=NOW, descending=descending)
        for user in page
    ]
    alone = [user for user in seen if user not in moved]
    assert alone == [user for user in (plain[::-1] if descending else plain) if user not in moved]


def test_a_user_is_listed_with_all_that_a_list_shows() -> None:
    made = fill()
    shown = next(
        user for user in user_list.read_page(made, at=NOW, sort="external_id").users if user.external_id == "E-5"
    )
    assert shown == ListedUser(
        shown.id, "E-5", "Özil", "O’Neil", "user.5", "user5@agency.example", "B-5", "Locked", "Officer", "Sergeant", "Patrol",
        NOW + HOUR, created_at=NOW,
    )  # fmt: skip


def test_roles_ranks_and_groups_of_another_agency_filter_everybody_out() -> None:
    made, other = fill(), fill("shelbyville")
    role = models.Role.objects.get(agency=other, name="Officer").pk
    theirs = models.Import.objects.filter(agency=other).latest("pk").pk
    boss = models.User.objects.get(agency=other, external_id="E-0").pk
    for criteria in (UserFilters(role=role), UserFilters(touched_by=theirs), UserFilters(supervisor=boss)):
        for sort in orders.SORTS:
            assert list_ids(made, criteria, sort=sort, at=NOW) == []
        assert user_list.count_users(made, criteria, at=NOW) == 0


def test_what_there_is_not_is_said_by_name() -> None:
    made = fill()
    with pytest.raises(UnknownSort):
        user_list.read_page(made, at=NOW, sort="shoe_size")
    with pytest.raises(UnknownStatus):
        user_list.read_page(made, UserFilters(status="Asleep"), at=NOW)
    with pytest.raises(UnknownStatus):
        user_list.count_users(made, UserFilters(status="Asleep"), at=NOW)


def encode(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


TAMPERED = [
    "!", "~", "~~", "é", "AAAA", "e30", encode(), encode("name", False), encode("email", False, None, "x", 1),
    encode("name", True, None, "x", 1), encode("name", False, None, "x\0", 1), encode("name", False, None, "\ud800", 1),
    encode("name", False, None, 7, 1), encode("name", False, None, "x", "1"), encode("name", False, None, "x", -1),
    encode("name", False, None, "x", 1 << 63), encode("name", False, None, "x", True), encode("name", False, None, "x", 1.5),
    encode("name", False, "no section", "x", 1), encode("name", False, [1], "x", 1), encode("name", False, None, "x", 1, 2),
    "W" * 99_999,
    base64.urlsafe_b64encode(b"[" * 50_000).decode(),
]  # fmt: skip


@pytest.mark.parametrize("place", TAMPERED, ids=range(len(TAMPERED)))
def test_a_place_that_is_none_of_this_list_s_is_said_to_be(place: str) -> None:
    with pytest.raises(UnknownCursor):
        user_list.read_page(fill(), at=NOW, place=place)


@pytest.mark.parametrize(
    "key", ["2026-W10-1", "yesterday", "2026-13-01 00:00:00", "0000-01-01 00:00:00", "infinity", "1"]
)
def test_a_time_that_is_none_is_no_place(key: str) -> None:
    with pytest.raises(UnknownCursor):
        user_list.read_page(fill(), at=NOW, sort="last_sign_in", place=encode("last_sign_in", False, "ever", key, 1))


@pytest.mark.parametrize("mark", [999_999_999, "x", None])
def test_a_role_that_there_is_not_is_no_place(mark: object) -> None:
    with pytest.raises(UnknownCursor):
        user_list.read_page(fill(), at=NOW, sort="role", place=encode("role", False, mark, "x", 1))


def test_a_place_of_the_last_user_of_a_role_holds_when_that_user_has_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_list, "PAGE", 1)
    made = agency()
    apply_rows(made, [person(1, ROLE="Chief"), person(2)])
    first = user_list.read_page(made, at=NOW, sort="role")
    apply_rows(made, [person(1)])
    assert [user.external_id for user in user_list.read_page(made, at=NOW, sort="role", place=first.after).users] == [
        "E-1"
    ]


@pytest.mark.parametrize("descending", [False, True])
def test_few_users_of_many_roles_go_on_where_the_page_before_ended(
    monkeypatch: pytest.MonkeyPatch, *, descending: bool
) -> None:
    made = fill()
    criteria = UserFilters(rank=models.Rank.objects.get(agency=made, name="Captain").pk)
    whole = [
        user.external_id
        for user in user_list.read_page(made, criteria, at=NOW, sort="role", descending=descending).users
    ]
    monkeypatch.setattr(user_list, "PAGE", 1)
    assert list_ids(made, criteria, at=NOW, sort="role", descending=descending) == whole
    assert len(whole) == 5


@pytest.mark.parametrize("text", ["'", '"', "%", "_", "\\", "\x00", "\x1e", "' OR 1=1 --", "[", "*", "\ud800"])
def test_a_search_is_text_and_nothing_else(way: str, text: str) -> None:
    made = fill()
    assert list_ids(made, UserFilters(text=text), at=NOW) == search_plainly(made, UserFilters(text=text), "name", NOW)


def test_an_agency_of_nobody_has_one_empty_page() -> None:
    made = agency()
    for sort in orders.SORTS:
        assert user_list.read_page(made, at=NOW, sort=sort) == user_list.UserPage([], "", "")
    assert user_list.count_users(made, at=NOW) == 0


def test_times_are_the_same_however_the_database_writes_them() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    for number, micros in ((1, 0), (2, 500_000)):
        at = datetime(2026, 3, 2, 7, 0, 0, micros, tzinfo=UTC)
        models.User.objects.filter(agency=made, external_id=f"E-{number}").update(last_sign_in_at=at)
    exactly = datetime(2026, 3, 2, 7, tzinfo=UTC)
    assert list_ids(made, UserFilters(signed_in_from=exactly), at=NOW, sort="last_sign_in") == ["E-1", "E-2"]
    assert list_ids(made, UserFilters(signed_in_before=exactly), at=NOW) == []
    assert len(list(islice(pages(made, UserFilters(), at=NOW, sort="last_sign_in", descending=True), 5))) == 1


def test_invited_users_by_their_last_sign_in_come_by_name() -> None:
    made = agency()
    apply_rows(made, [person(1, LAST_NAME="Zhou"), person(2, LAST_NAME="Abel"), person(3, LAST_NAME="Moss")])
    criteria = UserFilters(status=states.INVITED)
    assert list_ids(made, criteria, at=NOW, sort="last_sign_in") == ["E-2", "E-3", "E-1"]
