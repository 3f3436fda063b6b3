"""The content of each email: one text per kind, with the subject in its first line. The HTML has the same content."""

from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.translation import gettext

from musterbook.accounts import feed_mails, links
from musterbook.accounts.mail_texts import find_plain_name, format_time, is_plain_name, is_plain_username
from musterbook.config import languages, time_zones
from musterbook.core.domain.labels import EMAIL_TITLES
from musterbook.core.reporting import summary
from musterbook.core.values import emails
from musterbook.directory.models import Agency, Mail, Notice, NoticeKind, User

KINDS = tuple(EMAIL_TITLES)
"""All kinds of emails. Each has a text in templates/mail, or in `feed_mails` if it is about a feed."""
_LONGEST_NAME = 19
"""The most characters of the name of a webhook in a subject: a phone shows about 40 in all."""
_LINKED: dict[str, links.LinkKind] = {"invitation": "invitation", "reset": "reset"}


def compose_mail(mail: Mail, user: User | None, at: datetime) -> EmailMultiAlternatives:
    """Return the email as it leaves at that time.

    `user`: the user as the directory has them now, with agency, role and account; None for an address that a feed names.
    """
    agency = user.agency if user else mail.agency
    with translation.override(_find_language(user, agency)), timezone.override(_find_zone(user, agency)):
        return _compose(mail, agency, user, at)


def _find_language(user: User | None, agency: Agency) -> str:
    """Return the language that the recipient chose, or else the agency's."""
    account = getattr(user, "account", None)
    return languages.choose_language(account.language if account else "", agency.language)


def _find_zone(user: User | None, agency: Agency) -> tzinfo:
    """Return the zone that the recipient chose, or else the agency's, or UTC."""
    account = getattr(user, "account", None)
    return time_zones.find_zone(account.time_zone if account else "", agency.time_zone)


def _compose(mail: Mail, agency: Agency, user: User | None, at: datetime) -> EmailMultiAlternatives:
    about_feed = feed_mails.describe(mail.notice, user) if mail.notice else {}
    template: Any = get_template(f"mail/{'feed' if about_feed else mail.kind}.txt")
    context = _build_common(agency, user) | about_feed | (_build_context(mail, user) if user else {})
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


def _build_common(agency: Agency, user: User | None) -> dict[str, Any]:
    name = f"{user.first_name} {user.last_name}" if user else ""
    greeting = gettext("Hello %(name)s,") % {"name": name} if user and is_plain_name(name) else gettext("Hello,")
    return {"greeting": greeting, "agency": {"name": find_plain_name(agency)}}


def _build_context(mail: Mail, user: User) -> dict[str, Any]:
    agency = user.agency
    kind = _LINKED.get(mail.kind)
    return {
        "expires_at": format_time(user.invitation_expires_at),
        "username": user.username if user.username == user.email or is_plain_username(user.username) else "",
        "happened_at": format_time(mail.created_at),
        "hours": int(links.RESET_LIFETIME.total_seconds() // 3600),
        "sign_in": f"{settings.MUSTER_URL}/{agency.slug}/sign-in",
        **({"link": links.make_url(user, kind)} if kind else {}),
        **_describe_notice(mail.notice),
        "forgotten": f"{settings.MUSTER_URL}/{agency.slug}/forgotten-password",
    }


def _describe_notice(notice: Notice | None) -> dict[str, Any]:
    """Return what the email of a notice says of its import: only numbers and our own words, and no file name."""
    if notice is None:
        return {}
    if notice.kind == NoticeKind.WEBHOOK:
        return _describe_webhook(notice)
    if notice.of is None:
        return {}
    record, pages = notice.of, f"{settings.MUSTER_URL}/{notice.agency.slug}"
    return {
        "import": f"{pages}/imports/{record.number}",
        "summary": summary.summarize(record.counts, record.mails, done=record.state == "applied"),
        "notice_settings": f"{pages}/my-account/notices",
    }


def _describe_webhook(notice: Notice) -> dict[str, Any]:
    """Return what the email about a disabled webhook says: its name, and no address."""
    pages, name = f"{settings.MUSTER_URL}/{notice.agency.slug}", str(notice.facts.get("webhook", ""))
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return {
        "webhook": name, "short_name": short, "webhook_page": f"{pages}/webhooks/{name}/",
        "notice_settings": f"{pages}/my-account/notices",
    }  # fmt: skip


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
