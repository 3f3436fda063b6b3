"""The settings of a feed: each as it is stored, and everything wrong with them named at once."""

import ipaddress
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from musterbook.directory.agency import feed_errors, feed_form, feed_locations, feed_times, feed_values
from musterbook.feeds import schedule

WHOLE = """
name = "hr-sworn"
mode = "sync"
source = "HR  Sworn"
every_minutes = 10
windows = [{ days = ["sun", "mon"], from = "22:00", to = "04:00" }, { from = 04:30:00, to = "24:00" }]
expected_by = [{ days = ["mon"], at = 06:00:00 }]
blackout = [2026-12-25, "2026-01-01", 2026-12-25]
strict = true
mails = false
encoding = "windows-1252"
delimiter = "semicolon"
sheet = "Roster"
header_row = 3
expect_rows = 0
release_badges = true
accept = ["looks-damaged", "identity-change=same"]
mapping = { "Badge No" = "badge number", "Mail" = "EMAIL, USERNAME", "Shoe size" = "" }
values = { STATUS = { Terminated = "Inactive" } }
defaults = { ROLE = "Officer" }
together = true
least_percent = 50

[location]
kind = "sftp"
host = "SFTP.example.org"
path = "/out"
pattern = "*.csv"
user = "muster"

[notify]
held = ["E-100", "hr@example.org", "E-100"]
late = []

[[limits]]
kind = "deactivations"
users = 3
"""
STORED = {
    "name": "hr-sworn",
    "mode": "sync",
    "source": "hr sworn",
    "every_minutes": 10,
    "windows": [
        {"days": ["mon", "sun"], "from": "22:00", "to": "04:00"},
        {"days": list(schedule.DAYS), "from": "04:30", "to": "24:00"},
    ],
    "expected_by": [{"days": ["mon"], "at": "06:00"}],
    "blackout": ["2026-01-01", "2026-12-25"],
    "strict": True,
    "mails": False,
    "encoding": "windows-1252",
    "delimiter": "semicolon",
    "sheet": "Roster",
    "header_row": 3,
    "expect_rows": 0,
    "release_badges": True,
    "accept": {"looks-damaged": "", "identity-change": "same"},
    "mapping": {"Badge No": "BADGE_NUMBER", "Mail": "EMAIL,USERNAME", "Shoe size": ""},
    "values": {"STATUS": {"Terminated": "Inactive"}},
    "defaults": {"ROLE": "Officer"},
    "together": True,
    "least_percent": 50,
    "location": {
        "kind": "sftp", "host": "sftp.example.org", "port": 22, "path": "/out", "pattern": "*.csv", "user": "muster",
    },
    "notify": {"held": ["E-100", "hr@example.org"]},
}  # fmt: skip


def find_errors(**values: Any) -> dict[str, str]:
    return dict(feed_values.parse_feed(values)[1])


def find_location_errors(**values: Any) -> dict[str, str]:
    return find_errors(location=values)


def test_every_setting_is_read_as_it_is_stored() -> None:
    settings, errors = feed_values.parse_feed(tomllib.loads(WHOLE))
    [limit] = settings.pop("limits")
    assert not errors
    assert settings == STORED
    assert (limit.kind, limit.users, limit.most) == ("deactivations", 3, None)
    assert set(tomllib.loads(WHOLE)) == set(feed_values.SETTINGS)


def test_a_setting_that_is_left_out_is_not_in_the_result() -> None:
    assert feed_values.parse_feed({"mode": "update"}) == ({"mode": "update"}, [])


def test_a_blank_setting_means_that_the_feed_does_without() -> None:
    names = ("mails", "encoding", "delimiter", "sheet", "header_row", "expect_rows", "release_badges")
    assert feed_values.parse_feed(dict.fromkeys(names, "")) == (dict.fromkeys(names), [])


def test_the_days_are_those_of_schedules() -> None:
    assert feed_times.DAYS == schedule.DAYS
    assert feed_form.USUAL_MINUTES == schedule.USUAL_MINUTES


def test_all_errors_are_found_at_once() -> None:
    errors = find_errors(name="HR", mode="rekey", every_minutes=0, colour="red", location={"kind": "ftp"}, strict="yes")
    assert list(errors) == ["name", "mode", "every_minutes", "colour", "location", "strict"]
    assert errors["location"].startswith("“ftp” is not a kind of location. Write one of these: folder, sftp, https")
    assert errors["every_minutes"] == "0 is not possible. Write a whole number from 1 to 1440."


WRONG: list[tuple[str, object, str]] = [
    ("name", 5, "5 is not a name"),
    ("name", "-hr", "“-hr” is not a name"),
    ("name", "hr\n", "is not a name"),
    ("name", "x" * 64, "is not a name"),
    ("name", "hr/../x", "is not a name"),
    ("mode", ["sync"], "is not a mode"),
    ("source", "x" * 64, "Shorten it to 63"),
    ("source", "a\u202eb", "control character"),
    ("source", 7, "is not text"),
    ("every_minutes", True, "whole number"),
    ("every_minutes", 1441, "from 1 to 1440"),
    ("every_minutes", 2.5, "whole number"),
    ("windows", "01:00-06:00", "is not a list"),
    ("windows", [{"from": "01:00", "to": "01:00"}], "from 00:00 to 24:00 for a whole day"),
    ("windows", [{"from": "1:00", "to": "06:00"}], "“1:00” is not a time"),
    ("windows", [{"from": "24:00", "to": "06:00"}], "“24:00” is not a time"),
    ("windows", [{"from": "01:00"}], "“” is not a time"),
    ("windows", [{"from": "01:00:30", "to": "06:00"}], "is not a time"),
    ("windows", [{"from": "25:00", "to": "06:00"}], "is not a time"),
    ("windows", [{"from": "01:00", "to": "06:00", "zone": "UTC"}], "Write it like {"),
    ("windows", [{"days": [], "from": "01:00", "to": "06:00"}], "are not days"),
    ("windows", [{"days": ["monday"], "from": "01:00", "to": "06:00"}], "any of these: mon, tue"),
    ("windows", [{"days": "mon", "from": "01:00", "to": "06:00"}], "is not a list"),
    ("windows", [{"from": "01:00", "to": "06:00"}] * 21, "There are 21 entries. Keep 20."),
    ("expected_by", [{"days": ["mon"]}], "is not a time"),
    ("expected_by", [5], "Write it like {"),
    ("blackout", ["25.12.2026"], "is not a day"),
    ("blackout", ["2026-02-30"], "is not a day"),
    ("blackout", [20261225], "is not a day"),
    ("blackout", ["2026-12-25"] * 367, "Keep 366"),
    ("strict", "true", "Write true or false"),
    ("mails", "yes", "for the agency's setting"),
    ("encoding", "klingon", "is not an encoding"),
    ("encoding", "utf-8\x00", "is not an encoding"),
    ("delimiter", ";", "comma, semicolon, tab, pipe"),
    ("sheet", "x" * 256, "Shorten it to 255"),
    ("sheet", "\ud800", "control character"),
    ("header_row", 0, "from 1 to"),
    ("header_row", "3", "whole number"),
    ("expect_rows", -1, "from 0 to"),
    ("accept", ["everything"], "everything"),
    ("accept", "looks-damaged", "is not a list"),
    ("mapping", ["Badge"], "is not a table"),
    ("mapping", {"Badge": "BADGE_NUMER"}, "Did you mean"),
    ("mapping", {" ": "EMAIL"}, "A heading is blank"),
    ("mapping", {f"H{number}": "" for number in range(201)}, "Keep 200"),
    ("values", {"EMAIL": {"a": "b"}}, "EMAIL cannot be used there"),
    ("values", {"RANK": {str(number): "" for number in range(1001)}}, "There are 1001 values"),
    ("values", {"RANK": {"x" * 300: ""}}, "Shorten it"),
    ("defaults", {"EMAIL": "x"}, "EMAIL cannot be used there"),
    ("defaults", {"RANK": "a\x00"}, "control character"),
    ("together", 1, "Write true or false"),
    ("least_percent", 101, "from 0 to 100"),
    ("limits", "off", "not a list of tables"),
    ("limits", [{"kind": "hires", "users": 1}], "no limit of hires"),
    ("limits", [{"kind": "updates", "percent": float("nan")}], "write 0 or a larger number"),
    ("limits", [{"kind": "updates", "role": f"R{number}", "off": True} for number in range(101)], "Keep 100"),
    ("notify", {"sometimes": ["E-1"]}, "no kind of notice"),
    ("notify", {"held": ["hr@"]}, "is not an email address"),
    ("notify", {"held": ["a@example.org, b@example.org"]}, "is not an email address"),
    ("notify", {"held": ["a@example.org\nBcc: b@example.org"]}, "control character"),
    ("notify", {"held": ["a@example.org\x00"]}, "control character"),
    ("notify", {"held": ["E-1"] * 21}, "Keep 20"),
    ("notify", {1: ["E-1"]}, "is not a table"),
    ("location", "folder", "is not a table"),
    ("location", {"kind": ["folder"]}, "is not a kind of location"),
    ("location", {"kind": "sent", "path": "x"}, "has no setting “path”"),
    ("location", {"kind": "folder", "password": "x"}, "has no setting “password”"),
    ("l" * 400, 1, "There is no setting"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_value_is_an_error_that_says_what_to_write(name: str, value: object, sentence: str) -> None:
    errors = feed_values.parse_feed({name: value})[1]
    assert {setting for setting, _ in errors} == {name[:255]}
    assert sentence in " ".join(text for _, text in errors)
    assert all(len(text) < 400 and "\n" not in text and "\x00" not in text for _, text in errors)


@pytest.mark.parametrize(
    "path", ["/etc", "../other-agency", "hr/../../x", "..", "~root", "hr\\..\\x", "//server/share", "hr\x00/x", "a\nb"]
)
def test_a_folder_outside_the_agencys_is_refused(path: str) -> None:
    assert find_location_errors(kind="folder", path=path).keys() == {"location.path"}


@pytest.mark.parametrize("pattern", ["../*.csv", "hr/*.csv", "a\\b", "*\nx", "x" * 256, 5])
def test_a_pattern_names_files_of_the_folder_only(pattern: object) -> None:
    assert find_location_errors(kind="folder", path="hr", pattern=pattern).keys() == {"location.pattern"}


def test_a_folder_without_path_is_the_agencys_own() -> None:
    settings, errors = feed_values.parse_feed({"location": {"kind": "folder", "path": "./"}})
    assert (settings["location"], errors) == ({"kind": "folder", "path": "", "pattern": "*"}, [])


@pytest.mark.parametrize(
    "host",
    [
        "", "-oProxyCommand=reboot", "a b", "user@host", "host:22", "host/x", "ho\nst", "a..b", "-a.example", "a-.example",
        "fe80::1%eth0", "[::1]", "x" * 64, f"{'a.' * 130}b", "exämple.org", 5,
    ],
)  # fmt: skip
def test_a_host_is_a_plain_name_or_address(host: object) -> None:
    assert "location.host" in find_location_errors(kind="sftp", host=host, user="muster")


@pytest.mark.parametrize("host", ["sftp.example.org", "10.0.0.7", "2001:db8::7", "server-1"])
def test_names_and_addresses_of_servers_are_accepted(host: str) -> None:
    assert find_location_errors(kind="sftp", host=host, user="county\\muster") == {}


def test_a_server_needs_a_user_and_a_port_and_a_path_within_bounds() -> None:
    errors = find_location_errors(kind="sftp", host="h.example", port=0, path="../x", user=" ")
    assert errors.keys() == {"location.port", "location.path", "location.user"}
    assert errors["location.port"] == "0 is not possible. Write a whole number from 1 to 65535."


@pytest.mark.parametrize(
    "url",
    [
        "", "http://files.example.org/hr.csv", "file:///etc/passwd", "https://user:pw@files.example.org/", "https://a b/",
        "https://files.example.org/#x", "https://files.example.org/\r\nX: y", "ftp://files.example.org/", "//files", 5,
        "http://localhost/hr.csv", f"https://files.example.org/{'x' * 2000}",
    ],
)  # fmt: skip
def test_an_address_is_a_plain_https_address(url: object, settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    assert find_location_errors(kind="https", url=url).keys() == {"location.url"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hr:hush@files.example.org/a.csv", "https://…@files.example.org/a.csv"),
        ("https://files.example.org/a.csv?token=hush", "https://files.example.org/a.csv?token=…"),
        ("https://files.example.org/a.csv?a=1&api_key=hush&b=2", "https://files.example.org/a.csv?a=1&api_key=…&b=2"),
        ("https://files.example.org/?X-Amz-Signature=hush", "https://files.example.org/?X-Amz-Signature=…"),
        ("https://files.example.org/?subscription-key=hush", "https://files.example.org/?subscription-key=…"),
        ("https://files.example.org/?accessToken=hush", "https://files.example.org/?accessToken=…"),
    ],
)
def test_a_secret_belongs_into_the_header_and_not_into_the_address(url: str, shown: str) -> None:
    (sentence,) = find_location_errors(kind="https", url=url).values()
    assert "name of a header" in sentence and "hush" not in sentence
    assert feed_locations.mask_url(url) == shown


@pytest.mark.parametrize(
    "query", ["", "?day=1", "?keyword=a&monkey=b&passage=c&design=d&author=e", "?token=", "?sigma=1"]
)
def test_other_parameters_of_an_address_are_no_secrets(query: str) -> None:
    url = f"https://files.example.org/a@b.csv{query}"
    assert (find_location_errors(kind="https", url=url), feed_locations.mask_url(url)) == ({}, url)


def test_http_is_accepted_on_this_machine_if_the_installation_allows_it(settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"),)
    assert find_location_errors(kind="https", url="http://localhost:8000/hr.csv") == {}
    assert find_location_errors(kind="https", url="http://files.example.org/hr.csv") != {}


@pytest.mark.parametrize(
    "header", ["Host", "content-length", "X Y", "X:", "Authorization\r\nX", "Autorización", "x" * 65, 5]
)
def test_the_header_with_the_secret_is_one_that_can_have_one(header: object) -> None:
    errors = find_location_errors(kind="https", url="https://files.example.org/hr.csv", header=header)
    assert errors.keys() == {"location.header"}


def test_secrets_are_for_the_server_that_they_were_set_for() -> None:
    def target(**location: Any) -> object:
        return feed_locations.get_target(location)

    assert target(kind="https", url="https://a.example/1") == target(kind="https", url="https://A.example:443/2")
    assert target(kind="https", url="https://a.example/1") != target(kind="https", url="https://a.example:8443/1")
    assert target(kind="sftp", host="a", port=22, path="1") == target(kind="sftp", host="a", port=22, path="2")
    assert target(kind="sftp", host="a", port=22) != target(kind="sftp", host="b", port=22)
    assert target(kind="sent") != target(kind="command")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(feed_locations.KINDS)
PARTS = st.sampled_from(
    ("kind", "path", "pattern", "host", "port", "user", "url", "header", "days", "from", "to", "at")
)
NEAR = st.dictionaries(PARTS, JUNK, max_size=5)


@given(
    st.dictionaries(st.sampled_from(feed_values.SETTINGS) | st.text(), JUNK | NEAR | st.lists(NEAR, max_size=3)),
    st.dictionaries(PARTS, JUNK, max_size=5),
    KINDS,
)
def test_law_no_values_are_too_strange_to_be_read(values: dict[str, Any], location: dict[str, Any], kind: str) -> None:
    feed_values.parse_feed(values)
    settings, errors = feed_values.parse_feed({**values, "location": {**location, "kind": kind}})
    assert errors or settings["location"]["kind"] == kind


def test_a_list_of_feeds_names_each_error_by_its_feed() -> None:
    problems: list[str] = []
    feed_values.read_feeds([{"name": "a"}, {"name": "a", "mode": "x"}, {}], problems)
    assert problems == [
        "[[feeds]] number 2: mode: “x” is not a mode. Write “update” or “sync”.",
        "[[feeds]] number 2: there is a feed named a before it. Choose another name.",
        "[[feeds]] number 3 has no name. Give it one.",
    ]
    feed_values.read_feeds({"name": "a"}, problems)
    assert problems[-1] == "feeds is not a list of tables: write [[feeds]] before each feed."


def test_a_shown_value_is_short_and_has_no_controls() -> None:
    assert feed_errors.show_value("a\n\x1b[31m") == "“a\\n\\x1b[31m”"
    assert len(feed_errors.show_value("x" * 1000)) == 62
