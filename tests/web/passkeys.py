"""A device that keeps passkeys, in the browser of a test: Chromium's own virtual authenticator."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import CDPSession, Error, Page

_plugged: list[CDPSession] = []


@dataclass
class Device:
    """One that answers at once, as if its owner had touched it."""

    session: CDPSession
    name: str

    @classmethod
    def plugged_into(cls, page: Page, *, verifies: bool = True) -> "Device":
        """A new one; `verifies`: whether it asks for a PIN, a finger or a face, and keeps passkeys itself."""
        session = page.context.new_cdp_session(page)
        _plugged.append(session)
        session.send("WebAuthn.enable")
        kind = {"protocol": "ctap2", "transport": "internal" if verifies else "usb"}
        can = {"hasResidentKey": verifies, "hasUserVerification": verifies, "isUserVerified": verifies}
        options = kind | can | {"automaticPresenceSimulation": True}
        added = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return cls(session, added["authenticatorId"])

    def passkeys(self) -> list[dict[str, Any]]:
        """What it keeps, private keys and all."""
        kept = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.name})
        return list(kept["credentials"])

    def take(self, passkey: dict[str, Any]) -> None:
        """Keeps a passkey that another device has made."""
        self.session.send("WebAuthn.addCredential", {"authenticatorId": self.name, "credential": passkey})

    def unplug(self) -> None:
        """Takes it away."""
        self.session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.name})


def unplug_all() -> None:
    """Take all devices away, from windows that are open and from those that are not."""
    while _plugged:
        with suppress(Error):
            _plugged.pop().detach()
