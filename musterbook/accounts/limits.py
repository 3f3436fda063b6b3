"""Limits: how often one address or one account may do something, counted in a table of their own.

`RATES` declares every limit. `take` counts one attempt and returns whether it is allowed. It is one statement, so no
count is lost when many attempts arrive at once. Call it outside any transaction, because a rollback discards the count.
`http.rate_limits` applies limits to pages, and `unauthenticated_events` records the
requests of unauthenticated clients in the audit trail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.db import connection
from django.utils.crypto import salted_hmac

from musterbook.accounts.models import Attempts
from musterbook.directory.storage import frames
from musterbook.directory.storage.clocks import SKEW

_PREFIX = 64
"""An IPv6 subscriber has at least this many bits to choose addresses from, so all of these addresses count as one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: the most attempts within a span that begins with the first attempt.

    `about`: the purpose of the limit, for the documentation.
    """

    most: int
    span: timedelta
    per: str
    about: str


def _make_rate(most: int, minutes: int, per: str, about: str) -> Rate:
    return Rate(most, timedelta(minutes=minutes), per, about)


BROWSER = "known browser, else address"
"""An agency often has one address for all. An outsider there must not use up the limit of users who sign in each
day."""
_ADDRESS, _ACCOUNT, _AGENCY, _FEED, _TOKEN = "address", "account", "agency", "feed", "token"

RATES: Mapping[str, Rate] = {
    "sign-in": _make_rate(
        240, 1, BROWSER, "Sign-ins by password, code or passkey, right or wrong; opening and using links"
    ),
    "failed sign-in": _make_rate(30, 5, _ADDRESS, "Failed sign-ins, with any name"),
    "code": _make_rate(10, 5, _ACCOUNT, "Wrong one-time codes and recovery codes"),
    "sign-on": _make_rate(240, 1, _ADDRESS, "Requests to and from a provider of single sign-on"),
    "failed sign-on": _make_rate(30, 5, _ADDRESS, "Answers of a provider that were refused"),
    "sign-on answer": _make_rate(1, 20, "answer", "Uses of one answer of a provider"),
    "reset": _make_rate(30, 5, _ADDRESS, "Requests for a new password by email"),
    "kept form": _make_rate(
        30, 5, _ADDRESS, "Forms that are kept while their sender signs in, if it is not known who that is"
    ),
    "set-up": _make_rate(10, 5, _ADDRESS, "Attempts to enter the setup code of a new installation"),
    "refused token": _make_rate(30, 5, _ADDRESS, "API tokens that were refused"),
    "token": _make_rate(1_500, 1, _TOKEN, "Requests of a program with an API token, by REST and SCIM"),
    "sent file": _make_rate(60, 10, _FEED, "Files that programs send to a feed"),
    "event": _make_rate(
        120, 1, _AGENCY, "Events of people who are not signed in; more are counted together in one event"
    ),
}
"""Every limit, by its name."""

_SKEW = int(SKEW.total_seconds())
_NEVER = 2**62
_TABLE = frames.table(Attempts)
_OVER = f"{_TABLE}.ends NOT BETWEEN %s AND %s"
_OVER_ON_SERVER = (
    f"{_TABLE}.ends NOT BETWEEN %s AND greatest(%s, extract(epoch FROM statement_timestamp())::bigint + %s)"
)
"""The same by the clock of PostgreSQL, too. A machine whose own clock is behind would end what the others count otherwise."""
_TAKE = f"""
INSERT INTO {_TABLE} (rate, key, count, ends) VALUES (%s, %s, %s, %s)
ON CONFLICT (rate, key) DO UPDATE SET
    count = CASE WHEN {{over}} THEN excluded.count ELSE {_TABLE}.count + excluded.count END,
    ends = CASE WHEN {{over}} THEN excluded.ends ELSE {_TABLE}.ends END
WHERE {{over}} OR {_TABLE}.count < %s
RETURNING count, ends
"""
"""The statement writes nothing, and returns nothing, when the limit is reached.

A span is over, too, if it ends later than any can: a clock wrote it that was set back.
"""


def take(rate: str, key: str, at: datetime) -> bool:
    """Count an attempt, and return whether it is allowed.

    `key`: the owner of the attempt (`normalize_address` of an address, or the id of an account or agency).
    """
    limit = RATES[rate]
    seconds = int(limit.span.total_seconds())
    return _take(rate, key, at, 1, limit.most, seconds, remembers=limit.most == 1) is not None


def take_once(action: str, key: str, at: datetime, seconds: int, *, remembers: bool = True) -> bool:
    """Return whether this is the first call within that many seconds, among all concurrent callers.

    `remembers`: what may happen only once is remembered until then even if the clock is set back.
    """
    return _take(f"once {action}", key, at, 1, 1, seconds, remembers=remembers) is not None


def take_many(rate: str, key: str, at: datetime, number: int) -> tuple[int, int]:
    """Count this number of attempts, and return the number of all in the span, and its end in seconds since 1970.

    The number is 0, and nothing is counted, if the limit is reached. The limit must be a multiple of `number`.
    """
    limit = RATES[rate]
    taken = _take(rate, key, at, number, limit.most, int(limit.span.total_seconds()), remembers=False)
    return taken or (0, _read_end(rate, key, at))


def _take(
    rate: str, key: str, at: datetime, number: int, most: int, seconds: int, *, remembers: bool
) -> tuple[int, int] | None:
    """Count this number of attempts in one statement. Return the count and the end of the span, or None at the limit."""
    now = _to_seconds(at)
    running, over = [now + 1, _NEVER if remembers else find_latest_end(now, seconds)], _OVER
    if frames.on_postgres():
        running, over = [*running, find_latest_end(0, seconds)], _OVER_ON_SERVER
    with connection.cursor() as cursor:
        cursor.execute(_TAKE.format(over=over), [rate, _hide_key(rate, key), number, now + seconds, *running * 3, most])
        row: tuple[int, int] | None = cursor.fetchone()
        return row


def _read_end(rate: str, key: str, at: datetime) -> int:
    ends = Attempts.objects.filter(rate=rate, key=_hide_key(rate, key)).values_list("ends", flat=True).first()
    return ends or _to_seconds(at) + get_wait_seconds(rate)


def find_latest_end(now: int, seconds: int) -> int:
    """Return the latest end that a span of so many seconds can have. A later one is of a clock that was set back."""
    return now + seconds + _SKEW


def give_back(rate: str, key: str) -> None:
    """Take back one attempt that `take` counted, because it succeeded and only failures count."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_TABLE} SET count = count - 1 WHERE rate = %s AND key = %s AND count > 0",
            [rate, _hide_key(rate, key)],
        )


def get_wait_seconds(rate: str) -> int:
    """Return the seconds after which a refused attempt is allowed again, at the latest."""
    return int(RATES[rate].span.total_seconds())


def forget_old(at: datetime) -> None:
    """Delete counts whose span is over."""
    Attempts.objects.filter(ends__lte=_to_seconds(at)).delete()


def normalize_address(address: str) -> str:
    """Return the place that an address counts as: an IPv4 address as itself, an IPv6 address as its /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ip_network((int(ip), _PREFIX), strict=False))
    return str(ip)


def _to_seconds(at: datetime) -> int:
    return int(at.timestamp())


def _hide_key(rate: str, key: str) -> str:
    """Return the key as it is stored, so that the table reveals no addresses."""
    return salted_hmac("musterbook.accounts.limits", f"{rate}\x1f{key}", algorithm="sha256").hexdigest()
