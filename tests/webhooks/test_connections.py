"""Where messages go: to addresses that are allowed when the connection is made, with a certificate that is right."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings

from musterbook.config import outbound_requests
from tests import certificates
from tests.directory import cast
from tests.socket_servers import resolve_to
from tests.webhooks.conftest import Clock, Hook, make_hook
from tests.webhooks.receiver import Receiver


def secure(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """What a receiver with a certificate for this name needs, and the file of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_text(certificates.certificate(key, name), encoding="ascii")
    private.write_text(certificates.private(key), encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context, certificate


def trust(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """Let this machine trust the certificate."""
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(outbound_requests, "_make_context", lambda: context)


def test_a_receiver_with_a_certificate_that_is_trusted_gets_messages(
    transactional_db: None, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = secure(tmp_path, "localhost")
    trust(monkeypatch, certificate)
    with Receiver(context=context) as receiver:
        hook = make_hook("springfield", receiver.address, clock)
        hook.test()
        hook.work()
        assert receiver.kinds == ["webhook.test"]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_wrong_certificate_gets_nothing(
    transactional_db: None, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    context, certificate = secure(tmp_path, "other.example" if trusted else "localhost")
    if trusted:
        trust(monkeypatch, certificate)
    with Receiver(context=context) as receiver:
        hook = make_hook("springfield", receiver.address, clock)
        hook.test()
        hook.work()
        assert receiver.arrived == []
    assert "certificate" in hook.messages()[0].log[0]["problem"].casefold()


@pytest.mark.parametrize("address", ["10.0.0.7", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
def test_a_name_that_resolves_to_an_internal_address_gets_nothing(
    transactional_db: None, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    hook = make_hook("springfield", "https://payroll.example.org/", clock)
    asked = resolve_to(monkeypatch, address)
    hook.test()
    hook.work()
    (message,) = hook.messages()
    assert "has no public address" in message.log[0]["problem"]
    assert asked == ["payroll.example.org"]
    assert message.next_attempt_at is not None  # its administrator may correct the name


def test_a_name_is_looked_up_and_checked_again_for_each_message(
    transactional_db: None, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    hook = make_hook("springfield", "https://payroll.example.org/", clock)
    resolve_to(monkeypatch, "93.184.215.14")
    monkeypatch.setattr("musterbook.config.outbound_connections.connect_to", _refuse)
    hook.test()
    hook.work()
    assert "refused by the test" in hook.messages()[0].log[0]["problem"]
    resolve_to(monkeypatch, "10.0.0.7")
    clock.go(minutes=1)
    hook.work()
    assert "has no public address" in hook.messages()[0].log[1]["problem"]


def _refuse(address: str, *_: object) -> None:
    assert address == "93.184.215.14"
    raise OSError("refused by the test")


def test_a_host_that_the_installation_does_not_allow_gets_nothing(hook: Hook, settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_HOSTS = ["hr.example.org"]
    hook.test()
    hook.work()
    assert "MUSTER_OUTSIDE_HOSTS" in hook.messages()[0].log[0]["problem"]


def test_no_secret_and_no_path_of_an_address_is_in_a_log(
    hook: Hook, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.stop()
    hook.apply(*cast.people(1))
    hook.work()
    hook.clock.go(days=4)
    hook.work()
    assert hook.again().disabled_at is not None
    text = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert "payroll" in text
    assert hook.secret not in text and hook.secret[6:] not in text
    assert "/hook" not in text and "E-1" not in text
