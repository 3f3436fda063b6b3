"""`muster feed`: feeds as the command line adds, shows, changes and removes them, and never shows a secret."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.feeds import claims
from tests.cli.conftest import AGENCY, Muster, build_directory, row
from tests.feeds.servers import SftpServer

OF = ("--agency", "springfield-pd")
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n"


def write(muster: Muster, name: str, text: str) -> Path:
    path = muster.folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def staffed(muster: Muster) -> Muster:
    """The agency with an administrator, a clerk and two officers."""
    build_directory((row("ann", role="Admin"), row("cy", role="Clerk"), row("otto"), row("olga")), also=("--no-mail",))
    return muster


@pytest.fixture
def fed(springfield: Muster) -> Muster:
    """The agency with a feed of an SFTP server."""
    done = springfield("feed", "add", "hr", *OF, "--sftp", "muster@sftp.example.org:2222/out", "--pattern", "*.csv")
    assert done.status == 0, done.err
    return springfield


def test_a_feed_is_added_with_options_and_shown(springfield: Muster) -> None:
    done = springfield(
        "feed", "add", "hr-sworn", *OF, "--mode", "sync", "--folder", "hr", "--pattern", "*.csv", "--every", "10",
        "--window", "fri-mon 22:00-04:00", "--window", "05:00-06:00", "--expected-by", "mon,tue 06:00",
        "--notify", "held=E-1,hr@example.org", "--notify", "late=hr@example.org", "--map", "Badge No=badge_number",
        "--value", "STATUS:Terminated=Inactive", "--default", "ROLE=Officer", "--set", "strict=true", "--set",
        "blackout=[2026-12-25]", "--set", "encoding=windows-1252", "--output", "json",
    )  # fmt: skip
    assert done.status == 0, done.err
    settings = done.json["settings"]
    assert settings["location"] == {"kind": "folder", "path": "hr", "pattern": "*.csv"}
    assert settings["windows"] == [
        {"days": ["mon", "fri", "sat", "sun"], "from": "22:00", "to": "04:00"},
        {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "05:00", "to": "06:00"},
    ]
    assert settings["expected_by"] == [{"days": ["mon", "tue"], "at": "06:00"}]
    assert settings["notify"] == {"held": ["E-1", "hr@example.org"], "late": ["hr@example.org"]}
    assert (settings["mapping"], settings["defaults"]) == ({"Badge No": "BADGE_NUMBER"}, {"ROLE": "Officer"})
    assert (settings["strict"], settings["blackout"], settings["encoding"]) == (True, ["2026-12-25"], "windows-1252")
    assert (done.json["new"], done.json["location"], done.json["unknown_recipients"]) == (True, "folder", ["E-1"])
    text = springfield("feed", "show", "hr-sworn", *OF)
    assert "location path" in text.text
    assert "fri, sat, sun 22:00–04:00" in text.text
    assert "no Active user with the external ID “E-1”" in text.err


def test_a_feed_is_added_from_a_file_and_its_table_can_be_given_again(springfield: Muster) -> None:
    file = write(springfield, "feed.toml", '[[feeds]]\nmode = "sync"\nlocation = { kind = "sent" }\n')
    added = springfield("feed", "add", "hr", *OF, "--from", file, "--every", "15", "--output", "json")
    assert added.status == 0, added.err
    assert (added.json["mode"], added.json["settings"]["every_minutes"]) == ("sync", 15)
    same = springfield("feed", "set", "hr", *OF, "--from", "-", stdin=b'mode = "sync"')
    assert "Nothing was changed" in same.err
    assert springfield("feed", "add", "other", *OF, "--from", "-", stdin=b'name = "hr"').status == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[feeds]]\n[[feeds]]\n", "has 2 feeds"), ("a = ", "is not TOML"), ('[[feeds]]\npassword = "hush"\n', "password"),
        ("name = 5", "names the feed 5"), ("feeds = []", "has 0 feeds"), ("feeds = [1]", "has 1 feeds"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(springfield: Muster, text: str, sentence: str) -> None:
    done = springfield("feed", "add", "hr", *OF, "--from", write(springfield, "feed.toml", text))
    assert (done.status in {2, 3}, done.text) == (True, "")
    assert sentence in done.err
    assert "hush" not in done.err
    assert not models.Feed.objects.exists()


def test_a_file_that_cannot_be_read_is_refused(springfield: Muster) -> None:
    large = write(springfield, "large", "x" * (1 << 20) + "x")
    binary = springfield.folder / "binary"
    binary.write_bytes(b"\xff\xfe\xff")
    for file, sentence in (
        (large, "too large"),
        (binary, "not UTF-8"),
        (springfield.folder / "none", "cannot be read"),
    ):
        done = springfield("feed", "add", "hr", *OF, "--from", file)
        assert done.status == 2
        assert sentence in done.err


def test_all_errors_are_named_at_once(springfield: Muster) -> None:
    done = springfield(
        "feed", "add", "HR", *OF, "--folder", "/etc", "--every", "0", "--notify", "held=hr@", "--set", "x=1"
    )
    assert (done.status, done.text) == (3, "")
    assert done.err.splitlines()[0] == "The feed cannot be saved. Nothing was changed. Problems:"
    assert [line.split(":")[0] for line in done.err.splitlines()[1:]] == [
        "- x", "- every_minutes", "- location.path", "- notify", "- name",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--folder", "a", "--sent"), "one location"),
        (("--sftp", "sftp.example.org"), "muster@sftp.example.org/out"),
        (("--window", "mon"), "mon-fri 01:00-06:00"),
        (("--notify", "held"), "held=hr@example.org"),
        (("--set", "strict"), "strict=true"),
        (("--map", "EMAIL"), "Badge No=BADGE_NUMBER"),
    ],
)
def test_a_wrong_option_says_how_it_is_written(springfield: Muster, wrong: tuple[str, ...], sentence: str) -> None:
    done = springfield("feed", "add", "hr", *OF, *wrong)
    assert done.status == 2
    assert sentence in done.err
    assert not models.Feed.objects.exists()


def test_an_injected_host_or_path_never_reaches_the_database(springfield: Muster) -> None:
    for location in (
        ("--sftp", "muster@-oProxyCommand=reboot/out"), ("--sftp", "muster@a;b/out"), ("--folder", "../other"),
        ("--sftp", "muster@h.example/../out"), ("--https", "http://169.254.169.254/"), ("--https", "https://u:p@h.example/"),
        ("--https", "https://h.example/x", "--header", "Host"), ("--folder", "a", "--pattern", "../*"),
    ):  # fmt: skip
        assert springfield("feed", "add", "hr", *OF, *location).status == 3, location
    assert not models.Feed.objects.exists()


def test_settings_are_changed_one_by_one(fed: Muster) -> None:
    done = fed("feed", "set", "hr", *OF, "--pattern", "*.xlsx", "--notify", "late=a@example.org", "--map", "A=EMAIL")
    assert "The next file waits for a person" in done.err
    fed("feed", "set", "hr", *OF, "--notify", "held=b@example.org", "--map", "B=RANK", "--default", "ROLE=Officer")
    fed("feed", "set", "hr", *OF, "--default", "RANK=Sergeant", "--value", "STATUS:x=Active")
    settings = fed("feed", "set", "hr", *OF, "--value", "STATUS:y=Active", "--output", "json").json["settings"]
    assert settings["location"] == {
        "kind": "sftp", "host": "sftp.example.org", "port": 2222, "path": "/out", "pattern": "*.xlsx", "user": "muster",
    }  # fmt: skip
    assert settings["notify"] == {"held": ["b@example.org"], "late": ["a@example.org"]}
    assert (settings["mapping"], settings["defaults"]) == (
        {"A": "EMAIL", "B": "RANK"}, {"ROLE": "Officer", "RANK": "Sergeant"},
    )  # fmt: skip
    assert settings["values"] == {"STATUS": {"x": "Active", "y": "Active"}}


def test_a_change_that_decides_nothing_does_not_make_the_feed_new(fed: Muster) -> None:
    feed = models.Feed.objects.get()
    models.Feed.objects.update(approved=feeds.digest_settings(feed))
    done = fed("feed", "set", "hr", *OF, "--every", "30")
    assert "The settings were changed.\n" in done.err
    assert not fed("feed", "list", *OF, "--output", "json").json[0]["new"]


def test_nothing_to_set_is_a_wrong_call(fed: Muster) -> None:
    assert fed("feed", "set", "hr", *OF).status == 2
    assert fed("feed", "set", "hr", *OF, "--secret", "key").status == 2
    assert fed("feed", "set", "hr", *OF, "--every", "5", "--fingerprint", "SHA256:x").status == 2


def test_secrets_are_set_from_a_file_or_standard_input_and_never_shown(fed: Muster) -> None:
    outs = [
        fed("feed", "set", "hr", *OF, "--secret-from", "-", stdin=b"hush-hush\n"),
        fed("feed", "set", "hr", *OF, "--secret-from", write(fed, "id", PRIVATE), "--output", "json"),
        fed("feed", "set", "hr", *OF, "--secret-from", "-", "--secret", "passphrase", stdin=b"hush-three"),
        fed("feed", "show", "hr", *OF),
        fed("feed", "show", "hr", *OF, "--output", "json"),
        fed("feed", "list", *OF, "--output", "json"),
        fed("audit", *OF, "--format", "json"),
        fed("feed", "set", "hr", *OF, "--secret-from", "-", "--secret", "header", stdin=b"hush-four"),
        fed("feed", "set", "hr", *OF, "--secret-from", "-", "--secret", "password", stdin=b"hush\x07five"),
    ]
    assert [done.status for done in outs] == [0] * 7 + [3, 3]
    assert all("hush" not in done.text + done.err and "b3BlbnNzaC1rZXk" not in done.text + done.err for done in outs)
    assert outs[4].json["secrets"] == ["key", "passphrase", "password"]
    stored = models.Feed.objects.get().secrets
    assert encryption.unseal(stored["password"]) == "hush-hush"
    assert encryption.unseal(stored["key"]) == PRIVATE.strip()
    assert fed("feed", "set", "hr", *OF, "--secret-from", "-", "--secret", "password").status == 0
    assert set(models.Feed.objects.get().secrets) == {"key", "passphrase"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    with SftpServer(tmp_path / "out") as running:
        yield running


def add_server(muster: Muster, server: SftpServer) -> str:
    """A feed of the server, and the fingerprint of the server's key as `ssh-keygen -l` has it."""
    done = muster("feed", "add", "hr", *OF, "--sftp", f"muster@127.0.0.1:{server.port}")
    assert done.status == 0, done.err
    return str(server.host_key.get_fingerprint())


def test_a_host_key_is_shown_and_accepted_by_a_person(springfield: Muster, server: SftpServer) -> None:
    fingerprint = add_server(springfield, server)
    for answer in (b"no\n", b"", b"\n"):
        refused = springfield("feed", "set", "hr", *OF, "--accept-host-key", stdin=answer)
        assert refused.status == 3
        assert fingerprint in refused.err
        assert not models.Feed.objects.get().host_key
    done = springfield("feed", "set", "hr", *OF, "--accept-host-key", "--output", "json", stdin=b"yes\n")
    assert (done.status, done.json["host_key"]) == (0, fingerprint)
    assert models.Feed.objects.get().host_key == server.pinned
    assert fingerprint in models.Event.objects.get(kind="feed.host-key-accepted").changes


def test_a_host_key_is_accepted_by_its_fingerprint_only(springfield: Muster, server: SftpServer) -> None:
    fingerprint = add_server(springfield, server)
    wrong = springfield("feed", "set", "hr", *OF, "--accept-host-key", "--fingerprint", f"{fingerprint[:-1]}!")
    assert wrong.status == 3
    assert f"The server has another host key: {fingerprint}" in wrong.err
    assert not models.Feed.objects.get().host_key
    assert springfield("feed", "set", "hr", *OF, "--accept-host-key", "--fingerprint", fingerprint).status == 0
    assert models.Feed.objects.get().host_key == server.pinned


def test_a_server_that_does_not_answer_is_said(springfield: Muster, server: SftpServer) -> None:
    add_server(springfield, server)
    server.stop()
    done = springfield("feed", "set", "hr", *OF, "--accept-host-key", "--fingerprint", "SHA256:x")
    assert (done.status, "127.0.0.1" in done.err) == (5, True)
    springfield("feed", "add", "sent", *OF, "--sent")
    assert springfield("feed", "set", "sent", *OF, "--accept-host-key").status == 5


def test_the_secret_of_an_address_is_its_header(springfield: Muster) -> None:
    springfield("feed", "add", "hr", *OF, "--https", "https://files.example.org/hr.csv", "--header", "Authorization")
    done = springfield("feed", "set", "hr", *OF, "--secret-from", "-", "--output", "json", stdin=b"Bearer hush\n")
    assert done.json["secrets"] == ["header"]
    assert encryption.unseal(models.Feed.objects.get().secrets["header"]) == "Bearer hush"


def test_a_new_feed_says_what_it_still_needs(springfield: Muster) -> None:
    said = {
        name: springfield("feed", "add", name, *OF, *location).err
        for name, location in (
            ("a", ("--sftp", "m@h.example")), ("b", ("--https", "https://h.example/x", "--header", "X-Key")),
            ("c", ("--sent",)), ("d", ("--command",)),
        )
    }  # fmt: skip
    assert "--accept-host-key" in said["a"]
    assert "--secret-from" in said["b"]
    assert "--new-token" in said["c"]
    assert "muster feed set" not in said["d"]


def test_a_token_is_printed_once_and_only_for_a_feed_that_is_sent_files(springfield: Muster) -> None:
    springfield("feed", "add", "hr", *OF, "--sent")
    token = springfield("feed", "set", "hr", *OF, "--new-token").text.strip()
    assert feeds.check_token(models.Agency.objects.get(), "hr", token).name == "hr"
    again = springfield("feed", "set", "hr", *OF, "--new-token", "--output", "json").json["token"]
    assert again != token
    shown = springfield("feed", "show", "hr", *OF, "--output", "json")
    assert shown.json["token"] is True
    assert again not in shown.text + springfield("audit", *OF, "--format", "json").text
    springfield("feed", "add", "folder", *OF, "--folder", "x")
    assert springfield("feed", "set", "folder", *OF, "--new-token").status == 3


def test_feeds_are_listed_with_their_state(fed: Muster) -> None:
    empty = fed("feed", "list", "--agency", "springfield-pd", "--output", "json")
    assert [one["feed"] for one in empty.json] == ["hr"]
    states = {
        "shows its next file": {}, "paused: Merger": {"paused_at": "2026-03-02T07:00Z", "paused_why": "Merger"},
        "stopped: key": {"stopped": "key"}, "cannot be reached: down": {"problem": "down"},
    }  # fmt: skip
    for sentence, fields in states.items():
        models.Feed.objects.update(**{"paused_at": None, "stopped": "", "problem": "", **fields})
        assert sentence in fed("feed", "list", *OF).text
    models.Feed.objects.update(
        problem="", arrived_at="2026-03-02T07:00Z", approved=feeds.digest_settings(models.Feed.objects.get())
    )
    assert "hr  update  sftp  fine  last file: 2026-03-02 07:00 UTC" in fed("feed", "list", *OF).text


def test_a_late_feed_says_so(springfield: Muster) -> None:
    springfield("feed", "add", "hr", *OF, "--sent", "--expected-by", "06:00", "--output", "json")
    models.Feed.objects.update(created_at="2026-03-02T07:00Z")
    assert springfield("feed", "list", *OF, "--output", "json").json[0]["state"] == "late"
    assert "hr  update  sent  late" in springfield("feed", "list", *OF).text


def test_a_feed_says_when_it_is_checked_next_and_one_that_is_sent_files_never(fed: Muster) -> None:
    fed("feed", "add", "sent", *OF, "--sent")
    models.Feed.objects.update(next_check_at="2026-03-02T07:00Z")
    listed = fed("feed", "list", *OF, "--output", "json").json
    assert [one["next_check_at"] for one in listed] == ["2026-03-02T07:00:00+00:00", None]


def test_a_feed_that_is_checked_for_the_first_time_names_no_time_for_it(fed: Muster) -> None:
    claims.claim(models.Feed.objects.all(), "worker", datetime.now(UTC))
    assert fed("feed", "list", *OF, "--output", "json").json[0]["next_check_at"] is None


def test_an_agency_without_feeds_says_how_to_add_one(springfield: Muster) -> None:
    assert "muster feed add NAME" in springfield("feed", "list", *OF).err


def test_a_feed_is_paused_resumed_and_removed(fed: Muster) -> None:
    paused = fed("feed", "pause", "hr", *OF, "--why", "Merger", "--output", "json").json["paused"]
    assert (paused["by"], paused["why"]) == ("", "Merger")
    assert "paused: Merger" in fed("feed", "show", "hr", *OF).text
    assert fed("feed", "resume", "hr", *OF, "--output", "json").json["paused"] is None
    assert "was removed" in fed("feed", "remove", "hr", *OF).err
    assert fed("feed", "show", "hr", *OF).status == 2
    kinds = list(models.Event.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds[-4:] == ["feed.added", "feed.paused", "feed.resumed", "feed.removed"]


def test_resuming_a_feed_that_a_host_key_has_stopped_names_the_command_that_accepts_the_key(fed: Muster) -> None:
    models.Feed.objects.update(stopped="Another key.")
    assert "muster feed set hr --agency springfield-pd --accept-host-key" in fed("feed", "resume", "hr", *OF).err
    assert "--accept-host-key" not in fed("feed", "resume", "hr", *OF).err


def test_a_feed_whose_last_file_failed_says_so(fed: Muster) -> None:
    feed = models.Feed.objects.get()
    now = datetime.now(UTC)
    models.FeedFile.objects.create(feed=feed, name="a.csv", size=1, sha256="a", at=now, problem="It is cut off.")
    assert "the last file could not be imported" in fed("feed", "show", "hr", *OF).text
    assert fed("feed", "show", "hr", *OF, "--output", "json").json["state"] == "failed"


def test_another_agencys_feed_is_unknown(fed: Muster) -> None:
    write(fed, "other.toml", AGENCY.replace("springfield-pd", "shelbyville-pd"))
    fed("agency", "apply", fed.folder / "other.toml")
    for command in ("show", "pause", "resume", "remove"):
        done = fed("feed", command, "hr", "--agency", "shelbyville-pd")
        assert done.status == 2
        assert "There is no feed “hr”" in done.err
    assert fed("import", "-", "--agency", "shelbyville-pd", "--feed", "hr").status == 2
    assert models.Feed.objects.count() == 1


def test_a_user_who_acts_needs_their_permissions(staffed: Muster) -> None:
    assert staffed("feed", "add", "hr", *OF, "--sent", "--as", "E-cy").status == 2
    assert staffed("feed", "add", "hr", *OF, "--sent", "--as", "E-nobody").status == 2
    assert staffed("feed", "add", "hr", *OF, "--sent", "--as", "E-ann").status == 0
    assert models.Event.objects.latest("pk").actor == "E-ann"
    for call in (
        ("set", "--every", "7"), ("set", "--new-token"), ("set", "--secret-from", "-"), ("set", "--accept-host-key"), ("remove",),
    ):  # fmt: skip
        done = staffed("feed", call[0], "hr", *OF, *call[1:], "--as", "E-cy")
        assert done.status == 2, call
        assert "every permission" in done.err
    assert staffed("feed", "pause", "hr", *OF, "--as", "E-cy").status == 0
    assert staffed("feed", "resume", "hr", *OF, "--as", "E-otto").status == 2
    assert models.Feed.objects.get().paused_by == "E-cy"


def test_an_import_as_a_feed_has_everything_that_the_feed_specifies(staffed: Muster) -> None:
    assert staffed(
        "feed", "add", "hr", *OF, "--command", "--mode", "sync", "--source", "", "--map", "Badge No=BADGE_NUMBER", "--set",
        'delimiter=semicolon', "--value", "STATUS:Gone=Inactive", "--set", 'limits=[{kind="deactivations", users=0, percent=0}]',
    ).status == 0  # fmt: skip
    rows = [row("ann", role="Admin"), row("cy", role="Clerk"), row("otto", status="Gone"), row("olga")]
    file = staffed.file(*(one.replace(",", ";") for one in rows))
    text = file.read_text().replace(",", ";").replace("BADGE_NUMBER", "Badge No")
    file.write_text(text)
    done = staffed("import", file, *OF, "--feed", "hr", "--output", "json")
    assert (done.status, done.json["state"], done.json["mode"]) == (4, "held", "sync"), done.err
    assert done.json["holds"][0]["limit"] == 0
    done = staffed(
        "import", file, *OF, "--feed", "hr", "--mode", "update", "--confirm", "deactivations=1", "--output", "json"
    )
    assert (done.json["state"], done.json["mode"]) == ("applied", "update")
    record = models.Import.objects.latest("pk")
    assert record.feed is not None
    assert (record.feed.name, record.options["values"]) == ("hr", {"STATUS": {"Gone": "Inactive"}})
