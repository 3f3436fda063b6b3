"""Attacks by way of OpenID Connect, and on what is said of providers: forged and stolen answers, and providers that lie."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from musterbook.accounts import claims, openid
from musterbook.accounts.limits import RATES
from musterbook.accounts.models import Account, Identity
from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.agency import agency_file, sign_on_file
from tests.accounts.conftest import Springfield, age_session
from tests.accounts.test_entrance import HOME, read_username, sign_in, text
from tests.accounts.test_sign_on import OIDC, add_provider, oidc_settings
from tests.certificates import certificate
from tests.directory.cast import person

pytestmark = pytest.mark.any_database

CALLBACK = f"{OIDC}callback/"
FAILED = "/springfield/sign-in/failed"
USER, ADMIN = "user2@agency.example", "user1@agency.example"


class Forger(ThreadingHTTPServer):
    """A provider on this machine that answers whatever it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.key: Any = rsa.generate_private_key(65537, 2048)
        self.here = f"http://localhost:{self.server_port}"
        self.reset()

    def reset(self) -> None:
        """Becomes an honest provider."""
        self.asked: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.metadata: dict[str, Any] = {
            "issuer": self.here, "authorization_endpoint": f"{self.here}/authorize", "token_endpoint": f"{self.here}/token",
            "userinfo_endpoint": f"{self.here}/userinfo", "jwks_uri": f"{self.here}/keys",
        }  # fmt: skip
        self.keys: list[dict[str, Any]] = [self.jwk(self.key)]
        self.claims: dict[str, Any] = {"sub": "p-2", "email": USER, "email_verified": True}
        self.userinfo: Any = {"sub": "p-2"}
        self.signed: Callable[[dict[str, Any]], Any] = self.sign
        self.nonce = ""
        self.status = 200

    @staticmethod
    def jwk(key: Any, **more: Any) -> dict[str, Any]:
        """The public half of a key, as a provider publishes it."""
        kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        key_data: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
        return key_data | {"kid": "k"} | more

    def sign(self, payload: dict[str, Any], key: Any = None, alg: str = "RS256", kid: str = "k") -> str:
        """An ID token."""
        return jwt.encode(payload, key or self.key, algorithm=alg, headers={"kid": kid})

    def id_token(self) -> Any:
        """The claims that are told, and those that each token has."""
        now = int(time.time())
        usual = {"iss": self.here, "aud": "musterbook", "exp": now + 300, "iat": now, "nonce": self.nonce}
        payload = {name: value for name, value in (usual | self.claims).items() if value is not ...}
        return self.signed(payload)


class Answering(BaseHTTPRequestHandler):
    """How the provider answers."""

    server: Forger

    def do_GET(self) -> None:
        """Metadata, keys and user information."""
        self.server.asked.append(urlsplit(self.path).path)
        known = {"/keys": {"keys": self.server.keys}, "/userinfo": self.server.userinfo}
        self._say(known.get(self.path, self.server.metadata))

    def do_POST(self) -> None:
        """Tokens."""
        self.server.asked.append(urlsplit(self.path).path)
        self.server.forms.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        token = self.server.id_token()
        self._say({"access_token": "a", "token_type": "Bearer"} | ({} if token is None else {"id_token": token}))

    def _say(self, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def _forger() -> Iterator[Forger]:
    with Forger() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def forger(_forger: Forger, springfield: Springfield) -> Forger:
    """The provider, honest until it is told otherwise, of the agency Springfield."""
    _forger.reset()
    openid._documents.clear()
    by(springfield, _forger)
    return _forger


def by(made: Springfield, forger: Forger, **more: Any) -> None:
    usual = {"kind": "oidc", "server": forger.here, "client_id": "musterbook", "secret": encryption.seal("hush")}
    add_provider(made, **(usual | more))


def start_sign_on(client: Client, forger: Forger, **sent: str) -> dict[str, str]:
    """Begins, and gives what the browser brings the provider."""
    address = str(client.post(OIDC, sent).headers["Location"])
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    forger.nonce = query.get("nonce", "")
    return query


def return_to_us(client: Client, state: str, **more: str) -> HttpResponse:
    return client.get(f"{CALLBACK}?{urlencode({'code': 'c', 'state': state, **more})}")  # type: ignore[return-value]


def complete_sign_on(client: Client, forger: Forger, **more: str) -> HttpResponse:
    """The whole way to the provider and back."""
    return return_to_us(client, start_sign_on(client, forger).get("state", "none"), **more)


def assert_refused(client: Client, answer: HttpResponse) -> None:
    assert answer.status_code == 403 or answer.headers["Location"] == FAILED, answer.headers
    assert read_username(client) == ""
    assert not Account.objects.exists() and not Identity.objects.exists()


def test_an_honest_provider_lets_its_user_in(forger: Forger, client: Client) -> None:
    asked = start_sign_on(client, forger)
    assert len(asked["nonce"]) >= 32 and len(asked["state"]) >= 32 and asked["code_challenge_method"] == "S256"
    assert return_to_us(client, asked["state"]).headers["Location"] == HOME
    assert read_username(client) == "user.2"
    sent = forger.forms[0]
    assert sent["client_secret"] == ["hush"] and sent["grant_type"] == ["authorization_code"] and sent["code_verifier"]


# Claims have types


@pytest.mark.parametrize(
    "said", ["false", "False", "no", "0", "yes", "1", "", 1, 0, [], ["true"], {"a": True}, None, ..., 1.0]
)
@pytest.mark.parametrize("where", ["token", "userinfo"])
def test_nothing_but_true_says_that_an_address_is_verified(
    forger: Forger, client: Client, said: Any, where: str
) -> None:
    person = {"email": ADMIN} | ({} if said is ... else {"email_verified": said})
    if where == "token":
        forger.claims = {"sub": "p-2"} | person
    else:
        forger.claims, forger.userinfo = {"sub": "p-2"}, {"sub": "p-2"} | person
    assert_refused(client, complete_sign_on(client, forger))


@pytest.mark.parametrize("said", [True, "true", "True"])
def test_true_does(forger: Forger, client: Client, said: Any) -> None:
    forger.claims["email_verified"] = said
    complete_sign_on(client, forger)
    assert read_username(client) == "user.2"


@pytest.mark.parametrize(
    ("stored", "told"), [("u9@heßen.example", "u9@hessen.example"), ("u9@hessen.example", "u9@heßen.example")]
)
def test_an_address_with_the_same_key_is_another_persons_at_the_provider(
    forger: Forger, client: Client, springfield: Springfield, stored: str, told: str
) -> None:
    springfield.imported(person(9, EMAIL=stored))
    forger.claims, forger.userinfo = {"sub": "p-9", "email": told, "email_verified": True}, {"sub": "p-9"}
    assert_refused(client, complete_sign_on(client, forger))
    forger.claims["email"] = stored.replace("u9", "U9")
    complete_sign_on(client, forger)
    assert read_username(client) == "user.9"


def test_one_address_is_not_verified_by_the_word_on_another(forger: Forger, client: Client) -> None:
    forger.claims = {"sub": "p-2", "email": ADMIN}
    forger.userinfo = {"sub": "p-2", "email": "mine@else.example", "email_verified": True}
    assert_refused(client, complete_sign_on(client, forger))


@pytest.mark.parametrize(
    "told",
    [
        {"email": [ADMIN]}, {"email": {"a": ADMIN}}, {"email": 5}, {"email": f"{ADMIN}\0"}, {"email": "x" * 5000},
        {"email": True}, {"sub": 5}, {"sub": ""}, {"sub": ["p-2"]}, {"sub": None}, {"sub": "x" * 300}, {"sub": "a\0b"},
        {"sub": ...},
        {"auth_time": "x"}, {"auth_time": True}, {"auth_time": -1}, {"auth_time": 1e300}, {"acr": ["x"]},
        {"amr": {"mfa": True}}, {"amr": ["x"] * 60},
        {"amr": [["mfa"]]}, {"nonce": 5}, {"azp": 5},
    ],
)  # fmt: skip
def test_a_claim_of_another_type_is_an_answer_that_is_not_used(forger: Forger, client: Client, told: Any) -> None:
    forger.claims |= told
    assert_refused(client, complete_sign_on(client, forger))


@pytest.mark.parametrize(
    "said", [True, ["E-1", "E-2"], {"E-2": 1}, None, [], "", ["E-2", ["E-2"], "E-1"], 2.0, " E-2", "e-2"]
)
def test_an_external_id_is_one_text(springfield: Springfield, forger: Forger, client: Client, said: Any) -> None:
    by(springfield, forger, match="external_id", claim="employee")
    forger.claims["employee"] = said
    assert_refused(client, complete_sign_on(client, forger))


@pytest.mark.parametrize(
    "like", ["u\u017fer2@agency.example", "user\uff12@agency.example", "\uff55ser2@agency.example"]
)
def test_an_address_that_only_looks_alike_is_somebody_elses(forger: Forger, client: Client, like: str) -> None:
    forger.claims["email"] = like
    assert_refused(client, complete_sign_on(client, forger))


# ID tokens


def _by_another_key(forger: Forger) -> None:
    forger.signed = lambda told: forger.sign(told, rsa.generate_private_key(65537, 2048))


def _unsigned(forger: Forger) -> None:
    forger.signed = lambda told: jwt.encode(told, "", algorithm="none", headers={"kid": "k"})


def _signature_cut_off(forger: Forger) -> None:
    forger.signed = lambda told: forger.sign(told).rpartition(".")[0] + "."


def _by_the_client_secret(forger: Forger) -> None:
    forger.signed = lambda told: jwt.encode(told, "hush" * 8, algorithm="HS256", headers={"kid": "k"})


def _by_the_public_key_as_secret(forger: Forger) -> None:
    """The old confusion of algorithms."""
    secret = base64.urlsafe_b64decode(forger.keys[0]["n"] + "==")
    forger.keys = [{"kty": "oct", "kid": "k", "k": forger.keys[0]["n"]}, *forger.keys]
    forger.signed = lambda told: jwt.encode(told, secret, algorithm="HS256", headers={"kid": "k"})


def _by_a_key_in_its_own_header(forger: Forger) -> None:
    mine = rsa.generate_private_key(65537, 2048)
    forger.signed = lambda told: jwt.encode(
        told, mine, algorithm="RS256", headers={"jwk": Forger.jwk(mine), "kid": "mine"}
    )


def _changed_after_signing(forger: Forger) -> None:
    def changed(payload: dict[str, Any]) -> str:
        head, _, tail = forger.sign(payload).split(".")
        body = base64.urlsafe_b64encode(json.dumps(payload | {"email": ADMIN}).encode()).rstrip(b"=").decode()
        return f"{head}.{body}.{tail}"

    forger.signed = changed


def _by_a_short_key(forger: Forger) -> None:
    short = rsa.generate_private_key(65537, 1024)
    forger.keys = [forger.jwk(short)]
    forger.signed = lambda told: forger.sign(told, short)


def _by_a_key_for_encryption(forger: Forger) -> None:
    forger.keys = [forger.jwk(forger.key, use="enc")]


def _by_two_keys_of_one_name(forger: Forger) -> None:
    forger.keys = [forger.jwk(rsa.generate_private_key(65537, 2048)), *forger.keys]


def _by_another_algorithm_than_the_key(forger: Forger) -> None:
    forger.keys = [forger.jwk(forger.key, alg="PS256")]


def _no_keys(forger: Forger) -> None:
    forger.keys = []


def _keys_are_nonsense(forger: Forger) -> None:
    forger.keys = [5, "x", {"kty": "RSA", "kid": "k", "n": "!", "e": "!"}, {}]  # type: ignore[list-item]


def _no_token(forger: Forger) -> None:
    forger.signed = lambda _: None


def _token_is_no_text(forger: Forger) -> None:
    forger.signed = lambda told: [forger.sign(told)]


def _says(**told: Any) -> Callable[[Forger], None]:
    def lie(forger: Forger) -> None:
        forger.claims |= told

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        _by_another_key, _unsigned, _signature_cut_off, _by_the_client_secret, _by_the_public_key_as_secret,
        _by_a_key_in_its_own_header, _changed_after_signing, _by_a_short_key, _by_a_key_for_encryption, _by_two_keys_of_one_name,
        _by_another_algorithm_than_the_key, _no_keys, _keys_are_nonsense, _no_token, _token_is_no_text,
        _says(iss="https://other.example"), _says(iss=...), _says(iss=["http://localhost"]), _says(aud="other"), _says(aud=...),
        _says(aud=["other", "another"]), _says(aud=["musterbook", "other"]), _says(azp="other"), _says(exp=1), _says(exp=...),
        _says(exp="x"), _says(nbf=4_000_000_000), _says(iat=4_000_000_000), _says(iat=1), _says(iat=...), _says(nonce="other"),
        _says(nonce=...), _says(nonce=""),
    ],
)  # fmt: skip
def test_an_id_token_that_is_not_genuine_lets_nobody_in(
    forger: Forger, client: Client, lie: Callable[[Forger], None]
) -> None:
    lie(forger)
    assert_refused(client, complete_sign_on(client, forger))
    assert text(client.get(FAILED, follow=True))


def test_keys_of_other_kinds_and_new_keys_are_taken(forger: Forger, client: Client) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    complete_sign_on(client, forger)
    forger.keys = [*forger.keys, forger.jwk(curve, kid="new")]
    forger.signed = lambda told: forger.sign(told, curve, "ES256", "new")
    openid._documents[f"{forger.here}/keys"] = (time.monotonic() - 61, openid._documents[f"{forger.here}/keys"][1])
    other = Client()
    complete_sign_on(other, forger)
    assert read_username(other) == "user.2"


def test_a_token_of_one_sign_in_is_no_good_in_another(forger: Forger, client: Client) -> None:
    """Somebody has a genuine token of the victim's, and injects its code into a sign-in of their own."""
    victim = Client()
    start_sign_on(victim, forger)
    stolen = forger.id_token()
    mine = start_sign_on(client, forger)
    forger.signed = lambda _: stolen
    assert_refused(client, return_to_us(client, mine["state"]))


# The callback


def test_an_answer_is_used_once_even_if_the_browser_keeps_its_cookies(forger: Forger, client: Client) -> None:
    asked = start_sign_on(client, forger)
    kept = {name: morsel.value for name, morsel in client.cookies.items()}
    return_to_us(client, asked["state"])
    assert read_username(client) == "user.2"
    again = Client()
    for name, value in kept.items():
        again.cookies[name] = value
    assert return_to_us(again, asked["state"]).headers["Location"] == FAILED
    assert read_username(again) == ""


def test_an_answer_is_good_in_the_browser_that_asked_for_it(forger: Forger, client: Client) -> None:
    asked = start_sign_on(client, forger)
    for browser, state in ((Client(), asked["state"]), (client, "made-up"), (client, "")):
        assert return_to_us(browser, state).headers["Location"] == FAILED
    answer = client.get(f"{CALLBACK}?code=c&state={asked['state']}&state={asked['state']}")
    assert answer.headers["Location"] == FAILED
    assert client.post(f"{CALLBACK}?code=c&state={asked['state']}").status_code == 405
    assert "/token" not in forger.asked


def test_what_was_begun_long_ago_or_at_another_provider_is_no_good(
    springfield: Springfield, forger: Forger, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = start_sign_on(client, forger)
    providers = [oidc_settings(springfield), oidc_settings(springfield) | {"slug": "city"}]
    models.Agency.objects.filter(pk=springfield.agency.pk).update(sign_on=providers)
    other = client.get(f"{CALLBACK.replace('county', 'city')}?code=c&state={asked['state']}")
    assert other.headers["Location"] == FAILED
    monkeypatch.setattr("musterbook.accounts.sign_on_attempts.LIFETIME", -1)
    assert return_to_us(client, asked["state"]).headers["Location"] == FAILED
    assert read_username(client) == ""


def test_several_tabs_may_sign_in_at_once(forger: Forger, client: Client) -> None:
    first, second = start_sign_on(client, forger), start_sign_on(client, forger)
    forger.nonce = first["nonce"]
    return_to_us(client, first["state"])
    assert read_username(client) == "user.2"
    client.post("/springfield/sign-out")
    forger.nonce = second["nonce"]
    return_to_us(client, second["state"])
    assert read_username(client) == "user.2"


@pytest.mark.parametrize("named", ["https://other.example", "", "HTTP://LOCALHOST"])
def test_a_callback_that_names_another_issuer_is_not_used(forger: Forger, client: Client, named: str) -> None:
    assert_refused(client, complete_sign_on(client, forger, iss=named))
    assert "/token" not in forger.asked


def test_a_provider_that_names_itself_in_callbacks_must(forger: Forger, client: Client) -> None:
    forger.metadata["authorization_response_iss_parameter_supported"] = True
    assert_refused(client, complete_sign_on(client, forger))
    complete_sign_on(client, forger, iss=forger.here)
    assert read_username(client) == "user.2"


def test_a_stranger_adds_nothing_to_what_the_provider_is_asked(forger: Forger, client: Client) -> None:
    answer = client.post(f"{OIDC}?auth_params=prompt%3Dnone&scope=admin&process=connect&nonce=mine")
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked["scope"] == ["openid profile email"] and "prompt" not in asked and asked["nonce"] != ["mine"]


# Metadata and user information


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "https://other.example"}, {"issuer": None}, {"issuer": ["x"]}, {"issuer": ""},
        {"token_endpoint": "https://169.254.169.254/latest"}, {"token_endpoint": "https://evil.example/token"},
        {"token_endpoint": "file:///etc/passwd"}, {"token_endpoint": None}, {"token_endpoint": ["x"]}, {"token_endpoint": ""},
        {"userinfo_endpoint": "http://127.0.0.1:1/"}, {"userinfo_endpoint": "http://localhost:1/"}, {"jwks_uri": "http://[::1]/"},
        {"jwks_uri": "https://localhost/"}, {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://phishing.example/"}, {"authorization_endpoint": "//phishing.example/"},
    ],
)  # fmt: skip
def test_metadata_of_another_issuer_or_that_lead_elsewhere_are_not_used(
    forger: Forger, client: Client, told: dict[str, Any]
) -> None:
    forger.metadata |= told
    assert client.post(OIDC).headers["Location"] == FAILED
    assert set(forger.asked) == {"/.well-known/openid-configuration"}


def test_hosts_other_than_the_issuer_are_requested_once_they_are_named(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    forger.metadata["authorization_endpoint"] = "https://login.example/authorize"
    assert client.post(OIDC).headers["Location"] == FAILED
    by(springfield, forger, hosts="login.example other.example")
    openid._documents.clear()
    assert client.post(OIDC).headers["Location"] == FAILED, "the issuer is not encrypted, in this test alone"
    openid._documents.clear()
    forger.metadata["authorization_endpoint"] = "http://login.example/authorize"
    assert client.post(OIDC).headers["Location"].startswith("http://login.example/authorize?")
    openid._documents.clear()
    forger.metadata["authorization_endpoint"] = "http://login.example:8080/authorize"
    assert client.post(OIDC).headers["Location"] == FAILED


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b"{", b"[" * 200_000, b"\xff\xfe", b"x" * 600_000])
def test_metadata_that_are_none_are_no_failure_of_ours(forger: Forger, client: Client, body: bytes) -> None:
    forger.metadata = body  # type: ignore[assignment]
    assert client.post(OIDC).headers["Location"] == FAILED


@pytest.mark.parametrize(
    "said", [{"sub": "other", "email": USER, "email_verified": True}, {}, {"sub": ["p-2"]}, [], "x", None]
)
def test_user_information_of_somebody_else_is_not_used(forger: Forger, client: Client, said: Any) -> None:
    forger.userinfo = said
    assert_refused(client, complete_sign_on(client, forger))


def test_strangers_cannot_have_the_provider_asked_again_and_again(forger: Forger) -> None:
    for _ in range(30):
        assert Client().post(OIDC).status_code == 302
    assert forger.asked == ["/.well-known/openid-configuration"]
    most = RATES["failed sign-on"].most
    for _ in range(most + 5):
        client = Client()
        return_to_us(client, start_sign_on(client, forger)["state"], error="x")
    assert forger.asked.count("/token") == 0
    for _ in range(3):
        client = Client()
        assert return_to_us(client, start_sign_on(client, forger)["state"]).status_code == 429
    assert "/token" not in forger.asked


def test_a_provider_that_is_away_is_asked_once_in_a_while(forger: Forger, client: Client) -> None:
    forger.status = 500
    for _ in range(5):
        assert client.post(OIDC).headers["Location"] == FAILED
    assert len(forger.asked) == 1


def test_strangers_write_no_session_and_few_events(forger: Forger) -> None:
    for number in range(40):
        Client().post(OIDC)
        return_to_us(Client(), f"x{number}", error="y" * 200)
    assert not Session.objects.exists()
    assert models.Event.objects.filter(kind="user.sign-in-failed").count() <= 2
    assert "yyyy" not in "".join(models.Event.objects.values_list("changes", flat=True))


# Who is meant


def test_another_person_with_the_same_address_is_not_the_user(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    complete_sign_on(client, forger)
    assert read_username(client) == "user.2"
    forger.claims["sub"] = forger.userinfo["sub"] = "p-9"
    other = Client()
    answer = complete_sign_on(other, forger)
    assert answer.status_code == 403 and "linked to another account" in text(answer)
    assert read_username(other) == ""
    latest = models.Event.objects.latest("id")
    assert (latest.kind, latest.subject_external_id, latest.outcome) == ("user.sign-in-failed", "E-2", "failed")
    assert "linked to another person" in latest.changes


def test_another_provider_of_the_agency_cannot_vouch_for_the_user(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    complete_sign_on(client, forger)
    county = oidc_settings(springfield)
    models.Agency.objects.filter(pk=springfield.agency.pk).update(
        sign_on=[county | {"slug": "real", "client_id": "musterbook"}, county | {"client_id": "elsewhere"}]
    )
    forger.claims["aud"] = "elsewhere"
    other = Client()
    assert complete_sign_on(other, forger).status_code == 403
    assert read_username(other) == ""


def test_a_person_stays_the_same_user_when_addresses_change_and_never_becomes_another(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    complete_sign_on(client, forger)
    forger.claims |= {"email": "new@else.example"}
    renamed = Client()
    complete_sign_on(renamed, forger)
    assert read_username(renamed) == "user.2"
    forger.claims |= {"email": ADMIN}
    confused = Client()
    assert complete_sign_on(confused, forger).status_code == 403
    assert read_username(confused) == ""
    models.User.objects.filter(external_id="E-2").update(active=False)
    forger.claims |= {"email": USER}
    gone = Client()
    assert complete_sign_on(gone, forger).status_code == 403


def test_an_administrator_releases_a_link_and_nobody_else_does(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    complete_sign_on(client, forger)
    officer = springfield.user(2)
    path = f"/springfield/users/{officer.pk}/sign-on"
    assert client.post(path).status_code == 403
    springfield.registered(1)
    boss = Client()
    sign_in(boss, "user.1")
    assert "linked to County since" in text(boss.get(f"/springfield/users/{officer.pk}/"))
    assert "from the provider?" in text(boss.get(path))
    assert Identity.objects.exists()
    age_session(boss, 16)
    boss.post(path)
    assert Identity.objects.exists(), "it takes a recent sign-in"
    age_session(boss, -16)
    boss.post(path)
    assert not Identity.objects.exists()
    assert models.Event.objects.latest("id").kind == "user.sign-on-released"
    forger.claims["sub"] = forger.userinfo["sub"] = "p-9"
    complete_sign_on(Client(), forger)
    assert Identity.objects.get().user == officer


def test_a_provider_that_is_gone_binds_nobody(springfield: Springfield, forger: Forger, client: Client) -> None:
    complete_sign_on(client, forger)
    by(springfield, forger, client_id="anew")
    forger.claims |= {"sub": "p-new", "aud": "anew"}
    forger.userinfo["sub"] = "p-new"
    other = Client()
    complete_sign_on(other, forger)
    assert read_username(other) == "user.2"


# How somebody signed in


@pytest.mark.parametrize(
    ("asked", "told", "enters"),
    [
        ({"acr": "phr phrh"}, {"acr": "phrh"}, True), ({"acr": "phr"}, {"acr": "pwd"}, False), ({"acr": "phr"}, {}, False),
        ({"amr": "mfa"}, {"amr": ["pwd", "mfa"]}, True), ({"amr": "mfa hwk"}, {"amr": ["mfa"]}, False),
        ({"amr": "mfa"}, {}, False), ({"max_age_minutes": 10}, {"auth_time": 30}, True), ({"max_age_minutes": 10},
        {"auth_time": 900}, False),
        ({"max_age_minutes": 10}, {}, False), ({}, {"auth_time": 90_000}, True),
    ],
)  # fmt: skip
def test_who_signed_in_too_weakly_or_too_long_ago_stays_out(
    springfield: Springfield, forger: Forger, client: Client, asked: Any, told: Any, enters: bool
) -> None:
    by(springfield, forger, **asked)
    if "auth_time" in told:
        told = {"auth_time": int(time.time()) - told["auth_time"]}
    forger.claims |= told
    sent = start_sign_on(client, forger)
    assert sent.get("acr_values") == asked.get("acr")
    assert sent.get("max_age") == ("600" if "max_age_minutes" in asked else None)
    answer = return_to_us(client, sent["state"])
    assert (read_username(client) == "user.2") is enters
    if not enters:
        assert answer.status_code == 403 and "You were not signed in" in text(answer)


GUARDED = "/springfield/my-account/second-factors/totp/activate/"


def test_an_old_session_at_the_provider_is_no_recent_sign_in(forger: Forger, client: Client) -> None:
    forger.claims["auth_time"] = int(time.time()) - 3600
    complete_sign_on(client, forger)
    assert read_username(client) == "user.2"
    assert client.get(GUARDED).headers["Location"].startswith("/springfield/sign-in/again/provider?next=")


def test_signing_in_again_at_the_provider_takes_a_new_sign_in_there(forger: Forger, client: Client) -> None:
    complete_sign_on(client, forger)
    age_session(client, 16)
    page = str(client.get(GUARDED).headers["Location"])
    assert "Sign in again with County" in text(client.get(page))

    def again() -> HttpResponse:
        sent = start_sign_on(client, forger, again="yes", next=GUARDED)
        assert (sent["prompt"], sent["max_age"]) == ("login", "0")
        return return_to_us(client, sent["state"])

    for old in (..., int(time.time()) - 600):
        forger.claims["auth_time"] = old
        assert again().status_code == 403
        assert client.get(GUARDED).status_code == 302
    forger.claims["auth_time"] = int(time.time())
    assert again().headers["Location"] == GUARDED
    assert client.get(GUARDED).status_code == 200
    assert read_username(client) == "user.2"
    assert models.Event.objects.filter(kind="user.signed-in-again").count() == 1


def test_somebody_else_does_not_sign_in_again_for_the_user(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    complete_sign_on(client, forger)
    age_session(client, 16)
    sent = start_sign_on(client, forger, again="yes", next=GUARDED)
    forger.claims = {"sub": "p-1", "email": ADMIN, "email_verified": True, "auth_time": int(time.time())}
    forger.userinfo = {"sub": "p-1"}
    answer = return_to_us(client, sent["state"])
    assert answer.status_code == 403 and "different person" in text(answer)
    assert read_username(client) == "user.2"
    assert client.get(GUARDED).status_code == 302


def test_a_form_is_taken_as_sent_after_signing_in_again_at_the_provider(
    springfield: Springfield, forger: Forger, client: Client
) -> None:
    forger.claims |= {"email": ADMIN, "auth_time": int(time.time())}
    complete_sign_on(client, forger)
    age_session(client, 16)
    path = f"/springfield/users/{springfield.user(2).pk}/deactivate"
    page = str(client.post(path, {"sure": "yes"}).headers["Location"])
    following = parse_qs(urlsplit(page).query)["next"][0]
    return_to_us(client, start_sign_on(client, forger, again="yes", next=following)["state"])
    assert not springfield.user(2).active


# What is saved


def _problems(**changed: Any) -> list[str]:
    provider = {"slug": "a", "name": "A", "kind": "oidc", "server": "https://a.example", "client_id": "x"} | changed
    lines = [f"{name} = {json.dumps(value)}" for name, value in provider.items()]
    file = 'slug = "s"\nname = "S"\n[[sign_on]]\n' + "\n".join(lines)
    try:
        agency_file.read_agency_file(file.encode())
    except agency_file.InvalidAgencyFile as faulty:
        return faulty.problems
    return []


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example;script-src *", "https://a.example; frame-ancestors *", "https://a.example/;x", "https://a b.example",
        "https://a.example'", 'https://a.example"', "https://user:pass@a.example", "https://a.example#x", "https://a.example\n",
        "https://*.example", "https://a.example,https://b.example", "https://ä.example", "http://a.example", "javascript:x",
        "data:text/html,x", "https://a.example?x=1", "https://", "https://a.example:0",
    ],
)  # fmt: skip
def test_an_address_that_could_change_a_header_or_a_request_is_not_saved(address: str) -> None:
    if address.endswith("\n"):
        assert not _problems(server=address), "blanks around it are cut off"
        return
    assert any("server" in problem for problem in _problems(server=address))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("hosts", "a.example;b", "hosts: "), ("hosts", "*.example", "hosts: "), ("acr", "<x>", "acr: "),
        ("amr", '"', "amr: "), ("max_age_minutes", -1, "max_age_minutes"), ("max_age_minutes", "5", "Write a whole number"),
        ("max_age_minutes", True, "Write a whole number"), ("max_age_minutes", 10**9, "max_age_minutes"),
    ],
)  # fmt: skip
def test_what_else_a_provider_must_say_is_checked_when_it_is_saved(setting: str, value: Any, said: str) -> None:
    assert any(said in problem for problem in _problems(**{setting: value}))
    assert _problems(hosts="b.example c.example", acr="phr phrh", amr="mfa", max_age_minutes=480) == []


@pytest.mark.parametrize(
    "told",
    [
        "MIIC",
        "x",
        "AA:BB:CC",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nMC4=\n",
        "é",
    ],
)
def test_a_certificate_that_is_none_is_not_saved(told: str) -> None:
    entries = {"kind": "saml", "entity_id": "e", "sso_url": "https://a.example/", "certificate": told}
    _, wrong = sign_on_file.parse_provider({"slug": "a", "name": "A"} | entries)
    assert [name for name, _ in wrong] == ["certificate"]


def test_a_certificate_of_a_short_key_is_not_saved_and_one_without_its_first_line_is() -> None:
    usual = {"slug": "a", "name": "A", "kind": "saml", "entity_id": "e", "sso_url": "https://a.example/"}
    short = certificate(rsa.generate_private_key(65537, 1024))
    assert "has a key of 1024 bits" in sign_on_file.parse_provider(usual | {"certificate": short})[1][0][1]
    good = certificate(rsa.generate_private_key(65537, 2048))
    bare = "".join(line for line in good.splitlines() if "-----" not in line)
    for pem in (good, bare, good.replace("\n", "\r\n")):
        assert sign_on_file.parse_provider(usual | {"certificate": pem})[1] == []


def test_an_address_saved_before_does_not_change_the_policy_either(springfield: Springfield, client: Client) -> None:
    add_provider(
        springfield, kind="saml", entity_id="x", sso_url="https://a.example;script-src * x", certificate="", secret=""
    )
    policy = client.get("/springfield/sign-in").headers["Content-Security-Policy"]
    assert "a.example" not in policy and policy.count("script-src") == 1


def test_a_reason_is_a_sentence_of_ours() -> None:
    error = claims.Untrusted(claims.CLAIM, "what somebody else wrote")
    assert error.reason == claims.CLAIM and "somebody else" not in error.reason
