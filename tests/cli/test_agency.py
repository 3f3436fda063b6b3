"""`muster agency`: an agency brought to what its file says."""

import pytest

from musterbook.directory import models
from tests.cli.conftest import AGENCY, Muster, row
from tests.directory.cast import allow


def apply(muster: Muster, text: str) -> dict[str, object]:
    path = muster.folder / "agency.toml"
    path.write_text(text, encoding="utf-8")
    done = muster("agency", "apply", path, "--output", "json")
    assert done.status == 0, done.err
    result: dict[str, object] = done.json
    return result


def read_refusals(muster: Muster, text: str) -> str:
    path = muster.folder / "agency.toml"
    path.write_text(text, encoding="utf-8")
    done = muster("agency", "apply", path)
    assert (done.status, done.text) == (3, "")
    return done.err


@pytest.mark.usefixtures("springfield")
def test_an_agency_is_made_as_its_file_says() -> None:
    made = models.Agency.objects.get()
    assert (made.slug, made.default_country, made.limits) == ("springfield-pd", "US", [allow(1, most=500)])
    roles = {role.name: (role.administrator, role.permissions) for role in models.Role.objects.all()}
    assert roles == {"Admin": (True, []), "Officer": (False, []), "Clerk": (False, ["users.import", "users.view"])}
    assert models.Rank.objects.get().abbreviation == "Sgt"
    assert models.Group.objects.get().active


def test_the_same_file_again_changes_nothing(springfield: Muster) -> None:
    events = models.Event.objects.count()
    assert apply(springfield, AGENCY) == {"agency": "springfield-pd", "created": False, "changes": {}, "kept": []}
    assert "Nothing was changed" in springfield("agency", "apply", springfield.folder / "agency.toml").text
    assert models.Event.objects.count() == events == 1


def test_what_changes_stands_in_the_trail_before_and_after(springfield: Muster) -> None:
    result = apply(springfield, AGENCY.replace('"Sgt"', '"Sergt"').replace('"US"', '"ca"'))
    assert result["changes"] == {
        "default_country": ["US", "CA"], "rank sergeant": ["1. Sergeant (Sgt)", "1. Sergeant (Sergt)"],
    }  # fmt: skip
    event = models.Event.objects.latest("pk")
    assert (event.kind, event.through, event.actor) == ("agency.changed", "cli", "")
    assert '"default_country":["US","CA"]' in event.changes
    assert springfield("audit", "verify").status == 0


def test_mail_can_be_switched_off(springfield: Muster) -> None:
    apply(springfield, "mail = false\n" + AGENCY)
    assert not models.Agency.objects.get().sends_mail


ACCOUNTS = """
[accounts]
invitation_days = 3
lock_minutes = 30
second_factor_roles = ["admin", "Clerk"]
"""


def test_rules_for_accounts_are_set_and_shown_before_and_after(springfield: Muster) -> None:
    result = apply(springfield, AGENCY + ACCOUNTS)
    assert result["changes"] == {
        "invitation_days": ["7", "3"], "lock_minutes": ["0", "30"],
        "role admin": ["Admin: every permission", "Admin: every permission; second factor"],
        "role clerk": ["Clerk: users.import, users.view", "Clerk: users.import, users.view; second factor"],
    }  # fmt: skip
    made = models.Agency.objects.get()
    assert (made.invitation_days, made.lock_minutes, made.idle_minutes) == (3, 30, 30)
    assert apply(springfield, AGENCY)["changes"] == {}
    changed = apply(springfield, AGENCY + '[accounts]\nsecond_factor_roles = ["Clerk"]')["changes"]
    assert list(changed) == ["role admin"]  # type: ignore[call-overload]


def test_the_days_after_which_plans_expire_are_set(springfield: Muster) -> None:
    """Rule A4."""
    assert apply(springfield, "preview_days = 3\n" + AGENCY)["changes"] == {"preview_days": ["14", "3"]}
    assert models.Agency.objects.get().preview_days == 3
    assert "preview_days is 0: write a whole number from 1 to 3650" in read_refusals(
        springfield, "preview_days = 0\n" + AGENCY
    )


def test_the_language_and_the_time_zone_of_an_agency_are_set(springfield: Muster) -> None:
    given = 'language = "es"\ntime_zone = "America/Chicago"\n'
    changes = {"language": ["", "es"], "time_zone": ["", "America/Chicago"]}
    assert apply(springfield, given + AGENCY)["changes"] == changes
    agency = models.Agency.objects.get()
    assert (agency.language, agency.time_zone) == ("es", "America/Chicago")
    said = read_refusals(springfield, 'language = "fr"\ntime_zone = "Mars/Olympus"\n' + AGENCY)
    assert "language is “fr”. Write one of these codes: en, es." in said
    assert "time_zone is “Mars/Olympus”. Write the name of a time zone, such as America/Chicago." in said


def test_a_second_factor_for_a_role_that_there_is_not_changes_nothing(springfield: Muster) -> None:
    said = read_refusals(springfield, AGENCY + '[accounts]\nidle_minutes = 5\nsecond_factor_roles = ["Sheriff"]')
    assert "“sheriff”, and there is no such role" in said
    assert models.Agency.objects.get().idle_minutes == 30


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("password_length = 7", "password_length is 7: write a whole number from 8 to 64"),
        ("idle_minutes = true", "idle_minutes is True: write a whole number from 1 to 720"),
        ("idle_minuts = 5", "Did you mean idle_minutes?"),
        ('second_factor_roles = "Admin"', "second_factor_roles is not a list of roles"),
    ],
)
def test_a_wrong_rule_for_accounts_is_named(springfield: Muster, line: str, said: str) -> None:
    assert said in read_refusals(springfield, f"{AGENCY}[accounts]\n{line}")


def test_rules_for_accounts_stand_in_a_table(springfield: Muster) -> None:
    assert "accounts is not a table" in read_refusals(springfield, "accounts = 5\n" + AGENCY)


def test_no_agency_has_the_address_of_something_else(springfield: Muster) -> None:
    assert "slug is “health”. Musterbook uses this address itself" in read_refusals(
        springfield, AGENCY.replace("springfield-pd", "health")
    )


def test_what_the_file_no_longer_names_goes_unless_users_have_it(springfield: Muster) -> None:
    springfield.begin_with(row("bob", rank="Sergeant"))
    bare = AGENCY[: AGENCY.index("[[roles]]")]
    result = apply(springfield, bare + 'groups = []\nranks = []\n[[roles]]\nname = "Chief"\n')
    assert result["kept"] == ["role “Officer” (users: 1)", "rank “Sergeant” (users: 1)"]
    assert set(models.Role.objects.values_list("name", flat=True)) == {"Admin", "Officer", "Chief"}
    assert models.Rank.objects.exists()
    assert not models.Group.objects.exists()


def test_what_the_file_is_silent_about_stays(springfield: Muster) -> None:
    result = apply(springfield, 'slug = "springfield-pd"\nname = "SPD"\n')
    assert result["changes"] == {"name": ["Springfield Police Department", "SPD"]}
    assert models.Role.objects.count() == 3


def test_everything_wrong_with_the_file_is_said_at_once(muster: Muster) -> None:
    said = read_refusals(muster, """
        slug = "Springfield PD"
        default_country = "USA"
        deactivation_limit = { users = -1, percent = 200, mots = 5 }
        colour = "blue"
        [[roles]]
        name = "admin"
        permissions = ["users.view"]
        [[roles]]
        name = "Officer"
        permissions = ["users.veiw"]
        [[roles]]
        name = "OFFICER"
        [[ranks]]
        abbreviation = 5
        [[groups]]
        external_id = "G"
        active = "yes"
    """)  # fmt: skip
    for part in (
        "slug is “Springfield PD”", "the file has no name", "default_country is “USA”", "deactivation_limit.users is -1",
        "deactivation_limit.percent is 200", "Did you mean most?", "there is no setting “colour”",
        "Admin always has every permission", "Did you mean users.view?", "[[roles]] number 3 is the same as an earlier one",
        "[[ranks]] number 1 has no name", "abbreviation is 5, which is not text", "active is 'yes'. Write true or false.",
    ):  # fmt: skip
        assert part in said
    assert not models.Agency.objects.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("slug = ", "The file is not TOML"),
        ('roles = "Admin"', "roles is not a list of tables"),
        ("deactivation_limit = 5", "deactivation_limit is not a table"),
        ('[[roles]]\nname = "X"\npermissions = "users.view"', "permissions is not a list of texts"),
        ('name = "A\\nB"', "name contains a line break"),
        (f'name = "{"x" * 256}"', "name has 256 characters"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_followed_says_why(muster: Muster, text: str, sentence: str) -> None:
    assert sentence in read_refusals(muster, text)


def test_a_file_that_is_not_utf_8_says_so(muster: Muster) -> None:
    path = muster.folder / "agency.toml"
    path.write_bytes(b'name = "Espa\xf1a"')
    assert "The file is not UTF-8" in muster("agency", "apply", path).err
    assert muster("agency", "apply", "nowhere.toml").status == 2


def test_agencies_are_listed_with_their_users(springfield: Muster) -> None:
    springfield.begin_with(row("ann"), row("bob", status="Inactive"))
    assert springfield("agency", "list").text == "springfield-pd  Springfield Police Department  users: 2 (active: 1)\n"
    listed = springfield("agency", "list", "--output", "json").json[0]
    assert (listed["active"], listed["paused_at"]) == (1, None)
    springfield("agency", "pause", "springfield-pd")
    day = models.Agency.objects.get().paused_at
    assert day
    assert springfield("agency", "list").text.endswith(f"users: 2 (active: 1)  paused since {day:%Y-%m-%d}\n")
    assert springfield("agency", "list", "--output", "json").json[0]["paused_at"].startswith(f"{day:%Y-%m-%d}")


def test_without_an_agency_the_list_says_how_to_make_one(muster: Muster) -> None:
    assert "muster agency apply" in muster("agency", "list").err
