"""The addresses that may use a token: networks such as 192.0.2.0/24, or single addresses."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.utils.translation import gettext

from musterbook.directory.agency.vocabularies import InvalidValue

Network = IPv4Network | IPv6Network
MOST = 50
"""The most networks of one token."""
_LONGEST = 64


def check_networks(texts: Iterable[str], within: Sequence[str] = ()) -> list[str]:
    """Return the networks as they are stored, each once; those of `within` if there are none. Raise InvalidValue.

    `within`: the networks that have all of them; none for all addresses.
    """
    networks: dict[str, None] = {}
    for text in texts:
        try:
            network = ip_network(text.strip()[:_LONGEST])
        except ValueError:
            wrong = gettext("%(text)s is not an address or a network. Write it like 192.0.2.7 or 192.0.2.0/24.")
            raise InvalidValue("addresses", wrong % {"text": f"“{text.strip()[:_LONGEST]}”"}) from None
        if within and not any(_is_part(network, ip_network(one)) for one in within):
            wrong = gettext("%(text)s is outside the addresses of the token that creates this one: %(within)s.")
            raise InvalidValue("addresses", wrong % {"text": network, "within": ", ".join(within)})
        networks[str(network) if network.num_addresses > 1 else str(network.network_address)] = None
    if len(networks) > MOST:
        message = gettext("There are %(number)d addresses. Keep %(most)d, or write networks.")
        raise InvalidValue("addresses", message % {"number": len(networks), "most": MOST})
    return list(networks) or list(within)


def _is_part(network: Network, of: Network) -> bool:
    return network.version == of.version and network[0] in of and network[-1] in of


def may_use(networks: Sequence[str], address: str) -> bool:
    """Return whether a program at this address may use a token with these networks. None are all."""
    if not networks:
        return True
    found = _parse(address)
    return found is not None and any(found in ip_network(network) for network in networks)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address. An IPv4 address that a server sees as IPv6 is itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
