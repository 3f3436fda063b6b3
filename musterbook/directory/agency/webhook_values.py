"""The settings of a webhook as a page, a command and a program give them: as they are stored, or all errors."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from musterbook.config import encryption, outbound_connections, outbound_requests
from musterbook.config.outbound_connections import RequestRefused
from musterbook.directory import models
from musterbook.directory.agency.feed_errors import Errors, show_value
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.webhook_kinds import CHOICES

SETTINGS = ("name", "address", "kinds")
NAME_LONGEST = 63
_ADDRESS_LONGEST = 2000
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MESSAGE = re.compile(r"msg_(?P<pk>[0-9]{1,18})_[0-9a-f]{24}")


class InvalidWebhook(InvalidValue):
    """The settings of a webhook cannot be accepted. `errors` has all of them: each a setting and a sentence."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(*errors[0])
        self.errors = tuple(errors)


def is_name(text: str) -> bool:
    """Return whether the text can be the name of a webhook."""
    return len(text) <= NAME_LONGEST and bool(_NAME.fullmatch(text))


def parse_message_id(text: str) -> int:
    """Return the number of the row of the message with this ID; 0 if it is not such an ID."""
    match = _MESSAGE.fullmatch(text)
    return int(match["pk"]) if match else 0


def read_webhook(values: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """Return the settings as they are stored. Raise InvalidWebhook with all errors.

    `required`: whether all settings must be there.
    """
    errors = Errors()
    for name in values:
        if name not in SETTINGS:
            errors.at(name[:NAME_LONGEST]).add(_("A webhook has no such setting."))
    read: dict[str, Any] = {}
    for name, parse in (("name", _parse_name), ("address", _parse_address), ("kinds", _parse_kinds)):
        if name in values or required:
            read[name] = parse(values.get(name, [] if name == "kinds" else ""), errors.at(name))
    if errors.found:
        raise InvalidWebhook(errors.found)
    return read


def _parse_name(value: object, errors: Errors) -> str:
    before = len(errors.found)
    text = errors.read_text(value, NAME_LONGEST)
    if not is_name(text) and len(errors.found) == before:
        errors.add(_("Write lowercase letters, digits and single hyphens, like payroll."))
    return text


def _parse_address(value: object, errors: Errors) -> str:
    text = errors.read_text(value, _ADDRESS_LONGEST)
    target = outbound_requests.parse_url(text)
    is_here = target is not None and target.host in outbound_requests.THIS_MACHINE and outbound_requests.allows_http()
    if target is None or (target.scheme == "http" and not is_here):
        wrong = _("%(value)s is not an address that begins with https://. It has no user and no #.")
        errors.add(wrong % {"value": show_value(text)})
        return text
    try:
        outbound_connections.check_host(target.host)
    except RequestRefused as refused:
        errors.add(str(refused))
    if not is_here and not _is_outside(target.host):
        errors.add(
            _("%(value)s is an address of an internal network, to which Musterbook sends nothing.")
            % {"value": show_value(text)}
        )
    return text


def _is_outside(host: str) -> bool:
    """Return whether the host may be reached, as far as its name says so. A name is looked up at each connection."""
    try:
        return outbound_connections.is_allowed(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return host != "localhost"


def _parse_kinds(value: object, errors: Errors) -> list[str]:
    """Return the kinds in their order. `user.*` means all kinds that begin so, `*` means all."""
    wanted: set[str] = set()
    before = len(errors.found)
    for text in errors.read_texts(value, 4 * len(CHOICES), 40):
        found = {kind.value for kind in CHOICES if _matches(kind.value, text)}
        if not found:
            known = ", ".join(kind.value for kind in CHOICES)
            errors.add(
                _("%(value)s is not a kind of message. These are known: %(known)s.")
                % {"value": show_value(text), "known": known}
            )
        wanted |= found
    if not wanted and len(errors.found) == before:
        errors.add(_("Choose at least one kind of message."))
    return [kind.value for kind in CHOICES if kind.value in wanted]


def _matches(kind: str, text: str) -> bool:
    return text in {kind, "*"} or (text.endswith(".*") and kind.startswith(text[:-1]))


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to deliver a message. `status`: of the answer, 0 without one. `problem`: "" if it was delivered."""

    at: datetime
    status: int
    milliseconds: int
    problem: str


def list_attempts(message: models.WebhookMessage) -> list[Attempt]:
    """Return the attempts of the message that its log keeps."""
    return [Attempt(datetime.fromisoformat(one["at"]), one["status"], one["ms"], one["problem"]) for one in message.log]


def describe(endpoint: models.WebhookEndpoint) -> dict[str, str]:
    """Return the settings as the audit trail has them."""
    return {"address": describe_address(endpoint.address), "kinds": ", ".join(endpoint.kinds)}


def describe_address(address: str) -> str:
    """Return an address as the audit trail and logs have it: without its path, which may be a secret, but with a mark."""
    target = outbound_requests.parse_url(address)
    return f"{target.origin if target else ''} ({encryption.make_fingerprint(address)})"
