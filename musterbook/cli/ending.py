"""How a command ends when it cannot do its work: one clear line on standard error, and the exit status of the contract."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WRONG_CALL, REFUSED, HELD, FAILED = 2, 3, 4, 5


class Ended(Exception):
    """The command ends here, with a sentence for the person who called it."""

    def __init__(self, sentence: str, status: int = WRONG_CALL) -> None:
        super().__init__(sentence)
        self.status = status


@contextmanager
def told() -> Iterator[None]:
    """Turns what a command raises into its last line and its exit status."""
    try:
        yield
    except Ended as ended:
        _end(str(ended), ended.status)
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered for them must not raise again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except KeyboardInterrupt:
        _end("It was cancelled.", FAILED)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        _end(*known)


def _end(sentence: str, status: int) -> None:
    print(f"muster: {sentence}", file=sys.stderr)
    sys.exit(status)


def _known(error: Exception) -> tuple[str, int] | None:
    """The sentence and the status of an error that a use case names, None for a bug."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError, InterfaceError

    if isinstance(error, ImproperlyConfigured):
        return str(error), WRONG_CALL
    if isinstance(error, DatabaseError | InterfaceError):
        reason = str(error).strip().partition("\n")[0]
        return f"The database cannot be used: {reason}. `muster doctor` tells more.", FAILED
    if type(error).__module__.startswith("musterbook."):
        return str(error), WRONG_CALL
    return None
