"""The addresses that may use a token, as they are written and as they are compared."""

import pytest

from musterbook.directory.agency import networks
from musterbook.directory.agency.vocabularies import InvalidValue


def test_each_network_is_stored_once_and_an_address_as_itself() -> None:
    given = [" 192.0.2.7 ", "192.0.2.7/32", "10.0.0.0/8", "2001:DB8::/32", "2001:db8:0::1"]
    assert networks.check_networks(given) == ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "2001:db8::1"]


@pytest.mark.parametrize("text", ["", "x", "192.0.2.7/24", "1.2.3.4/33", "192.0.2.0-9", "9" * 400])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="not an address or a network"):
        networks.check_networks([text])


def test_there_are_not_too_many() -> None:
    many = [f"192.0.2.{number}" for number in range(networks.MOST + 1)]
    assert len(networks.check_networks(many[1:])) == networks.MOST
    with pytest.raises(InvalidValue, match=r"There are 51 addresses\. Keep 50"):
        networks.check_networks(many)


@pytest.mark.parametrize("address", ["", "unknown", "192.0.2", "fe80::1%eth0x/8"])
def test_what_is_no_address_may_use_nothing_that_is_limited(address: str) -> None:
    assert not networks.may_use(["0.0.0.0/0", "::/0"], address)
    assert networks.may_use([], address)
