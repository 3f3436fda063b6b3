"""A device that keeps passkeys, made of software: it answers whatever a test asks of it, also what no browser would send."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Device:
    """One passkey, with its private key and its counter."""

    origin: str = "http://localhost:8000"
    rp: str = "localhost"
    handle: bytes = b""
    counter: int = 0
    identity: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def made(self, options: dict[str, Any], *, verified: bool = True, **client: Any) -> str:
        """The answer to `navigator.credentials.create(options)`."""
        asked = options["publicKey"]
        self.handle = _bytes(asked["user"]["id"])
        client_data = self._client("webauthn.create", asked["challenge"], **client)
        public = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]  # of the library
        attested = bytes(16) + len(self.identity).to_bytes(2, "big") + self.identity
        data = self._data(ATTESTED | (VERIFIED if verified else 0)) + attested + cbor.encode(public)
        statement = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        answer = {
            "clientDataJSON": websafe_encode(client_data),
            "attestationObject": websafe_encode(statement),
            "transports": [],
        }
        return self._sent(answer)

    def shown(self, options: dict[str, Any], *, verified: bool = True, **more: Any) -> str:
        """The answer to `navigator.credentials.get(options)`; `handle`, `identity` and what the browser tells can be forged."""
        handle, identity = more.pop("handle", self.handle), more.pop("identity", self.identity)
        client_data = self._client("webauthn.get", options["publicKey"]["challenge"], **more)
        data = self._data(VERIFIED if verified else 0)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        answer = {
            "clientDataJSON": websafe_encode(client_data), "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature), "userHandle": websafe_encode(handle),
        }  # fmt: skip
        return self._sent(answer, identity)

    def _client(self, kind: str, challenge: str, /, **forged: Any) -> bytes:
        usual = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(usual | forged).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp.encode()).digest() + bytes([PRESENT | flags]) + self.counter.to_bytes(4, "big")

    def _sent(self, answer: dict[str, Any], identity: bytes | None = None) -> str:
        name = websafe_encode(self.identity if identity is None else identity)
        extensions = {"credProps": {"rk": True}}
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "response": answer,
                "clientExtensionResults": extensions,
                "authenticatorAttachment": "platform",
            }
        )


def _bytes(text: str) -> bytes:
    from fido2.utils import websafe_decode

    return bytes(websafe_decode(text))
