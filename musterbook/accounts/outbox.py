"""The outbox: waiting emails are sent at a set pace, each agency in turn, retried on failure, and never sent twice.

A worker claims an email for some minutes, so another worker can claim it if the first one fails. The handover to the
server is recorded before it happens. If the worker exits just then, it is unknown whether the email left, and it is not
sent again.
"""

import logging
import smtplib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.db import Error, connection, transaction
from django.db.models import Count, F, Min, Q, QuerySet

from musterbook.accounts import mails, registration
from musterbook.config import mail_server
from musterbook.config.home import prepare_folder, write_private
from musterbook.config.mail_server import MailServer
from musterbook.core.values import emails
from musterbook.directory.agency import pausing
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import notices
from musterbook.directory.models import Mail, NoticeKind, User
from musterbook.directory.storage import isolation, locks, looks
from musterbook.directory.storage.clocks import SKEW

_LOG = logging.getLogger(__name__)
_LEASE = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
_BATCH, _FORGOTTEN_AT_ONCE = 50, 1_000
ATTEMPTS = 8
"""The most attempts for an email: at once, after 1, 4, 16, 64 and 256 minutes, then every 360 minutes."""
_LONGEST_WAIT = timedelta(hours=6)

Clock = Callable[[], datetime]
Sender = Callable[[EmailMultiAlternatives], None]


def send_due(worker: str, now: Clock, is_ending: Callable[[], bool] = lambda: False) -> int:
    """Send some of the emails that are due, as many as the pace allows; return how many were handled.

    `worker`: a name that no other worker has. `now`: the clock. `is_ending`: return whether the worker is asked to end; the
    email in hand is then sent, and another worker can claim the rest at once.
    """
    if not looks.has_any(Mail, "ended_at IS NULL"):
        return 0  # without a write: each worker looks every two seconds, and SQLite has one writer
    _end_lost_mails(now())
    claimed = _claim(worker, now())
    if not claimed:
        return 0
    number = 0
    try:
        with open_transport() as hand:
            for number, mail in enumerate(claimed):
                if is_ending():
                    _release(claimed[number:])
                    return number
                with isolation.limit_to(mail.agency_id):
                    _send_or_log(mail, hand, now)
    except (OSError, smtplib.SMTPException) as error:
        _schedule_retry(claimed[number:], now(), _log_failure(error))
    return len(claimed)


def _release(claimed: list[Mail]) -> None:
    """Give up the claim of emails that were not tried. This does not count as an attempt."""
    for mail in claimed:
        _query_claimed(mail).filter(handed_at=None).update(lease_until=None, worker="", attempts=F("attempts") - 1)


def read_backlog(at: datetime) -> tuple[int, int, float]:
    """Return how many emails wait, how many failed, and the age in seconds of the one that waits the longest (0: none).

    Those of paused agencies wait for no worker.
    """
    # An index has the ids of those that wait, so no email is read but the oldest.
    unsent = Mail.objects.filter(ended_at=None).exclude(agency__in=pausing.select_paused())
    waiting = unsent.aggregate(number=Count("id"), first=Min("id"))
    oldest = Mail.objects.filter(pk=waiting["first"]).values_list("created_at", flat=True).first()
    failed = Mail.objects.filter(ended_at__isnull=False, sent_at=None).exclude(problem="").count()
    return waiting["number"], failed, max((at - oldest).total_seconds(), 0) if oldest else 0.0


def _end_lost_mails(at: datetime) -> None:
    lost = Mail.objects.filter(_is_over(at), ended_at=None, handed_at__isnull=False)
    lost.update(ended_at=at, problem=_UNKNOWN)


_UNKNOWN = (
    "The connection or the worker ended while the email was sent. It may have arrived or not. Send it again by hand."
)


def _claim(worker: str, at: datetime) -> list[Mail]:
    """Claim due emails for this worker: those of single actions first, then notices, then some of each agency."""
    with transaction.atomic():
        room = min(_BATCH, settings.MUSTER_MAILS_PER_MINUTE - _count_recent(at))
        batch = list(_query_due(at).filter(of=None).order_by(*_PRIORITY)[: max(room, 0)])
        batch += _list_import_mails(at, room - len(batch))
        mine = Mail.objects.filter(pk__in=[mail.pk for mail in batch])
        mine.update(worker=worker, lease_until=at + _LEASE, attempts=F("attempts") + 1)
    return list(mine.filter(worker=worker).order_by(F("of_id").asc(nulls_first=True), *_PRIORITY))


_PRIORITY = (F("notice_id").asc(nulls_first=True), "id")
"""A user waits for the link to a new password. The notices of many feeds do not delay it."""


def _count_recent(at: datetime) -> int:
    """Return how many emails left within the last minute, or are about to."""
    claimed = Mail.objects.filter(
        ended_at=None, handed_at=None, lease_until__gt=at, lease_until__lte=at + _LEASE + SKEW
    )
    return Mail.objects.filter(handed_at__gt=at - _MINUTE, handed_at__lte=at + SKEW).count() + claimed.count()


def _is_over(at: datetime) -> Q:
    """Return whether a lease has ended, or is one of a clock that was set back."""
    return Q(lease_until__lt=at) | Q(lease_until__gt=at + _LEASE + SKEW)


def _query_due(at: datetime) -> "QuerySet[Mail]":
    waiting = Mail.objects.filter(ended_at=None, handed_at=None).exclude(agency__in=pausing.select_paused())
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=at) | Q(next_attempt_at__gt=at + _LONGEST_WAIT + SKEW)
    query = waiting.filter(due, Q(lease_until=None) | _is_over(at))
    return query.select_for_update(skip_locked=True) if connection.features.has_select_for_update_skip_locked else query


def _list_import_mails(at: datetime, room: int) -> list[Mail]:
    """Return emails of imports, the oldest of each agency.

    So the many emails of one agency do not delay those of another.
    """
    if room <= 0:
        return []
    waiting = Mail.objects.filter(ended_at=None, of__isnull=False).exclude(agency__in=pausing.select_paused())
    agencies = list(waiting.values_list("agency", flat=True).distinct())
    share = max(room // max(len(agencies), 1), 1)
    batch: list[Mail] = []
    for agency in agencies:
        batch += _query_due(at).filter(agency=agency, of__isnull=False).order_by("id")[: min(share, room - len(batch))]
        if len(batch) >= room:
            break
    return batch


def _send_or_log(mail: Mail, hand: Sender, now: Clock) -> None:
    """Send the email. An error of our own in one email is logged, and delays no other."""
    try:
        _send(mail, hand, now)
    except (OSError, smtplib.SMTPException, Error):
        raise
    except Exception as error:  # noqa: BLE001  (it is logged in full, and stored with the email)
        _LOG.exception("An email could not be created: %s", mail.kind)
        _schedule_retry([mail], now(), f"The email could not be created: {error}")


def _send(mail: Mail, hand: Sender, now: Clock) -> None:
    try:
        message = _prepare_mail(mail, now())
    except locks.AgencyPaused:
        _release([mail])
        return
    if message is None:
        return
    try:
        hand(message)
    except smtplib.SMTPRecipientsRefused as error:
        status, answer = next(iter(error.recipients.values()))
        _handle_refusal(mail, now(), status, answer)
    except smtplib.SMTPResponseException as error:
        _handle_refusal(mail, now(), error.smtp_code, error.smtp_error)
    except smtplib.SMTPServerDisconnected:
        _end(mail, now(), _UNKNOWN)
        raise
    else:
        _record_or_log(mail, now())


def _record_or_log(mail: Mail, at: datetime) -> None:
    """Record that the email left. If that fails, it must not leave again: it ends as unknown when its claim is over."""
    try:
        _record_sent(mail, at)
    except Error:
        raise
    except Exception:  # noqa: BLE001  (it is logged in full)
        _LOG.exception("An email has left, but this could not be recorded: %s", mail.kind)


def _prepare_mail(mail: Mail, at: datetime) -> EmailMultiAlternatives | None:
    """Return the email, marked as being handed over.

    Return None if this worker no longer holds the email, or if it is no longer true. Raise AgencyPaused.
    """
    with transaction.atomic():
        locks.lock_row(mail.agency)
        users = User.objects.select_related("agency", "role", "account")
        user = users.get(pk=mail.user_id) if mail.user_id else None
        untrue = _find_cancel_reason(mail, user)
        if untrue:
            _end(mail, at, untrue)
            return None
        if not _query_claimed(mail).filter(lease_until__gt=at).update(handed_at=at):
            return None
        if user and mail.kind == "invitation":
            registration.mark_invited(user, at)
        elif user and mail.kind == "reset":
            user.reset_at = at
            user.save(update_fields=["reset_at"])
        return mails.compose_mail(mail, user, at)


def _find_cancel_reason(mail: Mail, user: User | None) -> str:
    """Return why the email must not be sent any more, or "". `user`: None for an address that a feed names."""
    if user is None:
        return notices.find_address_cancel_reason(mail.notice, mail.to)
    if mail.kind in NoticeKind.values:
        is_moved = emails.to_mailbox(mail.to) != emails.to_mailbox(user.email)
        moved = "Not sent: the user's address has changed." if is_moved else ""
        return notices.find_cancel_reason(mail.notice, user) or moved
    return _find_account_reason(mail, user)


def _find_account_reason(mail: Mail, user: User) -> str:
    """Return why the email about an account must not be sent any more, or ""."""
    if mail.kind in ("invitation", "reset") and not user.active:
        return "Not sent: the user is now Inactive."
    if mail.kind == "reset" and not user.registered_at:
        return "Not sent: the user has not registered."
    if mail.kind == "invitation" and user.registered_at:
        return "Not sent: the user has registered."
    if mail.kind == "invitation" and mail.attempts == 1 and user.invited_at and user.invited_at > mail.created_at:
        return "Not sent: there is a newer invitation."
    if mail.kind in ("invitation", "reset") and emails.to_mailbox(mail.to) != emails.to_mailbox(user.email):
        return "Not sent: the user's address has changed. A newer email goes there."
    return ""


def _record_sent(mail: Mail, at: datetime) -> None:
    with transaction.atomic():
        _query_claimed(mail).update(sent_at=at, ended_at=at, problem="")
        if mail.kind == "invitation":
            # It was handed over before the agency was paused, and the pause waits for this.
            context = AuditContext(at, "", "system")
            trail.record_event(mail.agency, context, EventKind.USER_INVITED, mail.user, paused=True)


def _handle_refusal(mail: Mail, at: datetime, status: int, answer: bytes | str) -> None:
    """Handle a refusal: a permanent one ends the email, and a temporary one is retried."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    reason = f"The mail server refused the email ({status}): {text}"
    if status >= 500:
        _end(mail, at, reason)
    else:
        _schedule_retry([mail], at, reason)


def _schedule_retry(claimed: list[Mail], at: datetime, reason: str) -> None:
    """Let each email wait four times as long as the last time, up to a limit. Give up after ATTEMPTS attempts."""
    for mail in claimed:
        wait = min(_MINUTE * 4 ** (mail.attempts - 1), _LONGEST_WAIT)
        mine = _query_claimed(mail).filter(ended_at=None)
        if mail.attempts >= ATTEMPTS:
            mine.update(ended_at=at, handed_at=None, problem=f"Given up after {ATTEMPTS} attempts. {reason}")
        else:
            mine.update(handed_at=None, lease_until=None, worker="", next_attempt_at=at + wait, problem=reason)


def _end(mail: Mail, at: datetime, problem: str) -> None:
    _query_claimed(mail).update(ended_at=at, problem=problem)


def _query_claimed(mail: Mail) -> "QuerySet[Mail]":
    """Return the query for the email, as long as the worker that claimed it still holds it."""
    return Mail.objects.filter(pk=mail.pk, worker=mail.worker, ended_at=None)


def _log_failure(error: Exception) -> str:
    _LOG.warning("The mail server could not be reached", exc_info=error)
    return f"The mail server could not be reached: {error}"


@contextmanager
def open_transport() -> Iterator[Sender]:
    """Open a way to hand emails over: one connection to the mail server, or else files in MUSTER_HOME."""
    server: MailServer | None = settings.MAIL_SERVER
    if server is None:
        yield _write_file
        return
    backend = mail_server.make_connection(server)
    try:
        backend.open()
        yield lambda message: _send_by(backend, message)
    finally:
        backend.close()


def _send_by(backend: EmailBackend, message: EmailMultiAlternatives) -> None:
    backend.send_messages([message])


def get_folder() -> Path:
    """Return the folder for emails if there is no mail server."""
    return Path(settings.MUSTER_HOME) / "mail"


def forget_old(at: datetime) -> None:
    """Delete the personal data of emails MUSTER_KEEP_MAILS_DAYS after they ended.

    These are files, addresses and answers of servers.
    """
    before = at - timedelta(days=settings.MUSTER_KEEP_MAILS_DAYS)
    past = Mail.objects.filter(ended_at__lt=before).exclude(to="").order_by("ended_at").values_list("pk", flat=True)
    Mail.objects.filter(pk__in=list(past[:_FORGOTTEN_AT_ONCE])).update(to="", problem="")
    for path in get_folder().glob("*.eml"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()


def _write_file(message: EmailMultiAlternatives) -> None:
    name = message.extra_headers["Message-ID"].strip("<>").partition("@")[0]
    # An email that did not fit on the disk leaves nothing: a person would take the file for one that was sent.
    write_private(prepare_folder(get_folder()) / f"{name}.eml", message.message().as_bytes())
