"""Signatures as Standard Webhooks specifies them, and secrets that overlap when they are rotated."""

from datetime import UTC, datetime, timedelta

import pytest

from musterbook.directory.agency import webhook_secrets

AT = datetime(2026, 3, 2, 7, tzinfo=UTC)
VECTORS = (
    # The example of the specification.
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}',
     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    # Made with the package standardwebhooks 1.1 of its authors.
    ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "msg_7_0123456789abcdef01234567", 1772434800,
     '{"type":"user.added","data":{"external_id":"Ñ-1 “x”"}}',
     "v1,BFwizhb0uDVvPwjW9kDwZ6issflEogeEUeJ5zyDWT34="),
    ("whsec_//////////////////////////////////////////8=", "msg_8_ffffffffffffffffffffffff", 0, "",
     "v1,n7zmaCLNxd0+TfXvS8dKUDYQFVLh0R/bQ3jvErc8NvA="),
)  # fmt: skip


@pytest.mark.parametrize(("secret", "name", "seconds", "body", "signature"), VECTORS)
def test_a_signature_is_the_one_of_the_specification(
    secret: str, name: str, seconds: int, body: str, signature: str
) -> None:
    made = webhook_secrets.sign([secret], name, datetime.fromtimestamp(seconds + 0.9, UTC), body.encode())
    assert made == {"webhook-id": name, "webhook-timestamp": str(seconds), "webhook-signature": signature}


def test_each_valid_secret_signs() -> None:
    first, second = webhook_secrets.make_secret(), webhook_secrets.make_secret()
    assert first != second and len(first) == len("whsec_") + 44
    both = webhook_secrets.sign([first, second], "msg_1_a", AT, b"{}")["webhook-signature"]
    each = [webhook_secrets.sign([one], "msg_1_a", AT, b"{}")["webhook-signature"] for one in (first, second)]
    assert both.split(" ") == each


def test_former_secrets_end_at_their_time_and_never_later() -> None:
    secrets = [f"whsec_{letter * 43}=" for letter in "ABCDE"]
    stored = webhook_secrets.seal_first(secrets[0])
    stored = webhook_secrets.rotate(stored, secrets[1], AT, timedelta(hours=24))
    stored = webhook_secrets.rotate(stored, secrets[2], AT + timedelta(hours=1), timedelta(hours=168))
    assert webhook_secrets.unseal_valid(stored, AT + timedelta(hours=23)) == [secrets[2], secrets[1], secrets[0]]
    assert webhook_secrets.unseal_valid(stored, AT + timedelta(hours=24)) == [secrets[2], secrets[1]]
    assert webhook_secrets.unseal_valid(stored, AT + timedelta(hours=169)) == [secrets[2]]
    more = webhook_secrets.rotate(stored, secrets[3], AT + timedelta(hours=2), timedelta(hours=1))
    assert webhook_secrets.unseal_valid(more, AT + timedelta(hours=2.5)) == [secrets[3], secrets[2], secrets[1]]
    assert webhook_secrets.unseal_valid(more, AT + timedelta(hours=3)) == [secrets[3]]
    at_once = webhook_secrets.rotate(more, secrets[4], AT + timedelta(hours=2), timedelta(0))
    assert webhook_secrets.unseal_valid(at_once, AT + timedelta(hours=2)) == [secrets[4]]
    assert all(secret not in repr(more) for secret in secrets)
