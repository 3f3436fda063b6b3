"""Why a message was not delivered, or a webhook was disabled: stored in English, and shown in the reader's language."""

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

GONE = gettext_noop("The receiver says that the address is gone (status 410).")
AWAY = gettext_noop("No message was delivered for three days.")
_STATUS = re.compile(r"The receiver answered with status ([0-9]{3})\.( Redirects are not followed\.)?")


def describe_status(status: int) -> str:
    """Return why an answer with this status is a failure, in English; "" if it is none."""
    if 200 <= status < 300:
        return ""
    answered = f"The receiver answered with status {status}."
    return f"{answered} Redirects are not followed." if 300 <= status < 400 else answered


def translate_problem(problem: str) -> str:
    """Return a stored problem in the language of the reader. An error of the connection stays in English."""
    if problem in {GONE, AWAY}:
        return _(problem)
    match = _STATUS.fullmatch(problem)
    if match is None:
        return problem
    if match[2]:
        return _("The receiver answered with status %(status)s. Redirects are not followed.") % {"status": match[1]}
    return _("The receiver answered with status %(status)s.") % {"status": match[1]}
