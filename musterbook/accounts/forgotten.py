"""Requests for a new password: the page only writes down what was asked, and the worker looks for who that is.

So the page does the same work for a name that exists and for one that does not, and nobody learns from its time which it was.
"""

from musterbook.accounts import registration
from musterbook.accounts.models import ResetRequest
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency


def ask(agency: Agency, name: str, act: Act) -> None:
    """Write down that somebody asks for a new password, for whoever has that username or address."""
    ResetRequest.objects.create(agency=agency, name=name, at=act.at, address=act.address, agent=act.agent[:255])


def answer() -> int:
    """Answer what was asked, each request once; return how many were."""
    waiting = ResetRequest.objects.select_related("agency").order_by("pk")
    return sum(_answer(asked) for asked in waiting.iterator())


def _answer(asked: ResetRequest) -> bool:
    deleted, _ = ResetRequest.objects.filter(pk=asked.pk).delete()
    if deleted:
        registration.ask_reset(asked.agency, asked.name, Act(asked.at, "", "page", asked.address, asked.agent))
    return bool(deleted)
