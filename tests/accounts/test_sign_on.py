"""Single sign-on by OpenID Connect, with a real provider on loopback, and attacked."""

import re
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.http import HttpResponseBase
from django.test import Client

from musterbook import jobs
from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.agency import agency_file
from musterbook.directory.imports import history
from tests.accounts.conftest import Springfield, age_session
from tests.accounts.test_entrance import HOME, read_username, sign_in, text
from tests.directory import cast
from tests.directory.cast import person

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what the provider uses
    import oidc_provider_mock

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what the provider uses, in a thread of ours
]
OIDC = "/springfield/sign-in/with/oidc/county/login/"


@pytest.fixture
def client() -> Client:
    """A browser: it names the host that it asks, as SAML wants it."""
    return Client(headers={"Host": "testserver"})


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider on loopback that knows some people; its address."""
    people = [
        oidc_provider_mock.User(sub="1", claims={"email": "user1@agency.example", "email_verified": True}),
        oidc_provider_mock.User(
            sub="2", claims={"email": "USER2@agency.example", "email_verified": True, "employee": "E-2"}
        ),
        oidc_provider_mock.User(sub="3", claims={"email": "user3@agency.example", "email_verified": True}),
        oidc_provider_mock.User(sub="unsure", claims={"email": "user2@agency.example", "email_verified": False}),
        oidc_provider_mock.User(
            sub="liar", claims={"email": "user1@agency.example", "email_verified": True, "employee": "E-2"}
        ),
        oidc_provider_mock.User(sub="stranger", claims={"email": "nobody@agency.example", "email_verified": True}),
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


def add_provider(made: Springfield, **settings: Any) -> None:
    """Gives the agency a provider."""
    usual = {
        "slug": "county",
        "name": "County",
        "match": "email",
        "claim": "",
        "trust_email": False,
        "second_factor": False,
    }
    models.Agency.objects.filter(pk=made.agency.pk).update(sign_on=[usual | settings])


def add_oidc(made: Springfield, server: str, **more: Any) -> None:
    """Gives the agency the provider at that address."""
    add_provider(
        made,
        **({"kind": "oidc", "server": server, "client_id": "musterbook", "secret": encryption.seal("hush")} | more),
    )


@pytest.fixture
def oidc(springfield: Springfield, provider: str) -> Springfield:
    """The agency, whose users sign in by the provider."""
    add_oidc(springfield, provider)
    return springfield


def begin_sign_on(client: Client, start: str = OIDC) -> str:
    """Begins, and gives the address at the provider that the browser is sent to."""
    return str(client.post(start).headers["Location"])


def get_answer(address: str, sub: str) -> str:
    """What the provider sends the browser back to, when the person says who they are."""
    answer = requests.post(address, data={"sub": sub}, allow_redirects=False, timeout=10)
    return str(answer.headers["Location"])


def strip_host(address: str) -> str:
    """The address without its host."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def complete_sign_on(client: Client, sub: str) -> HttpResponseBase:
    """The whole way round."""
    return client.get(strip_host(get_answer(begin_sign_on(client), sub)))


def test_a_user_comes_in_by_the_provider_and_is_registered_by_that(oidc: Springfield, client: Client) -> None:
    assert complete_sign_on(client, "2").headers["Location"] == HOME
    assert read_username(client) == "user.2"
    user = oidc.user(2)
    assert user.registered_at
    assert not user.account.has_usable_password()
    assert oidc.events() == [
        (f"user.{kind}", "E-2", "E-2", "") for kind in ("registered", "sign-on-bound", "signed-in")
    ]
    assert models.Event.objects.latest("id").changes == '{"factors":["","county"]}'
    client.post("/springfield/sign-out")
    complete_sign_on(client, "2")
    assert Account.objects.count() == 1
    assert read_username(client) == "user.2"


def test_a_user_without_a_password_learns_how_to_get_one(oidc: Springfield, client: Client) -> None:
    complete_sign_on(client, "2")
    assert "You have no password here" in text(client.get("/springfield/my-account/password", follow=True))


@pytest.mark.parametrize("sub", ["3", "stranger", "unsure"])
def test_inactive_unknown_and_unverified_users_get_the_same_answer(oidc: Springfield, client: Client, sub: str) -> None:
    answer = complete_sign_on(client, sub)
    assert answer.status_code == 403
    assert text(answer) == text(complete_sign_on(Client(), "stranger"))
    assert read_username(client) == ""
    assert not Account.objects.exists()
    assert oidc.events()[-1][0] == "user.sign-in-failed"


def test_an_address_that_the_configuration_trusts_needs_no_voucher(
    oidc: Springfield, provider: str, client: Client
) -> None:
    add_oidc(oidc, provider, trust_email=True)
    complete_sign_on(client, "unsure")
    assert read_username(client) == "user.2"


def test_where_the_external_id_decides_an_address_decides_nothing(
    oidc: Springfield, provider: str, client: Client
) -> None:
    add_oidc(oidc, provider, match="external_id", claim="employee")
    complete_sign_on(client, "liar")
    assert read_username(client) == "user.2"
    other = Client()
    assert complete_sign_on(other, "1").status_code == 403


def test_a_user_with_a_password_keeps_it(oidc: Springfield, client: Client) -> None:
    account = oidc.registered(2)
    complete_sign_on(client, "2")
    assert read_username(client) == "user.2"
    assert Account.objects.get() == account
    assert sign_in(Client(), "user.2").status_code == 302


def test_a_lock_does_not_hold_up_a_provider(oidc: Springfield, client: Client) -> None:
    models.User.objects.update(locked_at=jobs.now())
    complete_sign_on(client, "2")
    assert read_username(client) == "user.2"


def test_the_provider_answers_for_the_second_factor_unless_the_agency_says_otherwise(
    oidc: Springfield, provider: str, client: Client
) -> None:
    models.Role.objects.update(second_factor=True)
    complete_sign_on(client, "2")
    assert read_username(client) == "user.2"
    add_oidc(oidc, provider, second_factor=True)
    assert client.get(HOME).headers["Location"].endswith("/second-factors/")


def test_signing_in_again_is_asked_of_who_has_nothing_but_the_provider(oidc: Springfield, client: Client) -> None:
    complete_sign_on(client, "2")
    page = "/springfield/my-account/second-factors/totp/activate/"
    assert client.get(page).status_code == 200
    age_session(client, 16)
    assert client.get(page).headers["Location"].startswith("/springfield/sign-in")


def test_the_page_offers_the_provider_and_may_lead_there(oidc: Springfield, provider: str, client: Client) -> None:
    page = client.get("/springfield/sign-in")
    assert "Sign in with County" in text(page)
    assert f"form-action 'self' {provider};" in page.headers["Content-Security-Policy"]


def test_it_is_begun_by_a_form_with_proof_of_work_and_state(oidc: Springfield, client: Client) -> None:
    assert client.get(OIDC).status_code == 200
    query = parse_qs(urlsplit(begin_sign_on(client)).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://localhost:8000/springfield/sign-in/with/oidc/county/login/callback/"]
    assert Client(enforce_csrf_checks=True).post(OIDC).status_code == 403


def test_an_answer_is_good_for_the_browser_that_asked_and_once(oidc: Springfield, client: Client) -> None:
    back = strip_host(get_answer(begin_sign_on(client), "2"))
    thief = Client()
    thief.get(back)
    assert read_username(thief) == ""
    client.get(back)
    assert read_username(client) == "user.2"
    client.post("/springfield/sign-out")
    client.get(back)
    assert read_username(client) == ""


def test_a_made_up_code_or_a_refusal_lets_nobody_in(oidc: Springfield, client: Client) -> None:
    back = strip_host(get_answer(begin_sign_on(client), "2"))
    assert client.get(re.sub(r"code=[^&]*", "code=made-up", back)).headers["Location"] == "/springfield/sign-in/failed"
    state = parse_qs(urlsplit(begin_sign_on(client)).query)["state"][0]
    callback = "/springfield/sign-in/with/oidc/county/login/callback/"
    client.get(f"{callback}?error=access_denied&state={state}")
    assert read_username(client) == ""
    assert client.get("/springfield/sign-in/failed").status_code == 403


def test_a_provider_that_is_away_is_no_failure_of_ours(oidc: Springfield, client: Client) -> None:
    add_oidc(oidc, "http://localhost:1")
    assert begin_sign_on(client) == "/springfield/sign-in/failed"
    assert oidc.events()[-1] == ("user.sign-in-failed", "", "", "failed")


def test_a_provider_of_one_agency_is_none_in_another(
    oidc: Springfield, shelbyville: Springfield, client: Client
) -> None:
    assert client.post(OIDC.replace("springfield", "shelbyville")).status_code == 404
    back = strip_host(get_answer(begin_sign_on(client), "2"))
    assert client.get(back.replace("springfield", "shelbyville")).status_code == 404
    add_provider(shelbyville, **oidc_settings(oidc))
    assert client.get(back.replace("springfield", "shelbyville")).headers["Location"] != "/shelbyville/"
    assert not models.User.objects.filter(agency=shelbyville.agency, registered_at__isnull=False).exists()


def oidc_settings(made: Springfield) -> dict[str, Any]:
    """The agency's provider."""
    settings_entry: dict[str, Any] = models.Agency.objects.get(pk=made.agency.pk).sign_on[0]
    return settings_entry


def test_it_leads_nowhere_else_afterwards(oidc: Springfield, client: Client) -> None:
    start = client.post(f"{OIDC}?next=https://evil.example/").headers["Location"]
    answer = client.get(strip_host(get_answer(str(start), "2")))
    assert answer.headers["Location"] == HOME


def test_an_import_that_changes_the_address_a_provider_knows_says_so(oidc: Springfield, client: Client) -> None:
    complete_sign_on(client, "2")
    done = cast.run(
        models.Agency.objects.get(pk=oidc.agency.pk),
        [person(1, EMAIL="x@y.example"), person(2, EMAIL="new@agency.example")],
    )
    report = history.make_report(done.record, done.plan, RowFilter.ALL)
    noted = [(row.external_id, note.code) for row in report.rows for note in row.notes]
    assert noted == [("E-2", "sign-on-address")]
    remark = next(note for row in report.rows for note in row.notes)
    assert str(remark.as_json()["message"]).startswith(
        "The user's identity provider identifies them as “user2@agency.example”"
    )


FILE = """
slug = "springfield"
name = "Springfield"
[[sign_on]]
slug = "county"
name = "County"
kind = "oidc"
server = "https://login.county.example"
client_id = "musterbook"
client_secret_env = "COUNTY_SECRET"
"""


def test_an_agency_file_names_providers_and_keeps_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTY_SECRET", "hush")
    providers = agency_file.read_agency_file(FILE.encode()).sign_on
    assert providers
    assert encryption.unseal(providers[0]["secret"]) == "hush"
    assert "hush" not in str(providers)
    assert providers[0]["match"] == "email"
