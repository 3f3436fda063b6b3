"""The content of each email: one text per kind, with the subject in its first line. The HTML has the same content."""

import re
import unicodedata
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext

from musterbook.accounts import links
from musterbook.config import languages, time_zones
from musterbook.core.domain.labels import EMAIL_TITLES
from musterbook.core.reporting import summary
from musterbook.core.values import emails
from musterbook.directory.models import Mail, Notice, User

KINDS = tuple(EMAIL_TITLES)
"""All kinds of emails; each has a text in templates/mail."""
_IN_NAMES = frozenset(" .'’,&()-")
"""The characters that a name in an email may have besides letters and digits; a dot only at the end of a word."""
_IN_USERNAMES = frozenset("._'-")
_DOMAIN = re.compile(r"\.[^.]*[^\W\d]|^[\d.]+$")
"""Text that mail programs may take for a domain, under any top-level domain, or for an IP address."""
_LINKED: dict[str, links.LinkKind] = {"invitation": "invitation", "reset": "reset"}


def compose_mail(mail: Mail, user: User, at: datetime) -> EmailMultiAlternatives:
    """Return the email as it leaves at that time.

    `user`: the user as the directory has them now, with agency, role and account.
    """
    with translation.override(_find_language(user)), timezone.override(_find_zone(user)):
        return _compose(mail, user, at)


def _find_language(user: User) -> str:
    """Return the language that the recipient chose, or else the agency's."""
    account = getattr(user, "account", None)
    return languages.choose_language(account.language if account else "", user.agency.language)


def _find_zone(user: User) -> tzinfo:
    """Return the zone that the recipient chose, or else the agency's, or UTC."""
    account = getattr(user, "account", None)
    return time_zones.find_zone(account.time_zone if account else "", user.agency.time_zone)


def _compose(mail: Mail, user: User, at: datetime) -> EmailMultiAlternatives:
    template: Any = get_template(f"mail/{mail.kind}.txt")
    context = _build_context(mail, user)
    rendered = template.template.render(Context(context, autoescape=False))
    subject, _, text = rendered.strip().partition("\n")
    paragraphs = [paragraph for paragraph in text.strip().split("\n\n") if paragraph]
    message = EmailMultiAlternatives(
        subject.strip(),
        text.strip() + "\n",
        settings.MUSTER_MAIL_FROM,
        [emails.to_ascii(mail.to)],
        headers=_headers(mail, at),
    )
    html = get_template("mail/layout.html").render(
        {"subject": subject, "paragraphs": paragraphs, "agency": context["agency"]}
    )
    message.attach_alternative(html, "text/html")
    return message


def _build_context(mail: Mail, user: User) -> dict[str, Any]:
    agency = user.agency
    kind = _LINKED.get(mail.kind)
    name = f"{user.first_name} {user.last_name}"
    return {
        "expires_at": _format_time(user.invitation_expires_at),
        "greeting": gettext("Hello %(name)s,") % {"name": name} if is_plain_name(name) else gettext("Hello,"),
        "username": user.username if user.username == user.email or is_plain_username(user.username) else "",
        "agency": {"name": agency.name if is_plain_name(agency.name) else agency.slug},
        "happened_at": _format_time(mail.created_at),
        "link": links.make_url(user, kind) if kind else "",
        "hours": int(links.RESET_LIFETIME.total_seconds() // 3600),
        "sign_in": f"{settings.MUSTER_URL}/{agency.slug}/sign-in",
        **_describe_notice(mail.notice),
        "forgotten": f"{settings.MUSTER_URL}/{agency.slug}/forgotten-password",
    }


def _format_time(at: datetime | None) -> str:
    """Return a time in the zone of the recipient, with the name of the zone."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    # Translators: a date with a time, in the letters that Django's documentation of `date` lists.
    return f"{date_format(local, pgettext('date', 'j F Y, H:i'))} ({local.tzname()})"


def _describe_notice(notice: Notice | None) -> dict[str, Any]:
    """Return what the email of a notice says of its import: only numbers and our own words, and no file name."""
    if notice is None:
        return {}
    record, pages = notice.of, f"{settings.MUSTER_URL}/{notice.agency.slug}"
    return {
        "import": f"{pages}/imports/{record.number}",
        "summary": summary.summarize(record.counts, record.mails, done=record.state == "applied"),
        "notice_settings": f"{pages}/my-account/notices",
    }


def is_plain_name(name: str) -> bool:
    """Return whether no mail program can make a link of a name that an outsider has written."""
    return _has_only(name, _IN_NAMES) and all("." not in word.rstrip(".,)") for word in name.split())


def is_plain_username(username: str) -> bool:
    """Return the same for a username: `jane.doe` could be a domain, if not today then tomorrow."""
    return _has_only(username, _IN_USERNAMES) and not _DOMAIN.search(username)


def _has_only(text: str, more: frozenset[str]) -> bool:
    return all(character in more or unicodedata.category(character)[0] in "LMN" for character in text)


def _headers(mail: Mail, at: datetime) -> dict[str, str]:
    """Return the headers: the same identity for each attempt, and no automatic answers.

    A recipient of two copies can recognize them by the identity.
    """
    host = urlsplit(settings.MUSTER_URL).hostname
    return {
        "Message-ID": f"<mail-{mail.pk}.{mail.created_at:%Y%m%d%H%M%S}@{host}>",
        "Date": at.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        "Auto-Submitted": "auto-generated",
    }
