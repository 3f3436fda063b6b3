"""Anchors outside the machine: chain heads of audit trails, sent daily to the log, and by email to their keeper."""

import logging
import smtplib
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from musterbook.accounts import limits, outbox
from musterbook.directory.audit import anchors

_LOG = logging.getLogger("musterbook.audit")
_PACE = 15 * 60
"""Seconds between two emails. Many waiting lines can take several emails, and a mail server can be down for long."""
_TEXT = """These are the heads of the audit trails of {url} at that time.

Keep this email in a place where nobody who can write to the database can change it. To check a trail against it:

    muster audit verify --agency SLUG --expect LINKS:HEAD

{lines}
"""


def anchor(at: datetime) -> None:
    """Write the heads that have moved, if it is time, and send unsent ones.

    If sending fails, it is tried again some time later.
    """
    if anchors.is_due(at):
        for line in anchors.write_lines(at):
            _LOG.info("Anchor of an audit trail: %s", line)
    if settings.MUSTER_ANCHOR_MAIL:
        try:
            _send(at)
        except (OSError, smtplib.SMTPException):
            _LOG.error("The anchors of the audit trails could not be emailed. The next attempt follows", exc_info=True)


def _send(at: datetime) -> None:
    lines, end = anchors.read_unsent_lines()
    if not lines or not limits.take_once("mail of anchors", "", at, _PACE, remembers=False):
        return
    host = urlsplit(settings.MUSTER_URL).hostname
    message = EmailMultiAlternatives(
        f"Heads of the audit trails, {at:%Y-%m-%d}", _TEXT.format(url=settings.MUSTER_URL, lines="\n".join(lines)),
        settings.MUSTER_MAIL_FROM, [settings.MUSTER_ANCHOR_MAIL],
        headers={"Message-ID": f"<anchors-{end}.{at:%Y%m%d%H%M%S}@{host}>", "Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    with outbox.open_transport() as hand:
        hand(message)
    anchors.record_sent(end)
