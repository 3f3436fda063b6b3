"""An agency's settings by section: what each can be, one event for what changed, and nobody's change lost."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from musterbook.accounts import mails, registration
from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, agency_settings, sign_on
from musterbook.directory.agency.agency_settings import StaleSettings
from musterbook.directory.agency.sign_on import UnknownProvider
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from tests.accounts.conftest import GOOD
from tests.directory.cast import NOW, agency, allow, apply_rows, assert_whole, person, user

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(NOW, "E-1", "page")
OIDC = {
    "slug": "county", "kind": "oidc", "name": "County", "server": "https://login.county.example", "client_id": "muster",
    "client_secret": "hush", "match": "email", "claim": "", "trust_email": True, "second_factor": False,
}  # fmt: skip


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1) and a chief (5) whose role may configure it."""
    made = agency()
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=["agency.configure"])
    apply_rows(made, [person(1, ROLE="Admin"), person(5, ROLE="Chief")], Options(mails=False))
    return made


def by(made: models.Agency, number: int = 1) -> Operator:
    return snapshot_queries.read_operator(made, f"E-{number}")


def list_changes(made: models.Agency) -> list[dict[str, Any]]:
    """What each event tells that says that the agency was changed."""
    assert_whole(made)
    found = models.Event.objects.filter(agency=made, kind="agency.changed").order_by("id")
    return [json.loads(changes) for changes in found.values_list("changes", flat=True)]


def change(made: models.Agency, **settings: object) -> None:
    """Changes settings that were shown as they are."""
    agency_settings.change(made, settings, {name: getattr(made, name) for name in settings}, CONTEXT)


def test_what_is_set_on_a_page_is_what_a_file_sets(made: models.Agency) -> None:
    change(made, name=" Springfield Police ", default_country="us")
    change(made, limits=[allow(1, 2.5, 9)])
    change(made, password_length=8, idle_minutes=720)
    change(made, sends_mail=False, mails_off=["deactivated", "welcome"])
    file = f"""
        slug = "{made.slug}"
        name = "Springfield Police"
        default_country = "US"
        deactivation_limit = {{ users = 1, percent = 2.5, most = 9 }}
        mail = false
        mails_off = ["welcome", "deactivated"]
        [accounts]
        password_length = 8
        idle_minutes = 720
    """
    assert agencies.apply_file(agency_file.read_agency_file(file.encode()), CONTEXT).changes == {}
    assert list_changes(made) == [
        {"name": ["Springfield", "Springfield Police"], "default_country": ["", "US"]},
        {"deactivation_limit": ["users 5, percent 10, most 500", "users 1, percent 2.5, most 9"]},
        {"password_length": ["12", "8"], "idle_minutes": ["30", "720"]},
        {"mail": ["true", "false"], "mails_off": ["", "welcome, deactivated"]},
    ]


def test_what_is_saved_as_it_was_is_no_event(made: models.Agency) -> None:
    change(made, name=made.name, default_country="", limits=made.limits)
    assert list_changes(made) == []


BOUNDS = agency_file.ACCOUNTS


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items(), ids=BOUNDS)
def test_numbers_have_bounds(made: models.Agency, name: str, bounds: tuple[int, int]) -> None:
    for good in bounds:
        change(made, **{name: good})
        assert getattr(models.Agency.objects.get(), name) == good
    for bad in (bounds[0] - 1, bounds[1] + 1, True, "8", float("nan")):
        with pytest.raises(InvalidValue, match=rf"number from {bounds[0]} to {bounds[1]:,}\.") as unfit:
            change(made, **{name: bad})
        assert unfit.value.field == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""), ("name", "a\nb"), ("name", "x" * 256), ("default_country", "USA"), ("default_country", "ZZ"),
        ("mails_off", ["reset"]), ("mails_off", "welcome to all"), ("password_length", 7), ("password_length", 11.5),
        ("language", "xx"), ("time_zone", "Mars/Base"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(made: models.Agency, name: str, value: object) -> None:
    with pytest.raises(InvalidValue) as unfit:
        change(made, **{"idle_minutes": 5, name: value})
    assert unfit.value.field == name
    assert list_changes(made) == []


SHOWN: Mapping[str, object] = {"invitation_days": 7, "idle_minutes": 30}


def test_two_who_change_different_settings_at_once_both_do(made: models.Agency) -> None:
    agency_settings.change(made, {**SHOWN, "idle_minutes": 5}, SHOWN, CONTEXT)
    agency_settings.change(models.Agency.objects.get(), {**SHOWN, "invitation_days": 3}, SHOWN, CONTEXT)
    made.refresh_from_db()
    assert (made.idle_minutes, made.invitation_days) == (5, 3)


def test_a_second_user_who_changes_the_same_setting_sees_the_conflict(made: models.Agency) -> None:
    agency_settings.change(made, {**SHOWN, "idle_minutes": 5}, SHOWN, CONTEXT)
    agency_settings.change(made, {**SHOWN, "idle_minutes": 5}, SHOWN, CONTEXT)
    with pytest.raises(StaleSettings) as overtaken:
        agency_settings.change(made, {"idle_minutes": 60, "invitation_days": 3}, SHOWN, CONTEXT)
    assert overtaken.value.now == {"idle_minutes": 5}
    made.refresh_from_db()
    assert (made.idle_minutes, made.invitation_days, len(list_changes(made))) == (5, 7, 1)


def require(made: models.Agency, names: str, shown: str = "", number: int = 1) -> None:
    roles = {role.name: role.pk for role in models.Role.objects.filter(agency=made)}
    chosen, seen = ({roles[name] for name in of.split()} for of in (names, shown))
    agency_settings.set_second_factors(made, chosen, seen, CONTEXT, by(made, number))


def list_required(made: models.Agency) -> set[str]:
    return set(models.Role.objects.filter(agency=made, second_factor=True).values_list("name", flat=True))


def test_second_factors_are_asked_of_roles_each_an_event_and_what_others_change_stays(made: models.Agency) -> None:
    require(made, "Admin Officer")
    require(made, "Chief Officer")
    assert list_required(made) == {"Admin", "Officer", "Chief"}
    require(made, "Officer Chief", "Admin Officer Chief")
    assert list_required(made) == {"Officer", "Chief"}
    assert [list(changes) for changes in list_changes(made)] == [
        ["role admin"],
        ["role officer"],
        ["role chief"],
        ["role admin"],
    ]


def test_nobody_changes_the_second_factor_of_a_role_that_may_do_more(made: models.Agency) -> None:
    require(made, "Admin")
    with pytest.raises(NotAllowed):
        require(made, "Chief", "Admin", number=5)
    assert list_required(made) == {"Admin"}
    require(made, "Admin Chief Officer", "Admin", number=5)
    assert list_required(made) == {"Admin", "Chief", "Officer"}


def test_a_role_of_another_agency_asks_for_nothing(made: models.Agency) -> None:
    other = agency("shelbyville")
    strangers = set(models.Role.objects.filter(agency=other).values_list("pk", flat=True))
    agency_settings.set_second_factors(made, strangers, set(), CONTEXT, by(made))
    assert list_required(other) == list_required(made) == set()


def test_a_heading_that_imports_remember_is_forgotten(made: models.Agency) -> None:
    file = [{**person(2), "Personnel no.": "E-2"}]
    del file[0]["EXTERNAL_ID"]
    text = "\n".join([",".join(file[0]), ",".join(file[0].values())]).encode()
    apply_rows(made, text, Options(mapping={"Personnel no.": "EXTERNAL_ID"}))
    made.refresh_from_db()
    assert agency_settings.forget_heading(made, "Personnel no.", CONTEXT)
    assert not agency_settings.forget_heading(made, "Personnel no.", CONTEXT)
    assert models.Agency.objects.get().mapping == {}
    assert list_changes(made) == [{"heading Personnel no.": ["EXTERNAL_ID", ""]}]


def test_a_provider_is_added_changed_and_removed_and_its_secret_is_never_shown(made: models.Agency) -> None:
    sign_on.add(made, OIDC, CONTEXT, by(made))
    provider = sign_on.find_provider(made, "county")
    sign_on.change(made, OIDC | {"name": "The County", "client_secret": ""}, mark(made), CONTEXT, by(made))
    assert encryption.unseal(sign_on.find_provider(made, "county")["secret"]) == "hush"
    assert sign_on.mark(provider) != mark(made)
    sign_on.change(made, OIDC | {"client_secret": "quiet"}, mark(made), CONTEXT, by(made))
    assert encryption.unseal(sign_on.find_provider(made, "county")["secret"]) == "quiet"
    sign_on.remove(made, "county", mark(made), CONTEXT, by(made))
    assert models.Agency.objects.get().sign_on == []
    assert [list(changes) for changes in list_changes(made)] == [["sign_on county"]] * 4
    assert not any(secret in str(list_changes(made)) for secret in ("hush", "quiet"))


def mark(made: models.Agency) -> str:
    return sign_on.mark(sign_on.find_provider(made, "county"))


def test_an_agency_has_several_providers(made: models.Agency) -> None:
    for slug in ("county", "state"):
        sign_on.add(made, OIDC | {"slug": slug}, CONTEXT, by(made))
    sign_on.change(made, OIDC | {"name": "The County"}, mark(made), CONTEXT, by(made))
    assert [one["name"] for one in made.sign_on] == ["The County", "County"]
    assert sign_on.find_provider(made, "state")["slug"] == "state"
    sign_on.remove(made, "county", mark(made), CONTEXT, by(made))
    assert sign_on.find_provider(made, "state")["name"] == "County" and len(made.sign_on) == 1
    with pytest.raises(InvalidValue, match="There is already a provider with that short name"):
        sign_on.add(made, OIDC | {"slug": "state"}, CONTEXT, by(made))


@pytest.mark.parametrize(
    ("cells", "field", "sentence"),
    [
        ({"slug": "The County"}, "slug", "“The County” is not a short name"),
        ({"server": "http://county.example"}, "server", "not an address that begins with https://"),
        ({"match": "external_id"}, "claim", "This is missing. Name the claim"),
        ({"match": "name"}, "match", "Write “email”"), ({"name": " "}, "name", "This is missing."),
    ],
)  # fmt: skip
def test_a_provider_that_cannot_be_is_refused(
    made: models.Agency, cells: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(InvalidValue, match=sentence) as unfit:
        sign_on.add(made, OIDC | cells, CONTEXT, by(made))
    assert unfit.value.field == field and list_changes(made) == []


def test_a_provider_that_somebody_has_changed_or_removed_meanwhile_is_not_changed(made: models.Agency) -> None:
    sign_on.add(made, OIDC, CONTEXT, by(made))
    seen = mark(made)
    sign_on.change(made, OIDC | {"client_secret": "quiet"}, seen, CONTEXT, by(made))
    with pytest.raises(sign_on.StaleProvider):
        sign_on.change(made, OIDC | {"name": "Other"}, seen, CONTEXT, by(made))
    with pytest.raises(sign_on.StaleProvider):
        sign_on.remove(made, "county", seen, CONTEXT, by(made))
    sign_on.remove(made, "county", mark(made), CONTEXT, by(made))
    with pytest.raises(UnknownProvider):
        sign_on.remove(made, "county", seen, CONTEXT, by(made))
    assert len(list_changes(made)) == 3


def test_who_lacks_a_permission_sets_no_provider_for_they_could_come_in_as_anybody(made: models.Agency) -> None:
    sign_on.add(made, OIDC, CONTEXT, by(made))
    mine = OIDC | {"server": "https://mine.example"}
    acts: list[Callable[[], None]] = [
        partial(sign_on.add, made, mine | {"slug": "mine"}, CONTEXT, by(made, 5)),
        partial(sign_on.change, made, mine, mark(made), CONTEXT, by(made, 5)),
        partial(sign_on.remove, made, "county", mark(made), CONTEXT, by(made, 5)),
    ]
    for act in acts:
        with pytest.raises(NotAllowed):
            act()
    assert len(list_changes(made)) == 1


def test_mails_that_are_off_do_not_leave_and_others_do(made: models.Agency) -> None:
    change(made, mails_off=["invitation", "welcome"])
    apply_rows(made, [person(2)])
    invitation = registration.issue_invitation(user(made, 2), CONTEXT).rpartition("/")[2]
    registration.register(made, invitation, GOOD, CONTEXT)
    assert not models.Mail.objects.exists()
    registration.invite(user(made, 5), CONTEXT)
    apply_rows(made, [person(2, STATUS="Inactive")])
    assert list(models.Mail.objects.order_by("id").values_list("kind", flat=True)) == ["invitation", "deactivated"]
    assert set(agency_file.MAILS) <= set(mails.KINDS)


def test_the_reference_names_each_setting_with_its_bounds_and_what_it_is_at_first() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/agency-settings.md").read_text(encoding="utf-8")
    for name, (least, most) in BOUNDS.items():
        first = getattr(models.Agency(), name)
        assert f"| `accounts.{name}` | {first} | {least} to {most} |" in page
    assert all(f"`{name}" in page for name in agency_file.SETTINGS if name != "accounts")


@pytest.mark.parametrize("told", ['"welcome"', '["reset"]', "[5]"])
def test_only_mails_that_an_agency_can_do_without_can_be_off(told: str) -> None:
    with pytest.raises(agency_file.InvalidAgencyFile, match="write a list of any of these: invitation, welcome"):
        agency_file.read_agency_file(f'slug = "a"\nname = "A"\nmails_off = {told}'.encode())
