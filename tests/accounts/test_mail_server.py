"""How the mail server is reached: encrypted, with a password, by a certificate that somebody vouches for."""

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from musterbook import jobs
from musterbook.accounts import outbox, registration
from musterbook.config import mail_server
from musterbook.config.mail_server import MailServer
from musterbook.directory.models import Mail
from tests.accounts.conftest import Springfield, context
from tests.accounts.test_outbox import Clock, Mailbox, free_port

pytestmark = pytest.mark.any_database


@pytest.fixture
def clock() -> Clock:
    """The clock of the outbox."""
    return Clock()


CERTIFIED = "localhost"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for localhost, which our own side trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CERTIFIED)])
    now = jobs.now()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CERTIFIED)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


def _welcome(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (b"muster", b"p@ss word")
    return AuthResult(success=right, handled=False)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("secure", ["starttls", "tls"])
def test_a_secured_server_with_a_password(
    springfield: Springfield, settings: Settings, clock: Clock, certificate: ssl.SSLContext, secure: str
) -> None:
    kept = Mailbox()
    more = (
        {"tls_context": certificate, "require_starttls": True} if secure == "starttls" else {"ssl_context": certificate}
    )
    controller = Controller(
        kept, hostname=CERTIFIED, port=free_port(), authenticator=_welcome, auth_required=True, auth_require_tls=False, **more
    )  # fmt: skip
    controller.start()
    try:
        port = controller.port
        settings.MAIL_SERVER = MailServer(CERTIFIED, port, "muster", "p@ss word", secure)
        outbox.send_due("w", clock)
        assert len(kept.mails) == 2
        settings.MAIL_SERVER = MailServer(CERTIFIED, port, "muster", "wrong", secure)
        registration.invite(springfield.user(2), replace(context(), at=clock() + timedelta(minutes=1)))
        clock.on(2)
        outbox.send_due("w", clock)
        assert len(kept.mails) == 2
        assert "could not be reached" in Mail.objects.latest("id").problem
    finally:
        controller.stop()


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    springfield: Springfield,
    settings: Settings,
    clock: Clock,
    certificate: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    kept = Mailbox()
    controller = Controller(kept, hostname=CERTIFIED, port=free_port(), tls_context=certificate)
    controller.start()
    try:
        settings.MAIL_SERVER = MailServer(CERTIFIED, controller.port, "", "", "starttls")
        outbox.send_due("w", clock)
    finally:
        controller.stop()
    assert kept.mails == []
    assert "certificate" in Mail.objects.latest("id").problem


def test_the_address_of_a_mail_server_is_read() -> None:
    assert mail_server.parse_url("") is None
    assert mail_server.parse_url("smtp://mail.example") == MailServer("mail.example", 25, "", "", "")
    assert mail_server.parse_url("smtps://a%40b:p%40ss@mail.example/") == MailServer(
        "mail.example", 465, "a@b", "p@ss", "tls"
    )
    parsed = mail_server.parse_url("smtp+starttls://u:p@mail.example:2525")
    assert parsed == MailServer("mail.example", 2525, "u", "p", "starttls")


@pytest.mark.parametrize(
    "url", ["mail.example", "http://mail.example", "smtp://", "smtp://u:secret@h:port", "smtp://h/path", "smtp://h?x=1"]
)
def test_a_wrong_address_of_a_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="MUSTER_SMTP_URL") as caught:
        mail_server.parse_url(url)
    assert "secret" not in str(caught.value)
