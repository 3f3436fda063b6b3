"""The words for what a check of a feed would take, and for why it leaves other files."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.feeds.checks import CheckReport
from musterbook.feeds.complete import Reason

_MOST = 20
"""The most files that a page names, of those that would be taken, and of the others."""
REASONS: Mapping[Reason, Any] = {
    Reason.TEMPORARY: gettext_lazy("it is still being sent, or is hidden"),
    Reason.MARKER: gettext_lazy("it only says that another file is complete"),
    Reason.PATTERN: gettext_lazy("its name does not match the pattern"),
    Reason.TAKEN: gettext_lazy("it was taken before"),
    Reason.CHANGING: gettext_lazy("it must stay unchanged for a minute"),
    Reason.CHECKSUM: gettext_lazy("it does not have the checksum of its marker"),
    Reason.OTHERS: gettext_lazy("another file of the same snapshot is missing"),
}
"""The reasons why a file is left, each in words."""


def describe(report: CheckReport) -> dict[str, Any]:
    """Return the context of a report."""
    arrivals = [", ".join(file.name for file in arrival.files) for arrival in report.arrivals]
    others = [(found.name, REASONS[reason]) for found, reason in report.others]
    others += [(name, _("its name cannot be used")) for name in report.left_out]
    more = max(0, len(arrivals) - _MOST) + max(0, len(others) - _MOST)
    return {"report": report, "arrivals": arrivals[:_MOST], "others": others[:_MOST], "more": more}
