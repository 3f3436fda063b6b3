"""The limit of requests of each token, for every interface for programs.

The count is in the same table as all limits, so that it holds for all processes and machines. A process takes requests
from it in blocks, and counts them in its memory. So most requests write nothing, and a token never gets more than its
limit. What a process has taken and does not use is lost until the span ends.
"""

import threading
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError

from musterbook.accounts import limits
from musterbook.accounts.models import Token
from musterbook.directory.storage import database_errors, frames, locks

RATE = "token"
BLOCK = 30
"""The requests that a process takes at once. The limit is a multiple of it."""
_BUSY_MILLISECONDS = 50
_MOST_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """What a token has left: `remaining` requests in the next `seconds`. `allowed`: whether this one may be answered."""

    allowed: bool
    remaining: int
    seconds: int


@dataclass(slots=True)
class _Block:
    """The requests that this process has taken: those `left` in it, those left to all, and the end of the span."""

    left: int
    others: int
    ends: int


_lock = threading.Lock()
_blocks: dict[str, _Block] = {}


def take(token: Token, at: datetime) -> Standing:
    """Count a request of the token. Call it outside any transaction."""
    now = int(at.timestamp())
    with _lock:
        block = _blocks.get(token.digest)
        if block is not None and _is_current(block, now) and (block.left or not block.others):
            return _use(block, now)
    fresh = _take_block(token, at, now)
    with _lock:
        _forget_ended(now)
        block = _blocks.get(token.digest)
        if block is not None and block.ends == fresh.ends:  # another thread has taken one at the same time
            fresh.left += block.left
        _blocks[token.digest] = fresh
        return _use(fresh, now)


def _is_current(block: _Block, now: int) -> bool:
    return now < block.ends <= limits.find_latest_end(now, limits.get_wait_seconds(RATE))


def _use(block: _Block, now: int) -> Standing:
    allowed = block.left > 0
    block.left -= allowed
    return Standing(allowed, block.left + block.others, max(1, block.ends - now))


def _take_block(token: Token, at: datetime, now: int) -> _Block:
    """Take a block from the count of all processes. It is empty if nothing is left.

    While an import is written to SQLite, nobody can write. Requests that only read must not wait for that, so a block
    is then granted without being counted.
    """
    limit = limits.RATES[RATE]
    try:
        if frames.on_postgres():
            count, ends = limits.take_many(RATE, str(token.pk), at, BLOCK)
        else:
            with locks.limit_wait(_BUSY_MILLISECONDS):
                count, ends = limits.take_many(RATE, str(token.pk), at, BLOCK)
    except OperationalError as error:
        if not database_errors.is_busy(error):
            raise
        return _Block(BLOCK, limit.most - BLOCK, now + int(limit.span.total_seconds()))
    return _Block(BLOCK if count else 0, limit.most - count if count else 0, ends)


def _forget_ended(now: int) -> None:
    if len(_blocks) > _MOST_TOKENS:
        for name in [name for name, block in _blocks.items() if not _is_current(block, now)]:
            del _blocks[name]
