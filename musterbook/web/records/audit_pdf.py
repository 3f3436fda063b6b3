"""The audit trail as a PDF, for a file that is read in court.

It has the filters, the user who requested it, the time, and every event in words. Its font is the one of the pages,
embedded. Characters that the font lacks are written as their Unicode code points, so nothing is lost.
"""

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache

from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from font_source_sans_pro import font_files_ttf
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from musterbook.directory import models
from musterbook.directory.audit import browse, export, hash_chain
from musterbook.directory.audit.filters import EventFilters
from musterbook.web.records import audit_words

MOST = 5_000
"""The most events in a PDF. A longer trail is for programs to read, as CSV."""
_PLAIN, _BOLD = "SourceSansPro", "SourceSansProBold"
_LEFT, _RIGHT, _TOP, _BOTTOM = 20 * mm, A4[0] - 20 * mm, A4[1] - 22 * mm, 20 * mm
_LEADING = 1.35


def render_pdf(
    agency: models.Agency, query: EventFilters, filters: Sequence[tuple[str, str]], by: models.User, at: datetime
) -> bytes:
    """Return the matching events as a PDF, the oldest first.

    `filters` is the label and the text of each filter. `by` is the user who requests the PDF.
    """
    links, digest = hash_chain.read_head(agency)
    title = _("Audit trail: %(agency)s") % {"agency": agency.name}
    sheet = _Sheet(title)
    sheet.line(title, size=16, bold=True, after=8)
    sealed = {"links": f"{links:,}", "digest": digest}
    facts = [
        *(filters or [(_("Filters"), _("none: all events"))]),
        (_("Created"), _("%(time)s by %(user)s") % {"time": _format_time(at), "user": _name(by)}),
        (_("Trail at that time"), _("%(links)s links, the last sealed as %(digest)s") % sealed),
    ]
    for label, text in facts:
        sheet.line(f"{label}: {text}", after=1)
    sheet.line(
        _("The page “Check the audit trail” and muster audit verify say whether anything was altered."),
        after=12,
    )
    number = 0
    for event in _read_events(agency, query):
        number += 1
        sheet.event(event)
    sheet.line(_describe_end(number), bold=True)
    return sheet.finish()


def _name(user: models.User) -> str:
    return f"{user.first_name} {user.last_name} ({user.external_id})"


def _describe_end(number: int) -> str:
    if not number:
        return _("No event matches.")
    return ngettext("%(number)s event. End.", "%(number)s events. End.", number) % {"number": f"{number:,}"}


def _read_events(agency: models.Agency, query: EventFilters) -> Iterator[audit_words.ShownEvent]:
    for part in export.read_events(agency, query):
        for event in browse.read_events(agency, part["id"].to_list()):
            yield audit_words.describe_event(event)


def _format_time(at: datetime) -> str:
    local = timezone.localtime(at)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


class _Sheet:
    """A document that is written line by line from the top, page after page."""

    def __init__(self, title: str) -> None:
        _register_fonts()
        self._file, self._title, self._page = io.BytesIO(), title, 1
        self._canvas = Canvas(self._file, pagesize=A4, lang=get_language() or "en")
        self._canvas.setTitle(title)
        self._canvas.setAuthor("Musterbook")
        self._y = _TOP

    def event(self, event: audit_words.ShownEvent) -> None:
        """Write an event: time and act, then the actor and the source, then each field before and after."""
        outcome = f" [{event.outcome}]" if event.source.outcome else ""
        self._ensure_room(3 * 10 * _LEADING)
        self.line(f"{_format_time(event.source.at)}   {audit_words.remove_marks(event.what)}{outcome}", bold=True)
        origin = _describe_origin(event.source.number, event.source.row)
        where = ", ".join(filter(None, (event.through, event.program, event.source.address, origin)))
        self.line(f"{event.by}. {where}", indent=4 * mm)
        for change in event.changes:
            self.line(_describe_change(change), indent=8 * mm)
        self._y -= 6

    def line(self, text: str, *, size: float = 9.5, bold: bool = False, indent: float = 0, after: float = 0) -> None:
        """Write a text over as many lines and pages as it needs."""
        font = _BOLD if bold else _PLAIN
        for piece in _wrap(_escape_missing(text), font, size, _RIGHT - _LEFT - indent):
            self._ensure_room(size * _LEADING)
            self._canvas.setFont(font, size)
            self._y -= size * _LEADING
            self._canvas.drawString(_LEFT + indent, self._y, piece)
        self._y -= after

    def _ensure_room(self, height: float) -> None:
        """Begin another page if this one does not have the room."""
        if self._y - height < _BOTTOM:
            self._end_page()
            self._y, self._page = _TOP, self._page + 1

    def _end_page(self) -> None:
        self._canvas.setFont(_PLAIN, 8)
        self._canvas.drawString(_LEFT, 12 * mm, _escape_missing(self._title)[:100])
        self._canvas.drawRightString(_RIGHT, 12 * mm, _("Page %(number)s") % {"number": self._page})
        self._canvas.showPage()

    def finish(self) -> bytes:
        """Return the document."""
        self._end_page()
        self._canvas.save()
        return self._file.getvalue()


def _describe_origin(number: str, row: int | None) -> str:
    if not number:
        return ""
    values = {"number": number, "row": row}
    return (_("Import %(number)s, row %(row)s") if row else _("Import %(number)s")) % values


def _describe_change(change: audit_words.FieldChange) -> str:
    values = {"field": change.field, "before": change.before, "after": change.after}
    if not change.after:
        return (_("%(field)s: “%(before)s” became blank") if change.before else _("%(field)s: blank")) % values
    return (_("%(field)s: “%(before)s” became “%(after)s”") if change.before else _("%(field)s: “%(after)s”")) % values


@cache
def _register_fonts() -> frozenset[int]:
    """Register the fonts, and return the code points of the characters that all of them have."""
    faces = [TTFont(name, font_files_ttf[name]) for name in (_PLAIN, _BOLD)]
    for face in faces:
        pdfmetrics.registerFont(face)
    return frozenset.intersection(*(frozenset(face.face.charToGlyph) for face in faces))


def _escape_missing(text: str) -> str:
    """Return the text with each missing or unprintable character as its code point, such as ‹U+4E2D›."""
    glyphs = _register_fonts()
    return "".join(
        character if ord(character) in glyphs and character.isprintable() else f"‹U+{ord(character):04X}›"
        for character in unicodedata.normalize("NFC", text)
    )


def _wrap(text: str, font: str, size: float, width: float) -> Iterator[str]:
    """Yield the text in lines of that width. Lines break at spaces, and words that are too long break anywhere."""
    most, line = int(width / size), ""  # no character is wider than the font size
    for word in re.findall(r"\S*\s*", text):
        long = pdfmetrics.stringWidth(word, font, size) > width
        for piece in [word[i : i + most] for i in range(0, len(word), most)] if long else [word]:
            if line and pdfmetrics.stringWidth(line + piece.rstrip(), font, size) > width:
                yield line.rstrip()
                line = ""
            line += piece
    yield line.rstrip()
