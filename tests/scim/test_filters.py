"""Filters: by example, and a law that what the database finds is what the definition of filters says, for any filter."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import ScimFilter

from musterbook.directory import models
from musterbook.directory.users import user_query
from musterbook.directory.users.user_query import Wanted
from musterbook.scim import filters, schemas
from tests.accounts.conftest import build_springfield
from tests.built_once import built_each_minute
from tests.examples import examples
from tests.scim.conftest import ENTERPRISE, OWN, Scim, build_scim, person

pytestmark = pytest.mark.any_database

_PEOPLE: list[dict[str, Any]] = [
    person("ann.lee", externalId="X-1", **{ENTERPRISE: {"employeeNumber": "0042"}, OWN: {"rank": "Captain"}}),
    person("Bob.Ünal", externalId="x-1", displayName="Bob", emails=[{"value": "bob@Agency.example", "type": "home"}]),
    person(
        "straße",
        emails=[{"value": "strasse@agency.example"}],
        phoneNumbers=[{"value": "+1 202 555 0143"}],
        active=False,
    ),
    person("100%_sure", emails=[{"value": "k@bücher.example"}], **{ENTERPRISE: {"manager": {"value": "1"}}}),
    person(
        "e\u0301mile.zola",
        emails=[{"value": "zola@agency.example"}],
        **{OWN: {"evidenceGroup": "PATROL", "location": "East"}},
    ),
]


@pytest.fixture
def crowd(db: None) -> Scim:
    """The agency with users whose values are hard to compare, and one who was deleted."""
    return _build_crowd()


@built_each_minute
def _build_crowd() -> Scim:
    scim = build_scim(build_springfield())
    for one in _PEOPLE:
        scim.post(one)
    scim.delete(scim.post(person("gone.away", externalId="GONE"))["id"])
    return scim


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('userName eq "ANN.LEE"', ["ann.lee"]),
        ('userName eq "bob.ünal" and active eq true', ["Bob.Ünal"]),
        ('userName sw "user." and not (active eq true)', ["user.3"]),
        ('userName eq "STRASSE"', ["straße"]),
        ('externalId eq "X-1"', ["ann.lee"]),
        ('externalId eq "GONE"', []),
        ('externalId sw "scim-"', []),
        ('emails eq "BOB@agency.example"', ["Bob.Ünal"]),
        ('emails.value ew "@xn--bcher-kva.example"', ["100%_sure"]),
        ('emails[type eq "home"].value eq "bob@agency.example"', ["Bob.Ünal"]),
        ('emails[type eq "work" and value co "user1"]', ["user.1"]),
        ('emails[not (type eq "work")]', ["Bob.Ünal"]),
        ('phoneNumbers[type eq "work"]', ["straße"]),
        (f'{ENTERPRISE}:employeeNumber eq "0042"', ["ann.lee"]),
        (f'{ENTERPRISE}:employeeNumber eq "42"', []),
        (f'{ENTERPRISE}:manager eq "1"', ["100%_sure"]),
        (f"{ENTERPRISE}:manager pr", ["100%_sure"]),
        (f'{OWN}:role eq "admin"', ["user.1"]),
        (f'{OWN}:rank co "apt"', ["ann.lee"]),
        (f'{OWN}:evidenceGroup eq "PATROL"', ["émile.zola"]),
        (f'{OWN}:evidenceGroup eq "patrol"', []),
        (f'{OWN}:state eq "Inactive" and {OWN}:location pr', []),
        (f"{OWN}:location pr", ["émile.zola"]),
        ('displayName eq "BOB"', ["Bob.Ünal"]),
        ('name.familyName eq "ünal"', ["Bob.Ünal"]),
        ('userName co "%"', ["100%_sure"]),
        ('userName sw "1" or userName ew "zola"', ["100%_sure", "émile.zola"]),
        ('userName sw "user.🚓"', []),
        ('meta.created lt "1999-01-01T00:00:00Z"', []),
        ('id eq "1" or id eq "01"', ["user.1"]),
        ('meta.resourceType eq "User" and userName eq "user.2"', ["user.2"]),
    ],
)
def test_filters_find(crowd: Scim, text: str, found: list[str]) -> None:
    assert sorted(crowd.find(text)) == sorted(found)


_WORDS = [
    "ann.lee",
    "ANN",
    "bob",
    "ünal",
    "straße",
    "ss",
    "%",
    "_",
    "zola",
    "é",
    "e",
    "",
    "user",
    "@",
    "example",
    "X-1",
]
_WORDS += [
    "x-1",
    "0042",
    "no-badge-",
    "scim-",
    "Captain",
    "off",
    "PATROL",
    "1",
    "2",
    "East",
    "work",
    "home",
    "K",
    "\u0000",
]
_TEXTS = ["userName", "externalId", "emails", "emails.value", "emails.type", "name.familyName", "name.givenName"]
_TEXTS += ["displayName", "id", "phoneNumbers.value", "groups.value", f"{ENTERPRISE}:employeeNumber", f"{OWN}:role"]
_TEXTS += [f"{ENTERPRISE}:manager.value", f"{OWN}:rank", f"{OWN}:evidenceGroup", f"{OWN}:location", f"{OWN}:state"]
_ANY = [*_TEXTS, "active", "emails", "phoneNumbers", "groups", "name", "meta", "meta.created", f"{ENTERPRISE}:manager"]


def _quote(value: str) -> str:
    return str(ScimFilter.quote(value))


_values = st.one_of(st.sampled_from(_WORDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
_operators = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])
_comparisons = st.one_of(
    st.builds(lambda name, op, value: f"{name} {op} {_quote(value)}", st.sampled_from(_TEXTS), _operators, _values),
    st.builds("{} pr".format, st.sampled_from(_ANY)),
    st.builds("active {} {}".format, st.sampled_from(["eq", "ne"]), st.sampled_from(["true", "false"])),
    st.builds("{} {} null".format, st.sampled_from(_TEXTS), st.sampled_from(["eq", "ne"])),
    st.builds(
        "meta.created {} {}".format,
        st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
        st.sampled_from(['"2026-03-02T07:00:00Z"', '"2026-03-02T08:00:00+01:00"', '"2001-01-01T00:00:00Z"']),
    ),
)
_inner = st.recursive(
    st.one_of(
        st.builds(
            lambda name, op, value: f"{name} {op} {_quote(value)}",
            st.sampled_from(["value", "type"]),
            _operators,
            _values,
        ),
        st.sampled_from(["value pr", "primary eq true", "primary pr"]),
    ),
    lambda inner: st.one_of(st.builds("not ({})".format, inner), st.builds("({} or {})".format, inner, inner)),
    max_leaves=3,
)
_FILTERS = st.recursive(
    st.one_of(_comparisons, st.builds("{}[{}]".format, st.sampled_from(["emails", "phoneNumbers", "groups"]), _inner)),
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=6,
)
_GROUPS_HAVE = ("value", "type")


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_FILTERS)
def test_the_database_finds_what_the_definition_says(crowd: Scim, text: str) -> None:
    if "groups[" in text and "primary" in text:
        return  # groups have no such part
    at = datetime.now(UTC)
    wanted = ScimFilter[schemas.FullUser](text)
    accepts = filters.make_test(wanted, "https://agency.example")
    everybody = user_query.find(crowd.agency, user_query.EVERYBODY, lambda _: True, Wanted(200), at).users
    matching = {one.user.pk for one in everybody if accepts(one)}
    condition = filters.build_condition(crowd.agency, wanted)
    found = user_query.find(crowd.agency, condition, accepts, Wanted(200), at)
    assert {one.user.pk for one in found.users} == matching
    assert found.total == len(matching)
    selected = set(models.User.objects.filter(condition.test, agency=crowd.agency).values_list("pk", flat=True))
    assert matching <= selected
    by_place = user_query.find(crowd.agency, condition, accepts, Wanted(200, by_place=True), at)
    assert {one.user.pk for one in by_place.users} == matching


def test_what_clients_ask_for_is_exact(crowd: Scim) -> None:
    for text in (
        'userName eq "a"', 'externalId eq "a"', 'emails.value eq "a"', 'emails[value eq "a"]', 'id eq "5"', "active eq true",
        f'{ENTERPRISE}:manager.value eq "5"', f'{OWN}:role eq "Officer" and not (userName eq "x")', 'groups.value eq "1"',
    ):  # fmt: skip
        assert filters.build_condition(crowd.agency, ScimFilter[schemas.FullUser](text)).exact, text


@pytest.mark.parametrize("sort", ["userName", "id", "emails", "name.familyName", "meta.created", "emails.value"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_pages_by_index_and_by_cursor_have_each_user_once_in_the_same_order(crowd: Scim, sort: str, order: str) -> None:
    asked = {"sortBy": sort, "sortOrder": order, "count": 3}
    by_index = [name for start in (1, 4, 7) for name in crowd.find("", **asked, startIndex=start)]
    assert len(set(by_index)) == len(by_index) == 8
    by_cursor, cursor = list[str](), ""
    for _ in range(3):
        page = crowd.get(f"Users?sortBy={sort}&sortOrder={order}&count=3&cursor={cursor}")
        assert "startIndex" not in page
        by_cursor += [one["userName"] for one in page["Resources"]]
        cursor = page.get("nextCursor", "")
    assert (by_cursor, cursor) == (by_index, "")


def test_a_cursor_belongs_to_its_filter_and_order(crowd: Scim) -> None:
    cursor = crowd.get("Users?cursor=&count=2")["nextCursor"]
    assert crowd.get(f"Users?cursor={cursor}&count=200")["itemsPerPage"] == 6
    for query in (f"cursor={cursor}&sortBy=userName", f"cursor={cursor}&filter=active pr", "cursor=xyz", "cursor=W10"):
        assert crowd.get(f"Users?{query}", 400)["scimType"] == "invalidCursor"
    crowd.get(f"Users?cursor={cursor}&startIndex=1", 400)


def test_a_filter_that_leaves_too_many_users_says_so_and_pages_by_cursor_still_find_them(
    crowd: Scim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_query, "MOST_EXAMINED", 3)
    said = crowd.get('Users?filter=name.familyName co "zol"', 400)
    assert said["scimType"] == "tooMany" and "cursor" in said["detail"]
    found, cursor = list[str](), ""
    for _ in range(3):
        page = crowd.get(f'Users?filter=name.familyName co "zol"&cursor={cursor}')
        found += [one["userName"] for one in page["Resources"]]
        cursor = page.get("nextCursor", "")
    assert (found, cursor) == (["émile.zola"], "")


def test_all_resource_types_are_searched_at_once(crowd: Scim) -> None:
    found = crowd.get("?count=200")
    kinds = [one["meta"]["resourceType"] for one in found["Resources"]]
    assert found["totalResults"] == len(kinds) == 9 and kinds[-1] == "Group"
    named = crowd.get('?filter=displayName co "o"')["Resources"]
    assert sorted(one["displayName"] for one in named) == ["Bob", "Patrol"]
    assert crowd.get('?filter=userName eq "ann.lee" or externalId eq "PATROL"')["totalResults"] == 2
    last = crowd.get("?startIndex=9&count=5")
    assert [one["meta"]["resourceType"] for one in last["Resources"]] == ["Group"]
    assert crowd.get("?filter=title pr", 400)["scimType"] == "invalidFilter"
    assert crowd.get("?sortBy=id", 400)["scimType"] == "invalidPath"
