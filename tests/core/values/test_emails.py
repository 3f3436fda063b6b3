"""E-mail addresses: which are mailboxes (rule C4)."""

import polars as pl
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core.values import emails, text
from tests.examples import examples

NEAR = st.text(st.sampled_from("aZ0.-_+'=@xn ,\u00e9"), max_size=10)
LABELS = st.text(st.sampled_from("aB0-xn"), max_size=8) | st.sampled_from(
    ["xn--bcher-kva", "ab--c", "a" * 63, "a" * 64]
)
ENDS = st.sampled_from(
    ["example", "local", "invalid", "test", "c", "c0m", "123", "org", "onion", "arpa", "EXAMPLE", "a" * 64]
)
LOCALS = st.text(st.sampled_from("aB0.!#$%&'*+/=?^_`{|}~-\""), max_size=8) | st.sampled_from(["a" * 64, "a" * 65])
DOMAINS = st.lists(LABELS, max_size=4).flatmap(lambda labels: ENDS.map(lambda end: ".".join([*labels, end])))
ADDRESSES = NEAR | st.emails() | st.builds("{}@{}".format, LOCALS, DOMAINS) | st.text(max_size=12)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A.B@Example.org", "a.b@example.ORG", True),
        ("a@heßen.example", "a@hessen.example", False),
        ("a@heßen.example", "A@xn--heen-wna.example", True),
        ("a@\u212aelvin.example", "a@kelvin.example", True),
        ("a@σς.example", "a@σσ.example", False),
        ("not an address é", "not an address é", True),
    ],
)
def test_two_addresses_are_one_mailbox_or_two(one: str, other: str, same: bool) -> None:
    assert (emails.to_mailbox(one) == emails.to_mailbox(other)) == same
    both = emails.to_mailboxes(pl.Series([one, other, None, "Plain@Example.org"]))
    assert (both[0] == both[1]) == same
    assert both.to_list() == [emails.to_mailbox(one), emails.to_mailbox(other), None, "plain@example.org"]


def test_mail_servers_get_an_address_as_it_was_typed_but_for_its_domain() -> None:
    assert emails.to_ascii("O.Two@heßen.example") == "O.Two@xn--heen-wna.example"
    assert emails.to_ascii("O.Two@Example.org") == "O.Two@Example.org"


def is_accepted(address: str) -> bool:
    """Whether the library accepts the address, by the very options of rule C4, be its domain reserved or not."""
    try:
        validate_email(
            address, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError as error:
        return "special-use" in str(error) and "." in address.rpartition("@")[2]
    return "." in address.rpartition("@")[2]


@settings(max_examples=examples(500))
@given(ADDRESSES.filter(lambda value: not any("\ud800" <= c <= "\udfff" for c in value)))
def test_what_is_plain_is_a_mailbox_for_the_library_too_and_reads_as_it_stands(address: str) -> None:
    if emails.is_plain(pl.Series([address])).item():
        assert is_accepted(address)
        assert text.clean(pl.Series([address])).item() == address
        assert len(address) <= 254


@settings(max_examples=examples(150))
@given(ADDRESSES.filter(lambda value: not any("\ud800" <= c <= "\udfff" for c in value)))
def test_an_address_has_a_fault_exactly_if_the_library_does_not_accept_it(address: str) -> None:
    assert (emails.find_faults(pl.Series([address])) == {}) == is_accepted(address)


@pytest.mark.parametrize(
    "address",
    ["ann@agency.example", "a.b+c@x-y.example.org", "o'neil@a1.co", "a@b.museum", "1@2.de", "ann@police.local"],
)
def test_common_addresses_are_settled_at_one_look(address: str) -> None:
    assert emails.is_plain(pl.Series([address])).item()


def test_long_parts_are_measured() -> None:
    long = [
        f"{'a' * 64}@b.example",
        f"{'a' * 65}@b.example",
        f"{'a' * 60}@{'.'.join(['b' * 60] * 4)}.example",
        "a" * 70,
    ]
    assert emails.is_plain(pl.Series(long)).to_list() == [True, False, False, False]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ann.agency.example", "It has no @."),
        ("ann@a.example;bo@a.example", "It contains a comma, a semicolon or a second @. Write only one address."),
        ("ann@agency,example", "It contains a comma, a semicolon or a second @. Write only one address."),
        ("ann ray@agency.example", "It contains a space."),
        ("Ann Ray <ann@agency.example>", "Write only the address, without a name, angle brackets or mailto:."),
        ("mailto:ann@agency.example", "Write only the address, without a name, angle brackets or mailto:."),
        ("ann@agency", "Its domain, the part after the @, has no dot."),
        ("ann..ray@agency.example", "An email address cannot have two periods in a row."),
    ],
)
def test_a_fault_is_said_in_words(address: str, sentence: str) -> None:
    assert emails.find_faults(pl.Series(["bo@agency.example", address])) == {address: sentence}


@pytest.mark.parametrize(
    "address", ['"ann"@a.example', "ann(x)@a.example", "ann@[127.0.0.1]", "änn@a.example", "ann@a..example"]
)
def test_no_quoted_part_comment_literal_or_foreign_letters_before_the_at(address: str) -> None:
    assert emails.find_fault(address)


@pytest.mark.parametrize("address", ["ann@police.local", "ann@mail.v2", "ann@máil.v2"])
def test_a_domain_may_be_one_of_ones_own_network(address: str) -> None:
    assert emails.find_fault(address) == ""
