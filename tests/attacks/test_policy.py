"""Attacks on the content security policy: a provider's address adds no directive to it."""

import pytest
from django.test import Client

from musterbook.accounts import sign_on
from musterbook.directory import models
from musterbook.directory.agency import sign_on_file
from tests.accounts.conftest import Springfield

HOSTS = (
    "a.example; script-src *", "a.example;frame-ancestors *", "a.example frame-ancestors", "a.example 'unsafe-inline'",
    "a.example'", 'a.example"', "a.example,b.example", "user:pass@a.example", "a.example\t*", "*.example", "*",
    "a.example\r\nX-Evil: 1", "a.example\u2028x", "münchen.example", "a.example:80;x", "[::1];x", "a.example\\;", "-a.example",
)  # fmt: skip


@pytest.mark.any_database
@pytest.mark.parametrize("path", ["/", "/springfield/sign-in", "/springfield/api/me", "/nowhere"])
def test_nothing_but_our_own_is_loaded(springfield: Springfield, client: Client, path: str) -> None:
    header = client.get(path).headers["Content-Security-Policy"]
    policy = dict(one.strip().split(" ", 1) for one in header.split(";"))
    assert {name: policy[name] for name in ("default-src", "object-src", "base-uri", "frame-ancestors")} == {
        "default-src": "'none'", "object-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"


@pytest.mark.any_database
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["server", "sso_url"])
def test_a_host_adds_nothing_to_the_policy(springfield: Springfield, client: Client, host: str, kind: str) -> None:
    plain = client.get("/springfield/sign-in").headers["Content-Security-Policy"]
    providers = [
        {"kind": "oidc", "slug": "x", "name": "X", kind: f"https://{host}/x"},
        {"kind": "oidc", "slug": "y", "name": "Y", kind: "https://good.example:8443/y"},
    ]
    models.Agency.objects.filter(pk=springfield.agency.pk).update(sign_on=providers)
    got = client.get("/springfield/sign-in").headers["Content-Security-Policy"]
    clean = host.replace("\t", "").replace("\r", "").replace("\n", "")
    assert got == plain.replace("form-action 'self'", "form-action 'self' https://good.example:8443"), clean
    agency = models.Agency.objects.get(pk=springfield.agency.pk)
    assert sign_on.list_origins(agency) == ("https://good.example:8443",)


@pytest.mark.parametrize("host", HOSTS)
def test_no_such_host_is_stored(host: str) -> None:
    provider = {"slug": "x", "name": "X", "kind": "oidc", "server": f"https://{host}/", "client_id": "c"}
    assert [name for name, _ in sign_on_file.parse_provider(provider)[1]] == ["server"]


@pytest.mark.parametrize(
    "address",
    [
        "https://idp.example",
        "https://idp.example:8443/a/b",
        "http://localhost:9000",
        "https://[2001:db8::1]/x",
        "https://idp",
    ],
)
def test_a_plain_address_is_stored(address: str) -> None:
    provider = {"slug": "x", "name": "X", "kind": "oidc", "server": address, "client_id": "c"}
    assert sign_on_file.parse_provider(provider)[1] == []
